//! States that are awaited, and moments that two processes agree on.

use std::time::{Duration, Instant, SystemTime};

/// Between two looks at a state: short beside everything that is measured here.
const LOOK: Duration = Duration::from_millis(20);

/// Waits until `holds`; gives the time that took. Panics after `limit` and says what did not come.
pub fn until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < limit, "after {limit:?} it is still not so that {what}");
        std::thread::sleep(LOOK);
    }
    began.elapsed()
}

/// Milliseconds since 1970, as `perigee load` stamps its failures.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
