//! DNS messages: every datagram is dropped or answered, an answer carries the query's id, is a response, and fits; on
//! encrypted transports it is padded if the query was.
#![no_main]

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use libfuzzer_sys::fuzz_target;
use perigee_dataplane::Edge;
use perigee_dns::{Metrics, Moment, Responder, Transport};
use perigee_geo::{Atlas, Database, Overlay, Tables, shipped};
use perigee_model::{Instant, fixtures};
use prometheus_client::registry::Registry;

fn responder() -> &'static Responder {
    static RESPONDER: OnceLock<Responder> = OnceLock::new();
    RESPONDER.get_or_init(|| {
        let mut snapshot = fixtures::snapshot(&["ap-northeast-1", "ap-northeast-2"]);
        // All that a query may ask for, and cookies that a corpus can hold good ones of.
        snapshot.dns.server.identity = Some("fuzz".into());
        snapshot.dns.server.chaos = true;
        snapshot.dns.server.synthesized_error = true;
        snapshot.dns.server.cookie_secrets = vec![[1; 16], [2; 16]];
        let snapshot = Arc::new(snapshot);
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
    let moment = Moment { unix: Duration::from_secs(1_559_731_985), elapsed_ms: 0 };
    let answer = |transport| responder().answer_at(data, source, transport, moment);
    if let Some(answer) = answer(Transport::Udp) {
        assert!(answer.len() >= 12 && answer.len() <= 1_232, "{} octets", answer.len());
        assert_eq!(answer[..2], data[..2], "another id");
        assert!(answer[2] & 0x80 != 0, "not a response");
    }
    let plain = answer(Transport::Tcp);
    for transport in [Transport::Tls, Transport::Https, Transport::Quic] {
        let encrypted = answer(transport);
        assert_eq!(plain.is_some(), encrypted.is_some(), "answered over TCP alone, or not");
        let (Some(plain), Some(encrypted)) = (&plain, encrypted) else { continue };
        // Padding takes 4 octets at least, and what is padded has a length of few.
        let is_padded = encrypted.len() > plain.len();
        assert!(!is_padded || encrypted.len().is_multiple_of(468), "{} octets", encrypted.len());
        assert_eq!(encrypted[..4], plain[..4], "another header");
    }
});
