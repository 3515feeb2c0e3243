use hickory_proto::rr::rdata::{A, AAAA, MX, TXT};
use hickory_proto::rr::{Name, RData, RecordType};
use perigee_model::dns::SigningAlgorithm;
use proptest::prelude::*;

use super::world::{NOW, World, signing};
use crate::dnssec::canonical::canonical;
use crate::dnssec::denial::successor;
use crate::dnssec::signer::Asked;
use crate::response::{Kind, Response, RrSet};

fn label() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 1..=63)
}

/// A name in `perigee.test`, of any octets and up to the longest.
fn any_name() -> impl Strategy<Value = Name> {
    prop::collection::vec(label(), 0..6).prop_map(|labels| {
        let mut name = Name::from_ascii("perigee.test.").unwrap();
        for label in labels {
            name = name.prepend_label(&label[..]).unwrap_or(name);
        }
        name
    })
}

/// A name close to `name` in canonical order, on either side, or any other.
fn near(name: Name) -> impl Strategy<Value = Name> {
    let with_first = {
        let name = name.clone();
        move |change: &dyn Fn(&mut Vec<u8>)| {
            let mut labels: Vec<Vec<u8>> = name.iter().map(<[u8]>::to_vec).collect();
            change(&mut labels[0]);
            let changed = Name::from_labels(labels.iter().map(Vec::as_slice));
            changed.map_or_else(
                |_| name.clone(),
                |mut changed| {
                    changed.set_fqdn(true);
                    changed
                },
            )
        }
    };
    let below = {
        let name = name.clone();
        move |label: Vec<u8>| name.prepend_label(&label[..]).unwrap_or_else(|_| name.clone())
    };
    let (last, longer) = (with_first.clone(), with_first);
    prop_oneof![
        prop::collection::vec(0_u8..3, 1..4).prop_map(below),
        any::<u8>().prop_map(move |octet| last(&|label| {
            label.pop();
            label.push(octet);
        })),
        (0_u8..3).prop_map(move |octet| longer(&|label| label.push(octet))),
        any_name(),
    ]
}

fn any_data() -> impl Strategy<Value = Vec<RData>> {
    let octets = || prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        prop::collection::vec(any::<[u8; 4]>().prop_map(|a| RData::A(A(a.into()))), 1..9),
        prop::collection::vec(any::<[u8; 16]>().prop_map(|a| RData::AAAA(AAAA(a.into()))), 1..9),
        prop::collection::vec((any::<u16>(), any_name()).prop_map(|(p, n)| RData::MX(MX::new(p, n))), 1..5),
        prop::collection::vec(octets().prop_map(|o| RData::TXT(TXT::from_bytes(vec![&o[..]]))), 1..5),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Order is nothing, the TTL is something, and hickory's verifier, which has a canonical form of its own, agrees.
    #[test]
    fn order_never_matters_and_ttl_always_does(
        (data, shuffled) in any_data().prop_flat_map(|data| (Just(data.clone()), Just(data).prop_shuffle())),
        owner in any_name(),
        ttls in prop::array::uniform2(0_u32..100_000),
    ) {
        let set = |data: Vec<RData>, ttl_s| RrSet { owner: owner.clone(), record_type: data[0].record_type(), ttl_s, data };
        prop_assert_eq!(canonical(&set(data.clone(), ttls[0]))?, canonical(&set(shuffled.clone(), ttls[0]))?);
        let same = canonical(&set(data.clone(), ttls[0]))? == canonical(&set(data.clone(), ttls[1]))?;
        prop_assert_eq!(same, ttls[0] == ttls[1]);
        // Sets have no record twice; hickory counts both.
        let mut data = data;
        data.sort_by_key(ToString::to_string);
        data.dedup();
        let world = WORLD.with(Clone::clone);
        let qtype = data[0].record_type();
        for (data, ttl_s) in [(data.clone(), ttls[0]), (shuffled, ttls[0]), (data, ttls[1])] {
            let mut data = data;
            let mut seen = Vec::new();
            data.retain(|one| !seen.contains(one) && { seen.push(one.clone()); true });
            let mut response = Response::found(Kind::Absent, vec![set(data, ttl_s)]);
            world.signer.sign(&mut response, Asked { qtype, dnssec_ok: true, compact_ok: false }, NOW);
            prop_assert_eq!(response.answers[1].record_type, RecordType::RRSIG);
            world.verify(&response.answers, |_| true, NOW);
        }
    }

    /// The next name is behind the name and before everything else that could be there.
    #[test]
    fn the_next_name_leaves_no_room(
        (name, other) in any_name().prop_flat_map(|name| (Just(name.clone()), near(name))),
    ) {
        let origin = Name::from_ascii("perigee.test.").unwrap();
        let next = successor(&name, &origin)?;
        prop_assert!(next == origin || name < next, "{name} {next}");
        if next != origin {
            prop_assert!(other <= name || next <= other, "{other} lies between {name} and {next}");
        }
    }
}

thread_local! {
    static WORLD: World = World::new(signing(SigningAlgorithm::Ed25519, false));
}
