use std::collections::BTreeMap;

use serde::Deserialize;

use super::Scenario;
use crate::{JudgedBound, LoadSummary};

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

impl Measure {
    /// The unit of the figure.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Failed | Self::NotSent => "requests",
            Self::Answered => "answers",
            Self::SharePercent => "%",
            Self::FailureSpanMs | Self::LastAnswerMs | Self::SettledMs | Self::SlowestNewConnectionMs => "ms",
        }
    }
}

impl Bound {
    pub(super) fn check(&self, scenario: &Scenario) -> Result<(), String> {
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

    /// The figure, from the loads' summaries and the moments at which the events were done (milliseconds on the
    /// summaries' clock); none when there is nothing to tell it by.
    pub fn figure(&self, loads: &BTreeMap<String, LoadSummary>, events: &BTreeMap<String, u64>) -> Option<f64> {
        let summary = loads.get(&self.load)?;
        let since = match &self.since {
            Some(event) => *events.get(event)?,
            None => summary.started_unix_ms,
        } + self.delay_ms;
        let kind = self.kind.as_deref();
        let region = self.region.as_deref();
        let of_failures = matches!(self.measure, Measure::Failed | Measure::FailureSpanMs);
        if of_failures && summary.failures_not_kept > 0 {
            return None;
        }
        match self.measure {
            Measure::Failed => Some(summary.failures_since(kind, since).count() as f64),
            Measure::FailureSpanMs => Some(summary.failure_span_ms(kind, since) as f64),
            Measure::Answered => Some(summary.answered(region, since) as f64),
            Measure::SharePercent => summary.share_percent(region?, since),
            Measure::LastAnswerMs => Some(summary.last_answer_ms(region?, since) as f64),
            Measure::SettledMs => summary.settled_ms(region?, since).map(|ms| ms as f64),
            Measure::SlowestNewConnectionMs => Some(summary.new_connection_latency.max_ms),
            Measure::NotSent => Some(summary.shed as f64),
        }
    }

    /// Compares the figure with the bound.
    pub fn judge(&self, loads: &BTreeMap<String, LoadSummary>, events: &BTreeMap<String, u64>) -> JudgedBound {
        let value = self.figure(loads, events);
        let holds = value
            .is_some_and(|v| self.at_least.is_none_or(|least| v >= least) && self.at_most.is_none_or(|most| v <= most));
        JudgedBound { words: self.words(), value, unit: self.measure.unit().to_owned(), holds }
    }

    /// The figure in words, without its bound, such as `seoul: Failed new_connection since killed`.
    pub fn subject(&self) -> String {
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
        words
    }

    /// The bound in words, such as `seoul: Failed new_connection since killed <= 0`.
    pub fn words(&self) -> String {
        let mut words = self.subject();
        match (self.at_least, self.at_most) {
            (Some(least), Some(most)) => words += &format!(" in {least}..={most}"),
            (Some(least), None) => words += &format!(" >= {least}"),
            (None, Some(most)) => words += &format!(" <= {most}"),
            (None, None) => {}
        }
        words
    }
}
