use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::latency::millis;

/// When a run began, on both clocks: durations come from the monotonic one, stamps from the wall.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
    start_unix_ms: u64,
}

impl Clock {
    /// A clock that starts now.
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: Instant::now(), start_unix_ms: millis(since_epoch) }
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// The moment `offset` after the start.
    pub(crate) fn at(&self, offset: Duration) -> Instant {
        self.start + offset
    }

    /// Milliseconds since 1970 at `offset`.
    pub(crate) fn unix_ms(&self, offset: Duration) -> u64 {
        self.start_unix_ms + millis(offset)
    }
}

/// Evenly spaced arrivals: number `n` is due at `n / rate` seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    rate: f64,
    count: u64,
}

impl Schedule {
    /// All arrivals that are due before `duration` is over; at least one.
    pub(crate) fn new(rate: f64, duration: Duration) -> Self {
        Self { rate, count: ((rate * duration.as_secs_f64()).round() as u64).max(1) }
    }

    /// How many arrivals there are.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// When arrival `n` is due.
    pub(crate) fn at(&self, n: u64) -> Duration {
        Duration::from_secs_f64(n as f64 / self.rate)
    }
}

/// Takes what happens in a run.
pub(crate) trait Ledger {
    /// What becomes of one arrival.
    type Outcome: Send + 'static;
    /// An arrival due at `due` was started at `started`.
    fn sent(&mut self, due: Duration, started: Duration);
    /// An arrival was not started because too many were in flight.
    fn shed(&mut self);
    /// An arrival that was started has its outcome.
    fn done(&mut self, outcome: Self::Outcome);
    /// A second of the run is over.
    fn second(&mut self);
}

/// Starts every arrival when it is due, whatever became of the earlier ones, and hears all outcomes out.
///
/// Late arrivals are started at once, all of them: the schedule is never thinned. When `stop` is cancelled no more are
/// started. Returns when the arrivals ended: the moment of the last one, or of the stop.
pub(crate) async fn drive<L, F, Fut>(
    schedule: Schedule,
    max_in_flight: usize,
    clock: Clock,
    stop: &CancellationToken,
    ledger: &mut L,
    mut launch: F,
) -> Duration
where
    L: Ledger,
    F: FnMut(u64, Duration) -> Fut,
    Fut: Future<Output = L::Outcome> + Send + 'static,
{
    let mut running = JoinSet::new();
    let mut next = 0;
    let mut seconds = 1;
    let mut stopped = None;
    loop {
        let more = stopped.is_none() && next < schedule.count();
        if !more && running.is_empty() {
            break;
        }
        // Biased: the schedule comes before the outcomes, which can wait a moment and are stamped by their tasks.
        tokio::select! {
            biased;
            () = stop.cancelled(), if stopped.is_none() => stopped = Some(clock.elapsed()),
            () = sleep_until(clock.at(Duration::from_secs(seconds))) => {
                ledger.second();
                seconds += 1;
            }
            () = sleep_until(clock.at(schedule.at(next))), if more => {
                let now = clock.elapsed();
                while next < schedule.count() && schedule.at(next) <= now {
                    let due = schedule.at(next);
                    if running.len() < max_in_flight {
                        ledger.sent(due, now);
                        running.spawn(launch(next, due));
                    } else {
                        ledger.shed();
                    }
                    next += 1;
                }
            }
            Some(done) = running.join_next(), if !running.is_empty() => match done {
                Ok(outcome) => ledger.done(outcome),
                // A panic in a task is a bug of this crate: it must not look like a missing answer.
                Err(e) => if e.is_panic() { std::panic::resume_unwind(e.into_panic()) },
            },
        }
    }
    ledger.second();
    stopped.unwrap_or_else(|| schedule.at(schedule.count().saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Counts {
        due: Vec<Duration>,
        late: Vec<Duration>,
        shed: u64,
        done: Vec<u64>,
        seconds: u64,
    }

    impl Ledger for Counts {
        type Outcome = u64;
        fn sent(&mut self, due: Duration, started: Duration) {
            self.due.push(due);
            self.late.push(started.saturating_sub(due));
        }
        fn shed(&mut self) {
            self.shed += 1;
        }
        fn done(&mut self, n: u64) {
            self.done.push(n);
        }
        fn second(&mut self) {
            self.seconds += 1;
        }
    }

    async fn counts(rate: f64, secs: u64, max: usize, each: Duration) -> Counts {
        let mut counts = Counts::default();
        let stop = CancellationToken::new();
        drive(
            Schedule::new(rate, Duration::from_secs(secs)),
            max,
            Clock::start(),
            &stop,
            &mut counts,
            |n, _| async move {
                tokio::time::sleep(each).await;
                n
            },
        )
        .await;
        counts
    }

    #[tokio::test(start_paused = true)]
    async fn arrivals_do_not_wait_for_completions() {
        let c = counts(100.0, 3, 10_000, Duration::from_secs(10)).await;
        assert_eq!((c.due.len(), c.done.len(), c.shed), (300, 300, 0));
        assert_eq!(c.due[299], Duration::from_millis(2_990));
        assert!(c.late.iter().all(|l| *l <= Duration::from_millis(2)), "late: {:?}", c.late.iter().max());
        assert_eq!(c.seconds, 13, "twelve whole seconds, then the rest");
    }

    #[tokio::test(start_paused = true)]
    async fn arrivals_beyond_the_limit_are_shed_and_counted() {
        let c = counts(100.0, 1, 10, Duration::from_secs(60)).await;
        assert_eq!((c.due.len(), c.done.len(), c.shed), (10, 10, 90));
    }

    #[tokio::test(start_paused = true)]
    async fn late_arrivals_are_caught_up_and_keep_their_due_times() {
        let mut counts = Counts::default();
        let clock = Clock::start();
        tokio::time::advance(Duration::from_millis(505)).await;
        let stop = CancellationToken::new();
        let schedule = Schedule::new(100.0, Duration::from_secs(1));
        drive(schedule, 10_000, clock, &stop, &mut counts, |n, _| async move { n }).await;
        assert_eq!(counts.due.len(), 100);
        assert_eq!(counts.late[0], Duration::from_millis(505), "the first arrival was due at the start");
        assert_eq!(counts.due[50], Duration::from_millis(500));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_arrivals_and_hears_the_rest_out() {
        let mut counts = Counts::default();
        let stop = CancellationToken::new();
        let schedule = Schedule::new(10.0, Duration::from_secs(100));
        let canceller = stop.clone();
        let end = drive(schedule, 100, Clock::start(), &stop, &mut counts, move |n, _| {
            if n == 20 {
                canceller.cancel();
            }
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                n
            }
        })
        .await;
        assert_eq!((counts.due.len(), counts.done.len()), (21, 21));
        assert!(end >= Duration::from_secs(2) && end < Duration::from_millis(2_100), "{end:?}");
    }
}
