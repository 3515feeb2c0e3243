use std::net::SocketAddr;

use perigee_dataplane::RequestToken;
use perigee_model::Instant;

use crate::{Entry, Epoch};

/// Whose request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Of the load at this position.
    Load(u32),
    /// Of a client of the population, of this class.
    Session(u32),
}

/// A connection of a client, as far as a request needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    /// The node it leads to.
    pub(super) node: u32,
    /// The node's port.
    pub(super) port: u16,
    /// The edge it goes through; none for one straight to the node.
    pub(super) edge: Option<u32>,
    /// Whether it has carried an answer.
    pub(super) carried: bool,
    /// When it was last used.
    pub(super) used_at: Instant,
}

/// Where a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its connection is being made.
    Connecting,
    /// On its way to the node.
    Travelling,
    /// At a target.
    Serving,
    /// Its answer is on its way, or it has none and its client waits or thinks.
    Waiting,
}

/// One request and, for a session, everything about the client that makes them one after the other.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) owner: Owner,
    pub(super) source: u32,
    pub(super) entry: Entry,
    pub(super) client: SocketAddr,
    pub(super) phase: Phase,
    pub(super) link: Option<Link>,
    /// The edge that its connection is made through.
    pub(super) edge: u32,
    /// Whether the connection was made for this request.
    pub(super) fresh: bool,
    /// When the request was due at its client.
    pub(super) started: Instant,
    pub(super) deadline: Instant,
    /// Where it was sent last, for the figures.
    pub(super) region: Option<u32>,
    pub(super) token: Option<RequestToken>,
    pub(super) target: u32,
    pub(super) epoch: Option<Epoch>,
    /// Whether the answer has a status of 400 or above.
    pub(super) bad: bool,
    /// Number of the opening under way.
    pub(super) opening: Option<u32>,
    pub(super) keep: bool,
    /// Random bits of a session's own.
    pub(super) bits: u64,
    /// Requests that the session still makes after this one.
    pub(super) left: u32,
    pub(super) tries: u32,
    pub(super) ignores_ttl: bool,
    pub(super) number: u64,
}

impl Job {
    /// The next random bits of the session (splitmix64: Steele, Lea and Flood, 2014).
    pub(super) const fn draw(&mut self) -> u64 {
        self.bits = self.bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.bits;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in (0, 1].
    pub(super) fn unit(&mut self) -> f64 {
        ((self.draw() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }
}
