use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use perigee_model::{Instant, LoadBalancerIndex, LoadBalancerName, RegionCode, Snapshot};

use crate::{
    Evidence, Forced, LoadBalancerHealth, NodeHealth, NodeMonitor, NodePolicy, NodeReport, ProbeFailure, Reach, View,
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

/// Watches the nodes of every load balancer of a snapshot and holds the operator's word on them.
///
/// The front tier's knowledge of the regions: it asks for samples, takes their results and the evidence of live
/// connects, and gives a [`View`]. Deterministic: nodes are kept and asked in key order.
#[derive(Clone, Debug)]
pub struct Monitor {
    nodes: BTreeMap<NodeKey, (NodeMonitor, u16)>,
    forced: BTreeMap<(RegionCode, LoadBalancerName), Forced>,
}

impl Monitor {
    /// Watches the nodes of `snapshot`; every first sample is due at `now`.
    pub fn new(snapshot: &Snapshot, now: Instant) -> Self {
        let mut monitor = Self { nodes: BTreeMap::new(), forced: BTreeMap::new() };
        monitor.set_snapshot(snapshot, now);
        monitor
    }

    /// Moves to another generation: nodes that remain keep what is known of them, new ones start unknown.
    pub fn set_snapshot(&mut self, snapshot: &Snapshot, now: Instant) {
        let policy = NodePolicy::of(snapshot.settings.behaviour, &snapshot.settings.timing);
        let mut before = std::mem::take(&mut self.nodes);
        for lb in &snapshot.load_balancers {
            for node in &lb.nodes {
                let key = NodeKey {
                    region: snapshot.region(lb.region).code.clone(),
                    load_balancer: lb.name.clone(),
                    address: node.address,
                };
                let mut monitor = before.remove(&key).map_or_else(|| NodeMonitor::new(policy, now), |(m, _)| m);
                monitor.set_policy(policy, now);
                self.nodes.insert(key, (monitor, node.status_port));
            }
        }
    }

    /// When the next sample is due, none without nodes or while all are being sampled.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.nodes.values().filter_map(|(m, _)| m.poll_timeout()).min()
    }

    /// A sample to take at `now`; call until it gives none.
    pub fn poll_sample(&mut self, now: Instant) -> Option<Sample> {
        self.nodes.iter_mut().find_map(|(key, (monitor, port))| {
            monitor.poll_sample(now).then(|| Sample {
                node: key.clone(),
                status: SocketAddr::new(key.address, *port),
                began: now,
            })
        })
    }

    /// Takes a sample's result; one of a node that is no longer configured is dropped.
    pub fn sampled(&mut self, node: &NodeKey, result: Result<NodeReport, ProbeFailure>, began: Instant, now: Instant) {
        if let Some((monitor, _)) = self.nodes.get_mut(node) {
            monitor.sampled(result, began, now);
        }
    }

    /// Takes what a live connect to a node showed. True when the node's reach changed by it, which most do not.
    pub fn evidence(&mut self, node: &NodeKey, evidence: Evidence, now: Instant) -> bool {
        let Some((monitor, _)) = self.nodes.get_mut(node) else { return false };
        let before = monitor.reach();
        monitor.evidence(evidence, now);
        monitor.reach() != before
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
        let load_balancers =
            (0..snapshot.load_balancers.len()).map(|i| self.load_balancer(snapshot, LoadBalancerIndex(i))).collect();
        View { load_balancers }
    }

    fn load_balancer(&self, snapshot: &Snapshot, index: LoadBalancerIndex) -> LoadBalancerHealth {
        let lb = snapshot.load_balancer(index);
        let region = &snapshot.region(lb.region).code;
        let monitors: Vec<Option<&NodeMonitor>> = lb
            .nodes
            .iter()
            .map(|node| {
                let key = NodeKey { region: region.clone(), load_balancer: lb.name.clone(), address: node.address };
                self.nodes.get(&key).map(|(m, _)| m)
            })
            .collect();
        let reports = monitors.iter().map(|m| m.map_or((Reach::Unknown, None), |m| (m.reach(), m.report())));
        LoadBalancerHealth {
            measured: LoadBalancerHealth::judge(reports),
            forced: self.forced.get(&(region.clone(), lb.name.clone())).copied(),
            nodes: monitors
                .iter()
                .map(|m| NodeHealth {
                    reach: m.map_or(Reach::Unknown, NodeMonitor::reach),
                    in_service: m
                        .is_some_and(|m| m.reach() == Reach::Up && m.report().is_some_and(NodeReport::in_service)),
                    failure: m.and_then(NodeMonitor::failure),
                })
                .collect(),
        }
    }
}
