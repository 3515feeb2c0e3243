use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use ipnet::IpNet;
use perigee_dataplane::{Balancer, BalancerTrace, TargetStatus};
use perigee_health::NodeReport;
use perigee_model::{Limits, LoadBalancerIndex, Snapshot};
use perigee_net::{Clock, Crossings, Gate, Host, Shutdown};
use perigee_rules::RequestHead;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::metrics::{GroupMetrics, NodeMetrics};
use crate::pool::Pool;
use crate::trace_id::TraceIds;
use crate::{Metrics, connection, driver, status};

/// Starts load balancer nodes.
#[derive(Debug)]
pub struct Node;

/// A running node. Dropping the handle ends the node: listeners close, running requests finish.
#[derive(Debug)]
pub struct NodeHandle {
    shared: Arc<Shared>,
    all_metrics: Metrics,
    listeners: tokio::sync::Mutex<Listeners>,
}

/// What everything of a node shares.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) host: Host,
    pub(crate) clock: Clock,
    pub(crate) shutdown: Shutdown,
    /// Where edges of this process note their connections.
    pub(crate) crossings: Crossings,
    pub(crate) pool: Pool,
    pub(crate) gate: Gate,
    pub(crate) status_gate: Gate,
    pub(crate) trace_ids: TraceIds,
    /// Wakes the driver after a change.
    pub(crate) wake: Notify,
    /// Cancelled when the node ends.
    pub(crate) stop: CancellationToken,
    metrics: NodeMetrics,
    config: ArcSwap<Config>,
    core: Mutex<Core>,
}

/// The machine and the figures of its snapshot's groups: replaced together.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) balancer: Balancer,
    pub(crate) groups: Vec<Arc<GroupMetrics>>,
}

/// What connections and requests need of a snapshot.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) address: IpAddr,
    pub(crate) dns_name: String,
    pub(crate) idle_timeout: Duration,
    pub(crate) client_keep_alive: Duration,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) limits: Limits,
}

impl Config {
    fn of(snapshot: &Snapshot, index: LoadBalancerIndex, node: usize) -> Self {
        let lb = snapshot.load_balancer(index);
        Self {
            address: lb.nodes[node].address,
            dns_name: format!("{}.{}.elb.{}", lb.name, snapshot.region(lb.region).code, snapshot.dns.origin),
            idle_timeout: lb.idle_timeout,
            client_keep_alive: lb.client_keep_alive,
            trusted_proxies: snapshot.settings.trusted_proxies.clone(),
            limits: snapshot.settings.limits,
        }
    }
}

impl Shared {
    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        // A panic elsewhere leaves the machine as its last whole step left it.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn config(&self) -> Guard<Arc<Config>> {
        self.config.load()
    }

    /// For those who keep it for long.
    pub(crate) fn config_full(&self) -> Arc<Config> {
        self.config.load_full()
    }

    pub(crate) const fn metrics(&self) -> &NodeMetrics {
        &self.metrics
    }
}

/// What the nodes of a process have in common.
#[derive(Clone, Debug)]
pub struct Common {
    /// Where they count.
    pub metrics: Metrics,
    /// Their clock.
    pub clock: Clock,
    /// Ends them all.
    pub shutdown: Shutdown,
    /// Where edges of the same process note their connections.
    pub crossings: Crossings,
}

impl Node {
    /// Starts the `node`-th node of the load balancer at `load_balancer` as `host`, and begins to check its targets.
    ///
    /// It ends with `shutdown` or its handle. Its labels in the metrics stay those it started with. Errors: an address
    /// cannot be bound; nothing runs then. Panics on an index that `snapshot` does not have.
    pub async fn start(
        host: Host,
        snapshot: Arc<Snapshot>,
        load_balancer: LoadBalancerIndex,
        node: usize,
        common: Common,
    ) -> io::Result<NodeHandle> {
        let Common { metrics, clock, shutdown, crossings } = common;
        let lb = snapshot.load_balancer(load_balancer);
        let node_metrics = metrics.node(&snapshot, lb, &lb.nodes[node]);
        let limits = &snapshot.settings.limits;
        let shared = Arc::new(Shared {
            gate: Gate::new(limits.node_connections, node_metrics.limit("node_connections")),
            status_gate: Gate::new(limits.admin_connections, node_metrics.limit("admin_connections")),
            host,
            clock,
            shutdown,
            crossings,
            pool: Pool::default(),
            trace_ids: TraceIds::new(),
            wake: Notify::new(),
            stop: CancellationToken::new(),
            config: ArcSwap::from_pointee(Config::of(&snapshot, load_balancer, node)),
            core: Mutex::new(Core {
                balancer: Balancer::new(snapshot.clone(), load_balancer, node, clock.now()),
                groups: groups(&node_metrics, &snapshot, load_balancer),
            }),
            metrics: node_metrics,
        });
        let mut listeners = Listeners::default();
        let fresh = listeners.bind_new(&shared, &snapshot, load_balancer, node).await?;
        listeners.take(&shared, fresh);
        tokio::spawn(driver::drive(shared.clone()));
        tokio::spawn({
            let shared = shared.clone();
            async move {
                tokio::select! {
                    () = shared.shutdown.draining() => shared.stop.cancel(),
                    () = shared.stop.cancelled() => {}
                }
            }
        });
        Ok(NodeHandle { shared, all_metrics: metrics, listeners: tokio::sync::Mutex::new(listeners) })
    }
}

impl NodeHandle {
    /// Moves to another generation, in which this node has the given place.
    ///
    /// New listeners open and removed ones close without touching other connections; those of a removed listener end
    /// after their running request. Errors: a new listener's address cannot be bound; the node then goes on with the
    /// old generation. Panics on an index that `snapshot` does not have.
    pub async fn set_snapshot(
        &self,
        snapshot: Arc<Snapshot>,
        load_balancer: LoadBalancerIndex,
        node: usize,
    ) -> io::Result<()> {
        let mut listeners = self.listeners.lock().await;
        let fresh = listeners.bind_new(&self.shared, &snapshot, load_balancer, node).await?;
        let limits = &snapshot.settings.limits;
        self.shared.gate.set_limit(limits.node_connections);
        self.shared.status_gate.set_limit(limits.admin_connections);
        self.shared.config.store(Arc::new(Config::of(&snapshot, load_balancer, node)));
        {
            let mut core = self.shared.core();
            core.groups = groups(&self.shared.metrics, &snapshot, load_balancer);
            core.balancer.set_snapshot(snapshot.clone(), load_balancer, node, self.shared.clock.now());
        }
        self.shared.wake.notify_one();
        listeners.take(&self.shared, fresh);
        listeners.close_others(&wanted(&snapshot, load_balancer, node));
        Ok(())
    }

    /// What the front tier is told when it samples this node.
    pub fn report(&self) -> NodeReport {
        self.shared.core().balancer.report()
    }

    /// Every target this node knows.
    pub fn status(&self) -> Vec<TargetStatus> {
        self.shared.core().balancer.targets()
    }

    /// What the node would do with a request, and why; moves nothing.
    pub fn explain(&self, listener_port: u16, head: &RequestHead<'_>) -> BalancerTrace {
        self.shared.core().balancer.explain(listener_port, head)
    }

    /// The machine the node runs on, to be broken and mended.
    pub fn host(&self) -> &Host {
        &self.shared.host
    }

    /// The figures it counts in.
    pub const fn metrics(&self) -> &Metrics {
        &self.all_metrics
    }

    /// Client connections now.
    pub fn connections(&self) -> u32 {
        self.shared.gate.inside()
    }

    /// Where each listener listens over IPv4, by its configured port: they differ only if that is 0.
    pub async fn addresses(&self) -> BTreeMap<u16, SocketAddr> {
        let listeners = self.listeners.lock().await;
        let is_ipv4 = |open: &(&Key, &Open)| open.1.address.is_ipv4();
        listeners.open.iter().filter(is_ipv4).filter_map(|(key, open)| Some((key.listener?, open.address))).collect()
    }

    /// Where the node answers questions about itself, none once it has ended.
    pub async fn status_address(&self) -> Option<SocketAddr> {
        let listeners = self.listeners.lock().await;
        listeners.open.iter().find(|(key, _)| key.listener.is_none()).map(|(_, open)| open.address)
    }

    #[cfg(test)]
    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Ends the node: listeners close, idle connections close, running requests finish. The process's `Shutdown`
    /// counts what still runs.
    pub fn stop(&self) {
        self.shared.stop.cancel();
    }
}

impl Drop for NodeHandle {
    fn drop(&mut self) {
        self.stop();
    }
}

fn groups(metrics: &NodeMetrics, snapshot: &Snapshot, lb: LoadBalancerIndex) -> Vec<Arc<GroupMetrics>> {
    snapshot.load_balancer(lb).target_groups().into_iter().map(|index| metrics.group(snapshot, index)).collect()
}

/// A socket that a configuration asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    address: SocketAddr,
    /// The listener's port, none for the status port.
    listener: Option<u16>,
}

#[derive(Debug)]
struct Open {
    /// With port 0 asked for, the port it got.
    address: SocketAddr,
    closing: CancellationToken,
}

#[derive(Debug, Default)]
struct Listeners {
    open: BTreeMap<Key, Open>,
}

fn wanted(snapshot: &Snapshot, lb: LoadBalancerIndex, node: usize) -> Vec<Key> {
    let lb = snapshot.load_balancer(lb);
    let node = &lb.nodes[node];
    let listener =
        |port| node.addresses().map(move |ip| Key { address: SocketAddr::new(ip, port), listener: Some(port) });
    let status = Key { address: SocketAddr::new(node.address, node.status_port), listener: None };
    lb.listeners.iter().flat_map(|l| listener(l.port)).chain([status]).collect()
}

impl Listeners {
    /// Binds what is wanted and not open yet; nothing is kept of it on an error.
    async fn bind_new(
        &self,
        shared: &Shared,
        snapshot: &Snapshot,
        lb: LoadBalancerIndex,
        node: usize,
    ) -> io::Result<Vec<(Key, perigee_net::HostListener)>> {
        let mut fresh = Vec::new();
        for key in wanted(snapshot, lb, node) {
            if !self.open.contains_key(&key) {
                let listener = shared.host.listen(key.address).await.map_err(|error| {
                    io::Error::new(error.kind(), format!("cannot listen on {}: {error}", key.address))
                })?;
                fresh.push((key, listener));
            }
        }
        Ok(fresh)
    }

    fn take(&mut self, shared: &Arc<Shared>, fresh: Vec<(Key, perigee_net::HostListener)>) {
        for (key, listener) in fresh {
            let closing = shared.stop.child_token();
            self.open.insert(key, Open { address: listener.local_addr(), closing: closing.clone() });
            match key.listener {
                Some(port) => {
                    shared.shutdown.spawn(connection::accept(shared.clone(), listener, port, closing));
                }
                None => {
                    tokio::spawn(status::accept(shared.clone(), listener, closing));
                }
            }
        }
    }

    fn close_others(&mut self, wanted: &[Key]) {
        self.open.retain(|key, open| {
            let stays = wanted.contains(key);
            if !stays {
                open.closing.cancel();
            }
            stays
        });
    }
}
