//! Plays a scenario on real sockets.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::figures::Figures;
use crate::load::Summary;
use crate::scenario::{Bound, Connections, Measure, Scenario};
use crate::stack::{Setup, Stack};

/// What came of it.
#[derive(Debug)]
pub struct Played {
    /// The summaries of the loads, by name.
    pub loads: BTreeMap<String, Summary>,
    /// When the events were done, milliseconds since 1970.
    pub events: BTreeMap<String, u64>,
}

/// Starts a stack, plays the scenario called `name`, notes its figures and asserts what must hold.
pub fn play(name: &str) -> Played {
    let scenario = Scenario::read(name);
    let mut tables = String::from("[timing]\n");
    for (key, value) in &scenario.timing {
        tables += &format!("{key} = {value}\n");
    }
    let stack = Stack::with(&Setup { behaviour: scenario.behaviour.clone(), tables, ..Setup::default() });
    let began = Instant::now();
    let loads: Vec<_> = scenario
        .load
        .iter()
        .map(|load| {
            let mut args = vec![format!("--rate={}", load.rate), format!("--for={}", load.for_s), stack.url(0)];
            match load.connections {
                Connections::New => args.push("--new".to_owned()),
                Connections::Keep => args.push("--keep".to_owned()),
                Connections::Mixed => {}
            }
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            (load.name.clone(), stack.load(&load.from, &args))
        })
        .collect();
    let mut events = BTreeMap::new();
    for event in &scenario.at {
        // The moment itself is part of the scenario; there is no state to wait for.
        std::thread::sleep(Duration::from_secs_f64(event.s).saturating_sub(began.elapsed()));
        let done = match (&event.kill, &event.how, &event.restore) {
            (Some(what), Some(how), _) => stack.kill(what, how),
            (_, _, Some(what)) => stack.restore(what),
            _ => unreachable!("checked when the file was read"),
        };
        events.insert(event.name.clone(), done);
    }
    let loads = loads.into_iter().map(|(name, load)| (name, load.finish())).collect();
    let played = Played { loads, events };
    played.judge(name, &scenario);
    played
}

impl Played {
    fn judge(&self, name: &str, scenario: &Scenario) {
        let mut figures = Figures::of(name);
        for (load, summary) in &self.loads {
            figures.note(&format!("{load}: requests"), summary.number("requests"), "");
            figures.note(&format!("{load}: failed"), summary.failed_by_kind(), "");
            figures.note(&format!("{load}: longest gap"), summary.number("longest_gap_ms"), "ms");
            figures.note(&format!("{load}: slowest new connection"), summary.slowest_new_connection_ms(), "ms");
        }
        let mut broken = Vec::new();
        for bound in &scenario.must_hold {
            let value = self.figure(bound);
            let words = bound.words();
            figures.note(&words, value.map_or(Value::Null, Value::from), bound.measure.unit());
            let holds = value.is_some_and(|v| {
                bound.at_least.is_none_or(|least| v >= least) && bound.at_most.is_none_or(|most| v <= most)
            });
            if !holds {
                broken.push(format!("{words}: {value:?}"));
            }
        }
        drop(figures);
        if !broken.is_empty() {
            for (load, summary) in &self.loads {
                println!("{load}, seconds: {}", summary.0["seconds"]);
                println!("{load}, failures: {}", summary.failure_list());
            }
            panic!("{name}: does not hold:\n{}", broken.join("\n"));
        }
    }

    /// The measured value; none when there is nothing to measure it by.
    pub fn figure(&self, bound: &Bound) -> Option<f64> {
        let summary = self.loads.get(&bound.load)?;
        let since = match &bound.since {
            Some(event) => *self.events.get(event)?,
            None => summary.number("started_unix_ms"),
        } + bound.delay_ms;
        let region = bound.region.as_deref();
        let kind = bound.kind.as_deref();
        match bound.measure {
            Measure::Failed => Some(summary.failures(kind, since).len() as f64),
            Measure::FailureSpanMs => Some(summary.failure_span_ms(kind, since) as f64),
            Measure::Answered => Some(summary.answered(region, since) as f64),
            Measure::SharePercent => summary.share_percent(region?, since),
            Measure::LastAnswerMs => Some(summary.last_answer_ms(region?, since) as f64),
            Measure::SettledMs => summary.settled_ms(region?, since).map(|ms| ms as f64),
            Measure::SlowestNewConnectionMs => Some(summary.slowest_new_connection_ms()),
            Measure::NotSent => Some(summary.number("shed") as f64),
        }
    }
}

impl Bound {
    /// The bound in words, such as `seoul: Failed new_connection since killed <= 0`.
    pub fn words(&self) -> String {
        let mut words = format!("{}: {:?}", self.load, self.measure);
        for part in [&self.kind, &self.region].into_iter().flatten() {
            words += &format!(" {part}");
        }
        if let Some(since) = &self.since {
            words += &format!(" since {since}");
        }
        if self.delay_ms > 0 {
            words += &format!(" + {} ms", self.delay_ms);
        }
        match (self.at_least, self.at_most) {
            (Some(least), Some(most)) => words += &format!(" in {least}..={most}"),
            (Some(least), None) => words += &format!(" >= {least}"),
            (None, Some(most)) => words += &format!(" <= {most}"),
            (None, None) => {}
        }
        words
    }
}

impl Measure {
    const fn unit(self) -> &'static str {
        match self {
            Self::Failed | Self::NotSent => "requests",
            Self::Answered => "answers",
            Self::SharePercent => "%",
            Self::FailureSpanMs | Self::LastAnswerMs | Self::SettledMs | Self::SlowestNewConnectionMs => "ms",
        }
    }
}
