use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use perigee_net::{Pass, Task};
use rustix::event::epoll::EventFlags;

use super::dial::Dial;
use super::joined::Joined;
use crate::tcp_totals;

/// An accepted connection and what has become of it.
///
/// It is small, because there may be a hundred thousand that say nothing: the machine that chooses the endpoint lives
/// only as long as it chooses, and bytes are held elsewhere while there are any.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) client: OwnedFd,
    pub(super) peer: SocketAddr,
    pub(super) destination: SocketAddr,
    /// The worker's number of the listener it came in by.
    pub(super) listener: u32,
    /// The network zone it came in by.
    pub(super) zone: u16,
    /// The place of its point of presence.
    pub(super) pop: u16,
    /// Its zone or point of presence is blackholed: events are noted and nothing is done.
    pub(super) is_stalled: bool,
    /// It stands in the queue of those who had their share.
    pub(super) is_queued: bool,
    /// What was told of the client before the flow was joined.
    pub(super) client_seen: EventFlags,
    pub(super) stage: Stage,
    pub(super) _pass: Pass,
    pub(super) _task: Task,
}

/// What has become of a flow.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all flows are joined; a box for those would be one more wait for memory"
)]
pub(super) enum Stage {
    /// It is on its way to an endpoint.
    Dialing(Box<Dial>),
    /// It stays with an endpoint until its end.
    Joined(Joined),
}

impl Flow {
    /// Tells what it has moved so far. One that is not joined has moved nothing.
    pub(super) fn report(&mut self) {
        let Stage::Joined(joined) = &mut self.stage else { return };
        let (bytes_in, bytes_out) = joined.relay.moved();
        if let Some(metered) = &mut joined.metered {
            metered.progressed(&tcp_totals(&self.client, bytes_in, bytes_out));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_flow_is_small() {
        assert!(size_of::<Flow>() <= 400, "{} bytes", size_of::<Flow>());
    }
}
