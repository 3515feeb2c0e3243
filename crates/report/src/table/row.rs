use std::collections::BTreeMap;

use perigee_sim::Outcome;
use serde::{Deserialize, Serialize};

/// The value of a parameter of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Parameter {
    /// A number.
    Number(f64),
    /// Anything else.
    Text(String),
}

impl Parameter {
    /// A value as it stands on a command line: a number if it reads as a finite one.
    pub fn read(text: &str) -> Self {
        match text.parse() {
            Ok(number) if f64::is_finite(number) => Self::Number(number),
            _ => Self::Text(text.to_owned()),
        }
    }
}

/// One run of a sweep: what was varied, and its headline figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SweepRow {
    /// The scenario's name.
    pub scenario: String,
    /// `fast` or `aws`.
    pub behaviour: String,
    /// The seed.
    pub seed: u64,
    /// What was varied, by name.
    pub parameters: BTreeMap<String, Parameter>,
    /// Hash of the event trace.
    pub trace_hash: String,
    /// Events handled.
    pub events: u64,
    /// Requests started.
    pub requests: u64,
    /// Answered well.
    pub ok: u64,
    /// Failed, by kind.
    pub failed: BTreeMap<String, u64>,
    /// Failed requests, percent of all.
    pub lost_percent: f64,
    /// Median latency; none when nothing was answered.
    pub p50_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// 99.9th percentile.
    pub p999_ms: Option<f64>,
    /// Minutes in which more than 1 % of the requests failed.
    pub bad_minutes: f64,
    /// Minutes of a region at or above nine tenths of its capacity.
    pub overload_minutes: f64,
    /// The first failover: until the first edge knew, seconds.
    pub first_detected_s: Option<f64>,
    /// The first failover: until every edge knew, seconds.
    pub all_detected_s: Option<f64>,
    /// The first failover: the tail of the DNS caches, seconds.
    pub dns_tail_s: Option<f64>,
    /// The first failover: until the last failure, seconds.
    pub last_failure_s: Option<f64>,
    /// The first failover: requests lost.
    pub requests_lost: Option<u64>,
    /// The first failover: from mending until every edge trusted it again, seconds.
    pub trusted_again_s: Option<f64>,
}

impl SweepRow {
    /// The row of a run that was made with these parameters.
    pub fn of(outcome: &Outcome, parameters: BTreeMap<String, Parameter>) -> Self {
        let (totals, cost) = (&outcome.totals, &outcome.cost);
        let ms = |value: f64| (totals.latency.count > 0).then_some(value);
        let first = outcome.anatomies.first();
        Self {
            scenario: outcome.scenario.clone(),
            behaviour: outcome.behaviour.clone(),
            seed: outcome.seed,
            parameters,
            trace_hash: outcome.trace_hash.clone(),
            events: outcome.events,
            requests: totals.requests,
            ok: totals.ok,
            failed: totals.failed.clone(),
            lost_percent: cost.lost_percent,
            p50_ms: ms(totals.latency.p50_ms),
            p99_ms: ms(totals.latency.p99_ms),
            p999_ms: ms(totals.latency.p999_ms),
            bad_minutes: cost.bad_minutes,
            overload_minutes: cost.overload_minutes,
            first_detected_s: first.and_then(|a| a.first_detected_s),
            all_detected_s: first.and_then(|a| a.all_detected_s),
            dns_tail_s: first.and_then(|a| a.dns_tail_s),
            last_failure_s: first.and_then(|a| a.last_failure_s),
            requests_lost: first.map(|a| a.requests_lost),
            trusted_again_s: first.and_then(|a| a.trusted_again_s),
        }
    }
}
