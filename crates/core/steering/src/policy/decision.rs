use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Position of a tree in its [`Trees`](super::Trees).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeIndex(pub(super) u32);

/// Position of an answer in its [`Trees`](super::Trees).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeafIndex(pub(super) u32);

/// Position of a node in its [`Trees`](super::Trees).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub(super) u32);

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DnsClient {
    /// The client subnet: address and SOURCE PREFIX-LENGTH. None without the option, when its length is 0 (the client
    /// opted out) or when the zone does not use it (`spec/dns.md`, E1, E3, E20).
    pub network: Option<(IpAddr, u8)>,
    /// The packet's source.
    pub resolver: IpAddr,
}

/// Most leaves of one decision (Route 53 developer guide, "Multivalue answer routing").
pub const PICKED_MAX: usize = 8;

/// The leaves of a decision: none, one, or up to eight of a multivalue policy; in order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picked {
    leaves: [LeafIndex; PICKED_MAX],
    length: usize,
}

impl Picked {
    pub(super) const NONE: Self = Self { leaves: [LeafIndex(0); PICKED_MAX], length: 0 };

    /// The leaves.
    pub fn as_slice(&self) -> &[LeafIndex] {
        &self.leaves[..self.length]
    }

    /// Adds a leaf if there is room.
    pub(super) fn push(&mut self, leaf: LeafIndex) {
        if let Some(place) = self.leaves.get_mut(self.length) {
            *place = leaf;
            self.length += 1;
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.length == PICKED_MAX
    }

    pub(super) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }
}

/// What a tree answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyDecision {
    /// The answers; none means no data of the type, for this client or (`NoType`) for any.
    pub leaves: Picked,
    /// How long the answer may be kept: the least of the leaves', already lowered if degraded. Zero without leaves.
    pub ttl: Duration,
    /// The ECS scope; 0 when no client subnet was given.
    pub scope: u8,
    /// Whether something of the tree is down.
    pub degraded: bool,
    /// Whether health was disregarded because nothing is healthy.
    pub failed_open: bool,
    /// Whether TTLs are lowered when degraded: not under `route53_parity`.
    pub(super) lowers_ttl: bool,
    /// Why this answer.
    pub reason: PolicyReason,
}

impl PolicyDecision {
    /// The TTL of a record that has one of its own, such as one of a zone file: lowered as [`Self::ttl`] is.
    ///
    /// Halved while something is down, not below 5 s and never raised (`spec/dns.md` section 3).
    pub fn ttl_of(&self, configured: Duration) -> Duration {
        if self.degraded && self.lowers_ttl { lowered(configured) } else { configured }
    }
}

/// TTL of a degraded answer (gdnsd's idea; `spec/dns.md` section 3).
pub(crate) fn lowered(ttl: Duration) -> Duration {
    ttl.min(Duration::from_secs(5).max(ttl / 2))
}

/// Why a tree answers as it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyReason {
    /// The policies' first choice.
    FirstChoice,
    /// What the policies prefer is unhealthy.
    NextHealthy,
    /// Nothing is healthy, so everything counts as healthy.
    FailOpen,
    /// No branch is for this client, and the zone answers as Route 53 does.
    NoMatch,
    /// Nothing in the tree has records of the type.
    NoType,
}

impl fmt::Display for PolicyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FirstChoice => "the policies' first choice",
            Self::NextHealthy => "the next choice that is healthy",
            Self::FailOpen => "nothing is healthy: all count as healthy",
            Self::NoMatch => "no branch is for this client",
            Self::NoType => "no branch has records of this type",
        })
    }
}
