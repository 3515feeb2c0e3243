use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::Serialize;

use crate::{
    AcceleratorIndex, HealthCheckIndex, LoadBalancerIndex, Location, PolicyNameIndex, PolicyNodeIndex, RegionIndex,
    ZoneIndex,
};

/// A name whose answer a tree of routing policies decides.
///
/// One tree for all record types: a type's group, in Route 53's words, is the tree without the records that lack the
/// type.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyName {
    /// The zone it belongs to.
    pub zone: ZoneIndex,
    /// The whole name, lower case, without trailing dot; its first label may be `*`.
    pub name: String,
    /// The tree's root.
    pub root: PolicyNodeIndex,
}

/// A node of a tree of routing policies.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyNode {
    /// A choice between branches.
    Group(PolicyGroup),
    /// An answer.
    Record(PolicyRecord),
}

/// A choice between branches by one policy: at least one branch, at most 100 (30 for geoproximity).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyGroup {
    /// How one is picked.
    pub policy: Policy,
    /// Among these; every key fits the policy.
    pub branches: Vec<PolicyBranch>,
}

/// A routing policy (Route 53 developer guide, "Choosing a routing policy"). Simple is no group at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// In proportion to the branches' weights.
    Weighted {
        /// Per query or per client.
        draw: WeightedDraw,
    },
    /// The branch whose region has the least round trip to the client.
    Latency,
    /// The primary branch while it is healthy, then the secondary.
    Failover,
    /// The branch of the smallest area around the client.
    Geolocation,
    /// The branch at the least biased distance.
    Geoproximity {
        /// The older guide's formula for negative biases (`spec/dns.md` section 2.3).
        legacy_bias: bool,
    },
    /// Up to eight healthy branches.
    Multivalue,
    /// The branch of the longest matching network.
    IpBased,
}

/// What a weighted draw depends on (`spec/dns.md` section 2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightedDraw {
    /// Every query draws anew, as Route 53 does.
    #[default]
    PerQuery,
    /// A client's network keeps its branch.
    PerClient,
}

/// One branch of a group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyBranch {
    /// Unique in its group, 1 to 128 characters.
    pub set_identifier: String,
    /// What the policy picks it by.
    pub key: BranchKey,
    /// What stands there.
    pub node: PolicyNodeIndex,
    /// A health check that must pass as well.
    pub health_check: Option<HealthCheckIndex>,
    /// Whether the health of what stands there (load balancer, other name, group) counts. Without effect on addresses.
    pub evaluate_target_health: bool,
}

/// What a policy picks a branch by.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BranchKey {
    /// Weighted: 0 to 255.
    Weight(u8),
    /// Latency: one branch per region.
    Region(RegionIndex),
    /// Failover, one.
    Primary,
    /// Failover, one.
    Secondary,
    /// Geolocation: each area once.
    Location(GeoLocation),
    /// Geoproximity.
    Proximity {
        /// Where the branch is.
        location: Location,
        /// -99 to 99; positive attracts.
        bias: i8,
    },
    /// Multivalue: nothing to pick by.
    Value,
    /// IP-based: /1 to /24 or /1 to /48, each network once in the group.
    Cidrs(Vec<IpNet>),
    /// IP-based: who is in none of the networks.
    AnyNetwork,
}

/// An area of the geolocation policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GeoLocation {
    /// Who is in no other area, and addresses of no known place.
    Default,
    /// `AF AN AS EU OC NA SA`.
    Continent(String),
    /// ISO 3166 code, two capital letters.
    Country(String),
    /// A state of the USA, two capital letters.
    Subdivision(String),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyRecord {
    /// TTL of addresses and other values. An alias takes its target's instead: 60 s of a load balancer, the zone's
    /// accelerator TTL, or the other name's own.
    pub ttl: Duration,
    /// The addresses, or where they come from.
    pub target: RecordTarget,
    /// Records of other types at this answer, each type once.
    pub others: Vec<RecordValues>,
}

/// Where an answer's addresses come from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordTarget {
    /// They stand here; IPv4 is type A, IPv6 type AAAA. Empty if the answer has other types only.
    Addresses(Vec<IpAddr>),
    /// The nodes of a load balancer whose zone is in service.
    LoadBalancer(LoadBalancerIndex),
    /// The static addresses of an accelerator.
    Accelerator(AcceleratorIndex),
    /// Another policy name: its tree goes on here, with its own TTLs.
    PolicyName(PolicyNameIndex),
    /// A name of a zone file: its records, always healthy. Whole name, lower case, without trailing dot.
    Name(String),
}

/// Values of one type, in presentation format (RFC 1035 section 5.1), relative names below the zone's apex.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecordValues {
    /// The type's mnemonic in capitals, such as `HTTPS`.
    pub record_type: String,
    /// At least one.
    pub values: Vec<String>,
}
