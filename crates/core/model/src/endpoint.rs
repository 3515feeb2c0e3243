use std::net::{IpAddr, Ipv6Addr};

use serde::Serialize;

use crate::{AllocationId, InstanceId, LoadBalancerIndex, RegionIndex, Weight};

/// An endpoint: a resource of the group's region, with its weight.
///
/// Source: Global Accelerator API, `EndpointConfiguration`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// The resource.
    pub target: EndpointTarget,
    /// Share among the group's eligible endpoints.
    pub weight: Weight,
    /// Whether the endpoint sees the client's address instead of the edge's. Default true for a load balancer; always
    /// true for an instance, never for an elastic IP (`global-accelerator.md` section 7.3).
    pub client_ip_preservation: bool,
}

/// What an endpoint is (Global Accelerator developer guide, "Endpoints for standard accelerators").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointTarget {
    /// An application load balancer, judged by its target groups.
    LoadBalancer(LoadBalancerIndex),
    /// An EC2 instance, probed by the accelerator.
    Instance(InstanceIndex),
    /// An Elastic IP address, probed by the accelerator.
    ElasticIp(ElasticIpIndex),
}

impl EndpointTarget {
    /// Whether the accelerator's own probes judge it.
    pub const fn is_probed(self) -> bool {
        matches!(self, Self::Instance(_) | Self::ElasticIp(_))
    }

    /// What it is called where people read: `load balancer`, `instance` or `elastic IP`.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::LoadBalancer(_) => "load balancer",
            Self::Instance(_) => "instance",
            Self::ElasticIp(_) => "elastic IP",
        }
    }
}

/// Position in [`Snapshot::instances`](crate::Snapshot::instances); means nothing in another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct InstanceIndex(pub usize);

/// Position in [`Snapshot::elastic_ips`](crate::Snapshot::elastic_ips); means nothing in another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ElasticIpIndex(pub usize);

/// An EC2 instance: somebody's server that flows reach without a load balancer between.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Instance {
    /// Its id, unique in the region.
    pub id: InstanceId,
    /// Its region.
    pub region: RegionIndex,
    /// Its private address, IPv4. Routing is by this address: another machine that has it gets the traffic.
    pub address: IpAddr,
    /// The IPv6 address of its primary interface; a dual-stack accelerator needs it.
    pub ipv6: Option<Ipv6Addr>,
}

/// An Elastic IP address: IPv4 alone, and the client's address is never preserved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ElasticIp {
    /// Its allocation id, unique in the region.
    pub id: AllocationId,
    /// Its region.
    pub region: RegionIndex,
    /// The address.
    pub address: IpAddr,
}
