use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::{AcceleratorName, LoadBalancerIndex, RegionIndex, ThresholdCount, TrafficDial, Weight};

/// A standard accelerator: two static anycast addresses and the listeners behind them.
///
/// Source: Global Accelerator API, `Accelerator`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Accelerator {
    /// Its name.
    pub name: AcceleratorName,
    /// The static addresses, one from each network zone.
    pub addresses: [IpAddr; 2],
    /// A disabled accelerator refuses new flows and resets established ones.
    pub enabled: bool,
    /// The listeners; no two of one protocol share a port.
    pub listeners: Vec<AcceleratorListener>,
}

/// A listener of an accelerator: ports of one protocol and the endpoint groups behind them.
///
/// Source: Global Accelerator API, `Listener`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AcceleratorListener {
    /// What it takes; the same port on a TCP and a UDP listener of one accelerator is legal.
    pub protocol: TransportProtocol,
    /// One to ten ranges.
    pub port_ranges: Vec<PortRange>,
    /// Whether one client sticks to one endpoint.
    pub client_affinity: ClientAffinity,
    /// At most one group per region.
    pub endpoint_groups: Vec<EndpointGroup>,
}

/// What a listener or a flow speaks (Global Accelerator API, `Protocol`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TransportProtocol {
    /// Connections, which the edge terminates. The default.
    #[default]
    Tcp,
    /// Datagrams, which the edge passes on.
    Udp,
}

impl TransportProtocol {
    /// Its number in an IP header (IANA, "Assigned Internet Protocol Numbers").
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    /// Its name in the API: `TCP` or `UDP`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

impl fmt::Display for TransportProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Ports `from_port` to `to_port`, both inclusive, 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PortRange {
    /// First port.
    pub from_port: u16,
    /// Last port, not below the first.
    pub to_port: u16,
}

impl PortRange {
    /// Whether `port` lies inside.
    pub const fn contains(self, port: u16) -> bool {
        self.from_port <= port && port <= self.to_port
    }

    /// Whether the two ranges share a port.
    pub const fn overlaps(self, other: Self) -> bool {
        self.from_port <= other.to_port && other.from_port <= self.to_port
    }
}

/// What a flow's choice is hashed from (Global Accelerator developer guide, "Client affinity").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClientAffinity {
    /// The five-tuple: each new flow may land elsewhere. The default.
    #[default]
    None,
    /// Source and destination address: the same client stays with the same endpoint.
    SourceIp,
}

/// The endpoints of one region behind one listener.
///
/// Source: Global Accelerator API, `EndpointGroup`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EndpointGroup {
    /// Its region; one group per region and listener.
    pub region: RegionIndex,
    /// Share of the traffic directed here by proximity that is taken here.
    pub traffic_dial: TrafficDial,
    /// Checks in a row that turn a probed endpoint's state; load balancers are judged by their target groups.
    pub threshold_count: ThresholdCount,
    /// Seconds between checks of probed endpoints, 10 or 30, default 30.
    pub health_check_interval_s: u8,
    /// Listener ports that go to another endpoint port.
    pub port_overrides: Vec<PortOverride>,
    /// Zero to ten endpoints; an empty group gets no traffic.
    pub endpoints: Vec<Endpoint>,
}

/// Traffic of `listener_port` goes to `endpoint_port` at this group's endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PortOverride {
    /// A port inside the listener's ranges.
    pub listener_port: u16,
    /// A port outside every range of the accelerator.
    pub endpoint_port: u16,
}

/// An endpoint: a load balancer of the group's region, with its weight.
///
/// Source: Global Accelerator API, `EndpointConfiguration`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// The load balancer.
    pub load_balancer: LoadBalancerIndex,
    /// Share among the group's eligible endpoints.
    pub weight: Weight,
    /// Whether the load balancer sees the client's address instead of the edge's. Default true.
    pub client_ip_preservation: bool,
}

impl EndpointGroup {
    /// The port at the endpoint for traffic of `listener_port`.
    pub fn endpoint_port(&self, listener_port: u16) -> u16 {
        self.port_overrides.iter().find(|o| o.listener_port == listener_port).map_or(listener_port, |o| o.endpoint_port)
    }
}

impl AcceleratorListener {
    /// Whether the listener takes traffic of `port`.
    pub fn listens_on(&self, port: u16) -> bool {
        self.port_ranges.iter().any(|r| r.contains(port))
    }
}
