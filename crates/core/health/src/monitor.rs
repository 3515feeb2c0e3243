use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use perigee_model::{Instant, LoadBalancerIndex, LoadBalancerName, LoadBalancerNode, RegionCode, Snapshot};

use crate::{
    Evidence, Forced, LoadBalancerHealth, NodeHealth, NodeMonitor, NodePolicy, NodeReport, ProbeFailure, ProbedView,
    Reach, View,
};

/// A node, by what stays the same over generations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeKey {
    /// Its region.
    pub region: RegionCode,
    /// Its load balancer.
    pub load_balancer: LoadBalancerName,
    /// Its address.
    pub address: IpAddr,
}

/// A sample that the shell is to take: ask the node at `status` about its target groups, then call
/// [`Monitor::sampled`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The node.
    pub node: NodeKey,
    /// Where it answers.
    pub status: SocketAddr,
    /// When the sample began; handed back with the result.
    pub began: Instant,
}

/// One node with what it is to the snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Watched {
    key: NodeKey,
    monitor: NodeMonitor,
    status_port: u16,
    load_balancer: LoadBalancerIndex,
}

/// Watches the nodes of every load balancer of a snapshot and holds the operator's word on them.
///
/// The front tier's knowledge of the regions: it asks for samples, takes their results and the evidence of live
/// connects, and gives a [`View`]. Deterministic: nodes are kept and asked in key order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// In key order.
    nodes: Vec<Watched>,
    /// By load balancer of the snapshot: positions in `nodes`, in the snapshot's order.
    members: Vec<Box<[usize]>>,
    forced: BTreeMap<(RegionCode, LoadBalancerName), Forced>,
}

impl Monitor {
    /// Watches the nodes of `snapshot`; every first sample is due at `now`.
    pub fn new(snapshot: &Snapshot, now: Instant) -> Self {
        let mut monitor = Self { nodes: Vec::new(), members: Vec::new(), forced: BTreeMap::new() };
        monitor.set_snapshot(snapshot, now);
        monitor
    }

    /// Moves to another generation: nodes that remain keep what is known of them, new ones start unknown.
    pub fn set_snapshot(&mut self, snapshot: &Snapshot, now: Instant) {
        let policy = NodePolicy::of(snapshot.settings.behaviour, &snapshot.settings.timing);
        let before = std::mem::take(&mut self.nodes);
        let mut before: BTreeMap<NodeKey, NodeMonitor> = before.into_iter().map(|w| (w.key, w.monitor)).collect();
        let mut after: BTreeMap<NodeKey, (NodeMonitor, u16, LoadBalancerIndex)> = BTreeMap::new();
        let indices = (0..snapshot.load_balancers.len()).map(LoadBalancerIndex);
        for index in indices.clone() {
            for node in &snapshot.load_balancer(index).nodes {
                let key = node_key(snapshot, index, node);
                let mut monitor = before.remove(&key).unwrap_or_else(|| NodeMonitor::new(policy, now));
                monitor.set_policy(policy, now);
                after.insert(key, (monitor, node.status_port, index));
            }
        }
        self.nodes = after
            .into_iter()
            .map(|(key, (monitor, status_port, load_balancer))| Watched { key, monitor, status_port, load_balancer })
            .collect();
        self.members = indices
            .map(|index| {
                let nodes = snapshot.load_balancer(index).nodes.iter();
                nodes.filter_map(|node| self.find(&node_key(snapshot, index, node))).collect()
            })
            .collect();
    }

    /// When the next sample is due, none without nodes or while all are being sampled.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.nodes.iter().filter_map(|w| w.monitor.poll_timeout()).min()
    }

    /// Whether further samples like the last ones would change nothing, at every node ([`NodeMonitor::is_settled`]).
    pub fn is_settled(&self) -> bool {
        self.nodes.iter().all(|w| w.monitor.is_settled())
    }

    /// The same, but samples may be under way ([`NodeMonitor::is_steady`]).
    pub fn is_steady(&self) -> bool {
        self.nodes.iter().all(|w| w.monitor.is_steady())
    }

    /// Leaves out the samples before `now` of every node that is settled ([`NodeMonitor::skip_to`]): the state
    /// afterwards is exactly as if they had been taken with the same results as the last ones. Nodes that are not
    /// settled keep their schedule.
    pub fn skip_to(&mut self, now: Instant) {
        self.nodes.iter_mut().for_each(|w| w.monitor.skip_to(now));
    }

    /// The same for one node; one that is not configured is nobody's.
    pub fn skip_node_to(&mut self, node: &NodeKey, now: Instant) {
        if let Some(at) = self.find(node) {
            self.nodes[at].monitor.skip_to(now);
        }
    }

    /// A sample to take at `now`; call until it gives none.
    pub fn poll_sample(&mut self, now: Instant) -> Option<Sample> {
        self.nodes.iter_mut().find_map(|w| {
            w.monitor.poll_sample(now).then(|| Sample {
                node: w.key.clone(),
                status: SocketAddr::new(w.key.address, w.status_port),
                began: now,
            })
        })
    }

    /// Takes a sample's result; one of a node that is no longer configured is dropped. Gives the load balancer whose
    /// health may have changed by it, none if what is known of the node is what was known before.
    pub fn sampled(
        &mut self,
        node: &NodeKey,
        result: Result<NodeReport, ProbeFailure>,
        began: Instant,
        now: Instant,
    ) -> Option<LoadBalancerIndex> {
        let at = self.find(node)?;
        let watched = &mut self.nodes[at];
        let news = watched.monitor.sampled(result, began, now);
        news.then_some(watched.load_balancer)
    }

    /// Takes what a live connect to a node showed. Gives its load balancer when the node's reach changed by it, which
    /// most do not.
    pub fn evidence(&mut self, node: &NodeKey, evidence: Evidence, now: Instant) -> Option<LoadBalancerIndex> {
        let at = self.find(node)?;
        let watched = &mut self.nodes[at];
        let before = watched.monitor.reach();
        watched.monitor.evidence(evidence, now);
        (watched.monitor.reach() != before).then_some(watched.load_balancer)
    }

    /// Sets or withdraws the operator's word on a load balancer. It outlives reloads.
    pub fn force(&mut self, region: &RegionCode, load_balancer: &LoadBalancerName, forced: Option<Forced>) {
        let key = (region.clone(), load_balancer.clone());
        match forced {
            Some(forced) => self.forced.insert(key, forced),
            None => self.forced.remove(&key),
        };
    }

    /// The health of the load balancers of `snapshot`, which must be the one the monitor was last given.
    pub fn view(&self, snapshot: &Snapshot) -> View {
        let indices = (0..snapshot.load_balancers.len()).map(LoadBalancerIndex);
        let load_balancers = indices.map(|index| self.load_balancer(snapshot, index)).collect();
        View { load_balancers, checks: Vec::new(), probed: ProbedView::default() }
    }

    /// The health of one load balancer of `snapshot`, which must be the one the monitor was last given.
    pub fn load_balancer(&self, snapshot: &Snapshot, index: LoadBalancerIndex) -> LoadBalancerHealth {
        let lb = snapshot.load_balancer(index);
        let monitors = self.members[index.0].iter().map(|at| &self.nodes[*at].monitor);
        LoadBalancerHealth {
            measured: LoadBalancerHealth::judge(monitors.clone().map(|m| (m.reach(), m.report()))),
            forced: self.forced.get(&(snapshot.region(lb.region).code.clone(), lb.name.clone())).copied(),
            nodes: monitors
                .map(|m| NodeHealth {
                    reach: m.reach(),
                    in_service: m.reach() == Reach::Up && m.report().is_some_and(NodeReport::in_service),
                    failure: m.failure(),
                })
                .collect(),
        }
    }

    fn find(&self, node: &NodeKey) -> Option<usize> {
        self.nodes.binary_search_by(|w| w.key.cmp(node)).ok()
    }
}

fn node_key(snapshot: &Snapshot, index: LoadBalancerIndex, node: &LoadBalancerNode) -> NodeKey {
    let lb = snapshot.load_balancer(index);
    NodeKey { region: snapshot.region(lb.region).code.clone(), load_balancer: lb.name.clone(), address: node.address }
}

#[cfg(test)]
#[path = "monitor/tests.rs"]
mod tests;
