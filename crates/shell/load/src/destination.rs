use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::rr::Name;
use hyper::Uri;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::dns::RecordType;
use crate::{LoadError, LoadPlan, dns_wire};

/// The parsed URL: where to connect and what to ask.
#[derive(Debug)]
pub(crate) struct Destination {
    /// The request target, origin form.
    pub(crate) path: Uri,
    /// The `Host` header.
    pub(crate) host: String,
    addresses: Addresses,
}

#[derive(Debug)]
enum Addresses {
    Fixed(Vec<SocketAddr>),
    Named { server: SocketAddr, name: Name, source: Option<IpAddr>, port: u16, cache: Mutex<Option<Cached>> },
}

/// An answer of the DNS, good until its TTL is over.
#[derive(Debug)]
struct Cached {
    addresses: Vec<SocketAddr>,
    until: Instant,
}

impl Destination {
    /// Reads the plan's URL; a name without a resolver is looked up here, once.
    pub(crate) async fn of(plan: &LoadPlan) -> Result<Self, LoadError> {
        let bad = |reason: String| LoadError::Url { url: plan.url.clone(), reason };
        match plan.url.split_once("://") {
            Some((s, _)) if s.eq_ignore_ascii_case("http") => {}
            Some(("https", _)) => return Err(bad("https is not built yet, use http".into())),
            _ => return Err(bad("it must begin with http://".into())),
        }
        let uri: Uri = plan.url.parse().map_err(|e| bad(format!("{e}")))?;
        let authority = uri.authority().ok_or_else(|| bad("it has no host".into()))?;
        if authority.as_str().contains('@') {
            return Err(bad("user names in the URL are not supported".into()));
        }
        // `Authority::port` takes a port out of range for none, and port 80 would get the load.
        let port = match authority.as_str()[authority.host().len()..].strip_prefix(':') {
            Some(port) => port.parse().map_err(|_| bad(format!("there is no port {port:?}")))?,
            None => 80,
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let path = uri.path_and_query().map_or("/", |p| p.as_str());
        let path = path.parse().map_err(|e| bad(format!("{e}")))?;
        let addresses = match (host.parse::<IpAddr>(), plan.resolver) {
            (Ok(ip), _) => Addresses::Fixed(vec![SocketAddr::new(ip, port)]),
            (Err(_), Some(server)) => {
                let name = Name::from_ascii(format!("{}.", host.trim_end_matches('.')));
                let name = name.map_err(|e| bad(format!("the host is no name: {e}")))?;
                Addresses::Named { server, name, source: plan.source_ip, port, cache: Mutex::default() }
            }
            (Err(_), None) => Addresses::Fixed(system_lookup(host, port, plan.source_ip).await?),
        };
        Ok(Self { path, host: authority.as_str().to_owned(), addresses })
    }

    /// The address that is known before the first request, for checks at the start.
    pub(crate) fn first(&self) -> Option<SocketAddr> {
        match &self.addresses {
            Addresses::Fixed(list) => list.first().copied(),
            Addresses::Named { server, .. } => Some(*server),
        }
    }

    /// Where to connect now. Asks the DNS when the last answer's TTL is over; those who come meanwhile wait for it.
    ///
    /// # Errors
    /// What the DNS said instead of addresses. An answer that has run out is not used again: no stub resolver does.
    pub(crate) async fn addresses(&self, timeout: Duration) -> Result<Vec<SocketAddr>, String> {
        match &self.addresses {
            Addresses::Fixed(list) => Ok(list.clone()),
            Addresses::Named { server, name, source, port, cache } => {
                let mut cache = cache.lock().await;
                if let Some(c) = cache.as_ref().filter(|c| Instant::now() < c.until) {
                    return Ok(c.addresses.clone());
                }
                let record = if server.is_ipv4() { RecordType::A } else { RecordType::Aaaa };
                let ask = dns_wire::ask(*server, *source, name, record, timeout);
                let answer = ask.await.map_err(|e| format!("{server} on {name}: {}", e.error))?;
                let addresses: Vec<SocketAddr> =
                    answer.addresses.iter().map(|ip| SocketAddr::new(*ip, *port)).collect();
                let until = Instant::now() + Duration::from_secs(answer.ttl.into());
                *cache = Some(Cached { addresses: addresses.clone(), until });
                Ok(addresses)
            }
        }
    }
}

async fn system_lookup(host: &str, port: u16, source: Option<IpAddr>) -> Result<Vec<SocketAddr>, LoadError> {
    let failed = |reason: String| LoadError::Resolve { host: host.to_owned(), reason };
    let found = tokio::net::lookup_host((host, port)).await.map_err(|e| failed(e.to_string()))?;
    let list: Vec<SocketAddr> = found.filter(|a| source.is_none_or(|s| s.is_ipv4() == a.is_ipv4())).collect();
    if list.is_empty() {
        return Err(failed("no address of the source's family".into()));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_url_says_where_to_connect_and_what_to_ask() {
        let d = Destination::of(&LoadPlan::new("http://127.75.2.1:8080/a?b=c")).await.unwrap();
        assert_eq!(d.first(), Some("127.75.2.1:8080".parse().unwrap()));
        assert_eq!((d.path.to_string(), d.host.as_str()), ("/a?b=c".into(), "127.75.2.1:8080"));
        let d = Destination::of(&LoadPlan::new("http://[::1]")).await.unwrap();
        assert_eq!(d.first(), Some("[::1]:80".parse().unwrap()));
        assert_eq!(d.path.to_string(), "/");
    }

    #[tokio::test]
    async fn a_url_that_cannot_be_asked_is_refused_with_the_reason() {
        for (url, reason) in [
            ("127.0.0.1:80/", "must begin with http://"),
            ("ftp://127.0.0.1/", "must begin with http://"),
            ("https://127.0.0.1/", "https is not built yet"),
            ("http://me@127.0.0.1/", "user names"),
            ("http:///", "invalid"),
            ("http://127.0.0.1:99999/", "no port"),
            ("http://127.0.0.1:/", "no port"),
            ("", "must begin with http://"),
        ] {
            let e = Destination::of(&LoadPlan::new(url)).await.unwrap_err();
            assert!(matches!(&e, LoadError::Url { .. }) && e.to_string().contains(reason), "{url}: {e}");
        }
    }

    #[tokio::test]
    async fn a_name_keeps_its_port_and_waits_for_the_resolver_until_it_is_needed() {
        let resolver = Some("127.0.0.1:9".parse().unwrap());
        let d =
            Destination::of(&LoadPlan { resolver, ..LoadPlan::new("http://app.perigee.test:8080/") }).await.unwrap();
        assert_eq!(d.first(), resolver);
        assert_eq!(d.host, "app.perigee.test:8080");
    }
}
