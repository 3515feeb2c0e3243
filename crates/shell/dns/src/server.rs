use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use perigee_dataplane::EdgeView;
use perigee_model::{Limits, Snapshot};
use perigee_net::{Gate, Host, HostListener, Shutdown};
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use crate::certificate::{CertificateSource, Identity};
use crate::clients::Clients;
use crate::conversation::Parlour;
use crate::query_log::{Log, QueryLog};
use crate::udp::{self, Lane};
use crate::{Metrics, Responder, https, quic, tcp, tls};

/// Attempts to find a port that is free for UDP and TCP alike, when any port will do.
const PORT_ATTEMPTS: usize = 16;

/// Where and how a [`Server`] listens.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses, each for UDP and TCP; port 0 takes any port, the same for both. Those that name an address are also
    /// what `ns1` in the zone points to. A host with several addresses lists each: from the unspecified address an
    /// answer leaves with the source that the kernel's route prefers, and clients drop one that they did not ask.
    pub listen: Vec<SocketAddr>,
    /// The encrypted transports; none are served without.
    pub tls: Option<TlsConfig>,
    /// A sample of the queries; none are logged without.
    pub query_log: Option<QueryLog>,
    /// The simulated host whose faults the sockets obey.
    pub host: Host,
    /// `dns_tcp_connections` counts here: for plain TCP, TLS and HTTPS together, and as much again for QUIC.
    pub limits: Limits,
    /// Threads that answer datagrams at each address; 0 is one for each core. One everywhere but on Linux.
    pub workers: usize,
}

/// Where the encrypted transports are served. Each list may be empty; port 0 takes any port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// DNS over TLS (RFC 7858); the usual port is 853.
    pub dot: Vec<SocketAddr>,
    /// DNS over HTTPS (RFC 8484) at `/dns-query`; the usual port is 443.
    pub doh: Vec<SocketAddr>,
    /// DNS over QUIC (RFC 9250), on UDP; the usual port is 853.
    pub doq: Vec<SocketAddr>,
    /// The certificate of all three.
    pub certificate: CertificateSource,
}

/// Where a server's encrypted transports listen, in the order of the configuration, with the ports they got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsAddresses {
    /// DNS over TLS.
    pub dot: Vec<SocketAddr>,
    /// DNS over HTTPS.
    pub doh: Vec<SocketAddr>,
    /// DNS over QUIC.
    pub doq: Vec<SocketAddr>,
}

/// A running DNS server. Ends with the [`Shutdown`] it was started with: datagrams that have arrived are answered,
/// idle connections closed.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    tls_addresses: TlsAddresses,
    authority: Option<String>,
    connections: Gate,
    quic_connections: Gate,
    /// Ends with the transports, and the query log with it: who keeps this value must not keep those.
    responder: Weak<Responder>,
}

impl Server {
    /// Listens on every address and answers from whatever is published in `view`.
    ///
    /// Errors: an address cannot be bound, the certificate not be had, or the query log not be opened; nothing listens
    /// then.
    pub async fn start(
        config: Config,
        view: Arc<ArcSwap<EdgeView>>,
        metrics: Metrics,
        shutdown: &Shutdown,
    ) -> io::Result<Self> {
        let Config { listen, tls, query_log, host, limits, workers } = config;
        let workers = threads(workers);
        let mut bound = Vec::with_capacity(listen.len());
        for address in listen {
            bound.push(bind(&host, address, workers).await?);
        }
        let encrypted = match tls {
            Some(tls) => Some(Encrypted::bind(&tls, &host).await?),
            None => None,
        };
        let log = match &query_log {
            Some(settings) => Some(Log::start(settings, metrics.log_dropped.clone(), shutdown.task())?),
            None => None,
        };
        let addresses: Vec<SocketAddr> = bound.iter().map(|(_, tcp)| tcp.local_addr()).collect();
        let name_server: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).filter(|ip| !ip.is_unspecified()).collect();
        let connections = Gate::new(limits.dns_tcp_connections, metrics.tcp_refused.clone());
        let quic_connections = Gate::new(limits.dns_tcp_connections, metrics.quic_refused.clone());
        let clients = Arc::new(Clients::default());
        let parlour = Parlour {
            host: host.clone(),
            responder: Arc::new(Responder::new(view, name_server, metrics).with_log(log)),
            connections: connections.clone(),
            shutdown: shutdown.clone(),
        };
        let responder = Arc::downgrade(&parlour.responder);
        #[cfg(target_os = "linux")]
        let shared = Arc::new(crate::fast::Shared::default());
        for (sockets, listener) in bound {
            let address = listener.local_addr();
            info!(%address, "DNS listens (UDP and TCP)");
            for (number, socket) in sockets.into_iter().enumerate() {
                let lane = Lane {
                    address,
                    number,
                    host: host.clone(),
                    responder: parlour.responder.clone(),
                    #[cfg(target_os = "linux")]
                    shared: shared.clone(),
                    shutdown: shutdown.clone(),
                };
                shutdown.spawn(lane.serve(socket));
            }
            shutdown.spawn(tcp::serve(listener, clients.clone(), parlour.clone(), tcp::talk));
        }
        let (tls_addresses, authority) = match encrypted {
            Some(encrypted) => encrypted.serve(&clients, &parlour, &quic_connections)?,
            None => (TlsAddresses::default(), None),
        };
        Ok(Self { addresses, tls_addresses, authority, connections, quic_connections, responder })
    }

    /// Where it listens, in the order of the configuration, with the ports it got.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where its encrypted transports listen.
    pub const fn tls_addrs(&self) -> &TlsAddresses {
        &self.tls_addresses
    }

    /// The certificate in PEM of the local authority that signed the server's; none with an operator's certificate, or
    /// without encrypted transports.
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// Makes what the answers of `snapshot` need, on a thread that may take its time, so that no query waits for it once
    /// the same snapshot is published.
    pub async fn prepare(&self, snapshot: &Arc<Snapshot>) {
        // Nobody answers any more.
        let Some(responder) = self.responder.upgrade() else { return };
        let snapshot = snapshot.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || responder.prepare(&snapshot)).await {
            // The first query after the publication makes it then.
            warn!(%error, "the new zones could not be prepared");
        }
    }

    /// Takes over the limits of a new snapshot; connections above a lower limit stay until they end.
    pub fn set_limits(&self, limits: &Limits) {
        self.connections.set_limit(limits.dns_tcp_connections);
        self.quic_connections.set_limit(limits.dns_tcp_connections);
    }
}

/// The encrypted transports, bound and not yet served.
struct Encrypted {
    identity: Identity,
    dot: Vec<HostListener>,
    doh: Vec<HostListener>,
    doq: Vec<quinn::Endpoint>,
}

impl Encrypted {
    async fn bind(config: &TlsConfig, host: &Host) -> io::Result<Self> {
        let identity = config.certificate.load()?;
        let (mut dot, mut doh, mut doq) = (Vec::new(), Vec::new(), Vec::new());
        for address in &config.dot {
            dot.push(host.listen(*address).await?);
        }
        for address in &config.doh {
            doh.push(host.listen(*address).await?);
        }
        for address in &config.doq {
            doq.push(quic::bind(*address, &identity, host)?);
        }
        Ok(Self { identity, dot, doh, doq })
    }

    /// Gives the addresses and the local authority.
    fn serve(
        self,
        clients: &Arc<Clients>,
        parlour: &Parlour,
        quic_connections: &Gate,
    ) -> io::Result<(TlsAddresses, Option<String>)> {
        let Self { identity, dot, doh, doq } = self;
        let mut addresses = TlsAddresses::default();
        let acceptor = TlsAcceptor::from(Arc::new(identity.server_config(&[tls::PROTOCOL], false)?));
        for listener in dot {
            info!(address = %listener.local_addr(), "DNS listens (TLS)");
            addresses.dot.push(listener.local_addr());
            let acceptor = acceptor.clone();
            parlour.shutdown.spawn(tcp::serve(listener, clients.clone(), parlour.clone(), move |stream, client, p| {
                tls::talk(stream, client, p, acceptor.clone())
            }));
        }
        let acceptor = TlsAcceptor::from(Arc::new(identity.server_config(&https::PROTOCOLS, false)?));
        for listener in doh {
            info!(address = %listener.local_addr(), "DNS listens (HTTPS)");
            addresses.doh.push(listener.local_addr());
            let acceptor = acceptor.clone();
            parlour.shutdown.spawn(tcp::serve(listener, clients.clone(), parlour.clone(), move |stream, client, p| {
                https::talk(stream, client, p, acceptor.clone())
            }));
        }
        for endpoint in doq {
            let address = endpoint.local_addr()?;
            info!(%address, "DNS listens (QUIC)");
            addresses.doq.push(address);
            let parlour = Parlour { connections: quic_connections.clone(), ..parlour.clone() };
            parlour.shutdown.clone().spawn(quic::serve(endpoint, parlour));
        }
        Ok((addresses, identity.authority))
    }
}

/// How many threads are meant.
fn threads(workers: usize) -> usize {
    match workers {
        _ if cfg!(not(target_os = "linux")) => 1,
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        workers => workers,
    }
}

/// The sockets of an address. The listener comes first: it is exclusive, which sockets for datagrams are not.
async fn bind(host: &Host, address: SocketAddr, workers: usize) -> io::Result<(Vec<udp::Socket>, HostListener)> {
    let mut attempts = if address.port() == 0 { PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        let listener = host.listen(address).await?;
        match (0..workers).map(|_| udp::bind(listener.local_addr())).collect() {
            Ok(sockets) => return Ok((sockets, listener)),
            Err(error) if attempts == 0 => return Err(error),
            Err(_) => {}
        }
    }
}
