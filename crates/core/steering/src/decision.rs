use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a flow goes and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Where.
    pub outcome: Outcome,
    /// Why there.
    pub reason: RouteReason,
}

/// Where a flow goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// To an endpoint, by positions in the listener's groups and the group's endpoints.
    Endpoint {
        /// Position of the group.
        group: usize,
        /// Position of the endpoint in the group.
        endpoint: usize,
    },
    /// Nowhere: the client gets a reset.
    Refuse,
}

/// Why a flow goes where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouteReason {
    /// The closest group took it.
    Closest,
    /// Closer groups' dials passed it on.
    Dial,
    /// The group chosen by distance and dials has no eligible endpoint; a close one has.
    Failover,
    /// None of the closest groups has an eligible endpoint: any endpoint of the closest group.
    FailOpen,
    /// There is no endpoint at all.
    NoEndpoint,
    /// The flow came in by IPv6, and no endpoint has an IPv6 address.
    NoIpv6Endpoint,
}

/// What was said of a group on the way to the decision.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "kebab-case")]
pub enum Note {
    /// Its dial is zero: left out of the first choice.
    DialZero,
    /// It has no endpoints.
    Empty,
    /// Its dial passed the flow on: the draw, 0 to 100, was not below the dial.
    DialPassed {
        /// The flow's draw for this group.
        draw: f64,
        /// The group's dial in percent.
        dial: f64,
    },
    /// Its dial took the flow.
    DialTook {
        /// The flow's draw for this group.
        draw: f64,
        /// The group's dial in percent.
        dial: f64,
    },
    /// The last in line, it takes what is left whatever its dial.
    LastInLine,
    /// None of its endpoints is healthy with a weight above zero.
    NoEligibleEndpoint,
    /// It has come back just now and is passed over while another group can take the flow.
    HeldBack,
    /// It takes the flow.
    Chosen,
    /// It takes the flow although nothing in it is eligible.
    FailedOpen,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DialZero => f.write_str("dial 0: only for failover"),
            Self::Empty => f.write_str("has no endpoints"),
            Self::DialPassed { draw, dial } => write!(f, "dial {dial} passed it on (draw {draw:.2})"),
            Self::DialTook { draw, dial } => write!(f, "dial {dial} took it (draw {draw:.2})"),
            Self::LastInLine => f.write_str("last in line: takes the rest whatever its dial"),
            Self::NoEligibleEndpoint => f.write_str("no healthy endpoint with a weight above 0"),
            Self::HeldBack => f.write_str("has come back just now: held while another group can take it"),
            Self::Chosen => f.write_str("chosen"),
            Self::FailedOpen => f.write_str("chosen although unhealthy: fail open"),
        }
    }
}

impl fmt::Display for RouteReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closest => "the closest group takes it",
            Self::Dial => "the dials of closer groups passed it on",
            Self::Failover => "the group it belongs to has no healthy endpoint; the next close one has",
            Self::FailOpen => "no close group is healthy: fail open to the closest",
            Self::NoEndpoint => "there is no endpoint",
            Self::NoIpv6Endpoint => "there is no endpoint with an IPv6 address",
        })
    }
}

/// Listens to a decision being made; `()` does not and costs nothing.
pub trait Trace {
    /// Of the group at position `group` of the listener, `note` was found.
    fn note(&mut self, group: usize, note: Note);
}

impl Trace for () {
    fn note(&mut self, _: usize, _: Note) {}
}

impl Trace for Vec<(usize, Note)> {
    fn note(&mut self, group: usize, note: Note) {
        self.push((group, note));
    }
}
