use std::time::Duration;

use serde::Serialize;

use crate::dns::{DnsHealthCheck, DnsServer, HostedZone, PolicyName, PolicyNode};
use crate::{HealthCheckIndex, LoadBalancerName, PolicyNameIndex, PolicyNodeIndex, ZoneIndex};

/// Everything that Perigee's DNS answers for: the zone that it makes itself from the resources, further zones, names
/// with a routing policy, and the health checks that those refer to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DnsZone {
    /// The built-in zone's apex, lower case, without trailing dot, such as `perigee.test`; also that of `zones[0]`.
    pub origin: String,
    /// Names below the built-in zone answered by the latency policy over every region's load balancer of one name, in
    /// name order: the short form of a [`PolicyName`].
    pub latency_names: Vec<LatencyName>,
    /// TTL of negative answers and SOA MINIMUM. Default 30 s (Perigee's choice: `spec` advice for GSLB zones).
    pub negative_ttl: Duration,
    /// TTL of the accelerators' static addresses. Default 300 s: they never change.
    pub accelerator_ttl: Duration,
    /// TTL of a load balancer's own name. Default 60 s, as the ALB guide states.
    pub load_balancer_ttl: Duration,
    /// The zones, the built-in one first, the others in order of their origins. Never empty.
    pub zones: Vec<HostedZone>,
    /// Names with a routing policy, in order of zone, then name.
    pub policy_names: Vec<PolicyName>,
    /// The trees of all policy names. A node's children stand behind it, so that walking backwards visits the leaves
    /// first; an alias to another policy name is the one reference that may point either way, and never in a circle.
    pub policy_nodes: Vec<PolicyNode>,
    /// Route 53-style health checks, in name order.
    pub health_checks: Vec<DnsHealthCheck>,
    /// How the server treats its clients.
    pub server: DnsServer,
}

/// A name answered by the latency policy: the nearest healthy region's load balancer of that name.
///
/// Source: Route 53 developer guide, "Latency-based routing", with evaluate-target-health.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LatencyName {
    /// The label below the apex, lower case, such as `app`.
    pub label: String,
    /// The load balancer's name, looked for in every region.
    pub load_balancer: LoadBalancerName,
    /// 5 to 300 s, default 30 s; halved while any region of the name is down, never below 5 s.
    pub ttl: Duration,
}

impl DnsZone {
    /// The built-in zone alone, without names of its own; every TTL has its default.
    pub fn new(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            latency_names: Vec::new(),
            negative_ttl: Duration::from_secs(30),
            accelerator_ttl: Duration::from_secs(300),
            load_balancer_ttl: Duration::from_secs(60),
            zones: vec![HostedZone::new(origin)],
            policy_names: Vec::new(),
            policy_nodes: Vec::new(),
            health_checks: Vec::new(),
            server: DnsServer::default(),
        }
    }

    /// The zone at `index`.
    pub fn zone(&self, index: ZoneIndex) -> &HostedZone {
        &self.zones[index.0]
    }

    /// The policy name at `index`.
    pub fn policy_name(&self, index: PolicyNameIndex) -> &PolicyName {
        &self.policy_names[index.0]
    }

    /// The node at `index`.
    pub fn policy_node(&self, index: PolicyNodeIndex) -> &PolicyNode {
        &self.policy_nodes[index.0]
    }

    /// The health check at `index`.
    pub fn health_check(&self, index: HealthCheckIndex) -> &DnsHealthCheck {
        &self.health_checks[index.0]
    }
}
