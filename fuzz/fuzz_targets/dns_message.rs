//! DNS messages: every datagram is dropped or answered, an answer carries the query's id, is a response, and fits.
#![no_main]

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use libfuzzer_sys::fuzz_target;
use perigee_dataplane::Edge;
use perigee_dns::{Metrics, Responder, Transport};
use perigee_geo::{Atlas, Database, Overlay, Tables, shipped};
use perigee_model::{Instant, fixtures};
use prometheus_client::registry::Registry;

fn responder() -> &'static Responder {
    static RESPONDER: OnceLock<Responder> = OnceLock::new();
    RESPONDER.get_or_init(|| {
        let snapshot = Arc::new(fixtures::snapshot(&["ap-northeast-1", "ap-northeast-2"]));
        let tables = Tables::parse(shipped::REGIONS, shipped::REGION_RTT, shipped::EDGES).expect("shipped tables");
        let overlay = Overlay::parse(shipped::OVERLAY).expect("shipped overlay");
        let database = Arc::new(Database::load(shipped::CITY).expect("shipped database"));
        let regions: Vec<_> = snapshot.regions.iter().map(|r| (r.code.clone(), r.location)).collect();
        let atlas = Atlas::build(&database, &tables, &overlay, &regions, "Seoul").expect("an atlas");
        let edge = Edge::new(snapshot, Arc::new(atlas), None, Instant::START);
        let view = Arc::new(ArcSwap::new(edge.view().clone()));
        Responder::new(view, vec![[127, 0, 0, 1].into()], Metrics::new(&mut Registry::default()))
    })
}

fuzz_target!(|data: &[u8]| {
    let source = ([127, 82, 200, 9], 5353).into();
    if let Some(answer) = responder().answer(data, source, Transport::Udp) {
        assert!(answer.len() >= 12 && answer.len() <= 1_232, "{} octets", answer.len());
        assert_eq!(answer[..2], data[..2], "another id");
        assert!(answer[2] & 0x80 != 0, "not a response");
    }
    let _ = responder().answer(data, source, Transport::Tcp);
});
