use hickory_proto::dnssec::rdata::DNSSECRData;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{self, NULL};
use hickory_proto::rr::{RData, RecordType};
use perigee_model::dns::{HostedZone, SigningAlgorithm};

use super::world::{NOW, World, name, signing};
use crate::dnssec::CacheMetrics;
use crate::dnssec::denial::NXNAME;
use crate::dnssec::signer::{Asked, Signer};
use crate::response::{Response, RrSet};

use RecordType::{
    A, AAAA, ANY, CDNSKEY, CDS, CNAME, DNAME, DNSKEY, DS, MX, NS, NSEC, NSEC3, NSEC3PARAM, RRSIG, SOA, TXT,
};

/// Everything but a delegation's name servers.
fn own(set: &RrSet) -> bool {
    set.record_type != NS || set.owner == name("perigee.test")
}

fn types(section: &[RrSet]) -> Vec<RecordType> {
    section.iter().map(|set| set.record_type).filter(|kind| *kind != RRSIG).collect()
}

/// Owner, next name or hash, and bitmap of the one proof in a section.
fn proof(section: &[RrSet]) -> (String, Vec<RecordType>) {
    let mut proofs = section.iter().filter_map(|set| match &set.data[0] {
        RData::DNSSEC(DNSSECRData::NSEC(nsec)) => {
            let next = nsec.next_domain_name();
            assert_eq!(next.base_name(), set.owner, "covers that name alone");
            assert_eq!(next.iter().next(), Some(&b"\0"[..]));
            Some((set.owner.to_ascii(), nsec.type_bit_maps().collect()))
        }
        RData::DNSSEC(DNSSECRData::NSEC3(nsec3)) => {
            assert_eq!((nsec3.iterations(), nsec3.salt().len(), nsec3.opt_out()), (0, 0, false));
            Some((set.owner.to_ascii(), nsec3.type_bit_maps().collect()))
        }
        _ => None,
    });
    let proof = proofs.next().expect("a proof");
    assert!(proofs.next().is_none(), "one proof is enough");
    proof
}

fn both(test: impl Fn(&World, bool)) {
    for algorithm in [SigningAlgorithm::EcdsaP256Sha256, SigningAlgorithm::Ed25519] {
        for nsec3 in [false, true] {
            test(&World::new(signing(algorithm, nsec3)), nsec3);
        }
    }
}

#[test]
fn every_set_of_our_own_is_signed_and_verifies() {
    both(|world, _| {
        for (qname, qtype, answers) in [
            ("www.perigee.test", A, vec![A]),
            ("www.perigee.test", AAAA, vec![AAAA]),
            ("perigee.test", SOA, vec![SOA]),
            ("perigee.test", NS, vec![NS]),
            ("perigee.test", DNSKEY, vec![DNSKEY]),
            ("perigee.test", CDS, vec![CDS]),
            ("perigee.test", CDNSKEY, vec![CDNSKEY]),
            ("alias.perigee.test", A, vec![CNAME, A]),
            ("www.perigee.test", ANY, vec![RecordType::HINFO]),
            ("any.wild.perigee.test", A, vec![A]),
            ("*.wild.perigee.test", A, vec![A]),
            ("child.perigee.test", DS, vec![DS]),
            ("www.child.perigee.test", A, vec![A]),
        ] {
            let response = world.ask(qname, qtype, true, false);
            assert_eq!(types(&response.answers), answers, "{qname} {qtype}");
            assert_eq!(world.verify(&response.answers, own, NOW), answers.len(), "{qname} {qtype}");
            assert!(response.authority.is_empty() && response.denial.is_none(), "{qname} {qtype}");
            assert_eq!(response.code, ResponseCode::NoError);
        }
    });
}

#[test]
fn the_zone_that_signs_is_the_closest_and_the_parent_for_ds() {
    let world = World::new(signing(SigningAlgorithm::Ed25519, false));
    for (qname, qtype, signer) in [
        ("www.child.perigee.test", A, "child.perigee.test."),
        ("child.perigee.test", DNSKEY, "child.perigee.test."),
        ("child.perigee.test", DS, "perigee.test."),
        ("www.perigee.test", A, "perigee.test."),
    ] {
        let response = world.ask(qname, qtype, true, false);
        let RData::DNSSEC(DNSSECRData::RRSIG(rrsig)) = &response.answers[1].data[0] else { panic!("{response:?}") };
        assert_eq!(rrsig.input().signer_name.to_ascii(), signer, "{qname} {qtype}");
    }
    for (qname, qtype) in [("www.open.perigee.test", A), ("absent.open.perigee.test", A), ("open.perigee.test", MX)] {
        let signed = world.ask(qname, qtype, true, true);
        let plain = world.respond(&name(qname), qtype, 0);
        assert_eq!(signed, plain, "an unsigned zone below a signed one stays unsigned");
    }
}

#[test]
fn absence_is_proven_by_one_record_that_says_what_there_is() {
    let apex = |world: &World, nsec3: bool| {
        let mut types =
            world.respond(&name("perigee.test"), MX, 0).denial.map_or_else(Vec::new, |denial| match denial {
                crate::response::Denial::NoData { types, .. } => types,
                crate::response::Denial::NoName { .. } => panic!("the apex exists"),
            });
        types.extend([DNSKEY, CDS, CDNSKEY]);
        types.extend(nsec3.then_some(NSEC3PARAM));
        types
    };
    both(|world, nsec3| {
        for (qname, qtype, is_name, mut exist) in [
            ("www.perigee.test", TXT, true, vec![A, AAAA]),
            ("perigee.test", MX, true, apex(world, nsec3)),
            ("ent.perigee.test", A, true, vec![]),
            ("absent.perigee.test", A, false, vec![NXNAME]),
            ("below.www.perigee.test", A, false, vec![NXNAME]),
            ("some.wild.perigee.test", AAAA, true, vec![A]),
            ("stranger.perigee.test", DS, true, vec![NS]),
            // The type denied is never listed, whatever the configuration knows.
            ("geo.perigee.test", AAAA, true, vec![A]),
        ] {
            let response = world.ask(qname, qtype, true, false);
            let what = format!("{qname} {qtype} nsec3={nsec3}");
            assert_eq!(response.code, ResponseCode::NoError, "{what}");
            assert!(response.answers.is_empty(), "{what}");
            assert_eq!(world.verify(&response.authority, own, NOW), 2, "{what}");
            let (owner, bitmap) = proof(&response.authority);
            if nsec3 {
                assert_ne!(owner, format!("{qname}."));
                // A delegation without DS, an empty name and an absent one have nothing signed at them.
                let has_signed = is_name && !exist.is_empty() && exist != [NS];
                exist.extend(has_signed.then_some(RRSIG));
            } else {
                assert_eq!(owner, format!("{qname}."));
                exist.extend([RRSIG, NSEC]);
            }
            exist.sort();
            assert_eq!(bitmap, exist, "{what}");
            let ttls: Vec<u32> = response.authority.iter().map(|set| set.ttl_s).collect();
            assert_eq!(ttls, [30; 4], "{what}: proofs live as long as the SOA record beside them");
        }
    });
}

#[test]
fn who_says_co_gets_nxdomain_with_the_proof_and_co_back() {
    both(|world, _| {
        let response = world.ask("absent.perigee.test", A, true, true);
        assert_eq!((response.code, response.compact_ok), (ResponseCode::NXDomain, true));
        assert!(proof(&response.authority).1.contains(&NXNAME));
        let response = world.ask("nowhere.perigee.test", A, true, true);
        assert_eq!((response.code, types(&response.answers)), (ResponseCode::NXDomain, vec![CNAME]));
        let response = world.ask("nowhere.perigee.test", A, true, false);
        assert_eq!((response.code, types(&response.answers)), (ResponseCode::NoError, vec![CNAME]));
        assert!(proof(&response.authority).1.contains(&NXNAME));
        let response = world.ask("www.perigee.test", A, true, true);
        assert_eq!((response.code, response.compact_ok), (ResponseCode::NoError, true));
        let response = world.ask("absent.perigee.test", A, false, true);
        assert_eq!((response.code, response.compact_ok), (ResponseCode::NXDomain, false), "CO alone asks for nothing");
        assert!(!world.ask("www.open.perigee.test", A, true, true).compact_ok);
    });
}

#[test]
fn without_do_nothing_is_added() {
    both(|world, _| {
        for (qname, qtype) in
            [("www.perigee.test", A), ("absent.perigee.test", A), ("ent.perigee.test", A), ("perigee.test", MX)]
        {
            let plain = world.respond(&name(qname), qtype, 0);
            assert_eq!(world.ask(qname, qtype, false, false), plain, "{qname} {qtype}");
        }
        let referral = world.ask("www.friend.perigee.test", A, false, false);
        assert_eq!(types(&referral.authority), [NS], "DS is for who asks with DO");
        let keys = world.ask("perigee.test", DNSKEY, false, false);
        assert_eq!(types(&keys.answers), [DNSKEY]);
        assert_eq!(keys.answers.len(), 1, "not signed");
    });
}

#[test]
fn referrals_prove_the_ds_or_that_there_is_none() {
    both(|world, nsec3| {
        let friend = world.ask("www.friend.perigee.test", A, true, false);
        assert_eq!(types(&friend.authority), [NS, DS]);
        assert_eq!(world.verify(&friend.authority, own, NOW), 1, "DS is signed, the name servers are not");
        assert!(!friend.authoritative);
        assert_eq!(types(&friend.additional), [A]);
        assert_eq!(friend.additional.len(), 1, "nor are addresses");
        let stranger = world.ask("www.stranger.perigee.test", A, true, true);
        assert_eq!(types(&stranger.authority), [NS, if nsec3 { NSEC3 } else { NSEC }]);
        assert_eq!(world.verify(&stranger.authority, own, NOW), 1);
        let (owner, bitmap) = proof(&stranger.authority);
        if nsec3 {
            assert_eq!(bitmap, [NS]);
        } else {
            assert_eq!((owner.as_str(), bitmap), ("stranger.perigee.test.", vec![NS, RRSIG, NSEC]));
        }
        assert_eq!(stranger.authority[1].ttl_s, 30);
    });
}

#[test]
fn a_cname_made_from_a_dname_is_not_signed_but_others_are() {
    let world = World::new(signing(SigningAlgorithm::Ed25519, false));
    let cname = |from: &str, to: &str| RrSet::one(name(from), 60, RData::CNAME(rdata::CNAME(name(to))));
    let unknown = NULL::with(b"\x03www\x07perigee\x04test\0".to_vec());
    let dname = RData::Unknown { code: DNAME, rdata: unknown };
    let dname = RrSet { owner: name("old.perigee.test"), record_type: DNAME, ttl_s: 60, data: vec![dname] };
    let chain = vec![
        cname("alias.perigee.test", "a.old.perigee.test"),
        dname,
        cname("a.old.perigee.test", "a.www.perigee.test"),
    ];
    let mut response = Response::found(crate::response::Kind::Absent, chain);
    world.signer.sign(&mut response, Asked { qtype: A, dnssec_ok: true, compact_ok: false }, NOW);
    let kinds: Vec<RecordType> = response.answers.iter().map(|set| set.record_type).collect();
    assert_eq!(kinds, [CNAME, RRSIG, DNAME, RRSIG, CNAME]);
}

#[test]
fn what_only_the_signer_has_is_answered_when_asked_for() {
    let world = World::new(signing(SigningAlgorithm::Ed25519, false));
    for dnssec_ok in [false, true] {
        let nsec = world.ask("www.perigee.test", NSEC, dnssec_ok, false);
        assert_eq!(types(&nsec.answers), [NSEC]);
        assert_eq!(nsec.answers.len(), 1 + usize::from(dnssec_ok));
        assert_eq!(proof(&nsec.answers).1, [A, AAAA, RRSIG, NSEC]);
        assert!(nsec.authority.is_empty());
        let rrsig = world.ask("www.perigee.test", RRSIG, dnssec_ok, false);
        assert_eq!((rrsig.answers.len(), rrsig.answers[0].record_type), (1, RRSIG));
        let RData::DNSSEC(DNSSECRData::RRSIG(signature)) = &rrsig.answers[0].data[0] else { panic!("{rrsig:?}") };
        let nsec = &world.ask("www.perigee.test", NSEC, true, false).answers[0];
        world.verify_one(nsec, signature, NOW);
        assert!(world.ask("www.open.perigee.test", RRSIG, dnssec_ok, false).answers.is_empty());
    }
    let world = World::new(signing(SigningAlgorithm::Ed25519, true));
    let parameters = world.ask("perigee.test", NSEC3PARAM, true, false);
    assert_eq!(world.verify(&parameters.answers, own, NOW), 1);
    assert_eq!(parameters.answers[0].data[0].to_string(), "1 0 0 -");
    assert_eq!(world.ask("perigee.test", RRSIG, true, false).answers.len(), 1);
    assert!(world.ask("www.perigee.test", NSEC, true, false).answers.is_empty(), "there is none");
}

#[test]
fn a_ttl_is_never_longer_than_the_signature_lives() {
    let world = World::new(signing(SigningAlgorithm::Ed25519, false));
    let mut response = world.respond(&name("www.perigee.test"), A, 0);
    response.answers[0].ttl_s = 0x7fff_ffff;
    let asked = Asked { qtype: A, dnssec_ok: true, compact_ok: false };
    world.signer.sign(&mut response, asked, NOW);
    let [set, signature] = &response.answers[..] else { panic!("{response:?}") };
    assert_eq!(set.ttl_s, signature.ttl_s);
    assert!((259_200..=280_800).contains(&set.ttl_s), "{}", set.ttl_s);
    assert_eq!(world.verify(&response.answers, own, NOW), 1);
}

#[test]
fn a_zone_without_usable_keys_fails_rather_than_answers_unsigned() {
    let directory = std::env::temp_dir().join(format!("perigee-no-keys-{}", std::process::id()));
    let mut zone = HostedZone::new("perigee.test");
    zone.signing = Some(signing(SigningAlgorithm::Ed25519, false));
    let good = World::with(std::slice::from_ref(&zone));
    zone.signing.as_mut().unwrap().key_directory = Some(directory);
    assert!(crate::keys::check(&zone).is_err());
    let metrics = CacheMetrics::default();
    let broken = Signer::load(&[zone], 30, Some(&good.signer), &metrics);
    for (qtype, dnssec_ok, code) in [
        (A, true, ResponseCode::ServFail),
        (A, false, ResponseCode::NoError),
        (TXT, true, ResponseCode::ServFail),
        (DNSKEY, false, ResponseCode::ServFail),
    ] {
        let mut response: Response = good.respond(&name("www.perigee.test"), qtype, 0);
        broken.sign(&mut response, Asked { qtype, dnssec_ok, compact_ok: false }, NOW);
        assert_eq!(response.code, code, "{qtype} {dnssec_ok}");
        assert_eq!(response.extended_error.is_some(), code == ResponseCode::ServFail);
    }
}
