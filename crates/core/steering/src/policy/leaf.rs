use std::time::Duration;

use perigee_model::dns::{RecordTarget, RecordValues};
use perigee_model::{PolicyNodeIndex, RegionIndex};

use super::RecordKind;

/// An answer at the end of a tree.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// Where the addresses come from; never another policy name. Empty addresses where that name's own leaves have
    /// them or nobody has.
    pub target: RecordTarget,
    /// Values of other types.
    pub others: Vec<RecordValues>,
    /// TTL of the other types' values.
    pub ttl: Duration,
    /// TTL of addresses: that of the target where it has its own.
    pub address_ttl: Duration,
    /// The region of a load balancer.
    pub region: Option<RegionIndex>,
    /// The record that it was made from; none for a region of a latency name.
    pub record: Option<PolicyNodeIndex>,
}

impl Leaf {
    /// TTL of values of `kind`.
    pub fn ttl_of(&self, kind: RecordKind) -> Duration {
        if kind.is_address() { self.address_ttl } else { self.ttl }
    }
}
