use std::ops::Range;

use perigee_balance::Seed;
use perigee_model::{HealthCheckIndex, LoadBalancerIndex, PolicyNodeIndex};

use super::{LeafIndex, NodeIndex};

/// A name's tree.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) root: NodeIndex,
    /// Whether clients without a match get no data.
    pub(super) no_match_is_empty: bool,
    /// Whether degraded answers have a lower TTL.
    pub(super) lowers_ttl: bool,
    /// Nodes that make a scope, when there are too many to follow the client through them one by one.
    pub(super) scopes: Option<Box<[NodeIndex]>>,
}

/// A node of the trees.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) what: What,
    /// Types of the leaves below; a name of a zone file has all.
    pub(super) kinds: u64,
    /// The same without names of zone files.
    pub(super) exact: u64,
    /// Nodes below and here that make a scope, counted once for every way to them; saturating.
    pub(super) scoped: u32,
    /// Nodes on the longest way down from here, itself included.
    pub(super) depth: u8,
}

impl Node {
    /// What has no records.
    pub(super) const NOTHING: Self = Self { what: What::Nothing, kinds: 0, exact: 0, scoped: 0, depth: 1 };

    /// The leaf that the node itself holds.
    pub(super) fn leaf(&self) -> Option<LeafIndex> {
        match self.what {
            What::Leaf { leaf, .. } => Some(leaf),
            What::Graft { others, .. } => others.map(|(leaf, _)| leaf),
            What::Choice(_) | What::Nothing => None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// An answer; healthy as the load balancer is, always without one.
    Leaf { leaf: LeafIndex, health: Option<LoadBalancerIndex> },
    /// An alias to another tree, with values of some types beside it, which are always healthy.
    Graft { child: NodeIndex, others: Option<(LeafIndex, u64)> },
    /// A choice, by position.
    Choice(u32),
    /// An alias that leads nowhere.
    Nothing,
}

/// A choice between branches.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) rule: Rule,
    /// In the order that the rule's positions mean; at most 128.
    pub(super) branches: Range<u32>,
    /// The group that it was made from; none for a latency name.
    pub(super) source: Option<PolicyNodeIndex>,
}

#[derive(Debug)]
pub(super) enum Rule {
    WeightedPerQuery,
    WeightedPerClient(Seed),
    /// The primary is the first branch.
    Failover,
    Multivalue(Seed),
    Latency(u32),
    Geolocation(u32),
    Geoproximity(u32),
    IpBased(u32),
}

impl Rule {
    /// The table of clients' places, if that is what decides.
    pub(super) fn located(&self) -> Option<u32> {
        match self {
            Self::Latency(at) | Self::Geolocation(at) | Self::Geoproximity(at) | Self::IpBased(at) => Some(*at),
            Self::WeightedPerQuery | Self::WeightedPerClient(_) | Self::Failover | Self::Multivalue(_) => None,
        }
    }

    /// Whether an ECS scope follows from it.
    pub(super) fn makes_scope(&self) -> bool {
        self.located().is_some() || matches!(self, Self::WeightedPerClient(_))
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::WeightedPerQuery => "weighted, drawn for every query",
            Self::WeightedPerClient(_) => "weighted, drawn once for a client",
            Self::Failover => "failover",
            Self::Multivalue(_) => "multivalue",
            Self::Latency(_) => "latency",
            Self::Geolocation(_) => "geolocation",
            Self::Geoproximity(_) => "geoproximity",
            Self::IpBased(_) => "ip-based",
        }
    }
}

/// A branch of a choice.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) node: NodeIndex,
    /// Set identifier; the region's code for a branch of a latency name.
    pub(super) id: Box<str>,
    /// 0 to 255, of matter for the weighted policy.
    pub(super) weight: u8,
    pub(super) check: Option<HealthCheckIndex>,
    pub(super) evaluate: bool,
    /// Where the branch stands in its group of the snapshot, or the region of a latency name.
    pub(super) origin: u16,
}
