use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Percentiles of a set of durations, in milliseconds. All zero if there were none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latencies {
    /// How many there were.
    pub count: u64,
    /// Half were not above.
    pub p50_ms: f64,
    /// 90 % were not above.
    pub p90_ms: f64,
    /// 99 % were not above.
    pub p99_ms: f64,
    /// 99.9 % were not above.
    pub p999_ms: f64,
    /// The largest.
    pub max_ms: f64,
}

/// Counts durations in microseconds, to three significant digits, up to two minutes; longer ones count as that.
#[derive(Debug)]
pub(crate) struct Timings(Histogram<u64>);

const HIGHEST_US: u64 = 120_000_000;

impl Timings {
    pub(crate) fn new() -> Self {
        Self(Histogram::new_with_bounds(1, HIGHEST_US, 3).expect("1 to two minutes at three digits are valid bounds"))
    }

    pub(crate) fn add(&mut self, d: Duration) {
        self.0.saturating_record(u64::try_from(d.as_micros()).unwrap_or(HIGHEST_US).min(HIGHEST_US));
    }

    pub(crate) fn clear(&mut self) {
        self.0.reset();
    }

    pub(crate) fn summary(&self) -> Latencies {
        let at = |q: f64| self.0.value_at_quantile(q) as f64 / 1_000.0;
        Latencies {
            count: self.0.len(),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: self.0.max() as f64 / 1_000.0,
        }
    }
}

/// Whole milliseconds of a duration.
pub(crate) fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_in_milliseconds_and_rank_as_they_should() {
        let mut t = Timings::new();
        for ms in 1..=1_000 {
            t.add(Duration::from_millis(ms));
        }
        let s = t.summary();
        assert_eq!(s.count, 1_000);
        for (value, expected) in
            [(s.p50_ms, 500.0), (s.p90_ms, 900.0), (s.p99_ms, 990.0), (s.p999_ms, 999.0), (s.max_ms, 1_000.0)]
        {
            assert!((value - expected).abs() <= expected / 500.0, "{value} is not {expected}");
        }
        t.clear();
        assert_eq!(t.summary(), Latencies::default());
    }

    #[test]
    fn a_duration_beyond_the_range_counts_as_the_highest() {
        let mut t = Timings::new();
        t.add(Duration::from_secs(1_000));
        assert!(t.summary().max_ms >= 120_000.0);
    }
}
