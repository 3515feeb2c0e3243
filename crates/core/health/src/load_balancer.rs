use serde::{Deserialize, Serialize};

use crate::{HealthState, ProbeFailure, ProbedView, Reach};

/// What one load balancer node says of its target groups when the front tier samples it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// One entry per target group that a listener or rule refers to, in name order.
    pub target_groups: Vec<GroupReport>,
}

/// One target group as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupReport {
    /// The group's name.
    pub name: String,
    /// Targets that pass their checks.
    pub healthy: u32,
    /// Targets in their first checks.
    #[serde(default)]
    pub initial: u32,
    /// Registered targets, without draining ones.
    pub registered: u32,
    /// Whether the node passes the group's DNS failover test (ALB guide, "Target group health").
    pub passes_dns: bool,
}

impl GroupReport {
    /// Healthy with a healthy target, `Initial` with none but some in their first checks, unhealthy otherwise.
    pub const fn state(&self) -> HealthState {
        if self.healthy > 0 {
            HealthState::Healthy
        } else if self.initial > 0 {
            HealthState::Initial
        } else {
            HealthState::Unhealthy
        }
    }
}

const fn better(a: HealthState, b: HealthState) -> HealthState {
    match (a, b) {
        (HealthState::Healthy, _) | (_, HealthState::Healthy) => HealthState::Healthy,
        (HealthState::Initial, _) | (_, HealthState::Initial) => HealthState::Initial,
        (HealthState::Unhealthy, HealthState::Unhealthy) => HealthState::Unhealthy,
    }
}

impl NodeReport {
    /// Whether some group's verdict is still open: worth asking again soon.
    pub fn is_open(&self) -> bool {
        self.target_groups.iter().any(|g| g.state() == HealthState::Initial)
    }

    /// Whether the node's zone belongs into DNS answers: at least one non-empty group passes its DNS failover test.
    ///
    /// Source: Perigee's choice between two readings of the ALB guide (`alb.md` section 15).
    pub fn in_service(&self) -> bool {
        self.target_groups.iter().any(|g| g.registered > 0 && g.passes_dns)
    }
}

/// An operator's word against the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Forced {
    /// Counts as healthy whatever the checks say.
    Healthy,
    /// Counts as unhealthy whatever the checks say.
    Unhealthy,
}

/// A load balancer's health as the front tier knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadBalancerHealth {
    /// What the samples say.
    pub measured: HealthState,
    /// What an operator says instead, if anything.
    pub forced: Option<Forced>,
    /// Its nodes, in the snapshot's order.
    pub nodes: Vec<NodeHealth>,
}

/// One node's health as the front tier knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeHealth {
    /// Whether the node answers.
    pub reach: Reach,
    /// Whether its zone belongs into DNS answers and gets new flows.
    pub in_service: bool,
    /// Why the last sample failed, none if it did not.
    pub failure: Option<ProbeFailure>,
}

impl LoadBalancerHealth {
    /// A load balancer of `nodes` nodes of which nothing is known.
    pub fn unknown(nodes: usize) -> Self {
        let node = NodeHealth { reach: Reach::Unknown, in_service: false, failure: None };
        Self { measured: HealthState::Initial, forced: None, nodes: vec![node; nodes] }
    }

    /// What counts: the operator's word if there is one, otherwise the measurement.
    pub fn effective(&self) -> HealthState {
        match self.forced {
            Some(Forced::Healthy) => HealthState::Healthy,
            Some(Forced::Unhealthy) => HealthState::Unhealthy,
            None => self.measured,
        }
    }

    /// Whether it takes new flows and stands in DNS answers without failing open.
    pub fn is_healthy(&self) -> bool {
        self.effective() == HealthState::Healthy
    }

    /// Judges a load balancer from its nodes' latest reports, those of nodes that do not answer left out.
    ///
    /// Healthy if every target group has a healthy target on some answering node; an empty group fails it, and so
    /// does having no group. `Initial` while every node is still unknown, and while nothing worse can be said than that
    /// a group's targets are in their first checks (Perigee's choice: a stack that starts is not a stack that failed).
    ///
    /// Source: Global Accelerator developer guide, "Health checks for Application Load Balancer endpoints"; an empty
    /// group read as unhealthy: `global-accelerator.md` section 8.2.
    pub fn judge<'a>(reports: impl Iterator<Item = (Reach, Option<&'a NodeReport>)> + Clone) -> HealthState {
        if reports.clone().all(|(reach, _)| reach == Reach::Unknown) {
            return HealthState::Initial;
        }
        // The best that any node says of each group; `Initial` is better than `Unhealthy` here.
        let mut groups: Vec<(&str, HealthState)> = Vec::new();
        for report in reports.filter(|(reach, _)| *reach == Reach::Up).filter_map(|(_, report)| report) {
            for group in &report.target_groups {
                let says = group.state();
                match groups.iter_mut().find(|(name, _)| *name == group.name) {
                    Some((_, best)) => *best = better(*best, says),
                    None => groups.push((&group.name, says)),
                }
            }
        }
        let has = |state| groups.iter().any(|(_, s)| *s == state);
        if groups.is_empty() || has(HealthState::Unhealthy) {
            HealthState::Unhealthy
        } else if has(HealthState::Initial) {
            HealthState::Initial
        } else {
            HealthState::Healthy
        }
    }
}

/// What the front tier knows of one snapshot at one moment: the health of every load balancer, by
/// [`perigee_model::LoadBalancerIndex`], of every DNS health check and of every probed endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// In the order of the snapshot's load balancers.
    pub load_balancers: Vec<LoadBalancerHealth>,
    /// The verdicts of the DNS health checks in the snapshot's order, true for healthy; inversion is in them. Checks
    /// beyond the end have no verdict yet.
    #[serde(default)]
    pub checks: Vec<bool>,
    /// The endpoints that the accelerators probe themselves.
    #[serde(default)]
    pub probed: ProbedView,
}

impl View {
    /// The health of the load balancer at `index`; panics on an index of another snapshot.
    pub fn load_balancer(&self, index: perigee_model::LoadBalancerIndex) -> &LoadBalancerHealth {
        &self.load_balancers[index.0]
    }

    /// Whether the DNS health check at `index` says healthy; one without a verdict does (`spec/dns.md` section 2.5).
    pub fn check_is_healthy(&self, index: perigee_model::HealthCheckIndex) -> bool {
        self.checks.get(index.0).copied().unwrap_or(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(groups: &[(&str, u32, u32)]) -> NodeReport {
        NodeReport {
            target_groups: groups
                .iter()
                .map(|(name, healthy, registered)| GroupReport {
                    name: (*name).into(),
                    healthy: *healthy,
                    initial: 0,
                    registered: *registered,
                    passes_dns: *healthy > 0,
                })
                .collect(),
        }
    }

    fn judge(nodes: &[(Reach, Option<NodeReport>)]) -> HealthState {
        LoadBalancerHealth::judge(nodes.iter().map(|(reach, report)| (*reach, report.as_ref())))
    }

    #[test]
    fn one_group_without_a_healthy_target_fails_the_whole_load_balancer() {
        let both = report(&[("api", 2, 2), ("web", 1, 2)]);
        assert_eq!(judge(&[(Reach::Up, Some(both.clone()))]), HealthState::Healthy);
        let one = report(&[("api", 2, 2), ("web", 0, 2)]);
        assert_eq!(judge(&[(Reach::Up, Some(one.clone()))]), HealthState::Unhealthy);
        assert_eq!(judge(&[(Reach::Up, Some(one)), (Reach::Up, Some(both))]), HealthState::Healthy);
    }

    #[test]
    fn an_empty_group_or_no_group_at_all_is_unhealthy() {
        assert_eq!(judge(&[(Reach::Up, Some(report(&[("web", 0, 0)])))]), HealthState::Unhealthy);
        assert_eq!(judge(&[(Reach::Up, Some(report(&[])))]), HealthState::Unhealthy);
    }

    #[test]
    fn a_node_that_does_not_answer_has_no_say_and_unknown_nodes_leave_the_verdict_open() {
        let good = report(&[("web", 2, 2)]);
        assert_eq!(judge(&[(Reach::Down, Some(good.clone())), (Reach::Down, None)]), HealthState::Unhealthy);
        assert_eq!(judge(&[(Reach::Down, Some(good.clone())), (Reach::Up, Some(good))]), HealthState::Healthy);
        assert_eq!(judge(&[(Reach::Unknown, None), (Reach::Unknown, None)]), HealthState::Initial);
    }

    #[test]
    fn targets_in_their_first_checks_leave_the_verdict_open() {
        let mut starting = report(&[("web", 0, 2)]);
        starting.target_groups[0].initial = 2;
        assert!(starting.is_open());
        assert_eq!(judge(&[(Reach::Up, Some(starting.clone()))]), HealthState::Initial);
        let dead = report(&[("web", 0, 2)]);
        assert_eq!(judge(&[(Reach::Up, Some(dead)), (Reach::Up, Some(starting.clone()))]), HealthState::Initial);
        let good = report(&[("web", 1, 2)]);
        assert_eq!(judge(&[(Reach::Up, Some(starting)), (Reach::Up, Some(good))]), HealthState::Healthy);
    }

    #[test]
    fn the_operators_word_beats_the_measurement_and_its_withdrawal_restores_it() {
        let mut health = LoadBalancerHealth { measured: HealthState::Healthy, ..LoadBalancerHealth::unknown(2) };
        health.forced = Some(Forced::Unhealthy);
        assert_eq!((health.measured, health.effective()), (HealthState::Healthy, HealthState::Unhealthy));
        health.forced = None;
        assert!(health.is_healthy());
    }
}
