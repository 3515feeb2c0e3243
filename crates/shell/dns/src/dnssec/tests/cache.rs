use std::sync::Arc;

use hickory_proto::rr::RecordType::A;
use hickory_proto::rr::{RData, RecordType};
use perigee_model::dns::SigningAlgorithm;

use super::world::{NOW, World, name, signing, v4};
use crate::dnssec::CacheMetrics;
use crate::dnssec::cache::{CacheLimits, SignatureCache};
use crate::dnssec::canonical::canonical;
use crate::dnssec::signature::Signature;
use crate::dnssec::signer::Asked;
use crate::dnssec::zone_keys::ZoneKeys;
use crate::response::{Response, RrSet};

const DO: Asked = Asked { qtype: A, dnssec_ok: true, compact_ok: false };

fn signature_of(world: &World, mut response: Response, now: u64) -> RData {
    world.signer.sign(&mut response, DO, now);
    response.answers[1].data[0].clone()
}

#[test]
fn neither_the_order_of_addresses_nor_the_case_of_the_name_makes_another_signature() {
    // Signatures by ECDSA differ each time that one is made, so an equal one came from the cache.
    let world = World::new(signing(SigningAlgorithm::EcdsaP256Sha256, false));
    let response = world.respond(&name("www.perigee.test"), A, 0);
    let first = signature_of(&world, response.clone(), NOW);
    let mut turned = response.clone();
    turned.answers[0].data.rotate_left(1);
    assert_eq!(signature_of(&world, turned, NOW + 60), first);
    let loud = world.respond(&name("WwW.pErigee.TEST"), A, 0);
    assert_eq!(signature_of(&world, loud, NOW + 60), first);
    assert_eq!((world.metrics.hits.get(), world.metrics.misses.get()), (2, 1));
    let mut degraded = response.clone();
    degraded.answers[0].ttl_s = 15;
    assert_ne!(signature_of(&world, degraded, NOW + 60), first);
    let mut fewer = response;
    fewer.answers[0].data.pop();
    assert_ne!(signature_of(&world, fewer, NOW + 60), first);
    assert_eq!((world.metrics.hits.get(), world.metrics.misses.get()), (2, 3));
}

#[test]
fn a_signature_is_renewed_a_day_before_it_ends_and_after_the_clock_went_back() {
    let world = World::new(signing(SigningAlgorithm::EcdsaP256Sha256, false));
    let ask = |now| signature_of(&world, world.respond(&name("www.perigee.test"), A, 0), now);
    let first = ask(NOW);
    assert_eq!(ask(NOW + 48 * 3_600), first);
    let later = ask(NOW + 54 * 3_600);
    assert_ne!(later, first);
    assert_eq!(ask(NOW + 54 * 3_600), later);
    assert_ne!(ask(NOW), later, "not valid yet");
}

#[test]
fn an_answer_of_each_region_has_a_signature_of_its_own() {
    let world = World::new(signing(SigningAlgorithm::EcdsaP256Sha256, false));
    for region in [0, 1, 2, 0, 1, 2] {
        let mut response = world.respond(&name("geo.perigee.test"), A, region);
        world.signer.sign(&mut response, DO, NOW);
        assert_eq!(world.verify(&response.answers, |_| true, NOW), 1, "{region}");
    }
    let signed = 2 * 3;
    // The verifier asks for the keys once per answer, unsigned.
    assert_eq!(world.metrics.hits.get() + world.metrics.misses.get(), signed);
    assert_eq!(world.metrics.misses.get(), 3);
}

#[test]
fn a_flood_of_absent_names_fills_a_bound_and_leaves_what_is_asked_for() {
    let keys = ZoneKeys::generate("perigee.test", SigningAlgorithm::Ed25519).unwrap();
    let key = keys.signers(A).next().unwrap();
    let set = RrSet { owner: name("www.perigee.test"), record_type: A, ttl_s: 30, data: vec![v4(1)] };
    let bytes = canonical(&set).unwrap();
    let now = NOW as u32;
    let signature = Arc::new(Signature::make(key, keys.origin(), &set, &bytes, now).unwrap());
    for limits in
        [CacheLimits { entries: 160, bytes: 1 << 30 }, CacheLimits { entries: usize::MAX, bytes: 160 * (8 + 64 + 160) }]
    {
        let metrics = CacheMetrics::default();
        let cache = SignatureCache::new(limits, metrics.clone());
        let popular = b"popular!";
        cache.insert(popular, signature.clone());
        for flood in 0..10_000_u64 {
            cache.insert(&flood.to_be_bytes(), signature.clone());
            assert!(cache.get(popular, now).is_some(), "driven out by {flood}");
        }
        let (entries, size) = cache.len();
        assert!(entries <= 160 && entries > 100, "{entries}");
        assert!(size <= limits.bytes, "{size}");
        assert_eq!(metrics.evicted.get(), 10_001 - entries as u64);
    }
    let tiny = SignatureCache::new(CacheLimits { entries: 16, bytes: 16 }, CacheMetrics::default());
    tiny.insert(b"a", signature);
    assert_eq!(tiny.len(), (0, 0), "what is larger than a shard is not kept");
}

#[test]
fn the_same_key_after_a_reload_finds_what_it_signed_before() {
    let world = World::new(signing(SigningAlgorithm::EcdsaP256Sha256, false));
    let response = world.respond(&name("www.perigee.test"), A, 0);
    let before = signature_of(&world, response.clone(), NOW);
    let zones = ["perigee.test", "new.test"].map(|origin| {
        let mut zone = perigee_model::dns::HostedZone::new(origin);
        zone.signing = Some(signing(SigningAlgorithm::EcdsaP256Sha256, false));
        zone
    });
    let again = crate::dnssec::Signer::load(&zones, 30, Some(&world.signer), &world.metrics);
    let mut response = response;
    again.sign(&mut response, DO, NOW);
    assert_eq!(response.answers[1].record_type, RecordType::RRSIG);
    assert_eq!(response.answers[1].data[0], before, "keys in memory outlive a snapshot");
}
