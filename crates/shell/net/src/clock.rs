use std::time::Instant as StdInstant;

use perigee_model::Instant;

/// The real, monotonic clock of a run. Copies agree with each other; two clocks made apart do not.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: tokio::time::Instant,
}

impl Clock {
    /// A clock that starts now. Under tokio's paused time it follows that instead.
    #[allow(clippy::new_without_default, reason = "a clock is started on purpose, once per run")]
    pub fn new() -> Self {
        // The start lies one second back, so that no event of a run carries the same time as "never".
        let now = tokio::time::Instant::now();
        Self { start: now.checked_sub(std::time::Duration::from_secs(1)).unwrap_or(now) }
    }

    /// The time since the start of the run.
    pub fn now(&self) -> Instant {
        let nanos = self.start.elapsed().as_nanos();
        Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The tokio deadline for a moment of the run.
    pub fn deadline(&self, at: Instant) -> tokio::time::Instant {
        self.start + std::time::Duration::from_nanos(at.as_nanos())
    }

    /// The moment of the run for a reading of the system's monotonic clock.
    pub fn at(&self, instant: StdInstant) -> Instant {
        let since = instant.saturating_duration_since(self.start.into_std());
        Instant::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}
