use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use perigee_geo::Leg;
use perigee_health::{HealthState, View};
use perigee_model::{LatencyName, LoadBalancerIndex, LoadBalancerNode, RegionIndex, Snapshot};
use serde::{Deserialize, Serialize};

use crate::policy::lowered;

/// The answer to a name of the latency policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The load balancer named; none when no region has one of that name.
    pub load_balancer: Option<LoadBalancerIndex>,
    /// Its region.
    pub region: Option<RegionIndex>,
    /// The addresses of its nodes in service, or of all nodes when none is; in node order, of each IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// How long the answer may be kept.
    pub ttl: Duration,
    /// Whether something that belongs to the name is down.
    pub degraded: bool,
    /// Why this region.
    pub reason: AnswerReason,
    /// Every region that has the name, nearest first.
    pub considered: Vec<ConsideredRegion>,
}

/// Why an answer names its region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerReason {
    /// It has the lowest round trip.
    LowestRoundTrip,
    /// Regions with a lower round trip are unhealthy.
    NextHealthy,
    /// Every region is unhealthy, so all count as healthy: the lowest round trip.
    FailOpen,
    /// No region has a load balancer of that name.
    NoRegion,
}

/// A region that an answer could have named.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConsideredRegion {
    /// The region.
    pub region: RegionIndex,
    /// Its load balancer of the name.
    pub load_balancer: LoadBalancerIndex,
    /// The estimated round trip in milliseconds.
    pub rtt_ms: f32,
    /// The load balancer's effective health.
    pub health: HealthState,
}

impl fmt::Display for AnswerReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LowestRoundTrip => "lowest round trip",
            Self::NextHealthy => "lowest round trip among the healthy",
            Self::FailOpen => "all regions unhealthy: the lowest round trip",
            Self::NoRegion => "no region has this name",
        })
    }
}

/// Answers `name` for a client whose regions `order` sorts by round trip.
///
/// The nearest region whose load balancer is healthy; when none is, all count as healthy. Load balancers that were not
/// judged yet count as healthy while none is known to be, as new Route 53 health checks do; beside a healthy one they
/// wait for their verdict (Perigee's choice: a region that is just coming back may not be well). The TTL is the name's, halved but not below 5 s
/// while any region of the name is unhealthy.
///
/// Source: Route 53 developer guide, "Latency-based routing" and "How Route 53 chooses records when health checking is
/// configured"; `dns.md` sections 2 and 3.
pub fn answer(snapshot: &Snapshot, name: &LatencyName, order: &[Leg], health: &View) -> Answer {
    let mut regions: Vec<ConsideredRegion> = Vec::with_capacity(order.len());
    regions.extend(order.iter().filter_map(|leg| {
        let load_balancer = snapshot.find_load_balancer(leg.region, &name.load_balancer)?;
        let health = health.load_balancer(load_balancer).effective();
        Some(ConsideredRegion { region: leg.region, load_balancer, rtt_ms: leg.rtt_ms, health })
    }));
    let any_healthy = regions.iter().any(|region| region.health == HealthState::Healthy);
    let wanted = if any_healthy { HealthState::Healthy } else { HealthState::Initial };
    let usable = |region: &ConsideredRegion| region.health == wanted;
    let degraded = !regions.iter().all(usable);
    let ttl = if degraded { lowered(name.ttl) } else { name.ttl };
    let (chosen, reason) = match (regions.iter().position(usable), regions.is_empty()) {
        (Some(0), _) => (Some(0), AnswerReason::LowestRoundTrip),
        (Some(i), _) => (Some(i), AnswerReason::NextHealthy),
        (None, false) => (Some(0), AnswerReason::FailOpen),
        (None, true) => (None, AnswerReason::NoRegion),
    };
    let chosen = chosen.map(|i| regions[i]);
    Answer {
        load_balancer: chosen.map(|c| c.load_balancer),
        region: chosen.map(|c| c.region),
        addresses: chosen.map(|c| load_balancer_addresses(snapshot, c.load_balancer, health).0).unwrap_or_default(),
        ttl,
        degraded,
        reason,
        considered: regions,
    }
}

/// The addresses of a load balancer's nodes whose zone is in service, in node order, and whether any was left out. All
/// of them when none is in service.
///
/// Source: ALB guide, "Target group health" (a zone that fails leaves DNS; when all fail, all are returned).
pub fn load_balancer_addresses(snapshot: &Snapshot, index: LoadBalancerIndex, health: &View) -> (Vec<IpAddr>, bool) {
    let nodes = &snapshot.load_balancer(index).nodes;
    let health = &health.load_balancer(index).nodes;
    let mut addresses: Vec<IpAddr> = Vec::with_capacity(nodes.len());
    let in_service = || nodes.iter().zip(health).filter(|(_, h)| h.in_service).map(|(node, _)| node);
    addresses.extend(in_service().flat_map(LoadBalancerNode::addresses));
    let degraded = in_service().count() < nodes.len();
    if addresses.is_empty() {
        addresses.extend(nodes.iter().flat_map(LoadBalancerNode::addresses));
        return (addresses, true);
    }
    (addresses, degraded)
}

#[cfg(test)]
#[path = "answer/tests.rs"]
mod tests;
