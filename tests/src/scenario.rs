//! The files of `tests/scenarios/`: a load, faults at their moments, and what must hold of what was measured.
//!
//! The format is described in `tests/scenarios/README.md`. It names no address and no port, so that the same files can
//! be played on sockets and in virtual time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// One scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows, in a sentence.
    pub story: String,
    /// `fast` or `aws`.
    #[serde(default = "fast")]
    pub behaviour: String,
    /// Times of the edge, as in `[timing]` of `perigee.toml`.
    #[serde(default)]
    pub timing: BTreeMap<String, u64>,
    /// The clients.
    pub load: Vec<Load>,
    /// What happens meanwhile, in the order of time.
    pub at: Vec<Event>,
    /// What must be true afterwards.
    pub must_hold: Vec<Bound>,
}

/// Clients at one place.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// How bounds refer to it.
    pub name: String,
    /// The place.
    pub from: String,
    /// Requests a second, on a schedule that does not wait for answers.
    pub rate: u32,
    /// Which connections they travel on.
    #[serde(default)]
    pub connections: Connections,
    /// For how long, seconds from the beginning of the scenario.
    pub for_s: f64,
}

/// Which connections requests travel on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Connections {
    /// A new one for each.
    New,
    /// Kept ones.
    Keep,
    /// Half and half.
    #[default]
    Mixed,
}

/// Something that happens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// How bounds refer to it.
    pub name: String,
    /// When, seconds from the beginning of the scenario.
    pub s: f64,
    /// What is broken, as `perigee kill` names it.
    pub kill: Option<String>,
    /// How, as `perigee kill --how`.
    pub how: Option<String>,
    /// What is mended.
    pub restore: Option<String>,
}

/// Something that must hold of a load's measured figures.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// Of which load.
    pub load: String,
    /// Which figure.
    pub measure: Measure,
    /// Requests or answers of a region only.
    pub region: Option<String>,
    /// Failures of one kind only: `new_connection`, `in_flight`, `status` or `local`.
    pub kind: Option<String>,
    /// The figure's time begins with this event; the beginning of the load without it.
    pub since: Option<String>,
    /// And this much later, milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
    /// Least value that is good.
    pub at_least: Option<f64>,
    /// Greatest value that is good.
    pub at_most: Option<f64>,
}

/// The figures that can be bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Failed requests that were started in the time.
    Failed,
    /// From the beginning of the time to the start of the last request that failed, ms; 0 if none did.
    FailureSpanMs,
    /// Answers in whole seconds of the time.
    Answered,
    /// The region's share of these answers, percent.
    SharePercent,
    /// From the beginning of the time to the region's last answer of the run, ms.
    LastAnswerMs,
    /// From the beginning of the time to the first whole second from which on the region alone answers, ms.
    SettledMs,
    /// Longest wait of a request on a new connection in the whole run, ms.
    SlowestNewConnectionMs,
    /// Requests that the client itself could not send.
    NotSent,
}

fn fast() -> String {
    "fast".to_owned()
}

impl Scenario {
    /// Reads the file of that name. Panics when there is none or it is wrong, and says where.
    pub fn read(name: &str) -> Self {
        let path = folder().join(format!("{name}.toml"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Reads a scenario. Errors: it is no TOML, has unknown keys, or refers to loads or events that it does not have.
    pub fn parse(text: &str) -> Result<Self, String> {
        let scenario: Self = toml_edit::de::from_str(text).map_err(|e| e.to_string())?;
        for event in &scenario.at {
            let is_kill = event.kill.is_some() && event.how.is_some() && event.restore.is_none();
            let is_restore = event.kill.is_none() && event.how.is_none() && event.restore.is_some();
            if !is_kill && !is_restore {
                return Err(format!("event {}: either kill and how, or restore", event.name));
            }
        }
        if !scenario.at.is_sorted_by(|a, b| a.s <= b.s) {
            return Err("events are not in the order of time".to_owned());
        }
        if scenario.must_hold.is_empty() || scenario.load.is_empty() {
            return Err("a scenario has a load and something that must hold".to_owned());
        }
        for bound in &scenario.must_hold {
            bound.check(&scenario)?;
        }
        Ok(scenario)
    }
}

impl Bound {
    fn check(&self, scenario: &Scenario) -> Result<(), String> {
        let wrong = |what: String| Err(format!("must_hold {:?} of {}: {what}", self.measure, self.load));
        if !scenario.load.iter().any(|l| l.name == self.load) {
            return wrong("no load has that name".to_owned());
        }
        if let Some(since) = &self.since
            && !scenario.at.iter().any(|e| e.name == *since)
        {
            return wrong(format!("no event is called {since}"));
        }
        if self.at_least.is_none() && self.at_most.is_none() {
            return wrong("needs at_least, at_most or both".to_owned());
        }
        let of_region = matches!(self.measure, Measure::SharePercent | Measure::LastAnswerMs | Measure::SettledMs);
        if of_region && self.region.is_none() {
            return wrong("needs a region".to_owned());
        }
        let of_failures = matches!(self.measure, Measure::Failed | Measure::FailureSpanMs);
        if self.kind.is_some() && !of_failures {
            return wrong("only failures have a kind".to_owned());
        }
        if self.region.is_some() && !of_region && self.measure != Measure::Answered {
            return wrong("this figure is not told apart by region".to_owned());
        }
        Ok(())
    }
}

/// Where the scenarios are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
story = "x"
[[load]]
name = "l"
from = "Seoul"
rate = 10
for_s = 2
[[at]]
name = "killed"
s = 1.0
kill = "r"
how = "crash"
[[must_hold]]
load = "l"
measure = "failed"
since = "killed"
at_most = 0
"#;

    #[test]
    fn a_scenario_that_refers_to_nothing_is_refused() {
        assert!(Scenario::parse(GOOD).is_ok());
        for (old, new) in [
            ("since = \"killed\"", "since = \"restored\""),
            ("load = \"l\"", "load = \"m\""),
            ("at_most = 0", ""),
            ("how = \"crash\"", ""),
            ("measure = \"failed\"", "measure = \"settled_ms\""),
            ("measure = \"failed\"", "measure = \"not_sent\"\nkind = \"status\""),
            ("rate = 10", "rate = 10\ncolour = 1"),
            ("measure = \"failed\"", "measure = \"feeling\""),
        ] {
            let text = GOOD.replacen(old, new, 1);
            assert_ne!(text, GOOD);
            assert!(Scenario::parse(&text).is_err(), "{new:?} was accepted");
        }
    }

    #[test]
    fn every_file_of_the_folder_is_a_scenario() {
        let files = std::fs::read_dir(folder()).unwrap().map(|f| f.unwrap().path());
        let names: Vec<String> = files
            .filter(|f| f.extension().is_some_and(|e| e == "toml"))
            .map(|f| f.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        assert!(names.len() >= 4, "{names:?}");
        names.iter().for_each(|name| {
            Scenario::read(name);
        });
    }
}
