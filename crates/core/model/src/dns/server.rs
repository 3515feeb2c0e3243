use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde::Serialize;

/// How the DNS server treats its clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DnsServer {
    /// What a query with the NSID option is told (RFC 5001), and CHAOS `id.server`; none tells nothing. At most 128
    /// characters.
    pub identity: Option<String>,
    /// Whether CHAOS `version.bind` and `id.server` are answered. Default false.
    pub chaos: bool,
    /// Whether cookies are given out and honoured (RFC 7873, RFC 9018). Default true.
    pub cookies: bool,
    /// The secrets of the cookies, newest first, 32 hexadecimal digits each; all servers of one address share them.
    /// Empty: drawn at start.
    #[serde(skip)]
    pub cookie_secrets: Vec<[u8; 16]>,
    /// Octets of a UDP answer to a client without a valid cookie; beyond is truncated. None is no limit of its own.
    pub uncookied_octets: Option<u16>,
    /// Whether answers that a policy made carry the extended error 29, "Synthesized". Default false.
    pub synthesized_error: bool,
    /// Limits on answers to one network.
    pub rate_limit: RateLimit,
}

impl Default for DnsServer {
    fn default() -> Self {
        Self {
            identity: None,
            chaos: false,
            cookies: true,
            cookie_secrets: Vec::new(),
            uncookied_octets: None,
            synthesized_error: false,
            rate_limit: RateLimit::default(),
        }
    }
}

/// Response rate limiting of UDP (`spec/dns.md` section 7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RateLimit {
    /// Default true.
    pub enabled: bool,
    /// Answers a second to one network (/24 or /56) for one name. Default 20.
    pub answers_per_second: u32,
    /// "No such name" a second to one network for one zone. Default 5.
    pub nxdomains_per_second: u32,
    /// Errors a second to one network. Default 5.
    pub errors_per_second: u32,
    /// Seconds that the rates are averaged over. Default 15.
    pub window_s: u32,
    /// Every so many-th limited answer is sent truncated instead of dropped; 0 drops all, 1 none. Default 2.
    pub slip: u32,
    /// Networks without limit. Default loopback.
    pub exempt: Vec<IpNet>,
}

impl Default for RateLimit {
    fn default() -> Self {
        let v4 = IpNet::new_assert(Ipv4Addr::new(127, 0, 0, 0).into(), 8);
        let v6 = IpNet::new_assert(Ipv6Addr::LOCALHOST.into(), 128);
        Self {
            enabled: true,
            answers_per_second: 20,
            nxdomains_per_second: 5,
            errors_per_second: 5,
            window_s: 15,
            slip: 2,
            exempt: vec![v4, v6],
        }
    }
}
