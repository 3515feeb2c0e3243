use std::collections::BTreeMap;
use std::time::Duration;

use crate::client::{Outcome, Verdict};
use crate::drive::{Clock, Ledger};
use crate::latency::{Timings, millis};
use crate::{Answers, Failure, Second, Summary};

/// Failures kept one by one; more are only counted.
pub(crate) const MAX_FAILURES: usize = 10_000;
/// Different names kept per table; further names count as `other`.
const MAX_NAMES: usize = 256;
/// An arrival started within this of its due time was on time: the timer ticks in milliseconds.
const TIMER_SLACK: Duration = Duration::from_millis(2);

/// Adds the outcomes of a run up.
pub(crate) struct Record<F> {
    clock: Clock,
    summary: Summary,
    second: Second,
    on_second: F,
    latency: Timings,
    latency_new: Timings,
    latency_second: Timings,
    lag: Timings,
    gap: Gap,
    longest_connect: Duration,
}

impl<F: FnMut(&Second)> Record<F> {
    pub(crate) fn new(clock: Clock, on_second: F) -> Self {
        let started_unix_ms = clock.unix_ms(Duration::ZERO);
        Self {
            clock,
            summary: Summary { started_unix_ms, ..Summary::default() },
            second: Second { second: 1, ..Second::default() },
            on_second,
            latency: Timings::new(),
            latency_new: Timings::new(),
            latency_second: Timings::new(),
            lag: Timings::new(),
            gap: Gap::default(),
            longest_connect: Duration::ZERO,
        }
    }

    /// The sum, for arrivals that ended at `end`.
    pub(crate) fn finish(mut self, end: Duration) -> Summary {
        self.summary.duration_ms = millis(end);
        self.summary.longest_gap_ms = millis(self.gap.longest(end));
        self.summary.longest_new_connect_ms = millis(self.longest_connect);
        self.summary.latency = self.latency.summary();
        self.summary.new_connection_latency = self.latency_new.summary();
        self.summary.schedule_lag = self.lag.summary();
        self.summary
    }

    fn ok(&mut self, o: &Outcome, who: &crate::client::Who) {
        let late = o.started.saturating_sub(o.due) > TIMER_SLACK;
        let latency = o.finished.saturating_sub(if late { o.due } else { o.started });
        self.latency.add(latency);
        self.latency_second.add(latency);
        if o.new_connection {
            self.latency_new.add(latency);
        }
        self.gap.success(o.finished);
        self.summary.ok += 1;
        self.second.ok += 1;
        let at = millis(o.finished);
        let region = who.region.as_deref().unwrap_or("unknown");
        count(&mut self.summary.regions, region, at);
        count(&mut self.summary.targets, who.target.as_deref().unwrap_or("unknown"), at);
        if let Some(edge) = &who.edge {
            count(&mut self.summary.edges, edge, at);
        }
        *bounded(&mut self.second.regions, region) += 1;
    }
}

impl<F: FnMut(&Second)> Ledger for Record<F> {
    type Outcome = Outcome;

    fn sent(&mut self, due: Duration, started: Duration) {
        self.summary.requests += 1;
        self.second.sent += 1;
        self.lag.add(started.saturating_sub(due));
    }

    fn shed(&mut self) {
        self.summary.requests += 1;
        self.summary.shed += 1;
        self.second.shed += 1;
    }

    fn done(&mut self, o: Outcome) {
        self.summary.reopened += u64::from(o.reopened);
        self.summary.connections_opened += u64::from(o.opened);
        self.longest_connect = self.longest_connect.max(o.connect);
        match &o.verdict {
            Verdict::Ok(who) => self.ok(&o, who),
            Verdict::Failed { kind, phase, error, region } => {
                self.summary.failed += 1;
                self.second.failed += 1;
                *self.summary.failed_by_kind.entry(*kind).or_default() += 1;
                if self.summary.failures.len() < MAX_FAILURES {
                    self.summary.failures.push(Failure {
                        at_ms: millis(o.started),
                        at_unix_ms: self.clock.unix_ms(o.started),
                        took_ms: millis(o.finished.saturating_sub(o.started)),
                        kind: *kind,
                        phase: *phase,
                        error: error.clone(),
                        region: region.clone(),
                    });
                } else {
                    self.summary.failures_not_kept += 1;
                }
            }
        }
    }

    fn second(&mut self) {
        let timings = self.latency_second.summary();
        self.latency_second.clear();
        let next = Second { second: self.second.second + 1, ..Second::default() };
        let mut row = std::mem::replace(&mut self.second, next);
        (row.p50_ms, row.p99_ms) = (timings.p50_ms, timings.p99_ms);
        (self.on_second)(&row);
        self.summary.seconds.push(row);
    }
}

/// The entry of `name`, or that of `other` once the table is full.
fn bounded<'a, V: Default>(table: &'a mut BTreeMap<String, V>, name: &str) -> &'a mut V {
    let known = table.contains_key(name) || table.len() < MAX_NAMES;
    table.entry(if known { name } else { "other" }.to_owned()).or_default()
}

/// One more answer of `name`, complete at `at_ms`.
pub(crate) fn count(table: &mut BTreeMap<String, Answers>, name: &str, at_ms: u64) {
    let a = bounded(table, name);
    a.first_ms = if a.answers == 0 { at_ms } else { a.first_ms.min(at_ms) };
    a.last_ms = a.last_ms.max(at_ms);
    a.answers += 1;
}

/// The longest span without a success. Successes may be told out of order by the little that tasks are late.
#[derive(Debug, Default)]
pub(crate) struct Gap {
    last: Duration,
    longest: Duration,
}

impl Gap {
    pub(crate) fn success(&mut self, at: Duration) {
        self.longest = self.longest.max(at.saturating_sub(self.last));
        self.last = self.last.max(at);
    }

    /// The longest gap of a run whose arrivals ended at `end`, the one still open included.
    pub(crate) fn longest(&self, end: Duration) -> Duration {
        self.longest.max(end.saturating_sub(self.last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Who;
    use crate::{FailureKind, Phase};

    const MS: Duration = Duration::from_millis(1);

    fn answered(due: u32, started: u32, finished: u32, new_connection: bool) -> Outcome {
        Outcome {
            due: MS * due,
            started: MS * started,
            finished: MS * finished,
            connect: Duration::ZERO,
            new_connection,
            opened: u32::from(new_connection),
            reopened: 0,
            verdict: Verdict::Ok(Who { region: Some("ap-northeast-2".into()), target: None, edge: None }),
        }
    }

    #[test]
    fn a_late_start_counts_in_the_latency_and_a_timer_tick_does_not() {
        let mut r = Record::new(Clock::start(), |_: &Second| {});
        r.done(answered(100, 102, 112, true));
        assert_eq!(r.latency.summary().max_ms.round(), 10.0);
        r.done(answered(100, 603, 613, false));
        let s = r.finish(MS * 700);
        assert_eq!(s.latency.max_ms.round(), 513.0);
        assert_eq!((s.latency.count, s.new_connection_latency.count), (2, 1));
        assert_eq!(s.regions["ap-northeast-2"], Answers { answers: 2, first_ms: 112, last_ms: 613 });
        assert_eq!(s.longest_gap_ms, 501);
    }

    #[test]
    fn the_gap_after_the_last_success_counts_too() {
        let mut g = Gap::default();
        assert_eq!(g.longest(MS * 900), MS * 900, "no success at all");
        g.success(MS * 100);
        g.success(MS * 90);
        g.success(MS * 250);
        assert_eq!(g.longest(MS * 260), MS * 150);
        assert_eq!(g.longest(MS * 900), MS * 650);
    }

    #[test]
    fn failures_beyond_the_limit_are_counted_and_not_kept() {
        let mut r = Record::new(Clock::start(), |_: &Second| {});
        for _ in 0..MAX_FAILURES + 3 {
            let verdict = Verdict::Failed {
                kind: FailureKind::InFlight,
                phase: Phase::Response,
                error: String::new(),
                region: None,
            };
            r.done(Outcome { verdict, ..answered(0, 0, 1, false) });
        }
        let s = r.finish(MS);
        assert_eq!((s.failed, s.failures.len(), s.failures_not_kept), (10_003, 10_000, 3));
        assert_eq!(s.failed_by_kind, BTreeMap::from([(FailureKind::InFlight, 10_003)]));
    }

    #[test]
    fn names_beyond_the_limit_share_one_entry() {
        let mut table = BTreeMap::new();
        for n in 0..MAX_NAMES + 5 {
            count(&mut table, &format!("target-{n}"), 1);
        }
        assert_eq!(table["other"].answers, 5);
        assert_eq!(table.len(), MAX_NAMES + 1);
    }

    #[test]
    fn a_second_starts_empty_after_the_one_before() {
        let mut rows = Vec::new();
        let mut r = Record::new(Clock::start(), |s: &Second| rows.push(s.clone()));
        r.sent(Duration::ZERO, MS);
        r.done(answered(0, 1, 5, true));
        r.second();
        r.shed();
        r.second();
        let s = r.finish(MS * 2_000);
        assert_eq!(s.seconds, rows);
        assert_eq!((rows[0].second, rows[0].sent, rows[0].ok, rows[0].shed), (1, 1, 1, 0));
        assert_eq!((rows[1].second, rows[1].sent, rows[1].ok, rows[1].shed), (2, 0, 0, 1));
        assert_eq!(s.requests, s.ok + s.failed + s.shed);
    }
}
