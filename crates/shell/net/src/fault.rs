use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What is wrong with a simulated host, on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The host is dead: connects are refused, established connections are reset.
    Crash,
    /// Packets to and from the host vanish: connects hang, established connections fall silent.
    Blackhole,
    /// The host answers every request with an error.
    Error,
    /// The host answers every request late.
    Slow {
        /// How late, in milliseconds.
        delay_ms: u64,
    },
}

impl Fault {
    /// The delay of a slow host, zero otherwise.
    pub const fn delay(self) -> Duration {
        match self {
            Self::Slow { delay_ms } => Duration::from_millis(delay_ms),
            Self::None | Self::Crash | Self::Blackhole | Self::Error => Duration::ZERO,
        }
    }

    /// Whether the host's sockets work at all.
    pub const fn has_network(self) -> bool {
        !matches!(self, Self::Crash | Self::Blackhole)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Crash => f.write_str("crash"),
            Self::Blackhole => f.write_str("blackhole"),
            Self::Error => f.write_str("error"),
            Self::Slow { delay_ms } => write!(f, "slow by {delay_ms} ms"),
        }
    }
}
