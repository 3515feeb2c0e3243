use std::sync::Arc;

use perigee_balance::RoundRobin;
use perigee_health::HealthState;
use perigee_model::{Instant, TargetGroup, TargetGroupIndex, TargetGroupName};

use super::member::{Member, TargetId};
use super::{Balancer, BalancerOutput};

/// A target group as one node uses it: whose turn it is and who may be chosen.
///
/// `eligible` is kept ready so that a request costs no walk over the targets; it is made anew after each change of
/// health or membership.
#[derive(Debug)]
pub(super) struct Group {
    index: Option<TargetGroupIndex>,
    delay: std::time::Duration,
    turn: RoundRobin,
    eligible: Vec<u64>,
    fail_open: bool,
}

impl Group {
    /// An empty group. Node `n` begins its turn with the `n`-th target, so that the nodes of one load balancer do not
    /// all send their first requests to the same one (Perigee's choice, instead of a random start).
    pub(super) const fn new(node: usize) -> Self {
        Self {
            index: None,
            delay: std::time::Duration::ZERO,
            turn: RoundRobin::starting_at(node),
            eligible: Vec::new(),
            fail_open: false,
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
        for (id, member) in &mut self.members {
            let group = self.groups.get(&member.group);
            let config = group.and_then(Group::index).map(|index| snapshot.target_group(index));
            let same = |t: &&perigee_model::Target| (t.address, t.port) == (member.target.address, member.target.port);
            match config.and_then(|c| Some((c, c.targets.iter().find(same)?))) {
                Some((config, target)) => {
                    member.target = target.clone();
                    member.stay(&config.health_check, now);
                }
                None if member.draining_until.is_none() => {
                    let delay = group.map_or(std::time::Duration::ZERO, |g| g.delay);
                    member.draining_until = Some(now + delay);
                    self.outputs.push_back(BalancerOutput::Draining {
                        id: *id,
                        target_group: member.group.clone(),
                        target: member.target.clone(),
                    });
                }
                None => {}
            }
        }
        let names: Vec<TargetGroupName> = self.groups.keys().cloned().collect();
        for name in &names {
            self.register_new(name, &snapshot, now);
            self.refresh(name);
        }
    }

    fn register_new(&mut self, name: &TargetGroupName, snapshot: &perigee_model::Snapshot, now: Instant) {
        let Some(index) = self.groups.get(name).and_then(Group::index) else { return };
        let config = snapshot.target_group(index);
        for target in &config.targets {
            let known = self
                .members
                .values()
                .any(|m| m.group == *name && (m.target.address, m.target.port) == (target.address, target.port));
            if !known {
                let member = Member::new(name.clone(), target.clone(), &config.health_check, now);
                self.members.insert(TargetId(self.next_id), member);
                self.next_id += 1;
            }
        }
    }

    /// Makes a group's eligible set anew (ALB guide, "Target group health"): the healthy targets, or all registered
    /// ones when fewer than the minimum are healthy.
    pub(super) fn refresh(&mut self, name: &TargetGroupName) {
        let Some(group) = self.groups.get_mut(name) else { return };
        let registered = || self.members.iter().filter(|(_, m)| m.group == *name && m.draining_until.is_none());
        let minimum = group.index.map_or(0, |i| usize::from(self.snapshot.target_group(i).routing_minimum_healthy));
        let healthy: Vec<u64> =
            registered().filter(|(_, m)| m.check.state() == HealthState::Healthy).map(|(id, _)| id.0).collect();
        group.fail_open = healthy.len() < minimum;
        group.eligible = if group.fail_open { registered().map(|(id, _)| id.0).collect() } else { healthy };
    }
}
