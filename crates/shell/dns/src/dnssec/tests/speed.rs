//! What signing costs. Figures are printed, not judged: they are the machine's.

use std::time::Duration;

use hickory_proto::rr::RecordType::{A, DNSKEY};
use perigee_model::dns::SigningAlgorithm;

use super::sizes::octets;
use super::world::{NOW, World, name, signing};
use crate::dnssec::canonical::canonical;
use crate::dnssec::signature::Signature;
use crate::dnssec::signer::Asked;
use crate::dnssec::zone_keys::ZoneKeys;

#[test]
#[ignore = "measures; run it alone, in release"]
#[expect(clippy::print_stderr, reason = "it is there to print")]
fn what_signing_costs() {
    for algorithm in [SigningAlgorithm::EcdsaP256Sha256, SigningAlgorithm::Ed25519] {
        let keys = ZoneKeys::generate("perigee.test", algorithm).unwrap();
        let key = keys.signers(A).next().unwrap();
        let world = World::new(signing(algorithm, false));
        let response = world.respond(&name("www.perigee.test"), A, 0);
        let set = &response.answers[0];
        let bytes = canonical(set).unwrap();
        let rounds = 20_000_u32;
        let start = spent();
        for round in 0..rounds {
            Signature::make(key, keys.origin(), set, &bytes, NOW as u32 + round).unwrap();
        }
        let made = spent() - start;
        let start = spent();
        for _ in 0..rounds {
            let mut response = response.clone();
            world.signer.sign(&mut response, Asked { qtype: A, dnssec_ok: true, compact_ok: false }, NOW);
        }
        let cached = spent() - start;
        assert_eq!(world.metrics.hits.get(), u64::from(rounds) - 1);
        let each = |took: Duration| took.as_secs_f64() * 1e6 / f64::from(rounds);
        eprintln!(
            "{algorithm:?}: {:.0} signatures/s, {:.2} us each; from the cache {:.2} us",
            f64::from(rounds) / made.as_secs_f64(),
            each(made),
            each(cached),
        );
        for (qname, qtype) in [("geo", A), ("www", A), ("absent", A), ("child", DNSKEY)] {
            let qname = format!("{qname}.perigee.test");
            eprintln!("  {qname} {qtype}: {} octets", octets(&world, &qname, qtype));
        }
    }
}

/// What this thread has had of a processor, so that other processes make no difference (Linux, schedstats).
fn spent() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}
