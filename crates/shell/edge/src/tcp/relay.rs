//! Moves the bytes of a joined flow, as far as both kernels let it, and remembers where it stopped.

mod half;
#[cfg(test)]
mod tests;

use std::os::fd::OwnedFd;

use prometheus_client::metrics::counter::Counter;
use rustix::event::epoll::EventFlags;

use self::half::{Half, Stop};
use super::backlog::{Backlogs, CHUNK};
use super::pipes::Pipes;
use super::socket;

/// A side of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client that opened the flow.
    Client,
    /// The endpoint it was brought to.
    Endpoint,
}

/// What the flows of a worker share: the buffer for reads, and what holds bytes that wait.
#[derive(Debug)]
pub(super) struct Pool {
    scratch: Box<[u8]>,
    pipes: Pipes,
    backlogs: Backlogs,
}

impl Pool {
    /// An empty one; the counters count the limits that are hit.
    pub(super) fn new(pipes: Counter, backlogs: Counter) -> Self {
        Self { scratch: vec![0; CHUNK].into(), pipes: Pipes::new(pipes), backlogs: Backlogs::new(backlogs) }
    }
}

/// Both directions of a joined flow.
///
/// Readiness is edge-triggered: what an event said is remembered here until a call of the kernel says otherwise. A read
/// that does not fill its buffer has emptied the socket (`epoll(7)`, questions and answers), so nothing is asked twice;
/// if the end was announced before that read, it is reached. Bytes that one side does not take stop the reading of the
/// other. While nothing waits a flow holds neither buffer nor pipe.
#[derive(Debug)]
pub(super) struct Relay {
    inbound: Half,
    outbound: Half,
}

/// How far the bytes got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pumped {
    /// As far as the kernels let them; an event will tell when there is more to do.
    Rests,
    /// There is more, but it is other flows' turn.
    More,
    /// Both directions are over.
    Closed,
    /// This side reset or broke.
    Broken(Side),
}

impl Relay {
    /// Two connections with nothing moved; both can be written. The client's has `TCP_NODELAY` from its listener.
    pub(super) const fn new() -> Self {
        Self { inbound: Half::new(false), outbound: Half::new(true) }
    }

    /// The endpoint was written to before: a greeting.
    pub(super) const fn note_greeting(&mut self) {
        self.inbound.has_written = true;
    }

    /// Notes what an event says of a side.
    pub(super) fn note(&mut self, side: Side, flags: EventFlags) {
        let (from, to) = match side {
            Side::Client => (&mut self.inbound, &mut self.outbound),
            Side::Endpoint => (&mut self.outbound, &mut self.inbound),
        };
        from.note_source(flags);
        to.note_destination(flags);
    }

    /// Moves what can be moved, at most a share of it.
    pub(super) fn pump(&mut self, client: &OwnedFd, endpoint: &OwnedFd, pool: &mut Pool) -> Pumped {
        let inbound = match self.inbound.pump(client, endpoint, pool) {
            Ok(stop) => stop,
            Err(broken) => return Pumped::Broken(broken.of(Side::Client, Side::Endpoint)),
        };
        let outbound = match self.outbound.pump(endpoint, client, pool) {
            Ok(stop) => stop,
            Err(broken) => return Pumped::Broken(broken.of(Side::Endpoint, Side::Client)),
        };
        // A close tells of both ends, so the last one needs no call of its own.
        let is_over = self.inbound.is_drained() && self.outbound.is_drained();
        if is_over {
            return Pumped::Closed;
        }
        for (half, to, side) in
            [(&mut self.inbound, endpoint, Side::Endpoint), (&mut self.outbound, client, Side::Client)]
        {
            if half.is_drained() && !std::mem::replace(&mut half.is_ended, true) && socket::end(to).is_err() {
                return Pumped::Broken(side);
            }
        }
        if inbound == Stop::Share || outbound == Stop::Share { Pumped::More } else { Pumped::Rests }
    }

    /// Payload bytes taken from the client and from the endpoint.
    pub(super) const fn moved(&self) -> (u64, u64) {
        (self.inbound.moved, self.outbound.moved)
    }

    /// Whether the endpoint's end was passed on to the client.
    pub(super) const fn endpoint_ended(&self) -> bool {
        self.outbound.is_ended
    }

    /// Gives back what it holds; bytes that still wait are lost.
    pub(super) fn release(&mut self, pool: &mut Pool) {
        self.inbound.release(pool);
        self.outbound.release(pool);
    }
}
