//! Keys change while resolvers remember: what one step gave must be good with what the next one gives, and the other
//! way round.

use std::sync::Arc;

use hickory_proto::dnssec::Verifier;
use hickory_proto::dnssec::rdata::{DNSKEY, DNSSECRData, RRSIG};
use hickory_proto::rr::RecordType::{self, A, CDS, MX};
use hickory_proto::rr::{DNSClass, RData, Record};
use perigee_model::dns::{HostedZone, SigningAlgorithm, ZoneSigning};

use super::files::Directory;
use super::world::{NOW, World, signing};
use crate::dnssec::signer::Signer;
use crate::keys::{KeyRole, KeyState, anchors, ds, set_state};
use crate::response::RrSet;

use KeyRole::{Csk, Ksk, Zsk};
use KeyState::{Active, Published, Retired};
use SigningAlgorithm::{EcdsaP256Sha256 as P256, Ed25519};

const ORIGIN: &str = "perigee.test";

/// What a resolver could remember of one step.
struct Memory {
    keys: Vec<DNSKEY>,
    /// Sets with their signatures, and the signed keys themselves.
    data: Vec<(RrSet, Vec<RRSIG>)>,
    entry: (RrSet, Vec<RRSIG>),
    /// The tags of the keys that the parent was told of.
    told: Vec<u16>,
}

fn pairs(section: &[RrSet]) -> Vec<(RrSet, Vec<RRSIG>)> {
    let signatures = |set: &RrSet| {
        let data = set.data.iter().map(|data| match data {
            RData::DNSSEC(DNSSECRData::RRSIG(rrsig)) => rrsig.clone(),
            other => panic!("{other} is no signature"),
        });
        data.collect()
    };
    section.chunks(2).map(|pair| (pair[0].clone(), signatures(&pair[1]))).collect()
}

fn zone(directory: &Directory) -> HostedZone {
    let mut zone = HostedZone::new(ORIGIN);
    zone.signing = Some(ZoneSigning { algorithm: P256, key_directory: Some(directory.0.clone()), nsec3: false });
    zone
}

fn remember(world: &World) -> Memory {
    let mut data = Vec::new();
    for (qname, qtype) in [("www.perigee.test", A), (ORIGIN, CDS), (ORIGIN, RecordType::CDNSKEY)] {
        data.extend(pairs(&world.ask(qname, qtype, true, false).answers));
    }
    data.extend(pairs(&world.ask("absent.perigee.test", MX, true, false).authority));
    let entry = pairs(&world.ask(ORIGIN, RecordType::DNSKEY, true, false).answers).remove(0);
    let cds = world.ask(ORIGIN, CDS, false, false).answers.remove(0);
    let told = cds.data.iter().map(|data| match data {
        RData::DNSSEC(DNSSECRData::CDS(cds)) => cds.key_tag(),
        other => panic!("{other} is no CDS"),
    });
    Memory { keys: world.keys(ORIGIN), data, entry, told: told.collect() }
}

/// Whether one of the signatures is good by one of the keys.
fn is_good(set: &RrSet, signatures: &[RRSIG], keys: &[DNSKEY], among: impl Fn(u16) -> bool) -> bool {
    let records: Vec<Record> = set.records().collect();
    signatures.iter().any(|rrsig| {
        let tag = rrsig.input().key_tag;
        let fits = |key: &&DNSKEY| among(tag) && key.calculate_key_tag().is_ok_and(|found| found == tag);
        keys.iter().filter(fits).any(|key| key.verify_rrsig(&set.owner, DNSClass::IN, rrsig, records.iter()).is_ok())
    })
}

type Step<'a> = (&'a str, Box<dyn Fn(&Directory)>);

fn step(what: &str, act: impl Fn(&Directory) + 'static) -> Step<'_> {
    (what, Box::new(act))
}

/// Plays steps; each must go together with the one before, in the data, in the keys, and in the parent's DS.
fn play(directory: &Directory, steps: &[Step<'_>]) -> usize {
    let mut world: Option<World> = None;
    let mut before: Option<Memory> = None;
    for (what, step) in steps {
        step(directory);
        let zone = zone(directory);
        crate::keys::check(&zone).unwrap_or_else(|error| panic!("{what}: {error}"));
        let zones = std::slice::from_ref(&zone);
        let mut next = World::with(zones);
        if let Some(world) = &world {
            // As a reload does it.
            next.signer = Arc::new(Signer::load(zones, 30, Some(&world.signer), &world.metrics));
        }
        let now = remember(&next);
        for (set, signatures) in now.data.iter().chain([&now.entry]) {
            assert!(is_good(set, signatures, &now.keys, |_| true), "{what}: {set:?}");
        }
        if let Some(before) = &before {
            for (memory, keys) in [(before, &now.keys), (&now, &before.keys)] {
                for (set, signatures) in &memory.data {
                    assert!(is_good(set, signatures, keys, |_| true), "{what}: {set:?} was of no use with other keys");
                }
            }
            for (memory, told) in [(before, &now.told), (&now, &before.told)] {
                // The parent has the DS records of the other step: the keys must be reached through one of them.
                let (set, signatures) = &memory.entry;
                let reached = is_good(set, signatures, &memory.keys, |tag| told.contains(&tag));
                assert!(reached, "{what}: no way in from {told:?}");
            }
        }
        world = Some(next);
        before = Some(now);
    }
    before.map_or(0, |memory| memory.keys.len())
}

fn tag(directory: &Directory, role: KeyRole, newest: bool, old: &[u16]) -> u16 {
    let keys = crate::keys::list(&directory.0, ORIGIN).unwrap();
    let fits = |key: &&crate::keys::KeyInfo| key.role == role && old.contains(&key.tag) != newest;
    keys.iter().find(fits).expect("the key").tag
}

fn delete(directory: &Directory, tag: u16) {
    let keys = crate::keys::list(&directory.0, ORIGIN).unwrap();
    let key = keys.iter().find(|key| key.tag == tag).unwrap();
    std::fs::remove_file(&key.secret).unwrap();
    std::fs::remove_file(key.secret.with_extension("toml")).unwrap();
}

#[test]
fn a_combined_key_is_changed_without_a_gap() {
    let directory = Directory::new();
    let old = directory.key(P256, Csk, Active).tag;
    let new = move |directory: &Directory| tag(directory, Csk, true, &[old]);
    let keys = play(
        &directory,
        &[
            step("one key", move |_| ()),
            step("the new one is published", move |directory| {
                directory.key(P256, Csk, Published);
            }),
            step("both are active", move |directory| {
                set_state(&directory.0, ORIGIN, new(directory), Active).unwrap();
                assert_eq!(ds(&directory.0, ORIGIN).unwrap().len(), 2);
            }),
            step("the old one is retired", move |directory| {
                set_state(&directory.0, ORIGIN, old, Retired).unwrap();
                assert_eq!(anchors(&directory.0, ORIGIN).unwrap().len(), 1);
            }),
            step("the old one is gone", move |directory| delete(directory, old)),
        ],
    );
    assert_eq!(keys, 1);
}

#[test]
#[should_panic(expected = "was of no use with other keys")]
fn a_key_exchanged_in_one_step_leaves_a_gap() {
    let directory = Directory::new();
    let old = directory.key(P256, Csk, Active).tag;
    play(
        &directory,
        &[
            step("one key", move |_| ()),
            step("another", move |directory| {
                delete(directory, old);
                directory.key(P256, Csk, Active);
            }),
        ],
    );
}

#[test]
fn keys_of_two_roles_are_changed_one_after_the_other() {
    let directory = Directory::new();
    let old = [directory.key(P256, Ksk, Active).tag, directory.key(P256, Zsk, Active).tag];
    let mut steps = vec![step("two keys", |_| ())];
    for (role, old_tag) in [(Zsk, old[1]), (Ksk, old[0])] {
        steps.push(step("published", move |directory| {
            directory.key(P256, role, Published);
        }));
        steps.push(step("both active", move |directory| {
            set_state(&directory.0, ORIGIN, tag(directory, role, true, &old), Active).unwrap();
        }));
        steps.push(step("retired", move |directory| {
            set_state(&directory.0, ORIGIN, old_tag, Retired).unwrap();
        }));
        steps.push(step("gone", move |directory| delete(directory, old_tag)));
    }
    assert_eq!(play(&directory, &steps), 2);
    let tags: Vec<u16> = crate::keys::list(&directory.0, ORIGIN).unwrap().iter().map(|key| key.tag).collect();
    assert!(!tags.contains(&old[0]) && !tags.contains(&old[1]));
}

#[test]
fn every_algorithm_signs_everything_while_there_are_two() {
    let directory = Directory::new();
    let old = directory.key(P256, Csk, Active).tag;
    let keys = play(
        &directory,
        &[
            step("one algorithm", move |_| ()),
            step("two", move |directory| {
                directory.key(Ed25519, Csk, Active);
                let world = World::with(&[zone(directory)]);
                for (set, signatures) in remember(&world).data {
                    assert_eq!(signatures.len(), 2, "{set:?}");
                }
            }),
            step("the other", move |directory| delete(directory, old)),
        ],
    );
    assert_eq!(keys, 1);
}

#[test]
fn keys_that_become_unreadable_are_kept_in_use() {
    let directory = Directory::new();
    let old = directory.key(P256, Csk, Active).tag;
    let zone = zone(&directory);
    let mut world = World::with(std::slice::from_ref(&zone));
    delete(&directory, old);
    world.signer = Arc::new(Signer::load(std::slice::from_ref(&zone), 30, Some(&world.signer), &world.metrics));
    let response = world.ask("www.perigee.test", A, true, false);
    assert_eq!(world.verify(&response.answers, |_| true, NOW), 1);
    let other = HostedZone { signing: Some(signing(P256, false)), ..zone };
    let signer = Signer::load(&[other], 30, Some(&world.signer), &world.metrics);
    let mut moved = world.clone();
    moved.signer = Arc::new(signer);
    assert_ne!(moved.keys(ORIGIN), world.keys(ORIGIN), "another source, another key");
}
