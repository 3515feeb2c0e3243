use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::RecordType::{A, DNSKEY};
use perigee_model::dns::{HostedZone, SigningAlgorithm, ZoneSigning};

use super::files::Directory;
use super::server::answer;
use super::world::{World, name, signing};
use crate::keys::{KeyRole, KeyState};

/// Octets of the answer over UDP with DO.
pub(super) fn octets(world: &World, qname: &str, qtype: hickory_proto::rr::RecordType) -> usize {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(name(qname), qtype));
    let mut edns = Edns::new();
    edns.set_dnssec_ok(true).set_max_payload(1_232);
    message.edns = Some(edns);
    let bytes = answer(world, &message.to_vec().unwrap(), 0).unwrap();
    assert!(!Message::from_vec(&bytes).unwrap().metadata.truncation, "{qname} {qtype}");
    bytes.len()
}

#[test]
fn signed_answers_are_small() {
    for algorithm in [SigningAlgorithm::EcdsaP256Sha256, SigningAlgorithm::Ed25519] {
        for nsec3 in [false, true] {
            let world = World::new(signing(algorithm, nsec3));
            for (qname, qtype, limit) in [
                ("geo.perigee.test", A, 200),
                ("www.perigee.test", A, 300),
                ("absent.perigee.test", A, 512),
                ("perigee.test", DNSKEY, 300),
            ] {
                let octets = octets(&world, qname, qtype);
                assert!(octets < limit, "{qname} {qtype} with {algorithm:?}, nsec3={nsec3}: {octets} octets");
            }
        }
    }
}

#[test]
fn the_most_keys_that_are_accepted_still_fit_a_datagram() {
    let directory = Directory::new();
    let mut zone = HostedZone::new("perigee.test");
    let key_directory = Some(directory.0.clone());
    zone.signing = Some(ZoneSigning { algorithm: SigningAlgorithm::EcdsaP256Sha256, key_directory, nsec3: false });
    let mut largest = 0;
    for count in 1..=8 {
        directory.key(SigningAlgorithm::EcdsaP256Sha256, KeyRole::Csk, KeyState::Active);
        if crate::keys::check(&zone).is_err() {
            break;
        }
        let octets = octets(&World::with(std::slice::from_ref(&zone)), "perigee.test", DNSKEY);
        assert!(octets > largest && octets < 1_232, "{count} keys: {octets} octets");
        largest = octets;
    }
    assert!(largest > 900, "the limit has some use: {largest}");
}
