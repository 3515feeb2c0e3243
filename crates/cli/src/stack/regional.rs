use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use perigee_alb::{Common, Node, NodeHandle};
use perigee_health::TargetState;
use perigee_model::{LoadBalancerIndex, RegionCode, Snapshot};
use perigee_net::{Clock, Crossings, Shutdown};
use perigee_target::{App, Identity};
use prometheus_client::registry::Registry;
use tracing::{info, warn};

use super::{NodeFilter, Parts, TargetFilter};
use crate::hosts::{HostKey, Hosts};

/// The regional tier of this process: load balancer nodes and built-in targets, as the snapshot has them.
#[derive(Debug)]
pub(crate) struct Regional {
    nodes: Mutex<BTreeMap<HostKey, Arc<NodeHandle>>>,
    targets: Mutex<BTreeMap<HostKey, Shutdown>>,
    nodes_common: Common,
    targets_end: Shutdown,
}

impl Regional {
    /// Starts the nodes and targets of `parts`.
    ///
    /// Errors: an address cannot be bound, or a filter names nothing of the snapshot.
    pub(crate) async fn start(
        snapshot: &Arc<Snapshot>,
        parts: &Parts,
        hosts: &Hosts,
        registry: &mut Registry,
        clock: Clock,
        crossings: Crossings,
    ) -> Result<Self, String> {
        let regional = Self {
            nodes: Mutex::default(),
            targets: Mutex::default(),
            nodes_common: Common { metrics: Default::default(), clock, shutdown: Shutdown::new(), crossings },
            targets_end: Shutdown::new(),
        };
        if parts.nodes.is_some() {
            regional.nodes_common.metrics.register(registry.sub_registry_with_prefix("perigee"));
        }
        let problems = regional.set_snapshot(snapshot, parts, hosts).await;
        if let Some(problem) = problems.into_iter().next() {
            return Err(problem);
        }
        if parts.nodes.is_some() && regional.lock_nodes().is_empty() {
            return Err("no load balancer node of the configuration is in that region and zone".to_owned());
        }
        let named = parts.targets.as_ref().is_some_and(|t| t.target.is_some());
        if named && regional.lock_targets().is_empty() {
            return Err("no target of the configuration has that region and address".to_owned());
        }
        Ok(regional)
    }

    /// Follows a snapshot: starts what is new, tells what stays, ends what is gone. Gives what could not be started.
    pub(crate) async fn set_snapshot(&self, snapshot: &Arc<Snapshot>, parts: &Parts, hosts: &Hosts) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(filter) = &parts.targets {
            self.follow_targets(targets(snapshot, filter), filter.lenient, hosts, &mut problems).await;
        }
        if let Some(filter) = &parts.nodes {
            self.follow_nodes(snapshot, nodes(snapshot, filter), hosts, &mut problems).await;
        }
        problems
    }

    async fn follow_nodes(
        &self,
        snapshot: &Arc<Snapshot>,
        wanted: BTreeMap<HostKey, (LoadBalancerIndex, usize)>,
        hosts: &Hosts,
        problems: &mut Vec<String>,
    ) {
        let gone: Vec<(HostKey, Arc<NodeHandle>)> = {
            let mut nodes = self.lock_nodes();
            let gone =
                nodes.iter().filter(|(k, _)| !wanted.contains_key(k)).map(|(k, n)| (k.clone(), n.clone())).collect();
            nodes.retain(|key, _| wanted.contains_key(key));
            gone
        };
        for (key, node) in gone {
            info!(?key, "node is gone from the configuration: it drains");
            node.stop();
            hosts.remove(&key);
        }
        for (key, (load_balancer, index)) in wanted {
            let running = self.lock_nodes().get(&key).cloned();
            match running {
                Some(node) => {
                    if let Err(error) = node.set_snapshot(snapshot.clone(), load_balancer, index).await {
                        problems.push(format!("{key:?}: {error}"));
                    }
                }
                None => {
                    let started =
                        Node::start(hosts.get(&key), snapshot.clone(), load_balancer, index, self.nodes_common.clone());
                    match started.await {
                        Ok(node) => {
                            self.lock_nodes().insert(key, Arc::new(node));
                        }
                        Err(error) => problems.push(format!("a load balancer node cannot listen: {error}")),
                    }
                }
            }
        }
    }

    async fn follow_targets(
        &self,
        wanted: BTreeMap<HostKey, (SocketAddr, Identity)>,
        lenient: bool,
        hosts: &Hosts,
        problems: &mut Vec<String>,
    ) {
        let gone: Vec<(HostKey, Shutdown)> = {
            let mut targets = self.lock_targets();
            let gone =
                targets.iter().filter(|(k, _)| !wanted.contains_key(k)).map(|(k, s)| (k.clone(), s.clone())).collect();
            targets.retain(|key, _| wanted.contains_key(key));
            gone
        };
        for (key, shutdown) in gone {
            shutdown.begin();
            hosts.remove(&key);
        }
        for (key, (address, identity)) in wanted {
            if self.lock_targets().contains_key(&key) {
                continue;
            }
            let host = hosts.get(&key);
            match host.listen(address).await {
                Ok(listener) => {
                    let shutdown = Shutdown::new();
                    let serve = perigee_target::serve(listener, host, Arc::new(App::new(identity)), shutdown.clone());
                    shutdown.spawn(serve);
                    let (all, one) = (self.targets_end.clone(), shutdown.clone());
                    tokio::spawn(async move {
                        all.draining().await;
                        one.begin();
                    });
                    self.lock_targets().insert(key, shutdown);
                }
                Err(error) if lenient => {
                    // Any other HTTP server may be registered as a target.
                    warn!(%address, %error, "not ours to serve: the target there is somebody else's program, or nobody's");
                    hosts.remove(&key);
                }
                Err(error) => problems.push(format!("the target cannot listen on {address}: {error}")),
            }
        }
    }

    /// The nodes of this process.
    pub(crate) fn nodes(&self) -> Vec<(HostKey, Arc<NodeHandle>)> {
        self.lock_nodes().iter().map(|(k, n)| (k.clone(), n.clone())).collect()
    }

    /// Whether some node of the region has not judged any of its targets yet.
    pub(crate) fn is_initial(&self, region: &RegionCode) -> bool {
        self.nodes().iter().any(|(key, node)| {
            matches!(key, HostKey::Node { region: r, .. } if r == region)
                && !node.status().is_empty()
                && node.status().iter().all(|t| t.state == TargetState::Initial)
        })
    }

    /// Nodes finish their requests and tell their clients to close.
    pub(crate) fn drain_nodes(&self) {
        self.nodes_common.shutdown.begin();
    }

    /// Waits for the nodes' end; gives how many connections were left.
    pub(crate) async fn finish_nodes(&self, limit: Duration) -> usize {
        self.nodes_common.shutdown.finish(limit).await
    }

    /// Ends the targets; gives how many connections were left.
    pub(crate) async fn finish_targets(&self, limit: Duration) -> usize {
        self.targets_end.begin();
        let targets: Vec<Shutdown> = self.lock_targets().values().cloned().collect();
        let mut ending = tokio::task::JoinSet::new();
        for target in targets {
            ending.spawn(async move { target.finish(limit).await });
        }
        ending.join_all().await.into_iter().sum()
    }

    fn lock_nodes(&self) -> MutexGuard<'_, BTreeMap<HostKey, Arc<NodeHandle>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_targets(&self) -> MutexGuard<'_, BTreeMap<HostKey, Shutdown>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn nodes(snapshot: &Snapshot, filter: &NodeFilter) -> BTreeMap<HostKey, (LoadBalancerIndex, usize)> {
    let mut wanted = BTreeMap::new();
    for (i, lb) in snapshot.load_balancers.iter().enumerate() {
        let region = &snapshot.region(lb.region).code;
        for (n, node) in lb.nodes.iter().enumerate() {
            let is_wanted = filter.region.as_ref().is_none_or(|r| region.as_str() == r)
                && filter.zone.as_ref().is_none_or(|z| node.zone.as_str() == z);
            if is_wanted {
                let key = HostKey::Node {
                    region: region.clone(),
                    zone: node.zone.clone(),
                    load_balancer: lb.name.clone(),
                    address: node.address,
                };
                wanted.insert(key, (LoadBalancerIndex(i), n));
            }
        }
    }
    wanted
}

fn targets(snapshot: &Snapshot, filter: &TargetFilter) -> BTreeMap<HostKey, (SocketAddr, Identity)> {
    let mut wanted = BTreeMap::new();
    for group in &snapshot.target_groups {
        let region = &snapshot.region(group.region).code;
        for target in &group.targets {
            let address = SocketAddr::new(target.address, target.port);
            let is_named = |name: &String| *name == address.to_string() || *name == address.ip().to_string();
            let is_wanted = filter.region.as_ref().is_none_or(|r| region.as_str() == r)
                && filter.target.as_ref().is_none_or(is_named);
            if is_wanted {
                let identity =
                    Identity { target: address.to_string(), zone: target.zone.to_string(), region: region.to_string() };
                let key = HostKey::Target { region: region.clone(), zone: target.zone.clone(), address };
                wanted.insert(key, (address, identity));
            }
        }
    }
    wanted
}
