use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use perigee_net::Gate;
use prometheus_client::metrics::counter::Counter;

/// Connections one target holds at once; more are closed unanswered. Perigee's choice: above a node's idle pool of
/// 128 for any number of nodes a stack has, and far below what descriptors allow.
const MAX_CONNECTIONS: u32 = 10_000;

/// Who and where a target is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its identifier, visible ASCII.
    pub target: String,
    /// Its availability zone.
    pub zone: String,
    /// Its region.
    pub region: String,
}

/// The application's state: its identity and counters. One per target, shared by its connections.
///
/// | path | answer |
/// | --- | --- |
/// | `/check` | 200, `this is <target> /check` |
/// | `/` | JSON: `target`, `zone`, `region`, `client`, `edge`, `method`, `path`, `headers`, `requests` |
/// | `/slow?ms=N` | the same after N ms, 0 to 60,000, default 1,000 |
/// | `/status/CODE` | that status, 200 to 599 |
/// | `/bytes/N` | N bytes, 0 to 1,073,741,824 |
/// | `/events?count=N&ms=M` | N server-sent events, 1 to 1,000, default 10, one each M ms, 10 to 60,000, default 1,000 |
/// | `/ws` | a WebSocket that echoes messages up to 1 MiB |
/// | `/grpc` | 501: not built yet |
/// | anything else | 404, JSON |
///
/// `client` is the first address of `X-Forwarded-For`, or else the peer's; `edge` is the request header
/// `X-Perigee-Edge`, or null. Every answer carries `X-Perigee-Target`, `-Zone` and `-Region`, and `-Edge` if the
/// request named one, so that any path tells who answered.
#[derive(Debug)]
pub struct App {
    pub(crate) identity: Identity,
    pub(crate) connections: Gate,
    refused: Counter,
    requests: AtomicU64,
    names: [(HeaderName, HeaderValue); 3],
}

impl App {
    /// A target that has answered nothing yet.
    ///
    /// An identity with characters that no HTTP header may carry is told as `invalid` in the headers.
    pub fn new(identity: Identity) -> Self {
        let value = |s: &str| HeaderValue::from_str(s).unwrap_or(HeaderValue::from_static("invalid"));
        let names = [
            (HeaderName::from_static("x-perigee-target"), value(&identity.target)),
            (HeaderName::from_static("x-perigee-zone"), value(&identity.zone)),
            (HeaderName::from_static("x-perigee-region"), value(&identity.region)),
        ];
        let refused = Counter::default();
        let connections = Gate::new(MAX_CONNECTIONS, refused.clone());
        Self { identity, connections, refused, requests: AtomicU64::new(0), names }
    }

    /// Requests answered so far, health checks at `/check` left out.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Counts the connections refused because 10,000 were open; for a registry of metrics.
    pub fn refused_connections(&self) -> Counter {
        self.refused.clone()
    }

    /// One more request; gives its number, from 1.
    pub(crate) fn count(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Puts the names of who answered on an answer.
    pub(crate) fn sign(&self, headers: &mut HeaderMap, edge: Option<HeaderValue>) {
        for (name, value) in &self.names {
            headers.insert(name.clone(), value.clone());
        }
        if let Some(edge) = edge {
            headers.insert(HeaderName::from_static(EDGE), edge);
        }
    }
}

/// The header that names the edge a request came through.
pub(crate) const EDGE: &str = "x-perigee-edge";

/// The address that the application takes for its client's.
pub(crate) fn client(headers: &HeaderMap, peer: IpAddr) -> IpAddr {
    let forwarded = headers.get("x-forwarded-for").and_then(|v| v.to_str().ok());
    let first = forwarded.and_then(|v| v.split(',').next()).map(str::trim);
    first.and_then(address).unwrap_or(peer)
}

/// An address as `X-Forwarded-For` writes it: bare, or with a port, IPv6 with a port in brackets.
fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|a| a.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_first_forwarded_address_or_the_peer() {
        let peer: IpAddr = "127.82.1.1".parse().unwrap();
        for (forwarded, expected) in [
            (None, "127.82.1.1"),
            (Some("127.81.200.9"), "127.81.200.9"),
            (Some(" 127.81.200.9 , 10.0.0.1"), "127.81.200.9"),
            (Some("127.81.200.9:4711, 10.0.0.1"), "127.81.200.9"),
            (Some("[2001:db8::1]:4711"), "2001:db8::1"),
            (Some("2001:db8::1"), "2001:db8::1"),
            (Some("not an address, 10.0.0.1"), "127.82.1.1"),
            (Some(""), "127.82.1.1"),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(f) = forwarded {
                headers.insert("x-forwarded-for", f.parse().unwrap());
            }
            assert_eq!(client(&headers, peer).to_string(), expected, "{forwarded:?}");
        }
    }
}
