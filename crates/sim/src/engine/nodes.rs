//! Load balancer nodes and their targets: checks, and what they make of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use perigee_dataplane::{Balancer, BalancerOutput, TargetId};
use perigee_health::{NodeKey, ProbeFailure};
use perigee_model::{Instant, LoadBalancerIndex, ProbeProtocol};

use super::Engine;
use super::event::{Event, Kind};
use super::host::{Host, Mode};
use crate::trace::Did;
use crate::{Server, Stream};

/// Round trip within a region, nanoseconds (Perigee's choice: zones are within about a millisecond of each other; on one
/// machine it is a hop).
const WITHIN_REGION_NS: u64 = 500_000;

pub(super) struct Node {
    pub(super) region: usize,
    pub(super) balancer: Balancer,
    pub(super) host: Host,
    /// Counts its lives: results of an earlier one are nobody's.
    pub(super) life: u32,
    pub(super) idle_ns: u64,
    pub(super) key: NodeKey,
    armed: Option<Instant>,
    /// Targets by the number of their registration.
    target_of: Vec<u32>,
}

impl Node {
    /// Whether this is the node at `address`.
    pub(super) fn is_at(&self, address: std::net::IpAddr) -> bool {
        self.key.address == address
    }
}

/// A target's machine and its queue.
pub(super) struct TargetHost {
    pub(super) region: usize,
    pub(super) host: Host,
    pub(super) server: Server,
}

/// A check under way.
pub(super) struct Probing {
    pub(super) node: u32,
    life: u32,
    pub(super) id: TargetId,
    pub(super) result: Result<Option<u16>, ProbeFailure>,
}

impl Engine<'_> {
    pub(super) fn make_targets(&mut self) {
        let snapshot = self.snapshot.clone();
        let model = self.scenario.target_model();
        for group in &snapshot.target_groups {
            for target in &group.targets {
                let address = SocketAddr::new(target.address, target.port);
                let index = self.targets.len() as u32;
                if self.target_at.contains_key(&address) {
                    continue;
                }
                let stream = Stream::numbered(self.options.seed, "service", u64::from(index));
                let mut server = Server::new(&model, stream, self.now);
                // A scenario begins with targets that have run for long.
                server.settle();
                self.targets.push(TargetHost { region: group.region.0, host: Host::default(), server });
                self.target_at.insert(address, index);
            }
        }
    }

    pub(super) fn make_nodes(&mut self) {
        let snapshot = self.snapshot.clone();
        for (lb, config) in snapshot.load_balancers.iter().enumerate() {
            let mut nodes = Vec::new();
            for (i, node) in config.nodes.iter().enumerate() {
                let index = self.nodes.len() as u32;
                nodes.push(index);
                let groups = config.target_groups();
                let period = groups.iter().map(|g| snapshot.target_group(*g).health_check.interval).min();
                let began = self.begin_of(period.unwrap_or_default());
                let mut balancer = Balancer::new(snapshot.clone(), LoadBalancerIndex(lb), i, began);
                // Clients come when the targets have passed their first checks.
                while let Some(probe) = balancer.poll_probe(began) {
                    let status = (probe.protocol != ProbeProtocol::Tcp).then_some(200);
                    balancer.probed(probe.id, Ok(status));
                }
                while balancer.poll_output().is_some() {}
                self.nodes.push(Node {
                    region: config.region.0,
                    balancer,
                    host: Host::default(),
                    life: 0,
                    idle_ns: config.idle_timeout.as_nanos() as u64,
                    key: NodeKey {
                        region: snapshot.region(config.region).code.clone(),
                        load_balancer: config.name.clone(),
                        address: node.address,
                    },
                    armed: None,
                    target_of: Vec::new(),
                });
                self.arm_node(index);
            }
            self.nodes_of.push(nodes);
        }
    }

    /// The node that a front tier's machine calls so.
    pub(super) fn node_by_key(&self, key: &NodeKey) -> u32 {
        let found = self.nodes.iter().position(|n| n.key.address == key.address && n.key == *key);
        found.map_or_else(|| unreachable!("the machines name nodes of the snapshot"), |i| i as u32)
    }

    /// A round trip between a node and its targets.
    pub(super) const fn within_region_ns(&self) -> u64 {
        if self.each_edge { WITHIN_REGION_NS } else { (self.scenario.network.hop_us * 1e3) as u64 }
    }

    pub(super) fn arm_node(&mut self, index: u32) {
        let node = &mut self.nodes[index as usize];
        let Some(at) = node.balancer.poll_timeout().map(|at| at.max(self.now)) else { return };
        if node.armed.is_none_or(|armed| at < armed) {
            node.armed = Some(at);
            self.queue.push(at, Event::of(Kind::Probe, index));
        }
    }

    pub(super) fn probes_due(&mut self, index: u32) {
        let node = &mut self.nodes[index as usize];
        if node.armed != Some(self.now) {
            return;
        }
        node.armed = None;
        // A machine that is down checks nothing; it is armed again when it is back.
        if node.host.mode == Mode::Crashed || self.now > self.end {
            return;
        }
        node.balancer.handle_timeout(self.now);
        while let Some(probe) = self.nodes[index as usize].balancer.poll_probe(self.now) {
            let check = probe.address;
            let target = self.target_at.get(&SocketAddr::new(probe.target.address, probe.target.port)).copied();
            let (result, took) = match target {
                Some(target) => self.check(index, target, probe.protocol, probe.timeout),
                None => unreachable!("{check} is a target of the snapshot"),
            };
            let life = self.nodes[index as usize].life;
            let key = self.probings.insert(Probing { node: index, life, id: probe.id, result });
            self.push(self.later(took), Kind::ProbeDone, key);
        }
        self.node_says(index);
        self.arm_node(index);
    }

    /// What a check that a node makes now will say, and after how many nanoseconds.
    fn check(
        &mut self,
        node: u32,
        target: u32,
        protocol: ProbeProtocol,
        timeout: Duration,
    ) -> (Result<Option<u16>, ProbeFailure>, u64) {
        let hop = self.within_region_ns();
        let limit = timeout.as_nanos() as u64;
        let late = (Err(ProbeFailure::Timeout), limit);
        let target = &self.targets[target as usize];
        match target.host.mode {
            _ if self.nodes[node as usize].host.mode == Mode::Dark => return late,
            Mode::Crashed => return (Err(ProbeFailure::Connection), hop),
            Mode::Dark => return late,
            Mode::Up => {}
        }
        if protocol == ProbeProtocol::Tcp {
            return (Ok(None), hop);
        }
        if self.errors.chance(target.host.error_share) {
            return (Ok(Some(500)), 2 * hop);
        }
        // The check stands in the line as everybody does.
        let wait = target.server.wait(self.now).as_nanos() as u64;
        let took = 2 * hop + wait + target.host.delay.as_nanos() as u64;
        if took < limit { (Ok(Some(200)), took) } else { late }
    }

    pub(super) fn probe_done(&mut self, index: u32) {
        let Some(probing) = self.probings.remove(index) else { return };
        if self.nodes[probing.node as usize].life != probing.life {
            return;
        }
        let result = self.audit_probed(&probing);
        self.nodes[probing.node as usize].balancer.probed(probing.id, result);
        self.node_says(probing.node);
        self.arm_node(probing.node);
    }

    /// Hears what a node's machine has to say.
    pub(super) fn node_says(&mut self, index: u32) {
        let mut changed = false;
        while let Some(output) = self.nodes[index as usize].balancer.poll_output() {
            if let BalancerOutput::Health { target, transition, .. } = output {
                changed = true;
                let address = SocketAddr::new(target.address, target.port);
                let target = self.target_at.get(&address).copied().unwrap_or(u32::MAX);
                let detail = (u64::from(target) << 8) | transition.to as u64;
                self.trace.note(self.now, Did::Target, u64::from(index), detail);
            }
        }
        if changed {
            self.world_changed();
        }
    }

    /// The target behind a registration at a node.
    pub(super) fn target_of(&mut self, node: u32, id: TargetId, address: SocketAddr) -> u32 {
        let known = &mut self.nodes[node as usize].target_of;
        let at = id.0 as usize;
        if known.len() <= at {
            known.resize(at + 1, u32::MAX);
        }
        if known[at] == u32::MAX {
            known[at] = look_up(&self.target_at, address);
        }
        known[at]
    }
}

fn look_up(targets: &BTreeMap<SocketAddr, u32>, address: SocketAddr) -> u32 {
    match targets.get(&address) {
        Some(target) => *target,
        None => unreachable!("{address} is a target of the snapshot"),
    }
}
