use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use crate::{AcceleratorName, Endpoint, ProbeProtocol, RegionIndex, ThresholdCount, TrafficDial};

/// The network zones that static addresses come from, each with infrastructure of its own (Global Accelerator developer
/// guide, "How Global Accelerator works"; the names are Perigee's choice).
pub const NETWORK_ZONES: [&str; 2] = ["zone-a", "zone-b"];

/// A standard accelerator: static anycast addresses and the listeners behind them.
///
/// Source: Global Accelerator API, `Accelerator`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Accelerator {
    /// Its name.
    pub name: AcceleratorName,
    /// The static addresses, one from each network zone: two of IPv4, and of a dual-stack accelerator two of IPv6
    /// behind them, each family in the order of [`NETWORK_ZONES`].
    pub addresses: Vec<IpAddr>,
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
    /// How endpoints that are no load balancers are probed; load balancers are judged by their target groups.
    pub health_check: EndpointHealthCheck,
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

/// How a group's endpoints are probed, those that are no load balancers.
///
/// Source: Global Accelerator API, `EndpointGroup`; `global-accelerator.md` sections 4 and 8.3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EndpointHealthCheck {
    /// What is spoken, default TCP. Endpoints of UDP listeners are probed by TCP whatever it says.
    pub protocol: ProbeProtocol,
    /// The port, 1 to 65535; default the first port of the listener's first range. Port overrides do not touch it.
    /// Endpoints of UDP listeners are probed on that first port whatever it says.
    pub port: u16,
    /// The path of an HTTP or HTTPS probe, 1 to 255 characters, default `/`.
    pub path: String,
    /// From a response to the next probe: 10 or 30 s, default 30. Lab configurations go down to 100 ms.
    pub interval: Duration,
    /// Results in a row that turn the state, both ways.
    pub threshold_count: ThresholdCount,
}

impl EndpointHealthCheck {
    /// The API's default: TCP on `port` every 30 s, three in a row.
    pub fn tcp(port: u16) -> Self {
        let interval = Duration::from_secs(30);
        Self {
            protocol: ProbeProtocol::Tcp,
            port,
            path: "/".into(),
            interval,
            threshold_count: ThresholdCount::DEFAULT,
        }
    }
}

impl EndpointGroup {
    /// The port at the endpoint for traffic of `listener_port`.
    pub fn endpoint_port(&self, listener_port: u16) -> u16 {
        self.port_overrides.iter().find(|o| o.listener_port == listener_port).map_or(listener_port, |o| o.endpoint_port)
    }
}

impl Accelerator {
    /// Whether it is of the type `DUAL_STACK`: it has IPv6 addresses beside those of IPv4.
    pub fn is_dual_stack(&self) -> bool {
        self.addresses.iter().any(IpAddr::is_ipv6)
    }

    /// The network zone that `address` comes from, as a position in [`NETWORK_ZONES`]; none if it is not the
    /// accelerator's.
    pub fn network_zone(&self, address: IpAddr) -> Option<usize> {
        self.addresses.iter().position(|a| *a == address).map(|position| position % NETWORK_ZONES.len())
    }
}

impl AcceleratorListener {
    /// What a probe of an endpoint of `group` speaks, and on which port.
    ///
    /// Source: `global-accelerator.md` section 8.3: for a UDP listener a TCP connect to the listener's port, the first
    /// one of its first range (Perigee's choice).
    pub fn probe_of(&self, group: &EndpointGroup) -> (ProbeProtocol, u16) {
        match (self.protocol, self.port_ranges.first()) {
            (TransportProtocol::Udp, Some(range)) => (ProbeProtocol::Tcp, range.from_port),
            _ => (group.health_check.protocol, group.health_check.port),
        }
    }

    /// Whether the listener takes traffic of `port`.
    pub fn listens_on(&self, port: u16) -> bool {
        self.port_ranges.iter().any(|r| r.contains(port))
    }
}
