use std::net::SocketAddr;

use perigee_balance::{FlowKey, Id, Seed, best, best_of_equals, ranked};
use perigee_health::{GroupHealth, HealthState, View};
use perigee_model::{
    AcceleratorIndex, AcceleratorListener, ClientAffinity, Endpoint, EndpointTarget, Snapshot, TransportProtocol,
};

use crate::dial::{Step, first_group};
use crate::{Decision, GroupOrder, Note, Outcome, RouteReason, Trace};

/// Groups looked at before failing open (Global Accelerator developer guide, "Failover for unhealthy endpoints").
const CLOSEST_GROUPS: usize = 3;

/// A flow as an edge sees it: the five-tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// What it speaks.
    pub protocol: TransportProtocol,
    /// The client.
    pub client: SocketAddr,
    /// The accelerator's address and port it connected to.
    pub destination: SocketAddr,
}

impl Flow {
    /// A TCP flow.
    pub const fn tcp(client: SocketAddr, destination: SocketAddr) -> Self {
        Self { protocol: TransportProtocol::Tcp, client, destination }
    }

    /// A UDP flow.
    pub const fn udp(client: SocketAddr, destination: SocketAddr) -> Self {
        Self { protocol: TransportProtocol::Udp, client, destination }
    }

    /// The five-tuple as the hash takes it.
    fn five_tuple(&self) -> FlowKey {
        FlowKey::five_tuple(self.client, self.destination, self.protocol.number())
    }
}

/// The accelerator's law for one listener, seen from one edge: dial, weight, affinity, family, failover, fail open.
///
/// Source: Global Accelerator developer guide, "How Global Accelerator works" and "Failover for unhealthy endpoints";
/// the algorithm is the one of `global-accelerator.md` sections 5 and 9. Deterministic: the same flow, snapshot,
/// order and health give the same decision at every edge.
#[derive(Clone, Copy, Debug)]
pub struct Router<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) listener: &'a AcceleratorListener,
    pub(crate) groups: &'a GroupOrder,
    pub(crate) health: &'a View,
    /// Of the listener's groups; empty when it has no probed endpoint.
    pub(crate) probed: &'a [GroupHealth],
    pub(crate) seed: &'a Seed,
}

impl<'a> Router<'a> {
    /// The law for the listener at `at` of the snapshot (accelerator, position of the listener), whose endpoint groups
    /// `groups` sorts by distance from the edge; `health` is what is known of the snapshot's endpoints. `seed` belongs
    /// to the accelerator. Panics on a position that the snapshot does not have.
    pub fn new(
        snapshot: &'a Snapshot,
        at: (AcceleratorIndex, usize),
        groups: &'a GroupOrder,
        health: &'a View,
        seed: &'a Seed,
    ) -> Self {
        let listener = &snapshot.accelerator(at.0).listeners[at.1];
        Self { snapshot, listener, groups, health, probed: health.probed.listener(at.0, at.1), seed }
    }

    /// Decides for `flow`, telling `trace` what it passes over.
    pub fn decide(&self, flow: &Flow, trace: &mut impl Trace) -> Decision {
        let first = self.first_group(flow, trace);
        if let Some(decision) = self.walk(flow, first, true, trace) {
            return decision;
        }
        // Before failing open, groups that have just come back are as good as any.
        if self.probed.iter().any(|group| group.held)
            && let Some(decision) = self.walk(flow, first, false, trace)
        {
            return decision;
        }
        self.fail_open(flow, trace)
    }

    /// Looks for an eligible endpoint in the original group and the closest ones; `holds` says whether groups that have
    /// just come back are passed over.
    fn walk(&self, flow: &Flow, first: Option<usize>, holds: bool, trace: &mut impl Trace) -> Option<Decision> {
        // The original group is tried first and costs nothing extra when it is not among the closest.
        let among_closest = first.is_some_and(|f| self.groups.closest().take(CLOSEST_GROUPS).any(|g| g == f));
        let others = self.groups.closest().filter(|g| Some(*g) != first);
        let to_try = first.into_iter().chain(others.take(CLOSEST_GROUPS - usize::from(among_closest)));
        for group in to_try {
            if holds && self.is_held(group) {
                trace.note(group, Note::HeldBack);
            } else if let Some(endpoint) = self.pick(flow, group) {
                trace.note(group, Note::Chosen);
                let reason = match first {
                    Some(f) if f != group => RouteReason::Failover,
                    None => RouteReason::Failover,
                    Some(f) if self.groups.closest().next() == Some(f) => RouteReason::Closest,
                    Some(_) => RouteReason::Dial,
                };
                return Some(Decision { outcome: Outcome::Endpoint { group, endpoint }, reason });
            } else {
                trace.note(group, Note::NoEligibleEndpoint);
            }
        }
        None
    }

    /// Any endpoint of the flow's family in the closest group that has one, whatever its health and weight.
    fn fail_open(&self, flow: &Flow, trace: &mut impl Trace) -> Decision {
        for group in self.groups.closest() {
            if let Some(endpoint) = self.pick_any(flow, group) {
                trace.note(group, Note::FailedOpen);
                return Decision { outcome: Outcome::Endpoint { group, endpoint }, reason: RouteReason::FailOpen };
            }
        }
        let is_ipv6 = flow.destination.is_ipv6();
        let reason = if is_ipv6 { RouteReason::NoIpv6Endpoint } else { RouteReason::NoEndpoint };
        Decision { outcome: Outcome::Refuse, reason }
    }

    fn first_group(&self, flow: &Flow, trace: &mut impl Trace) -> Option<usize> {
        let groups = &self.listener.endpoint_groups;
        for (i, _) in groups.iter().enumerate().filter(|(_, g)| g.endpoints.is_empty()) {
            trace.note(i, Note::Empty);
        }
        let step = |group: usize| Step { group, dial: groups[group].traffic_dial, empty: false };
        let draw = |group: usize| {
            let key = match self.listener.client_affinity {
                ClientAffinity::None => flow.five_tuple(),
                ClientAffinity::SourceIp => FlowKey::address(flow.client.ip()),
            };
            let region = self.snapshot.region(groups[group].region).code.as_str();
            self.seed.unit(key.as_bytes(), region.as_bytes()) * 100.0
        };
        first_group(self.groups.closest().map(step), draw, trace)
    }

    /// Whether a group has come back just now (`global-accelerator.md` section 9, "Fail-back damping").
    pub(crate) fn is_held(&self, group: usize) -> bool {
        self.probed.get(group).is_some_and(|health| health.held)
    }

    /// The health of an endpoint that counts.
    pub fn state(&self, group: usize, endpoint: usize) -> HealthState {
        match self.endpoint(group, endpoint).target {
            EndpointTarget::LoadBalancer(index) => self.health.load_balancer(index).effective(),
            EndpointTarget::Instance(_) | EndpointTarget::ElasticIp(_) => {
                self.probed.get(group).map_or(HealthState::Initial, |known| known.state(endpoint))
            }
        }
    }

    /// Healthy, with a weight above zero, and of the flow's family.
    pub(crate) fn is_eligible(&self, flow: &Flow, group: usize, endpoint: usize) -> bool {
        self.endpoint(group, endpoint).weight.get() > 0
            && self.state(group, endpoint) == HealthState::Healthy
            && self.is_of_family(flow, group, endpoint)
    }

    /// Whether an endpoint has an address of the flow's family: an IPv6 flow goes to the IPv6 address of its endpoint
    /// and an IPv4 flow to the IPv4 one (`global-accelerator.md` section 2.4).
    pub(crate) fn is_of_family(&self, flow: &Flow, group: usize, endpoint: usize) -> bool {
        flow.destination.is_ipv4() || self.snapshot.has_ipv6(self.endpoint(group, endpoint).target)
    }

    /// The configuration of an endpoint.
    pub(crate) fn endpoint(&self, group: usize, endpoint: usize) -> &'a Endpoint {
        &self.listener.endpoint_groups[group].endpoints[endpoint]
    }

    /// Positions of a group's endpoints.
    fn positions(&self, group: usize) -> std::ops::Range<usize> {
        0..self.listener.endpoint_groups[group].endpoints.len()
    }

    /// The key of the choice inside a group.
    pub(crate) fn endpoint_key(&self, flow: &Flow) -> FlowKey {
        match self.listener.client_affinity {
            ClientAffinity::None => flow.five_tuple(),
            ClientAffinity::SourceIp => FlowKey::two_tuple(flow.client.ip(), flow.destination.ip()),
        }
    }

    /// The flow's draw for an endpoint, 0 to 1: the endpoint with the greatest `weight / -ln(draw)` takes the flow.
    pub fn draw_for(&self, flow: &Flow, group: usize, endpoint: usize) -> f64 {
        self.seed.unit_of(self.endpoint_key(flow).as_bytes(), self.id(group, endpoint))
    }

    /// The eligible endpoints of a group in the flow's order of preference.
    pub(crate) fn eligible(&self, flow: &Flow, group: usize) -> Vec<usize> {
        let weight = |e: usize| f64::from(self.endpoint(group, e).weight.get());
        self.ranked(flow, group, |e| self.is_eligible(flow, group, e), weight)
    }

    /// The first of [`Self::eligible`].
    fn pick(&self, flow: &Flow, group: usize) -> Option<usize> {
        let eligible = || self.positions(group).filter(|e| self.is_eligible(flow, group, *e));
        if self.positions(group).len() == 1 {
            return eligible().next();
        }
        let candidates = eligible().map(|e| (self.id(group, e), f64::from(self.endpoint(group, e).weight.get())));
        eligible().nth(best(self.seed, &self.endpoint_key(flow), candidates)?)
    }

    /// Fail open: uniform over the group's endpoints of the flow's family, whatever health and weight, stable for one
    /// flow. None when there is none.
    fn pick_any(&self, flow: &Flow, group: usize) -> Option<usize> {
        let candidates = || self.positions(group).filter(|e| self.is_of_family(flow, group, *e));
        let ids = candidates().map(|e| self.id(group, e));
        candidates().nth(best_of_equals(self.seed, &self.endpoint_key(flow), ids)?)
    }

    /// What an endpoint is known by to the hash. The same load balancer may be in a group twice, once per setting of
    /// client IP preservation, and is then two endpoints.
    fn id(&self, group: usize, endpoint: usize) -> Id<'a> {
        let endpoint = self.endpoint(group, endpoint);
        let name = self.snapshot.endpoint_id(endpoint.target).as_bytes();
        let is_second = matches!(endpoint.target, EndpointTarget::LoadBalancer(_)) && !endpoint.client_ip_preservation;
        [name, if is_second { b"\0edge" } else { b"" }]
    }

    /// The endpoints of a group that `is_meant` means, in the flow's order of preference.
    pub(crate) fn ranked(
        &self,
        flow: &Flow,
        group: usize,
        is_meant: impl Fn(usize) -> bool,
        weight: impl Fn(usize) -> f64,
    ) -> Vec<usize> {
        let meant: Vec<usize> = self.positions(group).filter(|e| is_meant(*e)).collect();
        let candidates = meant.iter().map(|e| (self.id(group, *e), weight(*e)));
        ranked(self.seed, &self.endpoint_key(flow), candidates).into_iter().map(|i| meant[i]).collect()
    }
}

#[cfg(test)]
mod tests;
