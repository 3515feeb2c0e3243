use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use crate::HealthCheckIndex;

/// A health check of the DNS kind, with the ranges of the Route 53 API (`spec/dns.md` section 2.5).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DnsHealthCheck {
    /// Its name, unique.
    pub name: String,
    /// What it looks at.
    pub kind: DnsCheckKind,
    /// Turns the verdict round, last of all.
    pub inverted: bool,
    /// Healthy without looking; inverted even then.
    pub disabled: bool,
}

/// What a health check looks at.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DnsCheckKind {
    /// An endpoint, by probes.
    Endpoint(EndpointCheck),
    /// Other checks: healthy with at least `threshold` healthy children. Never in a circle.
    Calculated {
        /// 0 to 256; 0 is always healthy, more than there are children never.
        threshold: u16,
        /// At most 256.
        children: Vec<HealthCheckIndex>,
    },
}

impl DnsCheckKind {
    /// Its type by the name of the Route 53 API, such as `HTTP_STR_MATCH`.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Calculated { .. } => "CALCULATED",
            Self::Endpoint(EndpointCheck { protocol, search, .. }) => match (protocol, search) {
                (EndpointProtocol::Http, None) => "HTTP",
                (EndpointProtocol::Http, Some(_)) => "HTTP_STR_MATCH",
                (EndpointProtocol::Https, None) => "HTTPS",
                (EndpointProtocol::Https, Some(_)) => "HTTPS_STR_MATCH",
                (EndpointProtocol::Tcp, _) => "TCP",
            },
        }
    }
}

/// Probes of an endpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EndpointCheck {
    /// What is spoken.
    pub protocol: EndpointProtocol,
    /// Where; without it `domain_name` is resolved each time, IPv4 only. One of the two is there.
    pub address: Option<IpAddr>,
    /// The name for the Host header, for SNI, and for resolving.
    pub domain_name: Option<String>,
    /// 1 to 65535; default 80, for HTTPS 443.
    pub port: u16,
    /// At most 255 characters; default `/`.
    pub path: String,
    /// Must lie wholly in the first 5,120 bytes of the body; at most 255 bytes, case-sensitive.
    pub search: Option<String>,
    /// 10 or 30 s from a response to the next request; default 30. Lab configurations may go down to 100 ms.
    pub interval: Duration,
    /// 1 to 10 in a row, both ways; default 3.
    pub threshold: u8,
    /// Whether HTTPS names the host in its greeting. Default true.
    pub sni: bool,
    /// Independent probers, 1 to 64; more than 18 % of them must say healthy. Default 5 (Perigee's choice).
    pub checkers: u8,
}

/// What a probe speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EndpointProtocol {
    /// GET, 200 to 399 within 2 s of a connect within 4 s.
    Http,
    /// The same over TLS, certificates not validated.
    Https,
    /// A connect within 10 s.
    Tcp,
}
