//! One load balancer node's machine: rules, target choice, target health, deregistration.

mod explain;
mod group;
mod member;
mod routing;
#[cfg(test)]
mod skip_tests;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use perigee_health::{NodeReport, ProbeFailure};
use perigee_model::{
    Action, Instant, LoadBalancerIndex, LoadBalancerNode, Snapshot, TargetGroupIndex, TargetGroupName,
};
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
    /// By listener port, ascending.
    matchers: Vec<(u16, Matcher)>,
    /// In name order.
    groups: Vec<Group>,
    /// Positions in `groups` by place in the snapshot, ascending: the way of a request.
    by_index: Vec<(TargetGroupIndex, usize)>,
    /// In order of registration, which is that of their numbers.
    members: Vec<Member>,
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
            matchers: Vec::new(),
            groups: Vec::new(),
            by_index: Vec::new(),
            members: Vec::new(),
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
        self.matchers.sort_by_key(|(port, _)| *port);
        self.groups.iter_mut().for_each(Group::leave);
        for index in lb.target_groups() {
            let config = snapshot.target_group(index);
            let at = self.find_group(&config.name).unwrap_or_else(|at| {
                self.groups.insert(at, Group::new(config.name.clone(), node));
                at
            });
            self.groups[at].join(index, config);
        }
        self.snapshot = snapshot;
        self.load_balancer = load_balancer;
        self.node = node;
        self.reconcile_members(now);
        self.handle_timeout(now);
        self.forget_groups();
    }

    /// Where a request that came in on `listener_port` goes. A forwarded request counts as running on its target
    /// until its token comes back by [`Self::request_finished`].
    pub fn route(&mut self, listener_port: u16, head: &RequestHead<'_>) -> Routing {
        let Some(matcher) = self.matcher(listener_port) else {
            return Routing::Respond { status: 503, reason: RespondReason::NoListener { port: listener_port } };
        };
        let matched = matcher.decide(head);
        let Action::Forward { target_group } = matched.action;
        let group = self.group_at(target_group).and_then(|at| self.groups.get_mut(at));
        let choice = group.and_then(|group| Some((group.pick()?, group.fail_open())));
        let Some((id, fail_open)) = choice else {
            let target_group = self.snapshot.target_group(target_group).name.clone();
            return Routing::Respond { status: 503, reason: RespondReason::NoRegisteredTargets { target_group } };
        };
        let Some(member) = self.member_mut(id) else {
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
        if let Some(member) = self.member_mut(token.0) {
            member.in_flight = member.in_flight.saturating_sub(1);
        }
    }

    /// When [`Self::handle_timeout`] or [`Self::poll_probe`] has something to do, none without targets or while all
    /// are being probed.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.members.iter().filter_map(Member::next_event).min()
    }

    /// Ends the deregistrations whose delay is over.
    pub fn handle_timeout(&mut self, now: Instant) {
        let known = self.members.len();
        for member in self.members.extract_if(.., |m| m.draining_until.is_some_and(|until| until <= now)) {
            self.outputs.push_back(BalancerOutput::Gone {
                id: member.id,
                target_group: member.group,
                target: member.target,
                in_flight: member.in_flight,
            });
        }
        if self.members.len() < known {
            self.forget_groups();
        }
    }

    /// Drops the groups that nothing refers to any more.
    fn forget_groups(&mut self) {
        let members = &self.members;
        self.groups.retain(|group| group.is_attached() || members.iter().any(|m| m.group == *group.name()));
        self.by_index = self.groups.iter().enumerate().filter_map(|(at, group)| Some((group.index()?, at))).collect();
        self.by_index.sort_unstable();
    }

    /// What the driver is to do or may want to log, oldest first.
    pub fn poll_output(&mut self) -> Option<BalancerOutput> {
        self.outputs.pop_front()
    }

    /// A probe to make at `now`; call until it gives none. Its result comes back by [`Self::probed`], also when the
    /// probe failed to start. Checks go from start to start: a slow answer does not move the next one.
    pub fn poll_probe(&mut self, now: Instant) -> Option<Probe> {
        let at = self.members.iter().position(|member| member.is_due(now))?;
        let group = self.find_group(&self.members[at].group).ok()?;
        let check = &self.snapshot.target_group(self.groups[group].index()?).health_check;
        let member = &mut self.members[at];
        member.begin_probe(now, check.interval);
        Some(Probe::new(member, check))
    }

    /// Whether further probes like the last ones would change nothing: every target is registered, judged, has no
    /// contrary run, and none is being probed.
    pub fn is_settled(&self) -> bool {
        self.members.iter().all(Member::is_settled)
    }

    /// Leaves out the probes before `now` of every target that is settled: its next one moves by whole intervals to
    /// the first moment at or after `now`. The state afterwards is exactly as if they had been made on time with the
    /// same results as the last ones. Targets that are not settled keep their schedule.
    pub fn skip_to(&mut self, now: Instant) {
        for at in 0..self.members.len() {
            let group = self.find_group(&self.members[at].group).ok();
            if let Some(index) = group.and_then(|group| self.groups[group].index()) {
                self.members[at].skip_to(now, self.snapshot.target_group(index).health_check.interval);
            }
        }
    }

    /// Takes a probe's result: the status of an HTTP answer, none for a TCP connect, or why there was neither. The
    /// status is judged here, by the group's matcher. The result of a target that is draining or gone is dropped.
    pub fn probed(&mut self, id: TargetId, result: Result<Option<u16>, ProbeFailure>) {
        let Ok(at) = self.members.binary_search_by_key(&id, |m| m.id) else { return };
        let member = &mut self.members[at];
        member.probing = false;
        if member.draining_until.is_some() {
            return;
        }
        let Ok(group) = self.find_group(&self.members[at].group) else { return };
        let Some(index) = self.groups[group].index() else { return };
        let matcher = &self.snapshot.target_group(index).health_check.matcher;
        let verdict = result.and_then(|status| match status {
            Some(code) if !matcher.accepts(code) => Err(ProbeFailure::ResponseCode { code }),
            Some(_) | None => Ok(()),
        });
        let member = &mut self.members[at];
        if let Some(transition) = member.check.observe(verdict) {
            self.outputs.push_back(BalancerOutput::Health {
                target_group: member.group.clone(),
                target: member.target.clone(),
                transition,
                failure: verdict.err(),
            });
            self.refresh(group);
        }
    }

    /// Forgets what is known of the targets' health, as a node does whose machine was down: all registered targets are
    /// initial again and due for a check at `now`. Probes under way are given up; running requests stay counted until
    /// their tokens come back.
    pub fn restart(&mut self, now: Instant) {
        for member in self.members.iter_mut().filter(|m| m.draining_until.is_none()) {
            member.restart(now);
        }
        (0..self.groups.len()).for_each(|group| self.refresh(group));
    }

    /// What the front tier is told when it samples this node: the groups that count, in name order.
    pub fn report(&self) -> NodeReport {
        let report = |group: &Group| Some(group.report(self.snapshot.target_group(group.index()?)));
        NodeReport { target_groups: self.groups.iter().filter_map(report).collect() }
    }

    /// Every target this node knows, in order of registration.
    pub fn targets(&self) -> Vec<TargetStatus> {
        self.members.iter().map(Member::status).collect()
    }

    /// The configuration it works by.
    pub const fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// This node in its configuration.
    pub fn node(&self) -> &LoadBalancerNode {
        &self.snapshot.load_balancer(self.load_balancer).nodes[self.node]
    }

    fn matcher(&self, listener_port: u16) -> Option<&Matcher> {
        self.matchers.iter().find(|(port, _)| *port == listener_port).map(|(_, matcher)| matcher)
    }

    /// The position of the group called `name`, or the one where it would stand.
    fn find_group(&self, name: &TargetGroupName) -> Result<usize, usize> {
        self.groups.binary_search_by(|group| group.name().cmp(name))
    }

    /// The position of the group at `index` of the snapshot.
    fn group_at(&self, index: TargetGroupIndex) -> Option<usize> {
        let at = self.by_index.binary_search_by_key(&index, |(index, _)| *index).ok()?;
        Some(self.by_index[at].1)
    }

    fn member_mut(&mut self, id: TargetId) -> Option<&mut Member> {
        let at = self.members.binary_search_by_key(&id, |m| m.id).ok()?;
        Some(&mut self.members[at])
    }
}
