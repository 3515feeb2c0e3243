//! How a query came, and what is handed back.

use std::net::SocketAddr;
use std::time::Duration;

use crate::Moment;
use crate::rate_limit::{RateLimiter, Verdict};

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In a datagram: the answer has to fit one.
    Udp,
    /// On a connection: an answer may have 65,535 octets.
    Tcp,
    /// On a connection under TLS (RFC 7858).
    Tls,
    /// In an HTTP request (RFC 8484).
    Https,
    /// On a stream of a QUIC connection (RFC 9250).
    Quic,
}

impl Transport {
    /// The counters' and the log's word for it.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Https => "https",
            Self::Quic => "quic",
        }
    }

    /// Whether nobody on the way can read it.
    pub(crate) const fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::Https | Self::Quic)
    }
}

/// Where, how and when a query came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) source: SocketAddr,
    pub(crate) transport: Transport,
    pub(crate) moment: Moment,
    /// How long the connection may be idle; none if that is not for DNS to say (UDP, HTTP and QUIC).
    pub(crate) idle: Option<Duration>,
    /// Whether the host fails: SERVFAIL to every query.
    pub(crate) is_failing: bool,
    /// What is left to chance: the rotation of records, and draws by weight.
    pub(crate) draw: u64,
}

/// Who limits the rate of answers.
pub(crate) enum Limit<'a> {
    /// Nobody.
    Free,
    /// These accounts.
    By(&'a mut RateLimiter),
    /// It has been judged already.
    Judged(Verdict),
}

/// The bytes of an answer, and what a transport with a cache of its own has to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) bytes: Vec<u8>,
    /// How long it may be kept: its least TTL, 0 for errors. Seconds.
    pub(crate) lifetime_s: u32,
    /// Whether others may be given the same.
    pub(crate) is_shared: bool,
}
