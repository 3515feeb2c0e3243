use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{RegionIndex, TargetGroupName, ZoneName};

/// A target group of type `ip`: HTTP/1.1 targets and how they are checked.
///
/// Source: Elastic Load Balancing API, `TargetGroup`; ALB guide, "Edit target group attributes".
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TargetGroup {
    /// Its name, unique in its region.
    pub name: TargetGroupName,
    /// Its region.
    pub region: RegionIndex,
    /// How its targets are checked.
    pub health_check: HealthCheck,
    /// `deregistration_delay.timeout_seconds`, 0 to 3600 s, default 300 s.
    pub deregistration_delay: Duration,
    /// `target_group_health.unhealthy_state_routing.minimum_healthy_targets.count`, at least 1: fewer healthy
    /// targets than this and a node sends to all of them.
    pub routing_minimum_healthy: u16,
    /// `target_group_health.dns_failover.minimum_healthy_targets.count`, at least 1: fewer and the zone leaves DNS.
    pub dns_minimum_healthy: u16,
    /// The targets, in the order of the configuration.
    pub targets: Vec<Target>,
}

/// A registered target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// Its address.
    pub address: IpAddr,
    /// Its port, 1 to 65535.
    pub port: u16,
    /// Its zone.
    pub zone: ZoneName,
}

/// How a target is checked (ALB guide, "Health checks for your target groups").
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthCheck {
    /// What is spoken.
    pub protocol: ProbeProtocol,
    /// The port, or none for the target's own (`traffic-port`).
    pub port: Option<u16>,
    /// Path and query of the request, 1 to 1024 characters, default `/`.
    pub path: String,
    /// From start to start, 5 to 300 s, default 30 s.
    pub interval: Duration,
    /// 2 to 120 s and below the interval, default 5 s.
    pub timeout: Duration,
    /// Successes in a row that make an unhealthy target healthy, 2 to 10, default 5.
    pub healthy_threshold: u8,
    /// Failures in a row that make a target unhealthy, 2 to 10, default 2.
    pub unhealthy_threshold: u8,
    /// The codes that count as a success.
    pub matcher: Matcher,
}

/// What a probe speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ProbeProtocol {
    /// A connection that opens.
    Tcp,
    /// A `GET` with an accepted status.
    Http,
    /// The same over TLS; the certificate is not verified, as with the original.
    Https,
}

/// Accepted status codes, 200 to 499, as inclusive ranges. Default: 200 alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Matcher(Vec<(u16, u16)>);

impl Matcher {
    /// Accepts the given inclusive ranges.
    pub fn new(ranges: Vec<(u16, u16)>) -> Self {
        Self(ranges)
    }

    /// Whether `status` counts as a success.
    pub fn accepts(&self, status: u16) -> bool {
        self.0.iter().any(|(from, to)| (*from..=*to).contains(&status))
    }
}

impl Default for Matcher {
    fn default() -> Self {
        Self(vec![(200, 200)])
    }
}
