use perigee_model::Instant;
use serde::{Deserialize, Serialize};

use crate::{Forced, ProbeFailure};

/// What is known of one DNS health check, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsCheckStatus {
    /// Its name.
    pub name: String,
    /// What the probes or the children say, inversion included.
    pub measured: bool,
    /// The operator's word, if any.
    pub forced: Option<Forced>,
    /// What counts: the operator's word, otherwise the measurement.
    pub healthy: bool,
    /// Probers or children that say healthy, before inversion. Zero while disabled.
    pub votes: usize,
    /// How many probers or children there are. Zero while disabled.
    pub voters: usize,
    /// Probers without enough data yet; they count as saying healthy.
    pub undecided: usize,
    /// The latest failed probe, none before the first.
    pub last_failure: Option<LastFailure>,
}

/// A failed probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastFailure {
    /// Why.
    #[serde(flatten)]
    pub failure: ProbeFailure,
    /// When its result came.
    pub at: Instant,
}
