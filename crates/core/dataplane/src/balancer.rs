//! One load balancer node's machine: rules, target choice, target health, deregistration.

mod explain;
mod group;
mod member;
mod routing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use perigee_health::{GroupReport, HealthState, NodeReport, ProbeFailure};
use perigee_model::{Action, Instant, LoadBalancerIndex, LoadBalancerNode, Snapshot, TargetGroupName};
use perigee_rules::{Matcher, RequestHead};

pub use explain::{BalancerTrace, TargetTrace};
use group::Group;
use member::Member;
pub use member::{TargetId, TargetStatus};
pub use routing::{BalancerOutput, Forward, Probe, RequestToken, RespondReason, Routing};

/// One node of a load balancer: says where each request goes and judges its targets.
///
/// A machine without sockets or clock. Its driver calls [`Self::route`] for each request and
/// [`Self::request_finished`] once the request is over; calls [`Self::handle_timeout`] when [`Self::poll_timeout`] has
/// come, takes probes from [`Self::poll_probe`] and answers them by [`Self::probed`]; and drains
/// [`Self::poll_output`] after each of these.
///
/// ```text
///   registered:  initial --> healthy <--> unhealthy        (perigee_health::Check)
///                   |           |             |
///                   +-----------+-------------+  left the snapshot
///                               v
///                            draining --> gone             (after the deregistration delay)
///                               |
///                               +--> initial               (back in the snapshot before that)
/// ```
///
/// New requests go to healthy targets; if fewer than the group's minimum are healthy, to all registered ones (fail
/// open); never to draining ones. State is this node's own: nodes share nothing.
///
/// Source: ALB guide, "Target groups", "Target group health", "Deregistration delay"; a target that comes back while
/// draining starts again as initial and keeps its running requests (Perigee's choice: the original refuses that for
/// addresses, but a configuration file has nobody to refuse to).
#[derive(Debug)]
pub struct Balancer {
    snapshot: Arc<Snapshot>,
    load_balancer: LoadBalancerIndex,
    node: usize,
    matchers: BTreeMap<u16, Matcher>,
    groups: BTreeMap<TargetGroupName, Group>,
    members: BTreeMap<TargetId, Member>,
    next_id: u64,
    outputs: VecDeque<BalancerOutput>,
}

impl Balancer {
    /// The machine of the `node`-th node of the load balancer at `load_balancer`; all targets are initial and their
    /// first checks due at `now`.
    ///
    /// Panics on an index that `snapshot` does not have.
    pub fn new(snapshot: Arc<Snapshot>, load_balancer: LoadBalancerIndex, node: usize, now: Instant) -> Self {
        let mut balancer = Self {
            snapshot: snapshot.clone(),
            load_balancer,
            node,
            matchers: BTreeMap::new(),
            groups: BTreeMap::new(),
            members: BTreeMap::new(),
            next_id: 0,
            outputs: VecDeque::new(),
        };
        balancer.set_snapshot(snapshot, load_balancer, node, now);
        balancer
    }

    /// Moves to another generation, in which this node has the given place.
    ///
    /// Targets that stay (same group name, address and port) keep their health, turn and running requests; those that
    /// left drain for the group's deregistration delay, the new one if the group still exists; new ones start initial
    /// with a check due at `now`. Panics on an index that `snapshot` does not have.
    pub fn set_snapshot(
        &mut self,
        snapshot: Arc<Snapshot>,
        load_balancer: LoadBalancerIndex,
        node: usize,
        now: Instant,
    ) {
        let lb = snapshot.load_balancer(load_balancer);
        self.matchers = lb.listeners.iter().map(|l| (l.port, Matcher::compile(l))).collect();
        for group in self.groups.values_mut() {
            group.leave();
        }
        for index in lb.target_groups() {
            let config = snapshot.target_group(index);
            let group = self.groups.entry(config.name.clone()).or_insert_with(|| Group::new(node));
            group.join(index, config);
        }
        self.snapshot = snapshot;
        self.load_balancer = load_balancer;
        self.node = node;
        self.reconcile_members(now);
        self.handle_timeout(now);
    }

    /// Where a request that came in on `listener_port` goes. A forwarded request counts as running on its target
    /// until its token comes back by [`Self::request_finished`].
    pub fn route(&mut self, listener_port: u16, head: &RequestHead<'_>) -> Routing {
        let Some(matcher) = self.matchers.get(&listener_port) else {
            return Routing::Respond { status: 503, reason: RespondReason::NoListener { port: listener_port } };
        };
        let matched = matcher.decide(head);
        let Action::Forward { target_group } = matched.action;
        let name = &self.snapshot.target_group(target_group).name;
        let choice = self.groups.get_mut(name).and_then(|group| Some((group.pick()?, group.fail_open())));
        let Some((id, fail_open)) = choice else {
            return Routing::Respond {
                status: 503,
                reason: RespondReason::NoRegisteredTargets { target_group: name.clone() },
            };
        };
        let Some(member) = self.members.get_mut(&id) else {
            unreachable!("a group's eligible targets are members");
        };
        member.in_flight += 1;
        Routing::Forward(Forward {
            token: RequestToken(id),
            target_group,
            target: member.target.clone(),
            fail_open,
            rule: matched.priority,
        })
    }

    /// Takes note that a request is over, however it ended. One whose target is gone meanwhile changes nothing.
    pub fn request_finished(&mut self, token: RequestToken) {
        if let Some(member) = self.members.get_mut(&token.0) {
            member.in_flight = member.in_flight.saturating_sub(1);
        }
    }

    /// When [`Self::handle_timeout`] or [`Self::poll_probe`] has something to do, none without targets or while all
    /// are being probed.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.members.values().filter_map(Member::next_event).min()
    }

    /// Ends the deregistrations whose delay is over.
    pub fn handle_timeout(&mut self, now: Instant) {
        let over = |member: &Member| member.draining_until.is_some_and(|until| until <= now);
        let gone: Vec<TargetId> = self.members.iter().filter(|(_, m)| over(m)).map(|(id, _)| *id).collect();
        for id in gone {
            if let Some(member) = self.members.remove(&id) {
                self.outputs.push_back(BalancerOutput::Gone {
                    id,
                    target_group: member.group,
                    target: member.target,
                    in_flight: member.in_flight,
                });
            }
        }
        let members = &self.members;
        self.groups.retain(|name, group| group.is_attached() || members.values().any(|m| m.group == *name));
    }

    /// What the driver is to do or may want to log, oldest first.
    pub fn poll_output(&mut self) -> Option<BalancerOutput> {
        self.outputs.pop_front()
    }

    /// A probe to make at `now`; call until it gives none. Its result comes back by [`Self::probed`], also when the
    /// probe failed to start. Checks go from start to start: a slow answer does not move the next one.
    pub fn poll_probe(&mut self, now: Instant) -> Option<Probe> {
        let groups = &self.groups;
        let snapshot = &self.snapshot;
        self.members.iter_mut().find_map(|(id, member)| {
            let index = groups.get(&member.group)?.index()?;
            let check = &snapshot.target_group(index).health_check;
            member.begin_probe(now, check.interval).then(|| Probe::new(*id, member, check))
        })
    }

    /// Takes a probe's result: the status of an HTTP answer, none for a TCP connect, or why there was neither. The
    /// status is judged here, by the group's matcher. The result of a target that is draining or gone is dropped.
    pub fn probed(&mut self, id: TargetId, result: Result<Option<u16>, ProbeFailure>) {
        let Some(member) = self.members.get_mut(&id) else { return };
        member.probing = false;
        let Some(group) = self.groups.get_mut(&member.group) else { return };
        let Some(index) = group.index().filter(|_| member.draining_until.is_none()) else { return };
        let matcher = &self.snapshot.target_group(index).health_check.matcher;
        let verdict = result.and_then(|status| match status {
            Some(code) if !matcher.accepts(code) => Err(ProbeFailure::ResponseCode { code }),
            Some(_) | None => Ok(()),
        });
        if let Some(transition) = member.check.observe(verdict) {
            self.outputs.push_back(BalancerOutput::Health {
                target_group: member.group.clone(),
                target: member.target.clone(),
                transition,
                failure: verdict.err(),
            });
            let name = member.group.clone();
            self.refresh(&name);
        }
    }

    /// Forgets what is known of the targets' health, as a node does whose machine was down: all registered targets are
    /// initial again and due for a check at `now`. Probes under way are given up; running requests stay counted until
    /// their tokens come back.
    pub fn restart(&mut self, now: Instant) {
        for member in self.members.values_mut().filter(|m| m.draining_until.is_none()) {
            member.restart(now);
        }
        let names: Vec<TargetGroupName> = self.groups.keys().cloned().collect();
        for name in &names {
            self.refresh(name);
        }
    }

    /// What the front tier is told when it samples this node: the groups that count, in name order.
    pub fn report(&self) -> NodeReport {
        let group_report = |(name, group): (&TargetGroupName, &Group)| {
            let config = self.snapshot.target_group(group.index()?);
            let members = || self.members.values().filter(|m| m.group == *name && m.draining_until.is_none());
            let healthy = members().filter(|m| m.check.state() == HealthState::Healthy).count();
            let initial = members().filter(|m| m.check.state() == HealthState::Initial).count();
            Some(GroupReport {
                name: name.as_str().to_owned(),
                healthy: u32::try_from(healthy).unwrap_or(u32::MAX),
                initial: u32::try_from(initial).unwrap_or(u32::MAX),
                registered: u32::try_from(members().count()).unwrap_or(u32::MAX),
                passes_dns: healthy >= usize::from(config.dns_minimum_healthy),
            })
        };
        NodeReport { target_groups: self.groups.iter().filter_map(group_report).collect() }
    }

    /// Every target this node knows, in order of registration.
    pub fn targets(&self) -> Vec<TargetStatus> {
        self.members.values().map(Member::status).collect()
    }

    /// The configuration it works by.
    pub const fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// This node in its configuration.
    pub fn node(&self) -> &LoadBalancerNode {
        &self.snapshot.load_balancer(self.load_balancer).nodes[self.node]
    }
}
