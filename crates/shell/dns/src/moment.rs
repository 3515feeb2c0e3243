use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// When a query came, on both clocks that an answer may depend on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Wall time since 1970, for what others compare with theirs: cookies, signatures, the log.
    pub unix: Duration,
    /// Monotonic time in milliseconds since some start, for rates.
    pub elapsed_ms: u64,
}

impl Moment {
    /// Seconds since 1970 modulo 2^32, as DNS counts them.
    pub(crate) const fn unix_s(self) -> u32 {
        self.unix.as_secs() as u32
    }
}

/// Reads the clocks. This crate is a shell, so it may; what is decided takes the [`Moment`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    start: Instant,
}

impl Clocks {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn now(&self) -> Moment {
        Moment {
            // A clock before 1970 is wrong anyway.
            unix: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            elapsed_ms: u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}
