use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::random::span;

/// Clients at one place that ask on a schedule, as `perigee load` does.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadModel {
    /// How bounds refer to it.
    pub name: String,
    /// The place.
    pub from: String,
    /// Requests a second, on a schedule that does not wait for answers.
    pub rate: f64,
    /// Which connections they travel on.
    #[serde(default)]
    pub connections: Connections,
    /// For how long, seconds from the beginning of the scenario.
    pub for_s: f64,
    /// By the accelerator's address or by the name of the latency policy.
    #[serde(default)]
    pub entry: Entry,
    /// A Poisson process of this rate instead of even spacing; virtual time only.
    #[serde(default)]
    pub poisson: bool,
    /// A request without its whole answer by then has failed.
    #[serde(default = "two")]
    pub timeout_s: f64,
    /// The path that is asked for.
    #[serde(default = "root")]
    pub path: String,
}

const fn two() -> f64 {
    2.0
}

fn root() -> String {
    "/".to_owned()
}

impl LoadModel {
    pub(super) fn check(&self) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("load {}: {what}", self.name));
        if !(self.rate > 0.0 && self.rate <= 10_000_000.0) {
            return wrong("rate must be above 0 and at most 10,000,000");
        }
        if !(self.for_s > 0.0 && self.for_s <= 31.0 * 86_400.0) {
            return wrong("for_s must be above 0 and at most 31 days");
        }
        if !(self.timeout_s > 0.0 && self.timeout_s <= 600.0) {
            return wrong("timeout_s must be above 0 and at most 600");
        }
        if !self.path.starts_with('/') || self.path.len() > 1_024 {
            return wrong("path must begin with / and have at most 1024 characters");
        }
        Ok(())
    }
}

/// Which connections requests travel on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Connections {
    /// A new one for each.
    New,
    /// Kept ones.
    Keep,
    /// Every other request on a kept one.
    #[default]
    Mixed,
}

/// How clients come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// By an accelerator's static address.
    #[default]
    Accelerator,
    /// By a name of the latency policy, straight to a load balancer.
    Dns,
}

/// Whether ways take time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Latency {
    /// As on one machine: every hop takes [`NetworkModel::hop_us`].
    #[default]
    None,
    /// The table's measured round trips.
    Measured,
}

/// The way between places.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkModel {
    /// Whether ways take time.
    pub latency: Latency,
    /// Round trip of a hop without latency, microseconds.
    pub hop_us: f64,
    /// The clients' own last mile, round trip in milliseconds.
    pub last_mile_ms: f64,
    /// Mean of an exponential addition, as a share of the round trip.
    pub jitter: f64,
    /// Probability that a packet is lost. A lost packet of a handshake is sent again after a second (RFC 6298), a lost
    /// one of a request or an answer after a round trip, at least 200 ms.
    pub loss: f64,
    /// Of the clients' access, megabits a second; zero is no limit.
    pub bandwidth_mbps: f64,
    /// Bytes of an answer.
    pub response_bytes: u64,
}

impl Default for NetworkModel {
    fn default() -> Self {
        Self {
            latency: Latency::None,
            hop_us: 50.0,
            last_mile_ms: 8.0,
            jitter: 0.0,
            loss: 0.0,
            bandwidth_mbps: 0.0,
            response_bytes: 500,
        }
    }
}

impl NetworkModel {
    pub(super) fn check(&self) -> Result<(), String> {
        for (key, value, most) in [
            ("hop_us", self.hop_us, 1e6),
            ("last_mile_ms", self.last_mile_ms, 10_000.0),
            ("jitter", self.jitter, 10.0),
            ("loss", self.loss, 0.5),
            ("bandwidth_mbps", self.bandwidth_mbps, 1e6),
        ] {
            if !(0.0..=most).contains(&value) {
                return Err(format!("network.{key}: must be 0 to {most}"));
            }
        }
        Ok(())
    }

    /// What the size of an answer adds.
    pub fn transfer(&self) -> Duration {
        if self.bandwidth_mbps > 0.0 {
            span(self.response_bytes as f64 * 8.0 / (self.bandwidth_mbps * 1e6))
        } else {
            Duration::ZERO
        }
    }
}

/// A stack made for a scenario: the same load balancer in each region, one accelerator in front.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StackShape {
    /// Region codes of the table; all of them when empty.
    pub regions: Vec<String>,
    /// Zones used in each region, at most what the region has.
    pub zones: usize,
    /// Targets in each zone.
    pub targets_per_zone: usize,
    /// Traffic dials in percent by region; 100 where none is given.
    pub dials: BTreeMap<String, f64>,
    /// TTL of the latency policy's name, seconds.
    pub ttl_s: u64,
    /// Seconds between two checks of a target.
    pub health_check_interval_s: u64,
    /// `NONE` or `SOURCE_IP`.
    pub client_affinity: String,
}

impl Default for StackShape {
    fn default() -> Self {
        Self {
            regions: Vec::new(),
            zones: 3,
            targets_per_zone: 2,
            dials: BTreeMap::new(),
            ttl_s: 30,
            health_check_interval_s: 10,
            client_affinity: "NONE".to_owned(),
        }
    }
}

impl StackShape {
    pub(super) fn check(&self) -> Result<(), String> {
        let within = |key: &str, value: usize, least: usize, most: usize| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(format!("stack.{key}: must be {least} to {most}"))
            }
        };
        within("zones", self.zones, 1, 6)?;
        within("targets_per_zone", self.targets_per_zone, 1, 200)?;
        within("ttl_s", self.ttl_s as usize, 5, 300)?;
        within("health_check_interval_s", self.health_check_interval_s as usize, 5, 300)?;
        if self.dials.values().any(|d| !(0.0..=100.0).contains(d)) {
            return Err("stack.dials: must be 0 to 100".to_owned());
        }
        if !matches!(self.client_affinity.as_str(), "NONE" | "SOURCE_IP") {
            return Err("stack.client_affinity: must be NONE or SOURCE_IP".to_owned());
        }
        Ok(())
    }
}

/// What the report shows.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReportModel {
    /// Width of a step in seconds; about 600 steps without it.
    pub step_s: Option<f64>,
    /// Moments of the world map, seconds; shortly before and after each fault without it.
    pub maps: Vec<f64>,
    /// Clients whose way is explained at each of these moments, by place.
    pub explain: Vec<String>,
}

impl ReportModel {
    /// The width of a step for a run of this length: a round number with 300 to 720 steps a run, at least a second.
    pub fn step_for(&self, duration_s: f64) -> f64 {
        const ROUND: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0];
        self.step_s.unwrap_or_else(|| ROUND.into_iter().find(|s| duration_s / s <= 720.0).unwrap_or(3_600.0))
    }
}
