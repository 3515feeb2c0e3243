use std::net::SocketAddr;

use perigee_balance::{FlowKey, Seed, best, best_of_equals, ranked};
use perigee_health::View;
use perigee_model::{AcceleratorListener, ClientAffinity, Endpoint, Snapshot, TransportProtocol};

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

/// The accelerator's law for one listener, seen from one edge: dial, weight, affinity, failover, fail open.
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
    pub(crate) seed: &'a Seed,
}

impl<'a> Router<'a> {
    /// The law for `listener`, whose endpoint groups `groups` sorts by distance from the edge, of a snapshot whose load
    /// balancers' health is `health`. `seed` belongs to the accelerator.
    pub const fn new(
        snapshot: &'a Snapshot,
        listener: &'a AcceleratorListener,
        groups: &'a GroupOrder,
        health: &'a View,
        seed: &'a Seed,
    ) -> Self {
        Self { snapshot, listener, groups, health, seed }
    }

    /// Decides for `flow`, telling `trace` what it passes over.
    pub fn decide(&self, flow: &Flow, trace: &mut impl Trace) -> Decision {
        let first = self.first_group(flow, trace);
        // The original group is tried first and costs nothing extra when it is not among the closest.
        let among_closest = first.is_some_and(|f| self.groups.closest().take(CLOSEST_GROUPS).any(|g| g == f));
        let others = self.groups.closest().filter(|g| Some(*g) != first);
        let to_try = first.into_iter().chain(others.take(CLOSEST_GROUPS - usize::from(among_closest)));
        for group in to_try {
            if let Some(endpoint) = self.pick(flow, group) {
                trace.note(group, Note::Chosen);
                let reason = match first {
                    Some(f) if f != group => RouteReason::Failover,
                    None => RouteReason::Failover,
                    Some(f) if self.groups.closest().next() == Some(f) => RouteReason::Closest,
                    Some(_) => RouteReason::Dial,
                };
                return Decision { outcome: Outcome::Endpoint { group, endpoint }, reason };
            }
            trace.note(group, Note::NoEligibleEndpoint);
        }
        let Some(group) = self.groups.closest().next() else {
            return Decision { outcome: Outcome::Refuse, reason: RouteReason::NoEndpoint };
        };
        trace.note(group, Note::FailedOpen);
        let endpoint = self.pick_any(flow, group);
        Decision { outcome: Outcome::Endpoint { group, endpoint }, reason: RouteReason::FailOpen }
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

    pub(crate) fn is_eligible(&self, endpoint: &Endpoint) -> bool {
        endpoint.weight.get() > 0 && self.health.load_balancer(endpoint.load_balancer).is_healthy()
    }

    /// The key of the choice inside a group.
    pub(crate) fn endpoint_key(&self, flow: &Flow) -> FlowKey {
        match self.listener.client_affinity {
            ClientAffinity::None => flow.five_tuple(),
            ClientAffinity::SourceIp => FlowKey::two_tuple(flow.client.ip(), flow.destination.ip()),
        }
    }

    /// The eligible endpoints of a group in the flow's order of preference.
    pub(crate) fn eligible(&self, flow: &Flow, group: usize) -> Vec<usize> {
        self.ranked(flow, group, |e| if self.is_eligible(e) { f64::from(e.weight.get()) } else { 0.0 })
            .into_iter()
            .filter(|i| self.is_eligible(&self.listener.endpoint_groups[group].endpoints[*i]))
            .collect()
    }

    /// The first of [`Self::eligible`].
    fn pick(&self, flow: &Flow, group: usize) -> Option<usize> {
        match self.listener.endpoint_groups[group].endpoints.as_slice() {
            [one] => self.is_eligible(one).then_some(0),
            endpoints => {
                let eligible = || endpoints.iter().enumerate().filter(|(_, e)| self.is_eligible(e));
                let candidates = eligible().map(|(_, e)| (self.id(e), f64::from(e.weight.get())));
                let best = best(self.seed, &self.endpoint_key(flow), candidates)?;
                eligible().nth(best).map(|(endpoint, _)| endpoint)
            }
        }
    }

    /// Fail open: uniform over the group's endpoints, whatever health and weight, stable for one flow. `group` has
    /// endpoints.
    fn pick_any(&self, flow: &Flow, group: usize) -> usize {
        let endpoints = &self.listener.endpoint_groups[group].endpoints;
        best_of_equals(self.seed, &self.endpoint_key(flow), endpoints.iter().map(|e| self.id(e))).unwrap_or(0)
    }

    /// What an endpoint is known by to the hash.
    fn id(&self, endpoint: &Endpoint) -> &'a [u8] {
        self.snapshot.load_balancer(endpoint.load_balancer).name.as_str().as_bytes()
    }

    pub(crate) fn ranked(&self, flow: &Flow, group: usize, weight: impl Fn(&Endpoint) -> f64) -> Vec<usize> {
        let endpoints = &self.listener.endpoint_groups[group].endpoints;
        let key = self.endpoint_key(flow);
        ranked(self.seed, &key, endpoints.iter().map(|e| (self.id(e), weight(e))))
    }
}

#[cfg(test)]
#[path = "route/tests.rs"]
mod tests;
