//! The auditor: looks on while a run goes by and compares what is done with rules of its own.
//!
//! It hears what the machines are told and sees what they decide, but asks none of them why. Its worlds are the
//! fuzzer's: one load balancer, one target group and one endpoint group in each region.

mod calm;
mod flows;
mod health;
mod law;
mod names;
mod reached;
mod requests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use perigee_dataplane::EdgeView;
use perigee_geo::PopIndex;
use perigee_health::{ProbeFailure, Reach};
use perigee_model::Instant;

use super::host::Mode;
use super::nodes::Probing;
use super::{Engine, seconds};
use crate::zero::ZERO;
pub(crate) use calm::{healed_s, patience};
use health::Reference;
pub(crate) use reached::{Counts, NAMES, Reached};

/// A rule that did not hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) at_s: f64,
    /// The rule, in a few words.
    pub(crate) rule: &'static str,
    /// What was seen.
    pub(crate) text: String,
    /// The decision in the machines' own words, where there is one.
    pub(crate) explanation: String,
}

/// How a check of a target ended: a status, a connect without one, or a failure.
pub(crate) type Checked = Result<Option<u16>, ProbeFailure>;

/// What a node is told of a check that ended so: the truth, unless a test wants to see whether a lie is noticed.
pub(crate) type Teller = fn(Checked) -> Checked;

/// Everything the auditor remembers.
pub(crate) struct Audit {
    pub(crate) found: Option<Found>,
    pub(crate) counts: Counts,
    teller: Teller,
    /// By node.
    targets: Vec<Reference>,
    /// Flows by region, by generation of the configuration, edge and load, while the edge took everything for healthy.
    flows: BTreeMap<(u64, usize, u32), Vec<u64>>,
    /// The dials of each generation in which a flow was judged.
    dials: Vec<(u64, Vec<f64>)>,
    /// Where a client went last from a front tier, under `SOURCE_IP`.
    last: BTreeMap<(usize, IpAddr), (Arc<EdgeView>, PopIndex, usize)>,
    /// By place of a job: the node that its flow was joined to.
    bonds: Vec<Option<u32>>,
    /// By place of a job: its target, and when it was sent there.
    served: Vec<Option<(u32, Instant)>>,
    /// Since when each is up; none while it is not.
    nodes_up: Vec<Option<Instant>>,
    targets_up: Vec<Option<Instant>>,
    edges_up: Vec<Option<Instant>>,
    started: u64,
    failed: u64,
    calm: calm::Calm,
}

impl Audit {
    pub(super) fn found(&mut self, at: Instant, rule: &'static str, text: String, explanation: String) {
        self.found.get_or_insert_with(|| Found { at_s: seconds(at), rule, text, explanation });
    }
}

fn place<T: Clone>(list: &mut Vec<Option<T>>, index: u32) -> &mut Option<T> {
    let at = index as usize;
    if list.len() <= at {
        list.resize(at + 1, None);
    }
    &mut list[at]
}

/// What the engine tells the auditor; each does nothing in a run without one.
impl Engine<'_> {
    /// Lets an auditor look on from the beginning.
    pub(super) fn begin_audit(&mut self, teller: Teller) {
        let snapshot = &self.snapshot;
        let mut targets = Vec::new();
        for lb in &snapshot.load_balancers {
            let group = snapshot.target_group(lb.target_groups()[0]);
            let check = &group.health_check;
            let least = group.routing_minimum_healthy;
            let (healthy, unhealthy) = (check.healthy_threshold, check.unhealthy_threshold);
            targets.extend(lb.nodes.iter().map(|_| Reference::new(healthy, unhealthy, least, group.targets.len())));
        }
        self.audit = Some(Box::new(Audit {
            found: None,
            counts: Counts::default(),
            teller,
            targets,
            flows: BTreeMap::new(),
            dials: Vec::new(),
            last: BTreeMap::new(),
            bonds: Vec::new(),
            served: Vec::new(),
            nodes_up: vec![Some(ZERO); self.nodes.len()],
            targets_up: vec![Some(ZERO); self.targets.len()],
            edges_up: vec![Some(ZERO); self.edges.len()],
            started: 0,
            failed: 0,
            calm: calm::Calm::of(self),
        }));
    }

    /// A check of a target is over; gives what the node is to be told.
    pub(super) fn audit_probed(&mut self, probing: &Probing) -> Checked {
        let Some(audit) = &mut self.audit else { return probing.result };
        let fell = audit.targets[probing.node as usize].checked(probing.id.0 as usize, probing.result);
        audit.counts.add(Reached::TargetsFell, u64::from(fell));
        (audit.teller)(probing.result)
    }

    /// A node was started again.
    pub(super) fn audit_restarted(&mut self, node: u32) {
        if let Some(audit) = &mut self.audit {
            audit.targets[node as usize].restarted();
            audit.counts.add(Reached::NodeRestarts, 1);
        }
    }

    /// Something was broken or mended.
    pub(super) fn audit_modes(&mut self) {
        let Some(audit) = &mut self.audit else { return };
        let now = self.now;
        let note = |up: &mut Option<Instant>, mode: Mode| {
            *up = (mode == Mode::Up).then(|| up.unwrap_or(now));
        };
        audit.nodes_up.iter_mut().zip(&self.nodes).for_each(|(up, n)| note(up, n.host.mode));
        audit.targets_up.iter_mut().zip(&self.targets).for_each(|(up, t)| note(up, t.host.mode));
        audit.edges_up.iter_mut().zip(&self.edges).for_each(|(up, e)| note(up, e.mode));
    }

    /// A request begins.
    pub(super) fn audit_begun(&mut self, index: u32) {
        let Some(audit) = &mut self.audit else { return };
        audit.started += 1;
        *place(&mut audit.bonds, index) = None;
        *place(&mut audit.served, index) = None;
        if audit.calm.begins(self.now) {
            self.audit_calm();
        }
    }

    /// A front tier's view of its load balancers, for the counts.
    pub(super) fn audit_learned(&mut self, front: usize, healthy: bool) {
        let Some(audit) = &mut self.audit else { return };
        audit.counts.add(Reached::FrontsLostRegion, u64::from(!healthy));
        let nodes = self.fronts[front].edge.view().health.load_balancers.iter().flat_map(|lb| &lb.nodes);
        let held = nodes.filter(|n| n.reach == Reach::Recovering).count();
        audit.counts.add(Reached::HeldBack, held as u64);
    }
}
