use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

/// A zone that Perigee is authoritative for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HostedZone {
    /// The apex, lower case, without trailing dot.
    pub origin: String,
    /// Records beside those that Perigee makes itself. The built-in zone needs none; another zone without a file has
    /// SOA and NS made for it.
    pub file: Option<ZoneFile>,
    /// Whether the client subnet of a query counts (`spec/dns.md`, E20). Default true.
    pub client_subnet: bool,
    /// Whether a policy without a match answers NODATA and degraded answers keep their TTL, as Route 53 does
    /// (`spec/dns.md`, E15c). Default false; a signed zone ignores the first half.
    pub route53_parity: bool,
    /// How answers are signed; none leaves the zone unsigned.
    pub signing: Option<ZoneSigning>,
}

impl HostedZone {
    /// A zone with defaults throughout.
    pub fn new(origin: &str) -> Self {
        Self { origin: origin.to_owned(), file: None, client_subnet: true, route53_parity: false, signing: None }
    }
}

/// A master file (RFC 1035 section 5), read but not parsed: what a record is, only the DNS server knows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ZoneFile {
    /// Its name, for messages.
    pub name: String,
    /// Its text, at most 64 MiB.
    #[serde(skip)]
    pub text: Arc<str>,
}

/// How a zone's answers are signed (`spec/dns.md` section 6).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ZoneSigning {
    /// The algorithm of keys that are generated.
    pub algorithm: SigningAlgorithm,
    /// Where the keys are. None: a key is generated at every start, which only a test resolver can follow.
    pub key_directory: Option<PathBuf>,
    /// NSEC3 in place of compact denial. Default false.
    pub nsec3: bool,
}

/// A signing algorithm (IANA, "DNS Security Algorithm Numbers").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SigningAlgorithm {
    /// ECDSA on P-256 with SHA-256, number 13.
    #[default]
    EcdsaP256Sha256,
    /// Ed25519, number 15.
    Ed25519,
}
