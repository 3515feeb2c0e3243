use std::time::Duration;

use perigee_model::Instant;

use crate::node::{HOLD_MAX, RELAPSE_WINDOW};

/// Lets a state fall at once and rise only when it has been well for a while.
///
/// ```text
///          ill                       well for `hold`
///   Up -----------> Down ---------> (waiting) -----------> Up
///                    ^    well         |
///                    +-----------------+ ill
/// ```
///
/// Who falls back while waiting, or within a minute of a rise, waits twice as long the next time, up to 30 s. Between
/// two falls, and between two rises, there is so at least the hold: what flaps changes once per hold and no oftener.
/// With a hold of zero it follows at once. The same rule as that of load balancer nodes (Perigee's choice).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damper {
    is_up: bool,
    /// Since when it waits.
    waits_since: Option<Instant>,
    /// When it last rose; none for one that never fell.
    rose_at: Option<Instant>,
    hold: Duration,
    base: Duration,
}

impl Damper {
    /// One that has not fallen yet; `base` is its first hold.
    pub(crate) const fn new(base: Duration) -> Self {
        Self { is_up: true, waits_since: None, rose_at: None, hold: base, base }
    }

    pub(crate) const fn is_up(&self) -> bool {
        self.is_up
    }

    /// Takes another first hold; a wait under way goes on with what it had.
    pub(crate) fn set_base(&mut self, base: Duration) {
        if self.base != base {
            self.base = base;
            if self.waits_since.is_none() {
                self.hold = base;
            }
        }
    }

    /// When it will rise if it stays well.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.waits_since.map(|since| since + self.hold)
    }

    /// Takes how things are at `now`.
    pub(crate) fn observe(&mut self, is_well: bool, now: Instant) {
        match (is_well, self.is_up) {
            (true, true) => {}
            (true, false) => {
                let since = *self.waits_since.get_or_insert(now);
                if now.since(since) >= self.hold {
                    (self.is_up, self.waits_since, self.rose_at) = (true, None, Some(now));
                }
            }
            (false, is_up) => {
                let falls = is_up || self.waits_since.is_some();
                let relapses = !is_up || self.rose_at.is_some_and(|at| now.since(at) < RELAPSE_WINDOW);
                if falls {
                    let doubled = (self.hold * 2).min(HOLD_MAX.max(self.base));
                    self.hold = if relapses { doubled } else { self.base };
                }
                (self.is_up, self.waits_since) = (false, None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Instant {
        Instant::START + Duration::from_millis(ms)
    }

    #[test]
    fn without_a_hold_it_follows_at_once() {
        let mut damper = Damper::new(Duration::ZERO);
        for (i, well) in [false, true, false, false, true].into_iter().enumerate() {
            damper.observe(well, ms(i as u64));
            assert_eq!(damper.is_up(), well);
        }
    }

    #[test]
    fn a_relapse_doubles_the_hold_up_to_thirty_seconds_and_a_quiet_minute_forgets_it() {
        let mut damper = Damper::new(Duration::from_secs(1));
        let (mut now, mut holds) = (0, Vec::new());
        for _ in 0..7 {
            damper.observe(false, ms(now));
            damper.observe(true, ms(now));
            let due = damper.due().expect("it waits");
            holds.push(due.since(ms(now)).as_secs());
            now += holds[holds.len() - 1] * 1_000;
            damper.observe(true, ms(now));
            assert!(damper.is_up());
        }
        assert_eq!(holds, [1, 2, 4, 8, 16, 30, 30]);
        damper.observe(false, ms(now + 60_000));
        damper.observe(true, ms(now + 60_000));
        assert_eq!(damper.due(), Some(ms(now + 61_000)));
    }

    proptest! {
        #[test]
        fn what_flaps_falls_and_rises_once_per_hold_at_most(
            base in 1_u64..5_000,
            events in proptest::collection::vec((any::<bool>(), 0_u64..3_000), 1..200),
        ) {
            let mut damper = Damper::new(Duration::from_millis(base));
            let (mut now, mut falls, mut rises) = (0, Vec::new(), Vec::new());
            for (well, later) in events {
                now += later;
                let before = damper.is_up();
                damper.observe(well, ms(now));
                match (before, damper.is_up()) {
                    (true, false) => falls.push(now),
                    (false, true) => rises.push(now),
                    (true, true) | (false, false) => {}
                }
                prop_assert!(well || !damper.is_up(), "it stayed up although it is ill");
            }
            for changes in [falls, rises] {
                prop_assert!(changes.windows(2).all(|two| two[1] - two[0] >= base), "{changes:?}");
            }
        }
    }
}
