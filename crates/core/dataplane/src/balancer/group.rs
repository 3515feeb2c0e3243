use std::sync::Arc;

use perigee_balance::RoundRobin;
use perigee_health::{GroupReport, HealthState};
use perigee_model::{Instant, Snapshot, Target, TargetGroup, TargetGroupIndex, TargetGroupName};

use super::member::{Member, TargetId};
use super::{Balancer, BalancerOutput};

/// A target group as one node uses it: whose turn it is and who may be chosen.
///
/// `eligible` and the counts are kept ready so that neither a request nor a report costs a walk over the targets; they
/// are made anew after each change of health or membership.
#[derive(Debug)]
pub(super) struct Group {
    name: TargetGroupName,
    index: Option<TargetGroupIndex>,
    delay: std::time::Duration,
    turn: RoundRobin,
    eligible: Vec<u64>,
    fail_open: bool,
    healthy: usize,
    initial: usize,
    registered: usize,
}

impl Group {
    /// An empty group. Node `n` begins its turn with the `n`-th target, so that the nodes of one load balancer do not
    /// all send their first requests to the same one (Perigee's choice, instead of a random start).
    pub(super) const fn new(name: TargetGroupName, node: usize) -> Self {
        Self {
            name,
            index: None,
            delay: std::time::Duration::ZERO,
            turn: RoundRobin::starting_at(node),
            eligible: Vec::new(),
            fail_open: false,
            healthy: 0,
            initial: 0,
            registered: 0,
        }
    }

    pub(super) const fn name(&self) -> &TargetGroupName {
        &self.name
    }

    /// What the front tier is told of it.
    pub(super) fn report(&self, config: &TargetGroup) -> GroupReport {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        GroupReport {
            name: self.name.as_str().to_owned(),
            healthy: count(self.healthy),
            initial: count(self.initial),
            registered: count(self.registered),
            passes_dns: self.healthy >= usize::from(config.dns_minimum_healthy),
        }
    }

    pub(super) const fn leave(&mut self) {
        self.index = None;
    }

    pub(super) const fn join(&mut self, index: TargetGroupIndex, config: &TargetGroup) {
        self.index = Some(index);
        self.delay = config.deregistration_delay;
    }

    /// Its place in the snapshot, none once no listener refers to it.
    pub(super) const fn index(&self) -> Option<TargetGroupIndex> {
        self.index
    }

    pub(super) const fn is_attached(&self) -> bool {
        self.index.is_some()
    }

    pub(super) const fn fail_open(&self) -> bool {
        self.fail_open
    }

    pub(super) fn pick(&mut self) -> Option<TargetId> {
        self.turn.pick(&self.eligible).map(TargetId)
    }

    pub(super) fn peek(&self) -> Option<TargetId> {
        self.turn.peek(&self.eligible).map(TargetId)
    }

    pub(super) fn is_eligible(&self, id: TargetId) -> bool {
        self.eligible.binary_search(&id.0).is_ok()
    }
}

impl Balancer {
    /// Brings the members in line with the snapshot.
    pub(super) fn reconcile_members(&mut self, now: Instant) {
        let snapshot = Arc::clone(&self.snapshot);
        for at in 0..self.members.len() {
            let group = self.find_group(&self.members[at].group).ok().map(|group| &self.groups[group]);
            let member = &mut self.members[at];
            let config = group.and_then(Group::index).map(|index| snapshot.target_group(index));
            let same = |t: &&Target| (t.address, t.port) == (member.target.address, member.target.port);
            match config.and_then(|c| Some((c, c.targets.iter().find(same)?))) {
                Some((config, target)) => {
                    member.target = target.clone();
                    member.stay(&config.health_check, now);
                }
                None if member.draining_until.is_none() => {
                    let delay = group.map_or(std::time::Duration::ZERO, |g| g.delay);
                    member.draining_until = Some(now + delay);
                    self.outputs.push_back(BalancerOutput::Draining {
                        id: member.id,
                        target_group: member.group.clone(),
                        target: member.target.clone(),
                    });
                }
                None => {}
            }
        }
        for group in 0..self.groups.len() {
            self.register_new(group, &snapshot, now);
            self.refresh(group);
        }
    }

    fn register_new(&mut self, group: usize, snapshot: &Snapshot, now: Instant) {
        let group = &self.groups[group];
        let Some(index) = group.index() else { return };
        let config = snapshot.target_group(index);
        for target in &config.targets {
            let is_it = |m: &Member| {
                m.group == group.name && (m.target.address, m.target.port) == (target.address, target.port)
            };
            if !self.members.iter().any(is_it) {
                let id = TargetId(self.next_id);
                self.members.push(Member::new(id, group.name.clone(), target.clone(), &config.health_check, now));
                self.next_id += 1;
            }
        }
    }

    /// Makes a group's eligible set anew (ALB guide, "Target group health"): the healthy targets, or all registered
    /// ones when fewer than the minimum are healthy.
    pub(super) fn refresh(&mut self, group: usize) {
        let group = &mut self.groups[group];
        let registered = self.members.iter().filter(|m| m.draining_until.is_none() && m.group == group.name);
        let in_state = |state| registered.clone().filter(move |m| m.check.state() == state);
        let minimum = group.index.map_or(0, |i| usize::from(self.snapshot.target_group(i).routing_minimum_healthy));
        group.registered = registered.clone().count();
        group.initial = in_state(HealthState::Initial).count();
        let healthy: Vec<u64> = in_state(HealthState::Healthy).map(|m| m.id.0).collect();
        group.healthy = healthy.len();
        group.fail_open = healthy.len() < minimum;
        group.eligible = if group.fail_open { registered.map(|m| m.id.0).collect() } else { healthy };
    }
}
