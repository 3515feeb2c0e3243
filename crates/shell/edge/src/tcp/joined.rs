use std::os::fd::OwnedFd;

use perigee_model::Instant;
use perigee_net::Crossing;

use super::relay::Relay;
use crate::MeteredFlow;

/// A flow and its endpoint.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) endpoint: OwnedFd,
    /// The attempt that reached it: its events still come under that number.
    pub(super) attempt: u8,
    pub(super) relay: Relay,
    /// When payload last moved.
    pub(super) last: Instant,
    /// When it ends whatever the client does; only while the edge drains.
    pub(super) closes_at: Option<Instant>,
    pub(super) idle: std::time::Duration,
    /// Tells metrics and flow logs; none of a custom routing accelerator's.
    pub(super) metered: Option<MeteredFlow>,
    /// Known to the node as long as the flow is; of edges and nodes of one process.
    pub(super) _crossing: Option<Box<Crossing>>,
}

impl Joined {
    /// When it ends if nothing moves.
    pub(super) fn ends_at(&self) -> Instant {
        let idle = self.last + self.idle;
        self.closes_at.map_or(idle, |at| at.min(idle))
    }
}
