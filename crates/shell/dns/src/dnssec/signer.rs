use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use hickory_proto::ProtoError;
use hickory_proto::dnssec::DnsSecError;
use hickory_proto::dnssec::rdata::DNSSECRData;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData, RecordType};
use perigee_model::dns::{HostedZone, SigningAlgorithm, ZoneSigning};
use thiserror::Error;
use tracing::{error, info};

use super::cache::{CacheLimits, CacheMetrics, SignatureCache};
use super::canonical::{canonical, wire};
use super::denial::{NXNAME, nsec3_parameters, proof};
use super::signature::Signature;
use super::zone_keys::{KEYS_TTL_S, ZoneKeys};
use crate::response::{Denial, ExtendedError, Response, RrSet};

/// Octets of a key's digest that name it in the cache: 128 bits.
const KEY_ID: usize = 16;

/// What a query says that matters to signing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) qtype: RecordType,
    /// DO: without it nothing is added but what was asked for by its type (RFC 3225).
    pub(crate) dnssec_ok: bool,
    /// CO: absent names are proven *and* called NXDOMAIN (RFC 9824 section 5.1).
    pub(crate) compact_ok: bool,
}

/// Signs the answers of all zones that are signed.
///
/// Made anew with every snapshot, which is when key files are read; the cache, and keys that live in memory alone, go
/// on from one to the next.
#[derive(Debug)]
pub(crate) struct Signer {
    /// Every zone that is served, by its apex in wire form, lower case: a set belongs to the closest above it, and
    /// must not be signed by a zone further up.
    zones: BTreeMap<Vec<u8>, Served>,
    cache: Arc<SignatureCache>,
}

#[derive(Debug)]
enum Served {
    Unsigned,
    Signed(Box<SignedZone>),
    /// It should be signed, but its keys are of no use. To answer unsigned would look like an attack to validators.
    Broken,
}

#[derive(Debug)]
struct SignedZone {
    keys: Arc<ZoneKeys>,
    directory: Option<PathBuf>,
    algorithm: SigningAlgorithm,
    nsec3: bool,
    /// Of proofs that come without a SOA record, seconds.
    negative_ttl_s: u32,
}

#[derive(Debug, Error)]
enum Failure {
    #[error("the zone's keys are missing or wrong")]
    NoKeys,
    #[error("{0}")]
    Key(#[from] DnsSecError),
    #[error("{0}")]
    Record(#[from] ProtoError),
}

/// What a denial comes to: a record, and the zone that vouches for it.
struct Proof<'a> {
    zone: &'a SignedZone,
    set: RrSet,
}

impl Signer {
    /// Reads the keys of `zones`; `previous` is the signer of the snapshot before.
    ///
    /// A zone whose keys cannot be used keeps those that it had from the same directory; without any, it answers
    /// SERVFAIL to who asks for signatures. Both are logged. [`keys::check`](super::keys::check) says so beforehand.
    pub(crate) fn load(
        zones: &[HostedZone],
        negative_ttl_s: u32,
        previous: Option<&Self>,
        metrics: &CacheMetrics,
    ) -> Self {
        let cache = previous.map_or_else(
            || Arc::new(SignatureCache::new(CacheLimits::default(), metrics.clone())),
            |previous| previous.cache.clone(),
        );
        let mut served = BTreeMap::new();
        for zone in zones {
            let Ok(apex) = super::zone_keys::apex(&zone.origin).and_then(|name| wire(&name)) else { continue };
            let entry = match &zone.signing {
                None => Served::Unsigned,
                Some(signing) => {
                    let before = match previous.and_then(|previous| previous.zones.get(&apex)) {
                        Some(Served::Signed(before)) => Some(before.as_ref()),
                        _ => None,
                    };
                    signed_zone(&zone.origin, signing, negative_ttl_s, before)
                }
            };
            served.insert(apex, entry);
        }
        Self { zones: served, cache }
    }

    /// Adds to `response` what the query wants of DNSSEC, at `now_s`, seconds since 1970; returns whether the response
    /// has to carry CO.
    ///
    /// Without DO it adds nothing, but answers to DNSKEY, CDS, CDNSKEY, NSEC3PARAM, NSEC and RRSIG where they are asked
    /// for by name. With DO every set of a signed zone in answer and authority is followed by its signatures, referrals
    /// prove their DS or its absence, and what is denied is proven by one record. An answer that cannot be signed
    /// becomes SERVFAIL. Deterministic in its arguments and the cache, but for the random part of ECDSA signatures.
    ///
    /// Source: RFC 4035 section 3.1, RFC 9824, `spec/dns.md` section 6.
    pub(crate) fn sign(&self, response: &mut Response, asked: Asked, now_s: u64) -> bool {
        // Times in signatures are serial numbers and wrap around by design (RFC 4034 section 3.1.5).
        match self.try_sign(response, asked, now_s as u32) {
            Ok(compact) => compact,
            Err(error) => {
                error!(%error, "an answer could not be signed");
                self.cache.metrics.failures.inc();
                *response = Response {
                    kind: response.kind,
                    extended_error: Some(ExtendedError { code: 0, text: "signing failed" }),
                    ..Response::error(ResponseCode::ServFail)
                };
                false
            }
        }
    }

    fn try_sign(&self, response: &mut Response, asked: Asked, now: u32) -> Result<bool, Failure> {
        let proof = self.complete(response, asked, now)?;
        if !asked.dnssec_ok {
            response.authority.retain(|set| set.record_type != RecordType::DS);
            return Ok(false);
        }
        let mut is_signed = false;
        let dnames = response.answers.iter().filter(|set| set.record_type == RecordType::DNAME);
        let dnames: Vec<Name> = dnames.map(|set| set.owner.clone()).collect();
        for (section, is_authority) in [(&mut response.answers, false), (&mut response.authority, true)] {
            let mut signed = Vec::with_capacity(2 * section.len() + 2);
            for mut set in section.drain(..) {
                let Some(zone) = self.signing_zone(&set, &dnames)? else {
                    // Above an unsigned zone's cut a DS says nothing to anybody.
                    if !(is_authority && set.record_type == RecordType::DS) {
                        signed.push(set);
                    }
                    continue;
                };
                let signatures = self.signatures(zone, &mut set, now)?;
                signed.extend([set, signatures]);
                is_signed = true;
            }
            *section = signed;
        }
        if let Some(Proof { zone, mut set }) = proof {
            let signatures = self.signatures(zone, &mut set, now)?;
            response.authority.extend([set, signatures]);
            is_signed = true;
            if matches!(response.denial, Some(Denial::NoName { .. })) && !asked.compact_ok {
                response.code = ResponseCode::NoError;
            }
        }
        Ok(is_signed && asked.compact_ok)
    }

    /// Answers what only the signer has, and makes the proof of what is denied; none if there is nothing to prove or
    /// nobody to vouch for it.
    fn complete(&self, response: &mut Response, asked: Asked, now: u32) -> Result<Option<Proof<'_>>, Failure> {
        let Some(denial) = response.denial.clone() else { return Ok(None) };
        let zone = match self.denying_zone(response, &denial)? {
            Some(Served::Signed(zone)) => zone,
            Some(Served::Broken) if asked.dnssec_ok || asked.qtype.is_dnssec() => return Err(Failure::NoKeys),
            _ => return Ok(None),
        };
        let soa_ttl_s = response.authority.iter().find(|set| set.record_type == RecordType::SOA).map(|set| set.ttl_s);
        let ttl_s = soa_ttl_s.unwrap_or(zone.negative_ttl_s);
        let origin = zone.keys.origin();
        let (name, mut types) = match denial {
            Denial::NoName { name } => {
                let set = proof(&name, origin, &[NXNAME], zone.nsec3, ttl_s)?;
                return Ok(Some(Proof { zone, set }));
            }
            Denial::NoData { name, types } => (name, types),
        };
        if name == *origin {
            let data = zone.at_apex(asked.qtype);
            if !data.is_empty() {
                answer(response, RrSet { owner: name, record_type: asked.qtype, ttl_s: KEYS_TTL_S, data });
                return Ok(None);
            }
            types.extend(zone.apex_types());
        } else if self.zones.contains_key(&wire(&name)?) {
            // The parent's side of a cut between two zones that are served: only that there is one. A SOA record here
            // would make it the child's proof, which nobody takes for the absence of DS (RFC 6840 section 4.1).
            types = vec![RecordType::NS];
        }
        // The configuration may know more than this moment gives: a record that lists the type denied proves nothing.
        types.retain(|listed| *listed != asked.qtype);
        let mut set = proof(&name, origin, &types, zone.nsec3, ttl_s)?;
        match asked.qtype {
            // The answer is signed like any other.
            RecordType::NSEC if !zone.nsec3 => {
                answer(response, set);
                return Ok(None);
            }
            RecordType::RRSIG if !zone.nsec3 => {
                let signatures = self.signatures(zone, &mut set, now)?;
                answer(response, signatures);
                return Ok(None);
            }
            RecordType::RRSIG if name == *origin => {
                let data = zone.at_apex(RecordType::DNSKEY);
                let mut keys = RrSet { owner: name, record_type: RecordType::DNSKEY, ttl_s: KEYS_TTL_S, data };
                let signatures = self.signatures(zone, &mut keys, now)?;
                answer(response, signatures);
                return Ok(None);
            }
            _ => {}
        }
        Ok(Some(Proof { zone, set }))
    }

    /// The zone that a denial is made by: that of the SOA record beside it; in a referral, that above the cut.
    fn denying_zone(&self, response: &Response, denial: &Denial) -> Result<Option<&Served>, ProtoError> {
        let soa = response.authority.iter().find(|set| set.record_type == RecordType::SOA);
        if let Some(soa) = soa {
            return Ok(self.zones.get(&wire(&soa.owner)?));
        }
        let (Denial::NoData { name, .. } | Denial::NoName { name }) = denial;
        self.zone_above(name, true)
    }

    /// The zone whose keys sign `set`; none if it is unsigned, or nobody's own: delegations' name servers belong to
    /// the zone below, and a CNAME made from a DNAME follows from that (RFC 4035 section 2.2, RFC 6672 section 5.3.1).
    fn signing_zone(&self, set: &RrSet, dnames: &[Name]) -> Result<Option<&SignedZone>, Failure> {
        let is_made = set.record_type == RecordType::CNAME && dnames.iter().any(|dname| dname.zone_of(&set.owner));
        if is_made || set.record_type == RecordType::RRSIG {
            return Ok(None);
        }
        match self.zone_above(&set.owner, set.record_type == RecordType::DS)? {
            Some(Served::Broken) => Err(Failure::NoKeys),
            Some(Served::Signed(zone)) => {
                let is_cut = set.record_type == RecordType::NS && set.owner != *zone.keys.origin();
                Ok((!is_cut).then_some(zone))
            }
            Some(Served::Unsigned) | None => Ok(None),
        }
    }

    /// The closest zone at or above `name`; with `strictly`, above it.
    fn zone_above(&self, name: &Name, strictly: bool) -> Result<Option<&Served>, ProtoError> {
        let wire = wire(name)?;
        let mut at = if strictly { 1 + usize::from(wire[0]) } else { 0 };
        while let Some(rest) = wire.get(at..).filter(|rest| !rest.is_empty()) {
            if let Some(zone) = self.zones.get(rest) {
                return Ok(Some(zone));
            }
            at += 1 + usize::from(rest[0]);
        }
        Ok(None)
    }

    /// The signatures of `set` by all keys that sign its type. Takes its TTL down to the least remaining life.
    fn signatures(&self, zone: &SignedZone, set: &mut RrSet, now: u32) -> Result<RrSet, Failure> {
        let origin = zone.keys.origin();
        let canonical = canonical(set)?;
        let (mut data, mut ttl_s) = (Vec::new(), set.ttl_s);
        let mut id = Vec::with_capacity(KEY_ID + canonical.len());
        for key in zone.keys.signers(set.record_type) {
            id.clear();
            id.extend_from_slice(&key.digest[..KEY_ID]);
            id.extend_from_slice(&canonical);
            let signature = match self.cache.get(&id, now) {
                Some(signature) => signature,
                None => {
                    let signature = Arc::new(Signature::make(key, origin, set, &canonical, now)?);
                    self.cache.insert(&id, signature.clone());
                    signature
                }
            };
            ttl_s = ttl_s.min(signature.remaining_s(now));
            data.push(RData::DNSSEC(DNSSECRData::RRSIG(signature.record(key, origin, set))));
        }
        set.ttl_s = ttl_s;
        Ok(RrSet { owner: set.owner.clone(), record_type: RecordType::RRSIG, ttl_s, data })
    }
}

impl SignedZone {
    /// What the apex has beside the zone's own records.
    fn apex_types(&self) -> impl Iterator<Item = RecordType> {
        let keys = [RecordType::DNSKEY, RecordType::CDS, RecordType::CDNSKEY];
        keys.into_iter().chain(self.nsec3.then_some(RecordType::NSEC3PARAM))
    }

    fn at_apex(&self, qtype: RecordType) -> Vec<RData> {
        match qtype {
            RecordType::NSEC3PARAM if self.nsec3 => vec![nsec3_parameters()],
            _ => self.keys.at_apex(qtype),
        }
    }
}

/// Makes a denial into an answer.
fn answer(response: &mut Response, set: RrSet) {
    response.answers.push(set);
    response.authority.clear();
    response.denial = None;
}

fn signed_zone(origin: &str, signing: &ZoneSigning, negative_ttl_s: u32, before: Option<&SignedZone>) -> Served {
    let ZoneSigning { algorithm, key_directory: directory, nsec3 } = signing;
    let before = before.filter(|before| before.directory == *directory);
    let keys = match (directory, before) {
        (Some(directory), _) => ZoneKeys::load(directory, origin).map(Arc::new),
        (None, Some(before)) if before.algorithm == *algorithm => Ok(before.keys.clone()),
        (None, _) => ZoneKeys::generate(origin, *algorithm).map(|keys| {
            info!(zone = origin, ds = ?keys.ds_lines(), "signed with a key that ends with this process");
            Arc::new(keys)
        }),
    };
    let keys = match (keys, before) {
        (Ok(keys), _) => keys,
        (Err(error), Some(before)) => {
            error!(%error, zone = origin, "the zone keeps the keys that it had");
            before.keys.clone()
        }
        (Err(error), None) => {
            error!(%error, zone = origin, "the zone cannot be signed: SERVFAIL to who asks for signatures");
            return Served::Broken;
        }
    };
    let zone = SignedZone { keys, directory: directory.clone(), algorithm: *algorithm, nsec3: *nsec3, negative_ttl_s };
    Served::Signed(Box::new(zone))
}
