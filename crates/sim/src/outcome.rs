//! What a run says: every figure that reports, tables and tests are made of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::LoadSummary;

/// The result of one run. Times are virtual; seconds count from the beginning of the scenario.
///
/// Serialised as JSON it is the whole of what a report shows, so that two runs can be compared later.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The scenario's name.
    pub scenario: String,
    /// What it shows, in a sentence.
    pub story: String,
    /// `fast` or `aws`.
    pub behaviour: String,
    /// The seed.
    pub seed: u64,
    /// Length of the run in seconds.
    pub duration_s: f64,
    /// Seconds after midnight, UTC, at which the scenario begins.
    pub begins_utc_s: f64,
    /// The scenario's clock is this many seconds ahead of UTC.
    pub utc_offset_s: i32,
    /// Hash of the event trace, 32 hexadecimal digits: equal hashes, equal runs.
    pub trace_hash: String,
    /// Events handled.
    pub events: u64,
    /// The regions, in code order; rows refer to them by position.
    pub regions: Vec<Site>,
    /// The edges, in code order.
    pub edges: Vec<Site>,
    /// Clients of the population, zero without one.
    pub clients: u64,
    /// Everything added up.
    pub totals: Totals,
    /// Width of a row of `series`, seconds.
    pub step_s: f64,
    /// The run in steps.
    pub series: Vec<Step>,
    /// What happened, in the order of time: faults, and what the machines made of them.
    pub moments: Vec<Moment>,
    /// One per fault that took a region, a zone, an edge or a load balancer away.
    pub anatomies: Vec<Anatomy>,
    /// Where the clients were sent, at chosen moments.
    pub maps: Vec<MapMoment>,
    /// What the faults cost.
    pub cost: Cost,
    /// Open-loop loads by name, as `perigee load` sums them up.
    pub loads: BTreeMap<String, LoadSummary>,
    /// What had to hold, and whether it did.
    pub bounds: Vec<JudgedBound>,
    /// Decisions explained at chosen moments: seconds and text.
    pub explanations: Vec<(f64, String)>,
    /// Whose geographic data it is, to be shown with the results; empty when none was used.
    pub attribution: String,
}

/// A place on the map.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Site {
    /// Region code or IATA code.
    pub code: String,
    /// City.
    pub city: String,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

/// Requests and where they ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Sessions that clients of the population began.
    pub sessions: u64,
    /// Requests started.
    pub requests: u64,
    /// Answered with a status below 400.
    pub ok: u64,
    /// Failed, by kind: `new_connection`, `in_flight`, `status`, `resolve`.
    pub failed: BTreeMap<String, u64>,
    /// Latencies of all answered requests.
    pub latency: Percentiles,
    /// DNS answers that clients used, and how many of them came from a cache.
    pub dns_answers: u64,
    /// Of these, from a cache: a resolver's, or a client's own.
    pub dns_from_cache: u64,
}

/// Percentiles of a latency in milliseconds, each within 2 % of the exact one; zero when nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// How many.
    pub count: u64,
    /// Mean.
    pub mean_ms: f64,
    /// Median.
    pub p50_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// 99th.
    pub p99_ms: f64,
    /// 99.9th.
    pub p999_ms: f64,
    /// Greatest.
    pub max_ms: f64,
}

/// One step of the series.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// When it begins, seconds.
    pub at_s: f64,
    /// Requests that failed without reaching a region's answer, by kind as in [`Totals::failed`]; counted when they
    /// were started.
    pub failed: BTreeMap<String, u64>,
    /// Requests started.
    pub requests: u64,
    /// Latencies of requests answered in this step.
    pub latency: Percentiles,
    /// By region, in the order of [`Outcome::regions`].
    pub regions: Vec<RegionStep>,
}

/// One region in one step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RegionStep {
    /// Requests answered well.
    pub ok: u64,
    /// Requests of clients that were sent here and failed.
    pub failed: u64,
    /// Latencies of the answers.
    pub latency: Percentiles,
    /// Share of its targets' capacity in use, 0 to 1 (and above while a queue grows).
    pub utilisation: f64,
    /// DNS answers naming it.
    pub dns_answers: u64,
    /// New flows that edges sent here.
    pub flows: u64,
}

/// Something that happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// When, seconds.
    pub at_s: f64,
    /// `fault`, `mended`, `health` (a load balancer as a front tier sees it) or `control`.
    pub kind: String,
    /// What it is about: a region, an edge, a target, an event's name.
    pub what: String,
    /// In words.
    pub text: String,
}

/// The course of one failover. Spans are seconds after `at_s`; none where it did not come to that.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Anatomy {
    /// The event's name.
    pub event: String,
    /// What was broken.
    pub what: String,
    /// When.
    pub at_s: f64,
    /// Until the first edge knew.
    pub first_detected_s: Option<f64>,
    /// Until every edge knew.
    pub all_detected_s: Option<f64>,
    /// Until DNS knew.
    pub dns_detected_s: Option<f64>,
    /// Until the last new flow was sent there by an edge.
    pub last_flow_s: Option<f64>,
    /// Until the last client went there by an answer of DNS: the tail of the caches.
    pub dns_tail_s: Option<f64>,
    /// Until the last request failed because of it.
    pub last_failure_s: Option<f64>,
    /// Requests lost.
    pub requests_lost: u64,
    /// When it was mended, seconds after `at_s`.
    pub mended_s: Option<f64>,
    /// From mending until every edge trusted it again.
    pub trusted_again_s: Option<f64>,
    /// From mending until its first new flow.
    pub first_flow_back_s: Option<f64>,
}

/// Where clients were sent at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MapMoment {
    /// When, seconds.
    pub at_s: f64,
    /// In words, such as `a minute after tokyo-dies`.
    pub title: String,
    /// Regions that were down as clients saw it, by position.
    pub down: Vec<usize>,
    /// Clients' places: latitude, longitude, region by position (none when refused), requests a second.
    pub arcs: Vec<(f64, f64, Option<usize>, f64)>,
}

/// What the faults cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Requests that failed, whatever the kind.
    pub requests_lost: u64,
    /// The same in percent of all requests.
    pub lost_percent: f64,
    /// Steps in which more than 1 % of the requests failed, as minutes.
    pub bad_minutes: f64,
    /// Minutes of a region at or above nine tenths of its capacity, summed over regions.
    pub overload_minutes: f64,
    /// By region, the same.
    pub overload_minutes_by_region: BTreeMap<String, f64>,
}

/// A bound of the scenario and the figure it was compared with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JudgedBound {
    /// The bound in words.
    pub words: String,
    /// The figure; none when there was nothing to tell it by.
    pub value: Option<f64>,
    /// Its unit.
    pub unit: String,
    /// Whether it holds.
    pub holds: bool,
}
