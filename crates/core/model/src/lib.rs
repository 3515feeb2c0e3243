//! The nouns of Perigee, parsed and valid: accelerators, load balancers, target groups, regions, the DNS zone,
//! and the immutable [`Snapshot`] that holds them all.
//!
//! This crate decides nothing and reads nothing; it says what can exist and in which ranges. Start with
//! [`Snapshot`] and [`Instant`]. The names are those of the AWS resources, in snake case.

mod accelerator;
pub mod dns;
mod dns_zone;
mod endpoint;
#[cfg(feature = "fixtures")]
pub mod fixtures;
mod load_balancer;
mod names;
mod ranges;
mod region;
mod settings;
mod snapshot;
mod target_group;
mod time;

pub use accelerator::{
    Accelerator, AcceleratorListener, ClientAffinity, EndpointGroup, EndpointHealthCheck, NETWORK_ZONES, PortOverride,
    PortRange, TransportProtocol,
};
pub use dns_zone::{DnsZone, LatencyName};
pub use endpoint::{ElasticIp, ElasticIpIndex, Endpoint, EndpointTarget, Instance, InstanceIndex};
pub use load_balancer::{
    Action, Condition, Field, ListenerProtocol, LoadBalancer, LoadBalancerListener, LoadBalancerNode, Rule,
};
pub use names::{
    AcceleratorName, AllocationId, InstanceId, LoadBalancerName, PopCode, RegionCode, TargetGroupName, ZoneName,
};
pub use ranges::{OutOfRange, ThresholdCount, TrafficDial, Weight};
pub use region::{Location, Region};
pub use settings::{Behaviour, ClientIp, EdgeTiming, Limits, Settings};
pub use snapshot::{
    AcceleratorIndex, HealthCheckIndex, LoadBalancerIndex, PolicyNameIndex, PolicyNodeIndex, RegionIndex, Snapshot,
    TargetGroupIndex, ZoneIndex,
};
pub use target_group::{HealthCheck, Matcher, ProbeProtocol, Target, TargetGroup};
pub use time::Instant;
