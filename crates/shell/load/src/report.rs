use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::Latencies;

/// Who answered: how many answers, and the span of time they completed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Answers {
    /// Answers that count as ok.
    pub answers: u64,
    /// When the first was complete, milliseconds since the start of the run.
    pub first_ms: u64,
    /// When the last was complete, milliseconds since the start of the run.
    pub last_ms: u64,
}

/// What kind of promise a failure breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// On a new connection, before a byte of the answer: no name, no connect, a reset, an end or a timeout.
    NewConnection,
    /// On an established connection that had carried an answer, or with part of the answer here: the request may
    /// have been served.
    InFlight,
    /// A whole answer with a status of 400 or above.
    Status,
    /// This machine ran out of ports, descriptors or buffers; says nothing about the service.
    Local,
}

/// Where in the life of a request it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The URL's name was being resolved.
    Resolve,
    /// The connection was being opened.
    Connect,
    /// The request was sent and no answer head was here.
    Response,
    /// The head was here and the body was not complete.
    Body,
    /// The answer was complete (failures of kind `status`).
    Done,
}

/// One failed request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// When it was started, milliseconds since the start of the run.
    pub at_ms: u64,
    /// The same as milliseconds since 1970.
    pub at_unix_ms: u64,
    /// From start to failure, milliseconds.
    pub took_ms: u64,
    /// What kind of failure.
    pub kind: FailureKind,
    /// Where it failed.
    pub phase: Phase,
    /// What went wrong.
    pub error: String,
    /// Who answered, if a whole answer came.
    pub region: Option<String>,
}

/// One second of a run, as the live line shows it. Completions count in the second they complete in.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Second {
    /// Its number, from 1.
    pub second: u64,
    /// Requests started.
    pub sent: u64,
    /// Requests answered below 400.
    pub ok: u64,
    /// Requests failed.
    pub failed: u64,
    /// Requests not started because too many were in flight.
    pub shed: u64,
    /// Median latency of the answers, milliseconds.
    pub p50_ms: f64,
    /// 99th percentile of the same.
    pub p99_ms: f64,
    /// Answers per region.
    pub regions: BTreeMap<String, u64>,
}

/// A whole run. `requests` = `ok` + `failed` + `shed`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// When the run began, milliseconds since 1970.
    pub started_unix_ms: u64,
    /// How long requests were started, milliseconds.
    pub duration_ms: u64,
    /// Arrivals of the schedule that came up.
    pub requests: u64,
    /// Answered whole, status below 400.
    pub ok: u64,
    /// Started and not ok.
    pub failed: u64,
    /// The same by kind; kinds that did not occur are absent.
    pub failed_by_kind: BTreeMap<FailureKind, u64>,
    /// Kept connections found closed while idle and opened again; no failure.
    pub reopened: u64,
    /// Not started because too many were in flight.
    pub shed: u64,
    /// Connections opened.
    pub connections_opened: u64,
    /// Longest span without an ok completion, from the start of the run to its last arrival, milliseconds.
    pub longest_gap_ms: u64,
    /// Longest wait for a TCP connection, successful or not, milliseconds.
    pub longest_new_connect_ms: u64,
    /// Latencies of the ok requests. A latency counts from the scheduled moment, or from the actual start if that was
    /// within 2 ms, which is what the timer can do.
    pub latency: Latencies,
    /// The same for requests on new connections alone, connect included.
    pub new_connection_latency: Latencies,
    /// How far behind its schedule the client itself was.
    pub schedule_lag: Latencies,
    /// Ok answers per region; `unknown` for answers that do not tell.
    pub regions: BTreeMap<String, Answers>,
    /// Ok answers per target.
    pub targets: BTreeMap<String, Answers>,
    /// Ok answers per edge; answers that name none are absent.
    pub edges: BTreeMap<String, Answers>,
    /// A row per second.
    pub seconds: Vec<Second>,
    /// The first 10,000 failures.
    pub failures: Vec<Failure>,
    /// Failures beyond those, counted above but not kept.
    pub failures_not_kept: u64,
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NewConnection => "on new connections",
            Self::InFlight => "in flight",
            Self::Status => "by status",
            Self::Local => "on this machine",
        })
    }
}

/// Writes `ap-northeast-2 75%  ap-northeast-1 25%`.
fn shares(f: &mut fmt::Formatter<'_>, counts: impl Iterator<Item = (String, u64)> + Clone) -> fmt::Result {
    let all: u64 = counts.clone().map(|(_, n)| n).sum();
    for (name, n) in counts {
        write!(f, "  {name} {:.0}%", n as f64 * 100.0 / all.max(1) as f64)?;
    }
    Ok(())
}

impl fmt::Display for Second {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>4} s {:>6}/s  ok {:>6}  failed {:>4}", self.second, self.sent, self.ok, self.failed)?;
        if self.shed > 0 {
            write!(f, "  shed {}", self.shed)?;
        }
        write!(f, "  p50 {:>7.1} ms  p99 {:>7.1} ms", self.p50_ms, self.p99_ms)?;
        shares(f, self.regions.iter().map(|(r, n)| (r.clone(), *n)))
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.duration_ms as f64 / 1_000.0;
        writeln!(f, "requests       {} in {seconds:.1} s: ok {}, failed {}", self.requests, self.ok, self.failed)?;
        for (kind, n) in &self.failed_by_kind {
            writeln!(f, "  failed       {n} {kind}")?;
        }
        if self.shed > 0 {
            writeln!(f, "  shed         {} (too many in flight)", self.shed)?;
        }
        writeln!(f, "connections    {} opened, of these {} kept ones again", self.connections_opened, self.reopened)?;
        writeln!(f, "longest gap    {} ms without an answer", self.longest_gap_ms)?;
        writeln!(f, "longest open   {} ms to connect", self.longest_new_connect_ms)?;
        for (name, l) in [("latency", &self.latency), ("new connection", &self.new_connection_latency)] {
            let (p50, p90, p99, p999, max) = (l.p50_ms, l.p90_ms, l.p99_ms, l.p999_ms, l.max_ms);
            writeln!(f, "{name:<14} p50 {p50:.1}  p90 {p90:.1}  p99 {p99:.1}  p99.9 {p999:.1}  max {max:.1} ms")?;
        }
        write!(f, "answers       ")?;
        shares(f, self.regions.iter().map(|(r, a)| (r.clone(), a.answers)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_live_line_shows_shares_per_region() {
        let regions = BTreeMap::from([("ap-northeast-1".to_owned(), 1), ("ap-northeast-2".to_owned(), 3)]);
        let line = Second { second: 7, sent: 4, ok: 4, regions, ..Second::default() }.to_string();
        assert!(line.starts_with("   7 s      4/s  ok      4  failed    0"), "{line}");
        assert!(line.ends_with("ap-northeast-1 25%  ap-northeast-2 75%"), "{line}");
    }

    #[test]
    fn a_summary_names_only_the_kinds_that_occurred() {
        let failed_by_kind = BTreeMap::from([(FailureKind::InFlight, 2)]);
        let text = Summary { requests: 10, ok: 8, failed: 2, failed_by_kind, ..Summary::default() }.to_string();
        assert!(text.contains("2 in flight") && !text.contains("new connections") && !text.contains("shed"), "{text}");
    }
}
