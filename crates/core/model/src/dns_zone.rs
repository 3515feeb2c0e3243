use std::time::Duration;

use serde::Serialize;

use crate::LoadBalancerName;

/// The zone that Perigee's DNS answers for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DnsZone {
    /// The apex, lower case, without trailing dot, such as `perigee.test`.
    pub origin: String,
    /// Names answered by the latency policy, in name order.
    pub latency_names: Vec<LatencyName>,
    /// TTL of negative answers and SOA MINIMUM. Default 30 s (Perigee's choice: `spec` advice for GSLB zones).
    pub negative_ttl: Duration,
    /// TTL of the accelerators' static addresses. Default 300 s: they never change.
    pub accelerator_ttl: Duration,
    /// TTL of a load balancer's own name. Default 60 s, as the ALB guide states.
    pub load_balancer_ttl: Duration,
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
