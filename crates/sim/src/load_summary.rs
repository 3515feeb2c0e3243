//! What an open-loop client measured, and the figures that bounds are about: the same for sockets and virtual time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The summary of a load in the shape that `perigee load --json` prints. Unknown fields are ignored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadSummary {
    /// When the run began, milliseconds since 1970; zero in virtual time.
    pub started_unix_ms: u64,
    /// How long requests were started, milliseconds.
    pub duration_ms: u64,
    /// Arrivals of the schedule.
    pub requests: u64,
    /// Answered whole, status below 400.
    pub ok: u64,
    /// Started and not ok.
    pub failed: u64,
    /// The same by kind.
    pub failed_by_kind: BTreeMap<String, u64>,
    /// Not started because too many were in flight.
    pub shed: u64,
    /// Connections opened.
    pub connections_opened: u64,
    /// Longest span without an ok completion, milliseconds.
    pub longest_gap_ms: u64,
    /// Latencies of the answers.
    pub latency: LoadLatencies,
    /// The same for requests on new connections.
    pub new_connection_latency: LoadLatencies,
    /// Ok answers per region.
    pub regions: BTreeMap<String, LoadAnswers>,
    /// A row per second.
    pub seconds: Vec<LoadSecond>,
    /// The first 10,000 failures.
    pub failures: Vec<LoadFailure>,
    /// Failures beyond those.
    pub failures_not_kept: u64,
}

/// Latencies in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadLatencies {
    /// How many.
    pub count: u64,
    /// Median.
    pub p50_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Greatest.
    pub max_ms: f64,
}

/// Answers of one region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadAnswers {
    /// How many.
    pub answers: u64,
    /// When the first was complete, milliseconds since the start.
    pub first_ms: u64,
    /// When the last was complete.
    pub last_ms: u64,
}

/// One second of a load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadSecond {
    /// Its number, from 1.
    pub second: u64,
    /// Requests started.
    pub sent: u64,
    /// Answered.
    pub ok: u64,
    /// Failed.
    pub failed: u64,
    /// Answers per region.
    pub regions: BTreeMap<String, u64>,
}

/// One failed request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadFailure {
    /// When it was started, milliseconds since the start.
    pub at_ms: u64,
    /// The same as milliseconds since 1970.
    pub at_unix_ms: u64,
    /// From start to failure, milliseconds.
    pub took_ms: u64,
    /// `new_connection`, `in_flight`, `status` or `local`.
    pub kind: String,
    /// What went wrong.
    pub error: String,
}

/// The figures. `since` is on the clock of [`LoadSummary::started_unix_ms`].
impl LoadSummary {
    /// The failures whose requests were started after the millisecond `since`, of one kind or of all.
    ///
    /// The millisecond itself is left out: it may have begun before the moment that is meant.
    pub fn failures_since<'a>(
        &'a self,
        kind: Option<&'a str>,
        since: u64,
    ) -> impl Iterator<Item = &'a LoadFailure> + 'a {
        self.failures.iter().filter(move |f| f.counts(kind, since))
    }

    /// From `since` to the start of the last request that failed after it; zero if none did.
    pub fn failure_span_ms(&self, kind: Option<&str>, since: u64) -> u64 {
        self.failures_since(kind, since).map(|f| f.at_unix_ms).max().map_or(0, |last| last - since)
    }

    /// From `since` to the completion of the region's last answer; zero if it has none after it.
    pub fn last_answer_ms(&self, region: &str, since: u64) -> u64 {
        self.regions.get(region).map_or(0, |a| (self.started_unix_ms + a.last_ms).saturating_sub(since))
    }

    /// Answers that were complete in whole seconds that began at `since` or later, of one region or of all.
    pub fn answered(&self, region: Option<&str>, since: u64) -> u64 {
        self.rows(since).map(|(_, row)| row.answers(region)).sum()
    }

    /// The share of `region` in the same answers, percent; none if there are no answers.
    pub fn share_percent(&self, region: &str, since: u64) -> Option<f64> {
        let all = self.answered(None, since);
        (all > 0).then(|| 100.0 * self.answered(Some(region), since) as f64 / all as f64)
    }

    /// From `since` to the beginning of the first whole second from which on every answer is the region's; none if
    /// the last second still has others.
    pub fn settled_ms(&self, region: &str, since: u64) -> Option<u64> {
        let rows: Vec<(u64, &LoadSecond)> = self.rows(since).collect();
        let pure = |row: &LoadSecond| row.answers(Some(region)) == row.answers(None);
        let (at, _) = rows.iter().rev().take_while(|(_, row)| pure(row)).last()?;
        Some(at - since)
    }

    /// The seconds with answers that began at `since` or later, with their beginnings.
    fn rows(&self, since: u64) -> impl Iterator<Item = (u64, &LoadSecond)> {
        let begin = |row: &LoadSecond| self.started_unix_ms + 1_000 * row.second.saturating_sub(1);
        let rows = self.seconds.iter().map(move |row| (begin(row), row));
        rows.filter(move |(begin, row)| *begin >= since && row.answers(None) > 0)
    }
}

impl LoadFailure {
    /// Whether its request was started after the millisecond `since`, and it is of that kind if one is given.
    pub fn counts(&self, kind: Option<&str>, since: u64) -> bool {
        self.at_unix_ms > since && kind.is_none_or(|kind| self.kind == kind)
    }
}

impl LoadSecond {
    /// Its answers, of one region or of all.
    pub fn answers(&self, region: Option<&str>) -> u64 {
        self.regions.iter().filter(|(code, _)| region.is_none_or(|r| r == *code)).map(|(_, n)| n).sum()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn summary() -> LoadSummary {
        serde_json::from_value(json!({
            "started_unix_ms": 10_000, "failures_not_kept": 0, "targets": {},
            "regions": { "a": { "answers": 8, "first_ms": 1, "last_ms": 2_400 },
                         "b": { "answers": 9, "first_ms": 1, "last_ms": 4_000 } },
            "failures": [
                { "at_unix_ms": 11_000, "kind": "new_connection" },
                { "at_unix_ms": 11_500, "kind": "in_flight" },
                { "at_unix_ms": 12_500, "kind": "new_connection" },
            ],
            "seconds": [
                { "second": 1, "regions": { "a": 5 } }, { "second": 2, "regions": { "a": 3, "b": 1 } },
                { "second": 3, "regions": { "b": 4 } }, { "second": 4, "regions": { "b": 4 } },
                { "second": 5, "regions": {} },
            ],
        }))
        .unwrap()
    }

    #[test]
    fn a_window_begins_behind_its_moment() {
        let s = summary();
        assert_eq!(s.failures_since(Some("new_connection"), 11_000).count(), 1);
        assert_eq!(s.failures_since(None, 10_999).count(), 3);
        assert_eq!((s.failure_span_ms(None, 11_000), s.failure_span_ms(None, 12_500)), (1_500, 0));
        assert_eq!(s.last_answer_ms("a", 12_000), 400);
        assert_eq!((s.answered(None, 11_000), s.answered(Some("b"), 11_001)), (12, 8));
        assert_eq!(s.share_percent("b", 11_000), Some(75.0));
    }

    #[test]
    fn a_region_has_settled_when_no_other_answers_any_more() {
        let s = summary();
        assert_eq!(s.settled_ms("b", 10_500), Some(1_500));
        assert_eq!(s.settled_ms("a", 10_500), None);
    }
}
