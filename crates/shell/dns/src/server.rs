use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use perigee_dataplane::EdgeView;
use perigee_model::Limits;
use perigee_net::{Gate, Host, Shutdown};
use tracing::info;

use crate::udp::{self, Lane};
use crate::{Metrics, Responder, tcp};

/// Attempts to find a port that is free for UDP and TCP alike, when any port will do.
const PORT_ATTEMPTS: usize = 16;

/// Where and how a [`Server`] listens.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses, each for UDP and TCP; port 0 takes any port, the same for both. Those that name an address are also
    /// what `ns1` in the zone points to. A host with several addresses lists each: from the unspecified address an
    /// answer leaves with the source that the kernel's route prefers, and clients drop one that they did not ask.
    pub listen: Vec<SocketAddr>,
    /// The simulated host whose faults the sockets obey.
    pub host: Host,
    /// `dns_tcp_connections` counts here.
    pub limits: Limits,
    /// Threads that answer datagrams at each address; 0 is one for each core. One everywhere but on Linux.
    pub workers: usize,
}

/// A running DNS server. Ends with the [`Shutdown`] it was started with: datagrams that have arrived are answered,
/// idle connections closed.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    connections: Gate,
}

impl Server {
    /// Listens on every address and answers from whatever is published in `view`.
    ///
    /// Errors: an address cannot be bound; nothing listens then.
    pub async fn start(
        config: Config,
        view: Arc<ArcSwap<EdgeView>>,
        metrics: Metrics,
        shutdown: &Shutdown,
    ) -> io::Result<Self> {
        let Config { listen, host, limits, workers } = config;
        let workers = threads(workers);
        let mut bound = Vec::with_capacity(listen.len());
        for address in listen {
            bound.push(bind(&host, address, workers).await?);
        }
        let addresses: Vec<SocketAddr> = bound.iter().map(|(_, tcp)| tcp.local_addr()).collect();
        let name_server: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).filter(|ip| !ip.is_unspecified()).collect();
        let connections = Gate::new(limits.dns_tcp_connections, metrics.tcp_refused.clone());
        let responder = Arc::new(Responder::new(view, name_server, metrics));
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
                    responder: responder.clone(),
                    #[cfg(target_os = "linux")]
                    shared: shared.clone(),
                    shutdown: shutdown.clone(),
                };
                shutdown.spawn(lane.serve(socket));
            }
            shutdown.spawn(tcp::serve(
                listener,
                host.clone(),
                responder.clone(),
                connections.clone(),
                shutdown.clone(),
            ));
        }
        Ok(Self { addresses, connections })
    }

    /// Where it listens, in the order of the configuration, with the ports it got.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Takes over the limits of a new snapshot; connections above a lower limit stay until they end.
    pub fn set_limits(&self, limits: &Limits) {
        self.connections.set_limit(limits.dns_tcp_connections);
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
async fn bind(
    host: &Host,
    address: SocketAddr,
    workers: usize,
) -> io::Result<(Vec<udp::Socket>, perigee_net::HostListener)> {
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
