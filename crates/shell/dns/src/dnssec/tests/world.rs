//! Three zones with one of everything that an answer can be: a signed one, a signed one below it, an unsigned one
//! below it, and delegations to strangers.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use hickory_proto::dnssec::rdata::{DNSKEY, DNSSECRData, DS, RRSIG};
use hickory_proto::dnssec::{Algorithm, DigestType, Verifier};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, HINFO, NS, SOA, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use perigee_model::dns::{HostedZone, SigningAlgorithm, ZoneSigning};

use crate::dnssec::CacheMetrics;
use crate::dnssec::signer::{Asked, Signer};
use crate::response::{Denial, Kind, Response, RrSet};

/// A moment in 2027.
pub(super) const NOW: u64 = 1_800_000_000;
pub(super) const NEGATIVE_TTL_S: u32 = 30;

pub(super) fn name(text: &str) -> Name {
    Name::from_ascii(format!("{text}.")).unwrap()
}

#[derive(Clone)]
pub(super) struct World {
    pub(super) signer: Arc<Signer>,
    pub(super) metrics: CacheMetrics,
    origins: Vec<Name>,
    sets: BTreeMap<(Name, RecordType), RrSet>,
}

pub(super) fn signing(algorithm: SigningAlgorithm, nsec3: bool) -> ZoneSigning {
    ZoneSigning { algorithm, key_directory: None, nsec3 }
}

impl World {
    pub(super) fn new(signing_as: ZoneSigning) -> Self {
        let zones = ["perigee.test", "child.perigee.test", "open.perigee.test"].map(|origin| HostedZone {
            signing: (origin != "open.perigee.test").then(|| signing_as.clone()),
            ..HostedZone::new(origin)
        });
        Self::with(&zones)
    }

    pub(super) fn with(zones: &[HostedZone]) -> Self {
        let metrics = CacheMetrics::default();
        let signer = Arc::new(Signer::load(zones, NEGATIVE_TTL_S, None, &metrics));
        let origins = zones.iter().map(|zone| name(&zone.origin)).collect();
        let mut world = Self { signer, metrics, origins, sets: BTreeMap::new() };
        for origin in world.origins.clone() {
            let soa = SOA::new(name("ns1.perigee.test"), name("hostmaster.perigee.test"), 7, 3_600, 600, 86_400, 30);
            world.add(origin.clone(), NEGATIVE_TTL_S, vec![RData::SOA(soa)]);
            world.add(origin.clone(), 3_600, vec![RData::NS(NS(name("ns1.perigee.test")))]);
            world.add(origin.prepend_label("www").unwrap(), 30, vec![v4(1), v4(2), v4(3)]);
        }
        world.add(name("ns1.perigee.test"), 3_600, vec![v4(53)]);
        world.add(name("www.perigee.test"), 30, vec![RData::AAAA(AAAA("2001:db8::1".parse().unwrap()))]);
        world.add(name("a.ent.perigee.test"), 60, vec![RData::TXT(TXT::new(vec!["below nothing".into()]))]);
        world.add(name("alias.perigee.test"), 60, vec![RData::CNAME(CNAME(name("www.perigee.test")))]);
        world.add(name("nowhere.perigee.test"), 60, vec![RData::CNAME(CNAME(name("absent.perigee.test")))]);
        world.add(name("*.wild.perigee.test"), 60, vec![v4(9)]);
        world.add(name("stranger.perigee.test"), 3_600, vec![RData::NS(NS(name("ns.stranger.perigee.test")))]);
        world.add(name("friend.perigee.test"), 3_600, vec![RData::NS(NS(name("ns.friend.perigee.test")))]);
        let ds = DS::new(4_711, Algorithm::ED25519, DigestType::SHA256, vec![7; 32]);
        world.add(name("friend.perigee.test"), 3_600, vec![RData::DNSSEC(DNSSECRData::DS(ds))]);
        for key in world.keys("child.perigee.test") {
            let origin = name("child.perigee.test");
            let digest = key.to_digest(&origin, DigestType::SHA256).unwrap().as_ref().to_vec();
            let ds = DS::new(key.calculate_key_tag().unwrap(), key_algorithm(&key), DigestType::SHA256, digest);
            world.add(origin, 3_600, vec![RData::DNSSEC(DNSSECRData::DS(ds))]);
        }
        world
    }

    fn add(&mut self, owner: Name, ttl_s: u32, data: Vec<RData>) {
        let record_type = data[0].record_type();
        self.sets.insert((owner.clone(), record_type), RrSet { owner, record_type, ttl_s, data });
    }

    fn set(&self, owner: &Name, record_type: RecordType) -> Option<RrSet> {
        self.sets.get(&(owner.clone(), record_type)).cloned()
    }

    fn types(&self, owner: &Name) -> Vec<RecordType> {
        self.sets.keys().filter(|(name, _)| name == owner).map(|(_, kind)| *kind).collect()
    }

    fn origin_of(&self, owner: &Name, qtype: RecordType) -> Option<Name> {
        let fits = |origin: &&Name| origin.zone_of(owner) && (qtype != RecordType::DS || *origin != owner);
        self.origins.iter().filter(fits).max_by_key(|origin| origin.num_labels()).cloned()
    }

    /// The answer before it is signed; `region` chooses among those of `geo.perigee.test`.
    pub(super) fn respond(&self, qname: &Name, qtype: RecordType, region: u8) -> Response {
        self.step(qname, qtype, region, Vec::new())
    }

    fn step(&self, qname: &Name, qtype: RecordType, region: u8, answers: Vec<RrSet>) -> Response {
        let Some(origin) = self.origin_of(qname, qtype) else { return Response::error(ResponseCode::Refused) };
        let soa = self.set(&origin, RecordType::SOA).unwrap();
        let negative = |code, denial| Response {
            code,
            authority: vec![soa.clone()],
            denial: Some(denial),
            ..Response::found(Kind::Absent, answers.clone())
        };
        let found = |mut set: RrSet| {
            set.owner = qname.clone();
            let mut answers = answers.clone();
            answers.push(set);
            Response::found(Kind::Absent, answers)
        };
        for cut in ["stranger", "friend"].map(|label| name(&format!("{label}.perigee.test"))) {
            if cut.zone_of(qname) && !(cut == *qname && qtype == RecordType::DS) {
                let mut authority = vec![self.set(&cut, RecordType::NS).unwrap()];
                let ds = self.set(&cut, RecordType::DS);
                let denial = match &ds {
                    Some(_) => None,
                    None => Some(Denial::NoData { name: cut.clone(), types: vec![RecordType::NS] }),
                };
                authority.extend(ds);
                let glue = RrSet::one(cut.prepend_label("ns").unwrap(), 3_600, v4(80));
                let nothing = Response::error(ResponseCode::NoError);
                return Response { authority, denial, additional: vec![glue], ..nothing };
            }
        }
        if *qname == name("geo.perigee.test") && qtype == RecordType::A {
            return found(RrSet::one(qname.clone(), 30, v4(100 + region)));
        }
        let mut at = qname.clone();
        let wild = name("wild.perigee.test");
        if wild.zone_of(qname) && *qname != wild {
            at = wild.prepend_label("*").unwrap();
        }
        if qtype == RecordType::ANY && !self.types(&at).is_empty() {
            let hinfo = RData::HINFO(HINFO::new("RFC8482".into(), String::new()));
            return found(RrSet::one(qname.clone(), 3_600, hinfo));
        }
        if let Some(set) = self.set(&at, qtype) {
            return found(set);
        }
        if let Some(set) = self.set(&at, RecordType::CNAME) {
            let RData::CNAME(target) = &set.data[0] else { unreachable!("a CNAME's data") };
            let answers = found(set.clone()).answers;
            return self.step(&target.0, qtype, region, answers);
        }
        let mut types = self.types(&at);
        if qtype != RecordType::DS {
            types.retain(|listed| *listed != RecordType::DS);
        }
        if at == name("geo.perigee.test") {
            types.push(RecordType::A);
        }
        let exists = self.sets.keys().any(|(owner, _)| qname.zone_of(owner)) || at == name("geo.perigee.test");
        if exists || !types.is_empty() {
            return negative(ResponseCode::NoError, Denial::NoData { name: qname.clone(), types });
        }
        negative(ResponseCode::NXDomain, Denial::NoName { name: qname.clone() })
    }

    pub(super) fn ask(&self, qname: &str, qtype: RecordType, dnssec_ok: bool, compact_ok: bool) -> Response {
        let mut response = self.respond(&name(qname), qtype, 0);
        response.compact_ok = self.signer.sign(&mut response, Asked { qtype, dnssec_ok, compact_ok }, NOW);
        response
    }

    /// The DNSKEY records of a signed zone.
    pub(super) fn keys(&self, origin: &str) -> Vec<DNSKEY> {
        let response = self.ask(origin, RecordType::DNSKEY, false, false);
        let data = response.answers.into_iter().flat_map(|set| set.data);
        data.map(|data| match data {
            RData::DNSSEC(DNSSECRData::DNSKEY(key)) => key,
            other => panic!("{other} is no DNSKEY"),
        })
        .collect()
    }

    /// Fails unless every set that `must` names has a signature right behind it that hickory's verifier takes, by the
    /// keys of the zone that it names, in its window at `now`; returns how many signatures it saw.
    pub(super) fn verify(&self, section: &[RrSet], must: impl Fn(&RrSet) -> bool, now: u64) -> usize {
        let mut seen = 0;
        let mut sets = section.iter().peekable();
        while let Some(set) = sets.next() {
            assert_ne!(set.record_type, RecordType::RRSIG, "a signature of nothing: {set:?}");
            let signatures = sets.next_if(|next| next.record_type == RecordType::RRSIG);
            assert_eq!(signatures.is_some(), must(set), "{set:?}");
            for signature in signatures.iter().flat_map(|set| &set.data) {
                let RData::DNSSEC(DNSSECRData::RRSIG(rrsig)) = signature else { panic!("{signature}") };
                self.verify_one(set, rrsig, now);
                seen += 1;
            }
        }
        seen
    }

    pub(super) fn verify_one(&self, set: &RrSet, rrsig: &RRSIG, now: u64) {
        let input = rrsig.input();
        assert_eq!(input.type_covered, set.record_type);
        assert_eq!(u16::from(input.num_labels), u16::from(set.owner.num_labels()), "as if it were no wildcard");
        assert!(input.signer_name.zone_of(&set.owner), "{} {}", input.signer_name, set.owner);
        assert!(u64::from(input.sig_inception.get()) < now && now < u64::from(input.sig_expiration.get()));
        assert!(u64::from(set.ttl_s) <= u64::from(input.sig_expiration.get()) - now, "longer than the signature");
        let origin = input.signer_name.to_ascii();
        let keys = self.keys(origin.trim_end_matches('.'));
        let key = keys.iter().find(|key| key.calculate_key_tag().unwrap() == input.key_tag).expect("the key");
        let records: Vec<Record> = set.records().collect();
        key.verify_rrsig(&set.owner, DNSClass::IN, rrsig, records.iter())
            .unwrap_or_else(|error| panic!("{error}: {set:?}"));
    }
}

pub(super) fn key_algorithm(key: &DNSKEY) -> Algorithm {
    hickory_proto::dnssec::PublicKey::algorithm(key.public_key())
}

pub(super) fn v4(last: u8) -> RData {
    RData::A(A(Ipv4Addr::new(192, 0, 2, last)))
}
