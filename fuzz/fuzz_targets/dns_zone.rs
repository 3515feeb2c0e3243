//! Zone files: whatever the text, it is refused or served; no name of it and no type brings the server down.
#![no_main]

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use libfuzzer_sys::fuzz_target;
use perigee_dataplane::Edge;
use perigee_dns::{Metrics, Responder, Transport, check_zones};
use perigee_geo::{Atlas, Database, Overlay, Tables, shipped};
use perigee_model::dns::{HostedZone, ZoneFile};
use perigee_model::{Instant, Snapshot, fixtures};
use prometheus_client::registry::Registry;

const TYPES: [u16; 14] = [1, 2, 5, 6, 12, 15, 16, 28, 33, 39, 43, 64, 65, 255];

fn base() -> &'static (Snapshot, Arc<Atlas>) {
    static BASE: OnceLock<(Snapshot, Arc<Atlas>)> = OnceLock::new();
    BASE.get_or_init(|| {
        let snapshot = fixtures::snapshot(&["ap-northeast-1", "ap-northeast-2"]);
        let tables = Tables::parse(shipped::REGIONS, shipped::REGION_RTT, shipped::EDGES).expect("shipped tables");
        let overlay = Overlay::parse(shipped::OVERLAY).expect("shipped overlay");
        let database = Arc::new(Database::load(shipped::CITY).expect("shipped database"));
        let regions: Vec<_> = snapshot.regions.iter().map(|r| (r.code.clone(), r.location)).collect();
        let atlas = Atlas::build(&database, &tables, &overlay, &regions, "Seoul").expect("an atlas");
        (snapshot, Arc::new(atlas))
    })
}

/// A query for the name of `labels` below `z.test`; none if it is too long.
fn query(labels: &[&[u8]], qtype: u16) -> Option<Vec<u8>> {
    let mut message = vec![1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in labels.iter().filter(|label| !label.is_empty() && label.len() < 64) {
        message.push(label.len() as u8);
        message.extend(*label);
    }
    message.extend(b"\x01z\x04test\x00");
    message.extend(qtype.to_be_bytes());
    message.extend([0, 1]);
    (message.len() <= 12 + 255 + 4).then_some(message)
}

fuzz_target!(|text: &str| {
    let (snapshot, atlas) = base();
    let mut snapshot = snapshot.clone();
    let file = Some(ZoneFile { name: "z".into(), text: text.into() });
    snapshot.dns.zones.push(HostedZone { file, ..HostedZone::new("z.test") });
    for problem in check_zones(&snapshot) {
        assert!(!problem.to_string().is_empty());
    }
    let edge = Edge::new(Arc::new(snapshot), atlas.clone(), None, Instant::START);
    let view = Arc::new(ArcSwap::new(edge.view().clone()));
    let responder = Responder::new(view, vec![[127, 0, 0, 1].into()], Metrics::new(&mut Registry::default()));
    // The text's own words are the names most worth asking for, whole and label by label.
    let words = text.split_whitespace().take(24);
    for word in ["", "*", "x.y"].into_iter().chain(words) {
        let labels: Vec<&[u8]> = word.split('.').map(str::as_bytes).collect();
        for qtype in TYPES {
            let Some(message) = query(&labels, qtype) else { continue };
            for transport in [Transport::Udp, Transport::Tcp] {
                let answer = responder.answer(&message, ([127, 82, 200, 9], 5353).into(), transport);
                let answer = answer.expect("every query has an answer");
                assert_eq!(answer[..2], message[..2], "another id");
                assert_ne!(answer[3] & 0x0f, 2, "SERVFAIL");
            }
        }
    }
});
