//! Probes of DNS health checks.

mod exchange;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use perigee_health::ProbeFailure;
use perigee_model::dns::{EndpointCheck, EndpointProtocol};
use tokio::time::{Instant, timeout, timeout_at};

use crate::probe::failure_of;
use crate::{Host, HostStream, Names, connect};

/// How long each step of a probe may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Learning the address of a name. 4 s, Perigee's choice: as long as a connect.
    resolve: Duration,
    /// The connect of an HTTP or HTTPS probe. 4 s.
    connect: Duration,
    /// From the connect to the status, the TLS handshake included. 2 s.
    status: Duration,
    /// From the status to the searched part of the body. 2 s.
    body: Duration,
    /// The connect of a TCP probe. 10 s.
    tcp_connect: Duration,
}

/// Source: `spec/dns.md` section 2.5; Route 53 developer guide, "How Route 53 determines whether a health check is
/// healthy".
const LIMITS: Limits = Limits {
    resolve: Duration::from_secs(4),
    connect: Duration::from_secs(4),
    status: Duration::from_secs(2),
    body: Duration::from_secs(2),
    tcp_connect: Duration::from_secs(10),
};

/// Probes the endpoints of DNS health checks, each time on a connection of its own.
///
/// Redirects are not followed, certificates not looked at, and of an answer no more is read than its head and the first
/// 5,120 bytes of its body, those only for a string match.
#[derive(Clone, Debug)]
pub struct DnsProber {
    host: Host,
    names: Names,
    limits: Limits,
}

impl DnsProber {
    /// Probes as `host`, with addresses from `names`.
    pub const fn new(host: Host, names: Names) -> Self {
        Self { host, names, limits: LIMITS }
    }

    /// Probes once; `Ok` if the endpoint passed. Takes at most 18 s: an HTTPS endpoint may make every step of two
    /// connects as slow as it is allowed to.
    ///
    /// Errors: what [`ProbeFailure`] names; `Internal` is the prober's own trouble and says nothing about the endpoint.
    /// Cancel safe: dropping the future ends the probe.
    pub async fn probe(&self, endpoint: &EndpointCheck) -> Result<(), ProbeFailure> {
        let Limits { resolve, connect, status, body, tcp_connect } = self.limits;
        let work = async {
            let address = SocketAddr::new(self.address(endpoint).await?, endpoint.port);
            match endpoint.protocol {
                EndpointProtocol::Tcp => self.connect(address, tcp_connect).await.map(drop),
                EndpointProtocol::Http => {
                    let stream = self.connect(address, connect).await?;
                    exchange::ask(stream, endpoint, address, Instant::now() + status, body).await
                }
                EndpointProtocol::Https => self.https(endpoint, address).await,
            }
        };
        // The steps have limits of their own; this one is for a host that hangs between them.
        let all = resolve + tcp_connect.max(2 * (connect + status) + body);
        match timeout(all, self.host.run(work)).await {
            Ok(Some(result)) => result,
            Ok(None) => Err(ProbeFailure::Internal),
            Err(_) => Err(ProbeFailure::Timeout),
        }
    }

    async fn address(&self, endpoint: &EndpointCheck) -> Result<IpAddr, ProbeFailure> {
        if let Some(address) = endpoint.address {
            return Ok(address);
        }
        // A maker of snapshots leaves one of the two.
        let name = endpoint.domain_name.as_deref().ok_or(ProbeFailure::Internal)?;
        let found = timeout(self.limits.resolve, self.names.ipv4(name)).await;
        found.ok().flatten().map(IpAddr::V4).ok_or(ProbeFailure::Unresolved)
    }

    async fn connect(&self, address: SocketAddr, limit: Duration) -> Result<HostStream, ProbeFailure> {
        let done = timeout(limit, connect(&self.host, None, address)).await;
        done.map_err(|_| ProbeFailure::Timeout)?.map_err(failure_of)
    }

    /// An HTTPS probe: a handshake that fails over the name is tried once more without it, on another connection with
    /// limits of its own.
    async fn https(&self, endpoint: &EndpointCheck, address: SocketAddr) -> Result<(), ProbeFailure> {
        let Limits { connect, status, body, .. } = self.limits;
        let mut name = endpoint.domain_name.as_deref().filter(|_| endpoint.sni);
        loop {
            let stream = self.connect(address, connect).await?;
            let status_by = Instant::now() + status;
            let greeted = timeout_at(status_by, tls::greet(stream, address.ip(), name)).await;
            match greeted.map_err(|_| ProbeFailure::Timeout)? {
                Ok(stream) => return exchange::ask(stream, endpoint, address, status_by, body).await,
                Err(error) if name.is_some() && tls::is_about_the_name(&error) => name = None,
                Err(error) => return Err(failure_of(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
