use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use perigee_geo::PopIndex;
use perigee_model::{Snapshot, TransportProtocol};
use perigee_net::{Clock, Crossings, Gate, Host, HostListener, HostStream, Pass, Shutdown, reset_on_drop};
use serde::Serialize;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::flow::{establish, flow_of};
use crate::metrics::{DirectionLabels, FlowLabels, RefusalLabels};
use crate::relay::{End, relay};
use crate::shares::Shares;
use crate::{Front, Metrics};

/// The simulated machines of the points of presence: made when first used, so that one can be killed.
#[derive(Debug, Default)]
pub struct PopHosts(Mutex<BTreeMap<PopIndex, Host>>);

impl PopHosts {
    /// The machine of a point of presence.
    pub fn get(&self, pop: PopIndex) -> Host {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.entry(pop).or_insert_with(|| Host::new(format!("pop {}", pop.0))).clone()
    }
}

/// What an edge proxy is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProxyStatus {
    /// Flows open now.
    pub active_flows: u32,
    /// Where it listens.
    pub listening: Vec<SocketAddr>,
    /// Flows joined within the last ten seconds, by region.
    pub new_flows_10s: BTreeMap<String, u64>,
}

/// A listener and what ends with it.
#[derive(Debug)]
struct Listening {
    task: AbortHandle,
    /// Cancelled when the address is taken out of the configuration: its flows are reset.
    gone: CancellationToken,
}

/// The edge proxy: listeners on the accelerators' static addresses and the flows that came in by them.
#[derive(Debug)]
pub struct Proxy {
    front: Arc<Front>,
    pops: Arc<PopHosts>,
    crossings: Crossings,
    metrics: Metrics,
    clock: Clock,
    shutdown: Shutdown,
    gate: Gate,
    listeners: Mutex<BTreeMap<SocketAddr, Listening>>,
    connecting: AtomicUsize,
    accepting: AtomicUsize,
    settled: Notify,
    shares: Shares,
}

impl Proxy {
    /// Starts listening on every address and port of the accelerators of the front tier's snapshot. Second connections
    /// are noted in `crossings`, for load balancer nodes of the same process.
    ///
    /// Errors: an address cannot be bound; the error names it.
    pub async fn start(
        front: Arc<Front>,
        pops: Arc<PopHosts>,
        crossings: Crossings,
        metrics: Metrics,
        clock: Clock,
        shutdown: Shutdown,
    ) -> io::Result<Arc<Self>> {
        let snapshot = front.view().snapshot.clone();
        let gate = Gate::new(snapshot.settings.limits.edge_flows, metrics.limit("edge_flows"));
        let proxy = Arc::new(Self {
            front,
            pops,
            crossings,
            metrics,
            clock,
            shutdown,
            gate,
            listeners: Mutex::default(),
            connecting: AtomicUsize::new(0),
            accepting: AtomicUsize::new(0),
            settled: Notify::new(),
            shares: Shares::default(),
        });
        proxy.clone().listen(&snapshot).await?;
        Ok(proxy)
    }

    /// Follows a new snapshot: listens where it now says, stops listening where it no longer does.
    ///
    /// Flows stay, except those of an address or port that is no longer listened on, because it was removed or its
    /// accelerator disabled: they are reset (`global-accelerator.md` sections 2.3, 3 and 10).
    ///
    /// Errors: a new address cannot be bound; what could be bound is listened on.
    pub async fn set_snapshot(self: &Arc<Self>, snapshot: &Snapshot) -> io::Result<()> {
        self.gate.set_limit(snapshot.settings.limits.edge_flows);
        self.clone().listen(snapshot).await
    }

    /// What it is doing.
    pub fn status(&self) -> ProxyStatus {
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        ProxyStatus {
            active_flows: self.gate.inside(),
            listening: listeners.keys().copied().collect(),
            new_flows_10s: self.shares.last_ten_seconds(self.clock.now()),
        }
    }

    /// Waits until no listener accepts any more, once the shutdown has begun.
    pub async fn listeners_closed(&self) {
        self.until_zero(&self.accepting).await;
    }

    /// Waits until every accepted flow is joined to its endpoint or refused: from then on the regions may drain.
    pub async fn connected(&self) {
        self.until_zero(&self.connecting).await;
    }

    async fn until_zero(&self, count: &AtomicUsize) {
        loop {
            let mut settled = std::pin::pin!(self.settled.notified());
            settled.as_mut().enable();
            if count.load(Ordering::Acquire) == 0 {
                return;
            }
            settled.await;
        }
    }

    fn leave(&self, count: &AtomicUsize) {
        if count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.settled.notify_waiters();
        }
    }

    async fn listen(self: Arc<Self>, snapshot: &Snapshot) -> io::Result<()> {
        let wanted = addresses(snapshot);
        {
            let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
            listeners.retain(|address, listening| {
                let keep = wanted.contains(address);
                if !keep {
                    info!(%address, "stops listening and resets its flows");
                    listening.task.abort();
                    listening.gone.cancel();
                }
                keep
            });
        }
        let mut failed = Ok(());
        for address in wanted {
            if self.listeners.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&address) {
                continue;
            }
            match Host::new(format!("edge {address}")).listen(address).await {
                Ok(listener) => {
                    let gone = CancellationToken::new();
                    let accepting = Accepting::new(self.clone());
                    let task = tokio::spawn(accept(accepting, listener, gone.clone()));
                    let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
                    listeners.insert(address, Listening { task: task.abort_handle(), gone });
                }
                Err(error) if failed.is_ok() => {
                    failed = Err(io::Error::new(error.kind(), format!("edge cannot listen on {address}: {error}")));
                }
                Err(_) => {}
            }
        }
        failed
    }

    fn take(self: &Arc<Self>, (stream, peer): (HostStream, SocketAddr), gone: &CancellationToken) {
        let Some(pass) = self.gate.enter() else {
            reset_on_drop(stream.socket());
            return;
        };
        self.connecting.fetch_add(1, Ordering::AcqRel);
        self.metrics.active_flows.inc();
        let (proxy, gone) = (self.clone(), gone.clone());
        self.shutdown.spawn(async move {
            proxy.serve(stream, peer, pass, &gone).await;
            proxy.metrics.active_flows.dec();
        });
    }

    async fn serve(&self, mut client: HostStream, peer: SocketAddr, _pass: Pass, gone: &CancellationToken) {
        let established = self.establish(&client, peer).await;
        self.leave(&self.connecting);
        let (mut endpoint, host, labels, idle) = match established {
            Ok(established) => established,
            Err(reason) => {
                debug!(%peer, reason, "flow refused");
                self.metrics.refused.get_or_create(&RefusalLabels { reason: reason.to_owned() }).inc();
                reset_on_drop(client.socket());
                return;
            }
        };
        // Known to the node before the client's first byte is.
        let ends = (endpoint.local_addr(), endpoint.socket().peer_addr());
        let _crossing = match ends {
            (Ok(source), Ok(destination)) => {
                Some(self.crossings.enter(source, destination, labels.pop.as_str().into()))
            }
            _ => None,
        };
        self.shares.note(&labels.region, self.clock.now());
        self.metrics.new_flows.get_or_create(&labels).inc();
        let relay = host.run(relay(client.socket_mut(), endpoint.socket_mut(), idle, &self.shutdown));
        let relayed = tokio::select! {
            relayed = relay => relayed,
            () = gone.cancelled() => None,
        };
        let Some(relayed) = relayed else {
            // The point of presence died with its flows, or the listener is gone from the configuration.
            reset_on_drop(client.socket());
            reset_on_drop(endpoint.socket());
            return;
        };
        let count = |direction: &str, bytes| {
            self.metrics.bytes.get_or_create(&DirectionLabels { direction: direction.to_owned() }).inc_by(bytes);
        };
        count("in", relayed.bytes_in);
        count("out", relayed.bytes_out);
        match relayed.end {
            End::Closed => {}
            End::Idle => {
                self.metrics.idle_closed.inc();
            }
            End::Broken => {
                reset_on_drop(client.socket());
                reset_on_drop(endpoint.socket());
            }
        }
    }

    async fn establish(
        &self,
        client: &HostStream,
        peer: SocketAddr,
    ) -> Result<(HostStream, Host, FlowLabels, std::time::Duration), &'static str> {
        let flow = flow_of(client.socket(), peer).map_err(|_| "client_gone")?;
        let view = self.front.view();
        let connection = view.open(flow, self.clock.now()).map_err(|r| r.name())?;
        let host = self.pops.get(connection.pop());
        let (accelerator, pop) = (connection.accelerator(), connection.pop());
        let moved_on = || {
            self.metrics.moved_on.inc();
        };
        let work = establish(connection, &flow, &self.front, &host, self.clock, moved_on);
        let (endpoint, candidate) = host.run(work).await.ok_or("pop_down")?.map_err(|r| r.name())?;
        let labels = FlowLabels {
            accelerator: view.snapshot.accelerator(accelerator).name.to_string(),
            pop: view.atlas.pops()[pop.0].code.to_string(),
            region: view.snapshot.region(candidate.region).code.to_string(),
        };
        Ok((endpoint, host, labels, view.snapshot.settings.timing.tcp_idle_timeout))
    }
}

/// Counts a listener that accepts until it is dropped, at its end or with its aborted task.
struct Accepting(Arc<Proxy>);

impl Accepting {
    fn new(proxy: Arc<Proxy>) -> Self {
        proxy.accepting.fetch_add(1, Ordering::AcqRel);
        Self(proxy)
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.0.leave(&self.0.accepting);
    }
}

async fn accept(accepting: Accepting, mut listener: HostListener, gone: CancellationToken) {
    let proxy = accepting.0.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = proxy.shutdown.draining() => break,
        };
        proxy.take(accepted, &gone);
    }
    // What the kernel completed before the end is still ours to serve.
    while let Some(accepted) = listener.accept_pending() {
        proxy.take(accepted, &gone);
    }
    drop(listener);
    drop(accepting);
}

fn addresses(snapshot: &Snapshot) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for accelerator in snapshot.accelerators.iter().filter(|a| a.enabled) {
        let listeners = accelerator.listeners.iter().filter(|l| l.protocol == TransportProtocol::Tcp);
        let ranges = listeners.flat_map(|l| &l.port_ranges);
        for port in ranges.flat_map(|r| r.from_port..=r.to_port) {
            addresses.extend(accelerator.addresses.iter().map(|a| SocketAddr::new(*a, port)));
        }
    }
    addresses
}
