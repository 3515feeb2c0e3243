use serde::{Deserialize, Serialize};

use super::{WallClock, time_of_day_s};

/// How something is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Connects are refused, established connections reset.
    Crash,
    /// Packets vanish.
    Blackhole,
    /// Requests are answered 500: all of them, or `share`.
    Error,
    /// Requests are answered late: all of them, or `share`.
    Slow,
    /// Gray failure: `share` of the requests (1 % by default) are answered late, and health checks do not notice.
    Gray,
    /// Nothing is broken, but it counts as unhealthy: the operator's word.
    Unhealthy,
}

impl How {
    /// As the commands name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Blackhole => "blackhole",
            Self::Error => "error",
            Self::Slow => "slow",
            Self::Gray => "gray",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// Something that happens: exactly one of `kill`, `restore`, `partition`, `cable`, `resolver`, `control` and `dial`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// How bounds and `restore` refer to it.
    pub name: String,
    /// When, seconds from the beginning of the scenario.
    pub s: Option<f64>,
    /// When, on the scenario's wall clock (`HH:MM` or `HH:MM:SS`), instead of `s`; the first time it comes.
    pub clock: Option<String>,
    /// What is broken: a region, a zone, an edge (IATA code), a load balancer (`region/name`) or a target.
    pub kill: Option<String>,
    /// How.
    pub how: Option<How>,
    /// What is mended: as in `kill`, or the name of an earlier event.
    pub restore: Option<String>,
    /// No packet passes between the two: regions, edges, countries (`JP`), or `*` for everything.
    pub partition: Option<[String; 2]>,
    /// A cable of the two is cut: round trips between them take `add_ms` more.
    pub cable: Option<[String; 2]>,
    /// For `cable`, milliseconds.
    pub add_ms: Option<f64>,
    /// The resolver of that name answers nothing.
    pub resolver: Option<String>,
    /// `away`: the control side is gone; configuration changes wait until it is restored.
    pub control: Option<String>,
    /// A change of configuration: this region's dial becomes `percent`.
    pub dial: Option<String>,
    /// For `dial`.
    pub percent: Option<f64>,
    /// For `slow` and `gray`, milliseconds; 1000 without it.
    pub delay_ms: Option<u64>,
    /// For `error`, `slow` and `gray`: the share of requests, 0 to 1.
    pub share: Option<f64>,
    /// Mended after this many seconds.
    pub for_s: Option<f64>,
    /// Comes and goes with this period in seconds, half and half, while it lasts.
    pub flap_s: Option<f64>,
    /// For `slow`, `error` and `gray`: grows from nothing to its full strength over this many seconds.
    pub ramp_s: Option<f64>,
}

impl Event {
    /// When it happens, seconds.
    pub fn begins_s(&self) -> f64 {
        self.s.unwrap_or_default()
    }

    /// Whether sockets can play it.
    pub fn is_live(&self) -> bool {
        let simple = self.for_s.is_none() && self.flap_s.is_none() && self.ramp_s.is_none() && self.share.is_none();
        simple && ((self.kill.is_some() && self.how != Some(How::Gray)) || self.restore.is_some())
    }

    /// Checks it, and turns its wall clock into seconds.
    pub(super) fn settle(&mut self, clock: WallClock) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("event {}: {what}", self.name));
        let kinds = [
            self.kill.is_some(),
            self.restore.is_some(),
            self.partition.is_some(),
            self.cable.is_some(),
            self.resolver.is_some(),
            self.control.is_some(),
            self.dial.is_some(),
        ];
        if kinds.iter().filter(|k| **k).count() != 1 {
            return wrong("needs exactly one of kill, restore, partition, cable, resolver, control and dial");
        }
        if self.kill.is_some() != self.how.is_some() {
            return wrong("kill and how belong together");
        }
        if self.cable.is_some() != self.add_ms.is_some() {
            return wrong("cable and add_ms belong together");
        }
        if self.dial.is_some() != self.percent.is_some() {
            return wrong("dial and percent belong together");
        }
        if self.percent.is_some_and(|p| !(0.0..=100.0).contains(&p)) {
            return wrong("percent must be 0 to 100");
        }
        if self.control.as_deref().is_some_and(|c| c != "away") {
            return wrong("control can only be \"away\"");
        }
        if self.share.is_some_and(|s| !(s > 0.0 && s <= 1.0)) {
            return wrong("share must be above 0 and at most 1");
        }
        if self.delay_ms.is_some_and(|ms| !(1..=60_000).contains(&ms)) {
            return wrong("delay_ms must be 1 to 60000");
        }
        let partial = matches!(self.how, Some(How::Error | How::Slow | How::Gray));
        if (self.share.is_some() || self.ramp_s.is_some()) && !partial {
            return wrong("only error, slow and gray have a share or a ramp");
        }
        if [self.for_s, self.flap_s, self.ramp_s].into_iter().flatten().any(|s| !(s > 0.0 && s <= 31.0 * 86_400.0)) {
            return wrong("for_s, flap_s and ramp_s must be above 0 and at most 31 days");
        }
        if self.flap_s.is_some() && self.for_s.is_none() {
            return wrong("flap_s needs for_s: how long it comes and goes");
        }
        match (self.s, &self.clock) {
            (Some(s), None) if (0.0..=31.0 * 86_400.0).contains(&s) => Ok(()),
            (Some(_), None) => wrong("s must be 0 to 31 days"),
            (None, Some(text)) => {
                let Some(at) = time_of_day_s(text) else { return wrong("clock is no time such as 09:00") };
                self.s = Some(f64::from((i64::from(at) - i64::from(clock.begins_s)).rem_euclid(86_400) as i32));
                Ok(())
            }
            (Some(_), Some(_)) | (None, None) => wrong("needs s or clock"),
        }
    }
}

/// Faults that come by chance: a Poisson process over machines.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomFault {
    /// The name of its events, with a number behind.
    pub name: String,
    /// `region`, `zone`, `edge` or `target`: one of them, evenly chosen.
    pub of: String,
    /// How it breaks.
    pub how: How,
    /// Faults an hour over all of them.
    pub per_hour: f64,
    /// Mean time to mend, seconds, exponential.
    pub mend_s: f64,
    /// For `slow` and `gray`, milliseconds.
    pub delay_ms: Option<u64>,
    /// For `error`, `slow` and `gray`.
    pub share: Option<f64>,
}

impl RandomFault {
    pub(super) fn check(&self) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("random {}: {what}", self.name));
        if !matches!(self.of.as_str(), "region" | "zone" | "edge" | "target") {
            return wrong("of must be region, zone, edge or target");
        }
        if self.of == "edge" && !matches!(self.how, How::Crash | How::Blackhole) {
            return wrong("an edge forwards bytes and knows no requests: crash or blackhole it");
        }
        if self.share.is_some_and(|s| !(s > 0.0 && s <= 1.0))
            || self.delay_ms.is_some_and(|ms| !(1..=60_000).contains(&ms))
        {
            return wrong("share must be above 0 to 1, delay_ms 1 to 60000");
        }
        let within = |value: f64, most: f64| value > 0.0 && value <= most;
        if !within(self.per_hour, 3_600.0) || !within(self.mend_s, 86_400.0) {
            return wrong("per_hour must be above 0 to 3600, mend_s above 0 to 86400");
        }
        Ok(())
    }
}
