use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a probe failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "failure", rename_all = "snake_case")]
pub enum ProbeFailure {
    /// An HTTP answer whose status the matcher refuses.
    ResponseCode {
        /// The status.
        code: u16,
    },
    /// No answer in time.
    Timeout,
    /// Refused, reset, closed early or malformed.
    Connection,
    /// The answer's body lacks the string that is looked for.
    NoMatch,
    /// The name of the endpoint has no IPv4 address, or none could be learnt in time.
    Unresolved,
    /// The prober's own trouble, such as no local port.
    Internal,
}

impl fmt::Display for ProbeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ResponseCode { code } => write!(f, "status {code}"),
            Self::Timeout => f.write_str("timed out"),
            Self::Connection => f.write_str("connection refused or lost"),
            Self::NoMatch => f.write_str("the body lacks the search string"),
            Self::Unresolved => f.write_str("the name did not resolve to an IPv4 address"),
            Self::Internal => f.write_str("the prober could not probe"),
        }
    }
}
