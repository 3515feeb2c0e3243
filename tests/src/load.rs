//! `perigee load` as a process beside the test, and what it measured.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

/// A load that runs.
pub struct Load {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Load {
    /// Starts `perigee load --json` with these arguments.
    pub fn start(args: &[String]) -> Self {
        let mut command = Command::new(crate::stack::binary());
        crate::stack::without_configuration(&mut command);
        command.args(["load", "--json"]).args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start perigee load: {e}"));
        let lines = BufReader::new(child.stdout.take().unwrap_or_else(|| panic!("perigee load has no output")));
        Self { child, lines }
    }

    /// Waits until `count` more of its seconds are over. Panics if it ends before that.
    pub fn await_seconds(&mut self, count: usize) {
        for _ in 0..count {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line).unwrap_or_else(|e| panic!("cannot read from the load: {e}"));
            assert!(read > 0, "the load ended early: {}", self.complaint());
        }
    }

    /// Waits for its end and gives its summary. Panics if it printed none.
    pub fn finish(mut self) -> Summary {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap_or_else(|e| panic!("cannot read from the load: {e}"));
        let last = rest.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        match serde_json::from_str::<Value>(last) {
            Ok(mut last) if last["summary"].is_object() => Summary(last["summary"].take()),
            _ => panic!("the load printed no summary but {last:?}: {}", self.complaint()),
        }
    }

    fn complaint(&mut self) -> String {
        let _ = self.child.kill();
        let mut text = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            let _ = stderr.read_to_string(&mut text);
        }
        text
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The summary of a load, as `perigee load --json` prints it last. Moments are milliseconds since 1970.
#[derive(Clone, Debug)]
pub struct Summary(pub Value);

impl Summary {
    /// A number of the summary. Panics if it has none of that name.
    pub fn number(&self, key: &str) -> u64 {
        self.0[key].as_u64().unwrap_or_else(|| panic!("no {key} in {}", self.0))
    }

    /// The failures whose requests were started after the millisecond `since`, of one kind or of all.
    ///
    /// The millisecond itself is left out: it may have begun before the moment that is meant.
    pub fn failures(&self, kind: Option<&str>, since: u64) -> Vec<&Value> {
        assert_eq!(self.number("failures_not_kept"), 0, "more failures than the list holds");
        let failures = self.0["failures"].as_array().unwrap_or_else(|| panic!("no failures in {}", self.0));
        let meant = |f: &&Value| {
            f["at_unix_ms"].as_u64().is_some_and(|at| at > since) && kind.is_none_or(|kind| f["kind"] == kind)
        };
        failures.iter().filter(meant).collect()
    }

    /// From `since` to the start of the last request that failed after it; zero if none did.
    pub fn failure_span_ms(&self, kind: Option<&str>, since: u64) -> u64 {
        let starts = self.failures(kind, since).into_iter().filter_map(|f| f["at_unix_ms"].as_u64());
        starts.max().map_or(0, |last| last - since)
    }

    /// From `since` to the completion of the region's last answer; zero if it has none after it.
    pub fn last_answer_ms(&self, region: &str, since: u64) -> u64 {
        let last = self.0["regions"][region]["last_ms"].as_u64();
        last.map_or(0, |last| (self.number("started_unix_ms") + last).saturating_sub(since))
    }

    /// Answers that were complete in whole seconds that began at `since` or later, of one region or of all.
    pub fn answered(&self, region: Option<&str>, since: u64) -> u64 {
        self.rows(since).iter().map(|(_, row)| answers(row, region)).sum()
    }

    /// The share of `region` in the same answers, percent; none if there are no answers.
    pub fn share_percent(&self, region: &str, since: u64) -> Option<f64> {
        let all = self.answered(None, since);
        (all > 0).then(|| 100.0 * self.answered(Some(region), since) as f64 / all as f64)
    }

    /// From `since` to the beginning of the first whole second from which on every answer is the region's; none if
    /// the last second still has others.
    pub fn settled_ms(&self, region: &str, since: u64) -> Option<u64> {
        let rows = self.rows(since);
        let pure = |row: &Value| answers(row, Some(region)) == answers(row, None);
        let settled = rows.iter().rev().take_while(|(_, row)| pure(row)).last()?;
        (answers(&settled.1, None) > 0).then(|| settled.0 - since)
    }

    /// Longest wait of a request on a new connection, from its moment in the schedule to its whole answer.
    pub fn slowest_new_connection_ms(&self) -> f64 {
        self.0["new_connection_latency"]["max_ms"].as_f64().unwrap_or_else(|| panic!("no latencies in {}", self.0))
    }

    /// Failures by kind, for people.
    pub fn failed_by_kind(&self) -> String {
        let kinds = self.0["failed_by_kind"].as_object();
        let words: Vec<String> = kinds.into_iter().flatten().map(|(kind, n)| format!("{n} {kind}")).collect();
        if words.is_empty() { "none".to_owned() } else { words.join(", ") }
    }

    /// Every failure in a line, the first ten.
    pub fn failure_list(&self) -> String {
        let failures = self.0["failures"].as_array().map(Vec::as_slice).unwrap_or_default();
        failures.iter().take(10).map(|f| format!("\n  {f}")).collect()
    }

    /// The seconds that began at `since` or later with their beginnings.
    fn rows(&self, since: u64) -> Vec<(u64, Value)> {
        let started = self.number("started_unix_ms");
        let seconds = self.0["seconds"].as_array().map(Vec::as_slice).unwrap_or_default();
        let begin = |row: &Value| row["second"].as_u64().map(|n| started + 1_000 * n.saturating_sub(1));
        let rows = seconds.iter().filter_map(|row| Some((begin(row)?, row.clone())));
        rows.filter(|(begin, row)| *begin >= since && answers(row, None) > 0).collect()
    }
}

fn answers(row: &Value, region: Option<&str>) -> u64 {
    let regions = row["regions"].as_object();
    regions
        .map_or(0, |r| r.iter().filter(|(k, _)| region.is_none_or(|r| r == *k)).filter_map(|(_, n)| n.as_u64()).sum())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn summary() -> Summary {
        Summary(json!({
            "started_unix_ms": 10_000, "failures_not_kept": 0,
            "regions": { "a": { "last_ms": 2_400 }, "b": { "last_ms": 4_000 } },
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
    }

    #[test]
    fn a_window_begins_behind_its_moment() {
        let s = summary();
        assert_eq!(s.failures(Some("new_connection"), 11_000).len(), 1);
        assert_eq!(s.failures(None, 10_999).len(), 3);
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
