use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use perigee_dataplane::EdgeView;
use perigee_model::Limits;
use perigee_net::{Gate, Host, Shutdown};
use tokio::net::UdpSocket;
use tracing::info;

use crate::clients::Clients;
use crate::conversation::Parlour;
use crate::{Metrics, Responder, tcp, udp};

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
        let Config { listen, host, limits } = config;
        let mut bound = Vec::with_capacity(listen.len());
        for address in listen {
            bound.push(bind(&host, address).await?);
        }
        let addresses: Vec<SocketAddr> = bound.iter().map(|(_, tcp)| tcp.local_addr()).collect();
        let name_server: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).filter(|ip| !ip.is_unspecified()).collect();
        let connections = Gate::new(limits.dns_tcp_connections, metrics.tcp_refused.clone());
        let responder = Arc::new(Responder::new(view, name_server, metrics));
        let clients = Arc::new(Clients::default());
        let parlour = Parlour {
            host: host.clone(),
            responder: responder.clone(),
            connections: connections.clone(),
            shutdown: shutdown.clone(),
        };
        for (datagrams, listener) in bound {
            info!(address = %listener.local_addr(), "DNS listens (UDP and TCP)");
            shutdown.spawn(udp::serve(
                datagrams,
                listener.local_addr(),
                host.clone(),
                responder.clone(),
                shutdown.clone(),
            ));
            shutdown.spawn(tcp::serve(listener, clients.clone(), parlour.clone(), tcp::talk));
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

async fn bind(host: &Host, address: SocketAddr) -> io::Result<(UdpSocket, perigee_net::HostListener)> {
    let mut attempts = if address.port() == 0 { PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        let listener = host.listen(address).await?;
        match UdpSocket::bind(listener.local_addr()).await {
            Ok(socket) => return Ok((socket, listener)),
            Err(error) if attempts == 0 => return Err(error),
            Err(_) => {}
        }
    }
}
