//! UDP at the edge: a thread per core, each with its own sockets, its own table of flows and nothing to lock.
//!
//! ```text
//!   client --> listening socket --> [ table: flow -> its socket ] --> flow's own socket --> endpoint
//!   client <-- listening socket <--        of the flow           <-- flow's own socket <-- endpoint
//! ```
//!
//! A flow's own socket is connected to its endpoint, so the kernel finds the flow of an answer, and what ICMP says
//! comes back as an error of that flow.

mod faults;
mod flow;
mod inbound;
mod mailbox;
mod metrics;
mod outbound;
mod placement;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use perigee_model::{Snapshot, TransportProtocol};
use perigee_net::{Clock, DatagramSocket, Shutdown};
use perigee_steering::Flow;
use serde::Serialize;
use tokio::sync::oneshot;
use tracing::info;

use crate::hosts::ZONES;
use crate::shares::Shares;
use crate::{Front, PopHosts};
use mailbox::{Command, Mailbox, mailbox};
pub use metrics::UdpMetrics;
use placement::{Placement, place};
use worker::Worker;

/// What all workers use.
#[derive(Debug)]
struct Shared {
    front: Arc<Front>,
    hosts: Arc<PopHosts>,
    metrics: UdpMetrics,
    clock: Clock,
    active: AtomicU32,
    shares: Shares,
}

/// What the UDP side of an edge is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UdpStatus {
    /// Flows that have not been silent for the idle time-out.
    pub active_flows: u32,
    /// Where it takes datagrams.
    pub listening: Vec<SocketAddr>,
    /// Flows begun within the last ten seconds, by region.
    pub new_flows_10s: BTreeMap<String, u64>,
}

/// The UDP side of an edge: sockets on the accelerators' static addresses and the flows that came in by them.
///
/// The threads run from the first UDP listener on, until the shutdown begins: what has arrived by then is passed on,
/// and nothing more.
#[derive(Debug)]
pub struct UdpProxy {
    shared: Arc<Shared>,
    shutdown: Shutdown,
    workers: NonZeroUsize,
    /// Held while the configuration changes, so that changes come one after the other.
    mailboxes: tokio::sync::Mutex<Vec<Mailbox>>,
    listening: Mutex<BTreeSet<SocketAddr>>,
}

impl UdpProxy {
    /// Starts listening on every UDP address and port of the accelerators of the front tier's snapshot, with a worker
    /// per core, or `workers` of them.
    ///
    /// Errors: an address cannot be bound, which the error names, or a thread cannot be started.
    pub async fn start(
        front: Arc<Front>,
        hosts: Arc<PopHosts>,
        metrics: UdpMetrics,
        clock: Clock,
        shutdown: Shutdown,
        workers: Option<NonZeroUsize>,
    ) -> io::Result<Arc<Self>> {
        let snapshot = front.view().snapshot.clone();
        let workers = workers.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
        let shares = Shares::new(workers.get());
        let shared = Shared { front, hosts, metrics, clock, active: AtomicU32::new(0), shares };
        let shared = Arc::new(shared);
        let (mailboxes, listening) = (tokio::sync::Mutex::default(), Mutex::default());
        let proxy = Arc::new(Self { shared, shutdown, workers, mailboxes, listening });
        proxy.set_snapshot(&snapshot).await?;
        let ending = Arc::downgrade(&proxy);
        let shutdown = proxy.shutdown.clone();
        tokio::spawn(async move {
            shutdown.draining().await;
            if let Some(proxy) = ending.upgrade() {
                // A worker whose mailbox is gone passes on what it has and ends.
                proxy.mailboxes.lock().await.clear();
                proxy.listening().clear();
            }
        });
        Ok(proxy)
    }

    /// Follows a new snapshot, which the front tier must have already: listens where it now says, and where it no
    /// longer does, closes and forgets the flows. All other flows stay.
    ///
    /// Errors: a new address cannot be bound; what could be bound is listened on.
    pub async fn set_snapshot(&self, snapshot: &Snapshot) -> io::Result<()> {
        let mut mailboxes = self.mailboxes.lock().await;
        if self.shutdown.is_draining() {
            return Ok(());
        }
        let wanted = addresses(snapshot);
        if mailboxes.is_empty() {
            if wanted.is_empty() {
                return Ok(());
            }
            *mailboxes = self.start_workers()?;
        }
        let workers = self.workers.get();
        let is_gone = |address: &SocketAddr| !wanted.contains_key(address);
        // In order, as a set has them.
        let closed: Arc<[SocketAddr]> = self.listening().iter().copied().filter(is_gone).collect();
        let mut opened: Vec<Vec<(DatagramSocket, usize)>> = (0..workers).map(|_| Vec::new()).collect();
        let mut failed = Ok(());
        {
            let mut listening = self.listening();
            listening.retain(|address| !is_gone(address));
            for (address, placement) in place(wanted.keys().copied(), workers) {
                if listening.contains(&address) {
                    continue;
                }
                match bind(address, wanted[&address], placement, &mut opened) {
                    Ok(()) => {
                        listening.insert(address);
                    }
                    Err(error) if failed.is_ok() => {
                        let text = format!("edge cannot take datagrams on {address}: {error}");
                        failed = Err(io::Error::new(error.kind(), text));
                    }
                    Err(_) => {}
                }
            }
        }
        let (limits, timing) = (&snapshot.settings.limits, &snapshot.settings.timing);
        let flows = limits.edge_udp_flows.div_ceil(u32::try_from(workers).unwrap_or(u32::MAX));
        let mut answers = Vec::new();
        for (mailbox, opened) in mailboxes.iter().zip(opened) {
            let (done, answer) = oneshot::channel();
            let idle = timing.udp_idle_timeout;
            mailbox.send(Command { opened, closed: closed.clone(), flows, idle, done });
            answers.push(answer);
        }
        for answer in answers {
            // A worker that has ended has nothing to close.
            let _ = answer.await;
        }
        info!(addresses = self.listening().len(), "takes datagrams");
        failed
    }

    /// What it is doing.
    pub fn status(&self) -> UdpStatus {
        let view = self.shared.front.view();
        let takes = |address: &SocketAddr| view.serves(&Flow::udp(*address, *address));
        UdpStatus {
            active_flows: self.shared.active.load(Ordering::Relaxed),
            listening: self.listening().iter().copied().filter(takes).collect(),
            new_flows_10s: self.shared.shares.last_ten_seconds(self.shared.clock.now()),
        }
    }

    fn listening(&self) -> MutexGuard<'_, BTreeSet<SocketAddr>> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start_workers(&self) -> io::Result<Vec<Mailbox>> {
        let start = |number: usize| {
            let (mailbox, post) = mailbox()?;
            let epoll = worker::epoll(&post)?;
            let (shared, task) = (self.shared.clone(), self.shutdown.task());
            std::thread::Builder::new().name(format!("edge-udp-{number}")).spawn(move || {
                Worker::new(shared, number, post, epoll).run();
                drop(task);
            })?;
            Ok(mailbox)
        };
        (0..self.workers.get()).map(start).collect()
    }
}

/// Binds `address`, which belongs to the network zone `zone`, for the workers that `placement` says.
fn bind(
    address: SocketAddr,
    zone: usize,
    placement: Placement,
    opened: &mut [Vec<(DatagramSocket, usize)>],
) -> io::Result<()> {
    // Nobody else's address: sockets that may share one do so with any other of the same user.
    let alone = DatagramSocket::bind_alone(address)?;
    match placement {
        Placement::One(worker) => {
            alone.coalesce();
            opened[worker].push((alone, zone));
        }
        Placement::All => {
            drop(alone);
            let sockets: io::Result<Vec<_>> = opened.iter().map(|_| DatagramSocket::bind(address)).collect();
            for (worker, socket) in opened.iter_mut().zip(sockets?) {
                socket.coalesce();
                worker.push((socket, zone));
            }
        }
    }
    Ok(())
}

/// The addresses and ports of all UDP listeners, in order, each with its network zone. Those of a disabled accelerator
/// too: a closed port would be reported to the client by ICMP, and what it shall meet is silence
/// (`global-accelerator.md` section 2.3).
fn addresses(snapshot: &Snapshot) -> BTreeMap<SocketAddr, usize> {
    let mut addresses = BTreeMap::new();
    for accelerator in &snapshot.accelerators {
        let listeners = accelerator.listeners.iter().filter(|l| l.protocol == TransportProtocol::Udp);
        for port in listeners.flat_map(|l| &l.port_ranges).flat_map(|r| r.from_port..=r.to_port) {
            for (position, address) in accelerator.addresses.iter().enumerate() {
                addresses.insert(SocketAddr::new(*address, port), position % ZONES);
            }
        }
    }
    addresses
}
