use std::time::Duration;

use perigee_model::Instant;

use crate::{Check, HealthState, ProbeFailure, Thresholds};

/// One observer of an endpoint: a schedule, and a count of results in a row.
///
/// The next probe begins one interval after the response to the last one, whatever that said, so that a sick endpoint
/// is asked no oftener than a healthy one. Source: `spec/dns.md` section 2.5 (`RequestInterval`, `FailureThreshold`);
/// the accelerator's probes are made by the same probers (`global-accelerator.md` section 8.2).
#[derive(Clone, Debug)]
pub(crate) struct Prober {
    check: Check,
    next: Instant,
    /// The serial number of the probe under way.
    under_way: Option<u64>,
}

impl Prober {
    /// A prober without data whose first probe is due at `first`.
    pub(crate) const fn new(threshold: u8, first: Instant) -> Self {
        Self { check: Check::new(thresholds(threshold)), next: first, under_way: None }
    }

    /// When its next probe is due; none while one is under way.
    pub(crate) const fn due(&self) -> Option<Instant> {
        match self.under_way {
            Some(_) => None,
            None => Some(self.next),
        }
    }

    /// Whether it says healthy. One without enough data does: a new check is healthy until its probers know better.
    pub(crate) fn says_healthy(&self) -> bool {
        self.check.state() != HealthState::Unhealthy
    }

    /// Whether it has judged the endpoint yet.
    pub(crate) fn has_judged(&self) -> bool {
        self.check.state() != HealthState::Initial
    }

    /// Takes another threshold; what is counted stays.
    pub(crate) const fn set_threshold(&mut self, threshold: u8) {
        self.check.set_thresholds(thresholds(threshold));
    }

    /// Forgets the probe under way, whose result would speak of another endpoint; the next is due at `next`.
    pub(crate) const fn abandon(&mut self, next: Instant) {
        if self.under_way.take().is_some() {
            self.next = next;
        }
    }

    /// What its results say.
    pub(crate) const fn check(&self) -> &Check {
        &self.check
    }

    /// Makes the next probe due at `at` if it would be later.
    pub(crate) fn bring_forward(&mut self, at: Instant) {
        self.next = self.next.min(at);
    }

    /// Begins the probe with the number `serial`.
    pub(crate) const fn begin(&mut self, serial: u64) {
        self.under_way = Some(serial);
    }

    /// Takes the result of the probe `serial`. False when that is not the one under way.
    ///
    /// The prober's own trouble says nothing about the endpoint: it neither counts nor breaks a row.
    pub(crate) fn end(
        &mut self,
        serial: u64,
        result: Result<(), ProbeFailure>,
        interval: Duration,
        now: Instant,
    ) -> bool {
        if self.under_way != Some(serial) {
            return false;
        }
        self.under_way = None;
        self.next = now + interval;
        if result != Err(ProbeFailure::Internal) {
            self.check.observe(result);
        }
        true
    }
}

/// The same number in a row turns either way.
const fn thresholds(threshold: u8) -> Thresholds {
    let count = if threshold == 0 { 1 } else { threshold };
    Thresholds { healthy: count, unhealthy: count }
}

/// Where in an interval the `prober`th prober of the check `name` begins: anywhere, independently of the others, and
/// the same in every run. Shorter than `interval`.
///
/// The names are the seed, as everywhere in Perigee: servers with one configuration agree without talking. The hash is
/// FNV-1a with the finaliser of SplitMix64; it spreads and needs no secret.
pub(crate) fn phase(name: &str, prober: u8, interval: Duration) -> Duration {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in name.bytes().chain([0xff, prober]) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    // The high half of the product scales the hash to the interval without a remainder's bias.
    let nanos = (interval.as_nanos().min(u128::from(u64::MAX)) * u128::from(hash)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}
