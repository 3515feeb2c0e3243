use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment of a run: nanoseconds since the run began.
///
/// The live shells make it from a monotonic clock, the simulator from its virtual one; the core only compares and
/// adds. Wall time is another type and never decides anything. Range: about 584 years; addition saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Instant(u64);

impl Instant {
    /// The beginning of the run.
    pub const START: Self = Self(0);

    /// The moment `nanos` nanoseconds after the start of the run.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the start of the run.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time since `earlier`, zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Moves on by whole `period`s to the first moment at or after `target` and gives how many they were; stays where
    /// it is when that is there already, or when the period is zero.
    pub fn advance_to(&mut self, target: Self, period: Duration) -> u64 {
        let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        let missing = target.0.saturating_sub(self.0);
        let periods = if period == 0 { 0 } else { missing.div_ceil(period) };
        self.0 = self.0.saturating_add(periods.saturating_mul(period));
        periods
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, d: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_since_a_later_moment_is_zero() {
        let a = Instant::from_nanos(5);
        assert_eq!(a.since(a + Duration::from_secs(1)), Duration::ZERO);
        assert_eq!((a + Duration::from_nanos(7)) - a, Duration::from_nanos(7));
    }

    #[test]
    fn advancing_takes_whole_periods_to_the_first_moment_not_before_the_target() {
        let ns = Duration::from_nanos;
        for (target, period, periods) in [(5, 3, 0), (4, 3, 0), (6, 3, 1), (8, 3, 1), (9, 3, 2), (50, 0, 0)] {
            let mut at = Instant(5);
            assert_eq!(at.advance_to(Instant(target), ns(period)), periods);
            assert_eq!(at, Instant(5 + periods * period));
        }
    }
}
