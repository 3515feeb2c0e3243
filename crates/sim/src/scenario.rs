//! Scenarios: a world, faults at their moments, and what must hold. The same file is played on sockets and in virtual
//! time.

mod bound;
mod event;
mod model;

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{PopulationModel, ResolverModel, ServiceTime, TargetModel, check_resolvers};

pub use bound::{Bound, Measure};
pub use event::{Event, How, RandomFault};
pub use model::{Connections, Entry, Latency, LoadModel, NetworkModel, ReportModel, StackShape};

/// One scenario, as its file says. The format is described in `tests/scenarios/README.md`.
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
    /// Length in seconds; the longest load's without it.
    pub for_s: Option<f64>,
    /// The wall clock at its beginning: `HH:MM`, with an offset from UTC such as `00:00+09:00`. Midnight UTC without it.
    pub begins: Option<String>,
    /// The stack; without it the configuration that the player brings, the built-in one by default.
    pub stack: Option<StackShape>,
    /// The way between places.
    #[serde(default)]
    pub network: NetworkModel,
    /// The targets; without it [`Self::target_model`] says what they are.
    pub targets: Option<TargetModel>,
    /// A world of clients.
    pub clients: Option<PopulationModel>,
    /// Their resolvers; a usual mixture without any.
    #[serde(default)]
    pub resolver: Vec<ResolverModel>,
    /// Open-loop clients.
    #[serde(default)]
    pub load: Vec<LoadModel>,
    /// What happens meanwhile, in the order of time.
    #[serde(default)]
    pub at: Vec<Event>,
    /// What happens by chance.
    #[serde(default)]
    pub random: Vec<RandomFault>,
    /// What must be true afterwards.
    #[serde(default)]
    pub must_hold: Vec<Bound>,
    /// What the report shows.
    #[serde(default)]
    pub report: ReportModel,
}

fn fast() -> String {
    "fast".to_owned()
}

/// The scenario's wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WallClock {
    /// Seconds after midnight on the scenario's own clock at its beginning.
    pub begins_s: u32,
    /// Seconds that this clock is ahead of UTC.
    pub utc_offset_s: i32,
}

impl WallClock {
    /// Seconds after midnight UTC at the beginning, 0 to 86,399.
    pub fn begins_utc_s(self) -> f64 {
        f64::from((i64::from(self.begins_s) - i64::from(self.utc_offset_s)).rem_euclid(86_400) as i32)
    }

    /// Parses `HH:MM` or `HH:MM+HH:MM`.
    fn parse(text: &str) -> Option<Self> {
        let (time, offset_s) = match text.find(['+', '-']) {
            Some(at) => {
                let sign = if text.as_bytes()[at] == b'-' { -1 } else { 1 };
                (&text[..at], sign * i32::try_from(time_of_day_s(&text[at + 1..])?).ok()?)
            }
            None => (text, 0),
        };
        Some(Self { begins_s: time_of_day_s(time)?, utc_offset_s: offset_s })
    }
}

/// `HH:MM` or `HH:MM:SS` as seconds after midnight.
pub(crate) fn time_of_day_s(text: &str) -> Option<u32> {
    let mut parts = text.split(':').map(|p| (p.len() == 2).then(|| p.parse::<u32>().ok()).flatten());
    let (hours, minutes) = (parts.next()??, parts.next()??);
    let seconds = match parts.next() {
        Some(s) => s?,
        None => 0,
    };
    let fits = hours < 24 && minutes < 60 && seconds < 60 && parts.next().is_none();
    fits.then_some(hours * 3_600 + minutes * 60 + seconds)
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// Errors: it is no TOML, has unknown keys, values out of range, or refers to loads or events that it does not
    /// have; in words, with the key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut scenario: Self = toml_edit::de::from_str(text).map_err(|e| e.to_string())?;
        scenario.check()?;
        Ok(scenario)
    }

    fn check(&mut self) -> Result<(), String> {
        if !matches!(self.behaviour.as_str(), "fast" | "aws") {
            return Err(format!("behaviour: {:?} is neither fast nor aws", self.behaviour));
        }
        let clock = self.wall_clock()?;
        for event in &mut self.at {
            event.settle(clock)?;
        }
        if !self.at.is_sorted_by(|a, b| a.begins_s() <= b.begins_s()) {
            return Err("at: events are not in the order of time".to_owned());
        }
        let names: Vec<&str> = self.at.iter().map(|e| e.name.as_str()).collect();
        if let Some(twice) = names.iter().enumerate().find(|(i, n)| names[..*i].contains(n)) {
            return Err(format!("at: two events are called {}", twice.1));
        }
        for load in &self.load {
            load.check()?;
        }
        for random in &self.random {
            random.check()?;
        }
        self.network.check()?;
        if let Some(targets) = &self.targets {
            targets.check().map_err(|e| format!("targets.{e}"))?;
        }
        if let Some(clients) = &self.clients {
            clients.check().map_err(|e| e.to_string())?;
        }
        if !self.resolver.is_empty() {
            check_resolvers(&self.resolver).map_err(|e| e.to_string())?;
        }
        if let Some(stack) = &self.stack {
            stack.check()?;
        }
        if self.report.step_s.is_some_and(|s| !(0.01..=86_400.0).contains(&s)) {
            return Err("report.step_s: must be 0.01 to 86400".to_owned());
        }
        if self.load.is_empty() && self.for_s.is_none() {
            return Err("for_s: needed where no load says how long the scenario is".to_owned());
        }
        if self.for_s.is_some_and(|s| !(s > 0.0 && s <= 31.0 * 86_400.0)) {
            return Err("for_s: must be above 0 and at most 31 days".to_owned());
        }
        for bound in &self.must_hold {
            bound.check(self)?;
        }
        Ok(())
    }

    /// The wall clock at its beginning. Errors: `begins` is no time.
    pub fn wall_clock(&self) -> Result<WallClock, String> {
        let Some(text) = &self.begins else { return Ok(WallClock::default()) };
        WallClock::parse(text).ok_or_else(|| format!("begins: {text:?} is no time such as 00:00 or 00:00+09:00"))
    }

    /// What the targets are: those of `[targets]`; else, without latency, the built-in application, which answers in
    /// about 200 us; else the model's defaults.
    pub fn target_model(&self) -> TargetModel {
        match (&self.targets, self.network.latency) {
            (Some(targets), _) => targets.clone(),
            (None, Latency::None) => {
                TargetModel { service: ServiceTime::Constant { ms: 0.2 }, ..TargetModel::default() }
            }
            (None, Latency::Measured) => TargetModel::default(),
        }
    }

    /// Its length in seconds.
    pub fn duration_s(&self) -> f64 {
        self.for_s.unwrap_or_else(|| self.load.iter().map(|l| l.for_s).fold(0.0, f64::max))
    }

    /// What `restore` mends: what the event of that name broke, or the machines that it names itself.
    pub fn mended_by<'a>(&'a self, restore: &'a str) -> &'a str {
        let broken = self.at.iter().find(|e| e.name == restore).and_then(|e| e.kill.as_deref());
        broken.unwrap_or(restore)
    }

    /// Whether it can be played on sockets, or why not: sockets have no simulated world.
    pub fn playable_live(&self) -> Result<(), String> {
        if let Some(event) = self.at.iter().find(|e| !e.is_live()) {
            return Err(format!("event {} exists in virtual time only", event.name));
        }
        if let Some(load) = self.load.iter().find(|l| l.poisson) {
            return Err(format!("load {}: a Poisson process exists in virtual time only", load.name));
        }
        if !self.random.is_empty() {
            return Err("random faults exist in virtual time only".to_owned());
        }
        if self.clients.is_some() || self.targets.is_some() || !self.resolver.is_empty() {
            return Err("a world of clients, resolvers or targets of its own exists in virtual time only".to_owned());
        }
        if self.stack.is_some() || self.network != NetworkModel::default() {
            return Err("a stack or a latency of its own exists in virtual time only".to_owned());
        }
        if self.load.is_empty() {
            return Err("without a [[load]] there is nothing to play".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "scenario/tests.rs"]
mod tests;
