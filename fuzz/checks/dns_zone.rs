//! Zone files: whatever the text, it is refused or served; no name of it and no type brings the server down.

use std::sync::Arc;

use perigee_dataplane::Edge;
use perigee_dns::{Transport, check_zones};
use perigee_model::Instant;
use perigee_model::dns::{HostedZone, ZoneFile};

use super::world::{IN_SEOUL, base, responder};

const TYPES: [u16; 14] = [1, 2, 5, 6, 12, 15, 16, 28, 33, 39, 43, 64, 65, 255];

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

/// Panics unless the file `text` is refused or served.
pub fn check(text: &str) {
    let (snapshot, atlas) = base();
    let mut snapshot = snapshot.clone();
    // Its tables of the whole address space would be made anew for every text.
    snapshot.dns.latency_names.clear();
    let file = Some(ZoneFile { name: "z".into(), text: text.into() });
    snapshot.dns.zones.push(HostedZone { file, ..HostedZone::new("z.test") });
    for problem in check_zones(&snapshot) {
        assert!(!problem.to_string().is_empty());
    }
    let edge = Edge::new(Arc::new(snapshot), atlas.clone(), None, Instant::START);
    let responder = responder(edge.view().clone());
    // The text's own words are the names most worth asking for, whole and label by label.
    let words = text.split_whitespace().take(24);
    for (turn, word) in ["", "*", "x.y"].into_iter().chain(words).enumerate() {
        let labels: Vec<&[u8]> = word.split('.').map(str::as_bytes).collect();
        for (position, qtype) in TYPES.into_iter().enumerate() {
            let Some(message) = query(&labels, qtype) else { continue };
            // In turns: what differs is only whether it fits.
            let transport = [Transport::Udp, Transport::Tcp][(turn + position) % 2];
            let answer = responder.answer(&message, IN_SEOUL, transport).expect("every query has an answer");
            assert_eq!(answer[..2], message[..2], "another id");
            assert_ne!(answer[3] & 0x0f, 2, "SERVFAIL");
        }
    }
}
