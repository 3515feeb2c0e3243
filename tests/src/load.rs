//! `perigee load` as a process beside the test, and what it measured.

use std::io::{BufRead, BufReader, Read};
use std::ops::Deref;
use std::process::{Child, ChildStdout, Command, Stdio};

use perigee_sim::{LoadFailure, LoadSummary};
use serde::Deserialize;
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

    /// Waits for its end and gives the summary of its requests. Panics if it printed none.
    pub fn finish(self) -> Summary {
        Summary::read(self.finish_raw())
    }

    /// Waits for its end and gives its summary as it was printed, of requests or of DNS. Panics if it printed none.
    pub fn finish_raw(mut self) -> Value {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap_or_else(|e| panic!("cannot read from the load: {e}"));
        let last = rest.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        match serde_json::from_str::<Value>(last) {
            Ok(mut last) if last["summary"].is_object() => last["summary"].take(),
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

/// The summary of a load, as `perigee load --json` prints it last: its figures, and the rest as JSON. Moments are
/// milliseconds since 1970.
#[derive(Clone, Debug)]
pub struct Summary {
    figures: LoadSummary,
    raw: Value,
}

impl Deref for Summary {
    type Target = LoadSummary;

    fn deref(&self) -> &LoadSummary {
        &self.figures
    }
}

impl Summary {
    /// Reads it. Panics when it is none.
    pub fn read(raw: Value) -> Self {
        let figures = LoadSummary::deserialize(&raw).unwrap_or_else(|e| panic!("no summary of a load: {e}: {raw}"));
        Self { figures, raw }
    }

    /// As it was printed.
    pub fn raw(&self) -> &Value {
        &self.raw
    }

    /// A number of the summary. Panics if it has none of that name.
    pub fn number(&self, key: &str) -> u64 {
        number(&self.raw, key)
    }

    /// The failures whose requests were started after the millisecond `since`, of one kind or of all, as they were
    /// printed.
    pub fn failures(&self, kind: Option<&str>, since: u64) -> Vec<&Value> {
        assert_eq!(self.failures_not_kept, 0, "more failures than the list holds");
        let printed = self.raw["failures"].as_array().unwrap_or_else(|| panic!("no failures in {}", self.raw));
        let meant = |(failure, _): &(&LoadFailure, &Value)| failure.counts(kind, since);
        self.figures.failures.iter().zip(printed).filter(meant).map(|(_, printed)| printed).collect()
    }

    /// Longest wait of a request on a new connection, from its moment in the schedule to its whole answer.
    pub fn slowest_new_connection_ms(&self) -> f64 {
        assert!(self.raw["new_connection_latency"]["max_ms"].is_number(), "no latencies in {}", self.raw);
        self.new_connection_latency.max_ms
    }

    /// Failures by kind, for people.
    pub fn failed_by_kind(&self) -> String {
        let words: Vec<String> = self.figures.failed_by_kind.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        if words.is_empty() { "none".to_owned() } else { words.join(", ") }
    }

    /// Every failure in a line, the first ten.
    pub fn failure_list(&self) -> String {
        let failures = self.raw["failures"].as_array().map(Vec::as_slice).unwrap_or_default();
        failures.iter().take(10).map(|f| format!("\n  {f}")).collect()
    }
}

/// A number of a summary. Panics if it has none of that name.
pub fn number(summary: &Value, key: &str) -> u64 {
    summary[key].as_u64().unwrap_or_else(|| panic!("no {key} in {summary}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn failures_are_told_as_they_were_printed() {
        let summary = Summary::read(json!({
            "started_unix_ms": 10_000, "failed_by_kind": { "in_flight": 1, "new_connection": 1 },
            "failures": [
                { "at_unix_ms": 11_000, "kind": "new_connection", "phase": "connect" },
                { "at_unix_ms": 11_500, "kind": "in_flight", "phase": "body" },
            ],
        }));
        let late = summary.failures(None, 11_000);
        assert_eq!(late.len(), 1);
        assert_eq!(late[0]["phase"], "body");
        assert_eq!(summary.failures(Some("new_connection"), 10_999).len(), 1);
        assert_eq!(summary.failed_by_kind(), "1 in_flight, 1 new_connection");
        assert_eq!(summary.number("started_unix_ms"), 10_000);
    }
}
