use perigee_health::{TargetReason, TargetState};
use perigee_model::{Action, Target, TargetGroupName};
use perigee_rules::{RequestHead, RuleTrace};
use serde::{Deserialize, Serialize};

use super::group::Group;
use super::{Balancer, RespondReason};

/// Why a request would go where it would go: everything that was considered, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalancerTrace {
    /// The rules up to the one that matched.
    pub rules: Vec<RuleTrace>,
    /// The group that rule forwards to, none without a listener.
    pub target_group: Option<TargetGroupName>,
    /// Whether health is disregarded because too few targets are healthy.
    pub fail_open: bool,
    /// The group's targets in the order of their turns.
    pub targets: Vec<TargetTrace>,
    /// Whose turn it is, none if the node would answer itself.
    pub chosen: Option<Target>,
    /// Why the node would answer itself, with 503.
    pub refusal: Option<RespondReason>,
}

/// One target while a request looked for its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetTrace {
    /// The target.
    pub target: Target,
    /// Its state at this node.
    pub state: TargetState,
    /// Why; none for a healthy one.
    pub reason: Option<TargetReason>,
    /// Requests it has not finished.
    pub in_flight: u32,
    /// Whether it may be chosen.
    pub eligible: bool,
}

impl Balancer {
    /// What [`Self::route`] would do with the next such request, and why. Moves nothing: asking does not take a turn.
    pub fn explain(&self, listener_port: u16, head: &RequestHead<'_>) -> BalancerTrace {
        let mut trace = BalancerTrace {
            rules: Vec::new(),
            target_group: None,
            fail_open: false,
            targets: Vec::new(),
            chosen: None,
            refusal: None,
        };
        let Some(matcher) = self.matcher(listener_port) else {
            trace.refusal = Some(RespondReason::NoListener { port: listener_port });
            return trace;
        };
        trace.rules = matcher.explain(head);
        let Action::Forward { target_group } = matcher.decide(head).action;
        let name = &self.snapshot.target_group(target_group).name;
        let group = self.group_at(target_group).map(|at| &self.groups[at]);
        trace.target_group = Some(name.clone());
        trace.fail_open = group.is_some_and(Group::fail_open);
        for member in self.members.iter().filter(|m| m.group == *name) {
            let (state, reason) = member.state();
            trace.targets.push(TargetTrace {
                target: member.target.clone(),
                state,
                reason,
                in_flight: member.in_flight,
                eligible: group.is_some_and(|g| g.is_eligible(member.id)),
            });
        }
        let next = group.and_then(Group::peek);
        trace.chosen = self.members.iter().find(|m| Some(m.id) == next).map(|m| m.target.clone());
        if trace.chosen.is_none() {
            trace.refusal = Some(RespondReason::NoRegisteredTargets { target_group: name.clone() });
        }
        trace
    }
}
