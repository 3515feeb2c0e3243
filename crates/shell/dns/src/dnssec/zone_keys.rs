use std::fmt;
use std::path::Path;

use hickory_proto::ProtoError;
use hickory_proto::dnssec::rdata::{CDNSKEY, CDS, DNSKEY, DNSSECRData};
use hickory_proto::dnssec::{Algorithm, DigestType, DnsSecError, PublicKey, SigningKey};
use hickory_proto::rr::{Name, RData, RecordType};
use perigee_model::dns::SigningAlgorithm;

use super::canonical::in_canonical_form;
use super::files::{self, Secret};
use super::keys::{KeyError, KeyRole, KeyState};

/// Keys of a zone that are read: during a change of both kinds of keys there are four.
pub(super) const MAX_KEYS: usize = 8;
/// Octets that an answer to DNSKEY may have, so that it fits a datagram with room for the options (`spec/dns.md`
/// section 6: below 1,232).
const MAX_DNSKEY_ANSWER: usize = 1_100;
/// TTL of DNSKEY, CDS and CDNSKEY (`spec/dns.md` section 3).
pub(super) const KEYS_TTL_S: u32 = 3_600;
/// Bits of the flags field (RFC 4034 section 2.1.1).
const ZONE_KEY: u16 = 0x100;
const SECURE_ENTRY_POINT: u16 = 0x001;

/// A key that can sign.
pub(super) struct ZoneKey {
    pub(super) tag: u16,
    pub(super) algorithm: Algorithm,
    pub(super) role: KeyRole,
    pub(super) state: KeyState,
    pub(super) secret: Secret,
    /// Of the zone and the public key: names the key in the signature cache, across reloads.
    pub(super) digest: Box<[u8]>,
    dnskey: DNSKEY,
}

/// The keys of one zone, fit to sign it.
#[derive(Debug)]
pub(crate) struct ZoneKeys {
    origin: Name,
    keys: Vec<ZoneKey>,
}

impl ZoneKeys {
    /// Reads the keys of the zone at `origin`. Errors: as [`KeyError`] says; no key at all is one.
    pub(super) fn load(directory: &Path, origin: &str) -> Result<Self, KeyError> {
        let loaded = files::load(directory, origin)?;
        let keys = loaded.into_iter().map(|(info, secret)| (info.role, info.state, secret));
        Self::new(origin, keys).map_err(|reason| KeyError::Unusable { origin: origin.to_owned(), reason })
    }

    /// A key of its own, kept nowhere.
    pub(super) fn generate(origin: &str, algorithm: SigningAlgorithm) -> Result<Self, KeyError> {
        files::draw(algorithm)
            .map_err(|error| error.to_string())
            .and_then(|(_, secret)| Self::new(origin, [(KeyRole::Csk, KeyState::Active, secret)]))
            .map_err(|reason| KeyError::Unusable { origin: origin.to_owned(), reason })
    }

    fn new(origin: &str, keys: impl IntoIterator<Item = (KeyRole, KeyState, Secret)>) -> Result<Self, String> {
        let origin = apex(origin).map_err(|error| error.to_string())?;
        let make = |(role, state, secret)| ZoneKey::new(&origin, role, state, secret);
        let keys: Result<Vec<ZoneKey>, _> = keys.into_iter().map(make).collect();
        let keys = Self { keys: keys.map_err(|error| error.to_string())?, origin };
        keys.refusal().map_or(Ok(keys), Err)
    }

    /// What keeps these keys from signing a zone that validators follow.
    fn refusal(&self) -> Option<String> {
        if self.keys.is_empty() {
            return Some("there are none".to_owned());
        }
        if self.keys.len() > MAX_KEYS {
            return Some(format!("more than {MAX_KEYS} keys"));
        }
        for key in &self.keys {
            let same = |other: &&ZoneKey| other.algorithm == key.algorithm && other.state == KeyState::Active;
            let entry = self.keys.iter().filter(same).any(|other| other.role.is_entry());
            let data = self.keys.iter().filter(same).any(|other| other.role.signs_data());
            if !entry || !data {
                let missing = if entry { "csk or zsk" } else { "csk or ksk" };
                return Some(format!("algorithm {} has no active {missing}", u8::from(key.algorithm)));
            }
        }
        let size = self.dnskey_answer_len();
        (size > MAX_DNSKEY_ANSWER)
            .then(|| format!("an answer with all keys takes {size} octets, more than {MAX_DNSKEY_ANSWER}"))
    }

    /// Octets of a signed answer to DNSKEY, without an OPT record.
    fn dnskey_answer_len(&self) -> usize {
        const HEADER: usize = 12;
        const QUESTION: usize = 4;
        const RECORD: usize = 12;
        const RRSIG: usize = 18;
        const SIGNATURE: usize = 64;
        const KEY_HEAD: usize = 4;
        let name: usize = self.origin.iter().map(|label| label.len() + 1).sum::<usize>() + 1;
        let keys: usize =
            self.keys.iter().map(|key| RECORD + KEY_HEAD + key.dnskey.public_key().public_bytes().len()).sum();
        let signatures = self.signers(RecordType::DNSKEY).count() * (RECORD + RRSIG + name + SIGNATURE);
        HEADER + name + QUESTION + keys + signatures
    }

    pub(super) const fn origin(&self) -> &Name {
        &self.origin
    }

    /// The keys that sign sets of this type, in order of the files.
    ///
    /// A retired key still signs the keys: as long as its DS is in a cache, validators come in through it.
    pub(super) fn signers(&self, record_type: RecordType) -> impl Iterator<Item = &ZoneKey> {
        let is_key = matches!(record_type, RecordType::DNSKEY | RecordType::CDS | RecordType::CDNSKEY);
        self.keys.iter().filter(move |key| match key.state {
            KeyState::Published => false,
            KeyState::Active if is_key => key.role.is_entry(),
            KeyState::Active => key.role.signs_data(),
            KeyState::Retired => is_key && key.role.is_entry(),
        })
    }

    /// What the apex has of `record_type`, one of DNSKEY, CDS and CDNSKEY; empty for another.
    pub(super) fn at_apex(&self, record_type: RecordType) -> Vec<RData> {
        let data = |data: DNSSECRData| RData::DNSSEC(data);
        match record_type {
            RecordType::DNSKEY => self.keys.iter().map(|key| data(DNSSECRData::DNSKEY(key.dnskey.clone()))).collect(),
            RecordType::CDS => self.entries().map(|key| data(DNSSECRData::CDS(key.cds()))).collect(),
            RecordType::CDNSKEY => self.entries().map(|key| data(DNSSECRData::CDNSKEY(key.cdnskey()))).collect(),
            _ => Vec::new(),
        }
    }

    /// The DS records for the parent, in presentation form.
    pub(super) fn ds_lines(&self) -> Vec<String> {
        self.entries().map(|key| format!("{} {KEYS_TTL_S} IN DS {}", self.origin, key.cds())).collect()
    }

    /// The keys that validators may trust, in presentation form.
    pub(super) fn anchor_lines(&self) -> Vec<String> {
        self.entries().map(|key| format!("{} {KEYS_TTL_S} IN DNSKEY {}", self.origin, key.dnskey)).collect()
    }

    /// The keys that the parent should point to.
    fn entries(&self) -> impl Iterator<Item = &ZoneKey> {
        self.keys.iter().filter(|key| key.role.is_entry() && key.state == KeyState::Active)
    }
}

impl ZoneKey {
    fn new(origin: &Name, role: KeyRole, state: KeyState, secret: Secret) -> Result<Self, DnsSecError> {
        let dnskey = dnskey(secret.as_ref(), role)?;
        let digest = dnskey.to_digest(origin, DigestType::SHA256)?.as_ref().into();
        let tag = dnskey.calculate_key_tag()?;
        Ok(Self { tag, algorithm: secret.algorithm(), role, state, secret, digest, dnskey })
    }

    fn cds(&self) -> CDS {
        CDS::new(self.tag, Some(self.algorithm), DigestType::SHA256, self.digest.to_vec())
    }

    fn cdnskey(&self) -> CDNSKEY {
        let public = self.dnskey.public_key().public_bytes().to_vec();
        CDNSKEY::with_flags(self.dnskey.flags(), Some(self.algorithm), public)
    }
}

impl fmt::Debug for ZoneKey {
    /// All but the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZoneKey")
            .field("tag", &self.tag)
            .field("algorithm", &self.algorithm)
            .field("role", &self.role)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// The key tag that `secret` has in this role.
pub(super) fn tag_of(secret: &dyn SigningKey, role: KeyRole) -> Result<u16, DnsSecError> {
    let record = in_canonical_form(&dnskey(secret, role)?)?;
    Ok(DNSKEY::calculate_key_tag_internal(&record))
}

fn dnskey(secret: &dyn SigningKey, role: KeyRole) -> Result<DNSKEY, DnsSecError> {
    let flags = if role.is_entry() { ZONE_KEY | SECURE_ENTRY_POINT } else { ZONE_KEY };
    Ok(DNSKEY::with_flags(flags, secret.to_public_key()?))
}

/// The name of a zone that is written without its trailing dot.
pub(super) fn apex(origin: &str) -> Result<Name, ProtoError> {
    let mut name = Name::from_ascii(origin)?;
    name.set_fqdn(true);
    Ok(name.to_lowercase())
}
