use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::Serialize;

use crate::{AcceleratorName, PortRange, RegionIndex, SubnetId, SubnetIndex, TransportProtocol};

/// A custom routing accelerator: two static IPv4 addresses whose ports lead, one for one, to addresses and ports of
/// subnets. It knows no health, dial, weight, affinity or failover.
///
/// Source: Global Accelerator API, `CustomRoutingAccelerator`; `global-accelerator.md` section 11.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CustomRoutingAccelerator {
    /// Its name; standard and custom routing accelerators share the names, because DNS does.
    pub name: AcceleratorName,
    /// The static addresses, one from each network zone.
    pub addresses: [Ipv4Addr; 2],
    /// A disabled accelerator refuses new flows and resets established ones.
    pub enabled: bool,
    /// The listeners; no two share a port.
    pub listeners: Vec<CustomRoutingListener>,
}

/// Ports of a custom routing accelerator, and whose destinations they are handed to.
///
/// Source: Global Accelerator API, `CustomRoutingListener`. It has no protocol: each destination says its own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CustomRoutingListener {
    /// One to ten ranges of at least [`CustomRoutingListener::RANGE_MIN`] ports each. They may grow, never shrink.
    pub port_ranges: Vec<PortRange>,
    /// At most one group per region.
    pub endpoint_groups: Vec<CustomRoutingEndpointGroup>,
}

/// The subnets of one region behind one listener, and the ports of their destinations.
///
/// Source: Global Accelerator API, `CustomRoutingEndpointGroup`. There is no call to change one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CustomRoutingEndpointGroup {
    /// Its region.
    pub region: RegionIndex,
    /// One to a hundred, in the order given.
    pub destination_configurations: Vec<DestinationConfiguration>,
    /// Zero to ten subnets of the region, none twice.
    pub endpoints: Vec<CustomRoutingEndpoint>,
}

/// Ports that every address of the group's subnets has, and what they speak.
///
/// Source: Global Accelerator API, `CustomRoutingDestinationConfiguration`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DestinationConfiguration {
    /// The ports, whatever the listener's are.
    pub port_range: PortRange,
    /// At least one.
    pub protocols: Protocols,
}

/// A set of transport protocols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Protocols {
    /// Whether TCP is one of them.
    pub tcp: bool,
    /// Whether UDP is one of them.
    pub udp: bool,
}

/// A subnet behind a custom routing accelerator, and where in it traffic may go.
///
/// Source: Global Accelerator API, `CustomRoutingEndpointConfiguration`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CustomRoutingEndpoint {
    /// The subnet.
    pub subnet: SubnetIndex,
    /// What was allowed and denied, in this order; a later one wins. Without any, every destination is denied.
    pub traffic: Vec<TrafficRule>,
}

/// One word on which destinations of a subnet take traffic.
///
/// Source: Global Accelerator API, `AllowCustomRoutingTraffic` and `DenyCustomRoutingTraffic`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrafficRule {
    /// What it says.
    pub state: TrafficState,
    /// About which destinations.
    pub scope: TrafficScope,
}

/// The destinations of a subnet that a [`TrafficRule`] speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TrafficScope {
    /// All of them.
    Subnet,
    /// These ports of these addresses.
    Destinations {
        /// One to a hundred usable addresses of the subnet.
        addresses: Vec<Ipv4Addr>,
        /// At most a hundred of the group's destination ports; none means all of them.
        ports: Vec<u16>,
    },
}

/// Whether a destination takes traffic.
///
/// Source: Global Accelerator API, `CustomRoutingDestinationTrafficState`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TrafficState {
    /// It does.
    Allow,
    /// It does not. The default.
    #[default]
    Deny,
}

/// A subnet of a region: where the destinations of custom routing accelerators are.
///
/// Source: EC2 API, `Subnet`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Subnet {
    /// Its identifier, unique in the snapshot.
    pub id: SubnetId,
    /// Its region.
    pub region: RegionIndex,
    /// Its addresses, /17 to /28; no other subnet of the snapshot has one of them.
    pub cidr: Ipv4Net,
}

impl CustomRoutingListener {
    /// Ports that a range has at least (Global Accelerator API, `CreateCustomRoutingListener`).
    pub const RANGE_MIN: u16 = 16;

    /// Whether any destination behind the listener speaks `protocol`.
    pub fn speaks(&self, protocol: TransportProtocol) -> bool {
        let configurations = self.endpoint_groups.iter().flat_map(|g| &g.destination_configurations);
        configurations.into_iter().any(|c| c.protocols.contains(protocol))
    }

    /// Whether the listener has `port`.
    pub fn listens_on(&self, port: u16) -> bool {
        self.port_ranges.iter().any(|r| r.contains(port))
    }
}

impl Protocols {
    /// Those in either set.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self { tcp: self.tcp || other.tcp, udp: self.udp || other.udp }
    }

    /// Whether `protocol` is one of them.
    pub const fn contains(self, protocol: TransportProtocol) -> bool {
        match protocol {
            TransportProtocol::Tcp => self.tcp,
            TransportProtocol::Udp => self.udp,
        }
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        !self.tcp && !self.udp
    }

    /// Their names in the API, `TCP` before `UDP`.
    pub fn names(self) -> Vec<&'static str> {
        [("TCP", self.tcp), ("UDP", self.udp)].into_iter().filter(|(_, is)| *is).map(|(name, _)| name).collect()
    }
}

impl TrafficState {
    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "ALLOW",
            Self::Deny => "DENY",
        }
    }
}
