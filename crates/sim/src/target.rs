//! What a target is made of: its service times, its room, and what makes it slower than that.

use serde::{Deserialize, Serialize};

use crate::ServiceTime;
use crate::service::out_of_range;

/// One target's capacity and pace. A [`Server`](crate::Server) is made from it.
///
/// `concurrency / mean service time` is the rate that it can carry for long while none of the three slower times apply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TargetModel {
    /// Work of one request. Default: exponential, mean 5 ms.
    pub service: ServiceTime,
    /// Requests worked on at once, 1 to 65,536. Default 16, a small pool of workers (Perigee's choice).
    pub concurrency: u32,
    /// Requests that may wait beyond those, 0 to 1,000,000; one more is refused, which a target answers with 503.
    /// Default 1,000 (Perigee's choice: with the other defaults a third of a second of work).
    pub queue: u32,
    /// Slower after a start, by time. Default: not.
    pub warm_up: Option<WarmUp>,
    /// Slower after a start, by requests. Default: not.
    pub cold_cache: Option<ColdCache>,
    /// Slower now and then. Default: not.
    pub antagonist: Option<Antagonist>,
}

/// Time that a process needs to reach its pace: compilation, pools that fill.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmUp {
    /// Seconds until the pace is reached, above 0 to 3,600.
    pub s: f64,
    /// Service times right after the start are multiplied by this, 1 to 100; it falls to 1 in a straight line.
    pub factor: f64,
}

/// Requests that a process needs to reach its pace: caches that fill.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColdCache {
    /// How many requests after a start are slower, 1 to 1,000,000.
    pub requests: u32,
    /// The first one's service time is multiplied by this, 1 to 100; it falls to 1 in equal steps.
    pub factor: f64,
}

/// A neighbour on the same machine that takes its share at regular times.
///
/// Each target has its own phase, drawn from its stream: neighbours do not act together. A request that begins while
/// the neighbour acts is slower as a whole, one that began before is not (Perigee's choice: service times are short
/// beside the neighbour's).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Antagonist {
    /// Seconds from one beginning to the next, 0.001 to 86,400.
    pub every_s: f64,
    /// Seconds it acts each time, above 0 to `every_s`.
    pub for_s: f64,
    /// Service times meanwhile are multiplied by this, 1 to 100.
    pub factor: f64,
}

impl Default for TargetModel {
    fn default() -> Self {
        Self {
            service: ServiceTime::default(),
            concurrency: 16,
            queue: 1_000,
            warm_up: None,
            cold_cache: None,
            antagonist: None,
        }
    }
}

impl TargetModel {
    /// Checks the ranges named at the fields. NaN and infinities are in none.
    ///
    /// # Errors
    ///
    /// The first field out of its range, by its path in a scenario.
    pub fn check(&self) -> Result<(), String> {
        self.service.check().map_err(|problem| format!("service.{problem}"))?;
        let within = |what: &str, value: f64, fits: bool, range: &str| {
            if fits { Ok(()) } else { Err(out_of_range(what, value, range)) }
        };
        let count = |what: &str, value: u32, least: u32, most: u32| {
            within(what, value.into(), (least..=most).contains(&value), &format!("{least} to {most}"))
        };
        let factor = |what: &str, value: f64| within(what, value, (1.0..=100.0).contains(&value), "1 to 100");
        count("concurrency", self.concurrency, 1, 65_536)?;
        count("queue", self.queue, 0, 1_000_000)?;
        if let Some(warm_up) = self.warm_up {
            within("warm_up.s", warm_up.s, warm_up.s > 0.0 && warm_up.s <= 3_600.0, "above 0 to 3600")?;
            factor("warm_up.factor", warm_up.factor)?;
        }
        if let Some(cold) = self.cold_cache {
            count("cold_cache.requests", cold.requests, 1, 1_000_000)?;
            factor("cold_cache.factor", cold.factor)?;
        }
        if let Some(Antagonist { every_s, for_s, factor: by }) = self.antagonist {
            within("antagonist.every_s", every_s, (0.001..=86_400.0).contains(&every_s), "0.001 to 86400")?;
            within("antagonist.for_s", for_s, for_s > 0.0 && for_s <= every_s, "above 0 to every_s")?;
            factor("antagonist.factor", by)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_description_is_the_default_and_fits() {
        let read: TargetModel = toml_edit::de::from_str("").unwrap();
        assert_eq!(read, TargetModel::default());
        assert_eq!(read.check(), Ok(()));
    }

    #[test]
    fn a_description_in_toml_is_read_and_an_unknown_field_is_not() {
        let text = r#"
            concurrency = 4
            service = { distribution = "log_normal", median_ms = 3, p99_ms = 30.5 }
            warm_up = { s = 30, factor = 4 }
            cold_cache = { requests = 500, factor = 2.5 }
            antagonist = { every_s = 60, for_s = 2, factor = 3 }
        "#;
        let read: TargetModel = toml_edit::de::from_str(text).unwrap();
        let expected = TargetModel {
            service: ServiceTime::LogNormal { median_ms: 3.0, p99_ms: 30.5 },
            concurrency: 4,
            warm_up: Some(WarmUp { s: 30.0, factor: 4.0 }),
            cold_cache: Some(ColdCache { requests: 500, factor: 2.5 }),
            antagonist: Some(Antagonist { every_s: 60.0, for_s: 2.0, factor: 3.0 }),
            ..TargetModel::default()
        };
        assert_eq!(read, expected);
        assert_eq!(read.check(), Ok(()));
        assert!(toml_edit::de::from_str::<TargetModel>("servers = 4").is_err());
        assert!(toml_edit::de::from_str::<TargetModel>("warm_up = { s = 1, factor = 2, to = 3 }").is_err());
        assert!(toml_edit::de::from_str::<TargetModel>("warm_up = { s = 1 }").is_err());
    }

    #[test]
    fn fields_out_of_their_ranges_are_named() {
        let model = TargetModel::default();
        let warm = |s, factor| TargetModel { warm_up: Some(WarmUp { s, factor }), ..model.clone() };
        let cold = |requests, factor| TargetModel { cold_cache: Some(ColdCache { requests, factor }), ..model.clone() };
        let noisy = |every_s, for_s, factor| TargetModel {
            antagonist: Some(Antagonist { every_s, for_s, factor }),
            ..model.clone()
        };
        let bad = [
            (
                TargetModel { service: ServiceTime::Exponential { mean_ms: 0.0 }, ..model.clone() },
                "service.mean_ms must be above 0 to 60000, not 0",
            ),
            (TargetModel { concurrency: 0, ..model.clone() }, "concurrency must be 1 to 65536, not 0"),
            (TargetModel { queue: 1_000_001, ..model.clone() }, "queue must be 0 to 1000000, not 1000001"),
            (warm(0.0, 2.0), "warm_up.s must be above 0 to 3600, not 0"),
            (warm(f64::NAN, 2.0), "warm_up.s must be above 0 to 3600, not NaN"),
            (warm(1.0, 0.5), "warm_up.factor must be 1 to 100, not 0.5"),
            (cold(0, 2.0), "cold_cache.requests must be 1 to 1000000, not 0"),
            (cold(1, 101.0), "cold_cache.factor must be 1 to 100, not 101"),
            (noisy(0.0, 0.0, 2.0), "antagonist.every_s must be 0.001 to 86400, not 0"),
            (noisy(1.0, 1.5, 2.0), "antagonist.for_s must be above 0 to every_s, not 1.5"),
            (noisy(1.0, 0.5, f64::INFINITY), "antagonist.factor must be 1 to 100, not inf"),
        ];
        for (model, problem) in bad {
            assert_eq!(model.check(), Err(problem.to_owned()));
        }
    }
}
