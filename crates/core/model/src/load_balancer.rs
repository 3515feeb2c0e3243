use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{LoadBalancerName, RegionIndex, TargetGroupIndex, ZoneName};

/// An application load balancer: one node per zone, listeners with rules.
///
/// Source: Elastic Load Balancing API, `LoadBalancer`; attributes from the ALB guide, "Edit load balancer attributes".
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LoadBalancer {
    /// Its name, unique in its region.
    pub name: LoadBalancerName,
    /// Its region.
    pub region: RegionIndex,
    /// One node per enabled zone, at least one, in zone order.
    pub nodes: Vec<LoadBalancerNode>,
    /// One listener per port.
    pub listeners: Vec<LoadBalancerListener>,
    /// `idle_timeout.timeout_seconds`, 1 to 4000 s, default 60 s: no byte either way closes a connection.
    pub idle_timeout: Duration,
    /// `client_keep_alive.seconds`, 60 to 604800 s, default 3600 s: greatest age of a client connection.
    pub client_keep_alive: Duration,
}

/// The node of a load balancer in one zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoadBalancerNode {
    /// The zone.
    pub zone: ZoneName,
    /// The address it listens on and connects to targets from, IPv4.
    pub address: IpAddr,
    /// The address it listens on as well when the load balancer is of the type `dualstack`.
    pub ipv6: Option<Ipv6Addr>,
    /// Where it answers questions about its own view of target health (HTTP, on `address`).
    pub status_port: u16,
}

/// A listener: a port and its rules.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LoadBalancerListener {
    /// What it speaks.
    pub protocol: ListenerProtocol,
    /// The port, on every node.
    pub port: u16,
    /// Rules in ascending priority, without the default rule.
    pub rules: Vec<Rule>,
    /// The default rule's action, taken when no rule matches.
    pub default_action: Action,
}

/// What a listener speaks. HTTPS comes with the regional tier's own issue and is refused by the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ListenerProtocol {
    /// HTTP/1.0 and HTTP/1.1 in clear.
    Http,
}

/// A rule: all conditions must hold; the lowest priority that matches wins (ALB guide, "Listener rules").
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rule {
    /// 1 to 50000, unique in the listener, lower first.
    pub priority: u16,
    /// One to five values in all; the conditions are ANDed.
    pub conditions: Vec<Condition>,
    /// What happens to a matching request.
    pub action: Action,
}

/// A condition: one of its values must match the field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// What is looked at.
    pub field: Field,
    /// Patterns with `*` (any run) and `?` (one character), at most 128 characters each.
    pub values: Vec<String>,
}

/// The part of a request that a condition looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// The host, without port, whatever the case.
    HostHeader,
    /// The normalised path without query, case counts.
    PathPattern,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Action {
    /// Sends the request to a target of the group.
    Forward {
        /// The group; it belongs to the load balancer's region and to no other load balancer.
        target_group: TargetGroupIndex,
    },
}

impl LoadBalancerNode {
    /// The addresses it listens on, IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + Clone {
        [Some(self.address), self.ipv6.map(IpAddr::V6)].into_iter().flatten()
    }
}

impl LoadBalancer {
    /// Whether it is of the type `dualstack`: every node has an IPv6 address.
    pub fn is_dual_stack(&self) -> bool {
        self.nodes.iter().all(|node| node.ipv6.is_some())
    }

    /// The target groups that a listener or rule refers to, each once, ascending: those that count for health.
    pub fn target_groups(&self) -> Vec<TargetGroupIndex> {
        let mut groups: Vec<TargetGroupIndex> = self
            .listeners
            .iter()
            .flat_map(|l| l.rules.iter().map(|r| r.action).chain([l.default_action]))
            .map(|a| match a {
                Action::Forward { target_group } => target_group,
            })
            .collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }
}
