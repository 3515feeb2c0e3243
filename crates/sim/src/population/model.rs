use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::Invalid;

/// Hours of a day.
const DAY_H: f64 = 24.0;
/// Degrees that the Sun moves on in an hour.
const DEGREES_PER_HOUR: f64 = 15.0;

/// The world's clients, as a scenario's `[clients]` states them.
///
/// The defaults are Perigee's choices unless a source is named: a small site's evening visitors, not a measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PopulationModel {
    /// How many clients, 1 to 1,000,000,000. Default 1,000,000.
    pub count: u64,
    /// Sessions that a client begins in a day, on average; above 0 and up to 10,000. Default 1.
    pub sessions_per_day: f64,
    /// Mean number of requests in a session, 1 to 10,000; geometric, so at least 1. Default 3.
    pub requests_per_session: f64,
    /// Mean time between two requests of a session, seconds, 0 to 86,400; exponential. Default 20.
    pub think_s: f64,
    /// What decides how many clients a country has. Default by addresses.
    pub weights: Weights,
    /// By country (ISO 3166 code), its weight, 0 or more; only the proportions matter, and a country that is not
    /// named has no clients. Needed for, and only for, [`Weights::Table`]. See [`parse_table`](crate::parse_table).
    pub table: Option<BTreeMap<String, f64>>,
    /// The daily curve, or `"off"`. On by default.
    pub diurnal: Diurnal,
    /// Share of the clients that come by the accelerator's static addresses, 0 to 1; the rest comes by the DNS name.
    /// Default 0.5.
    pub accelerator_share: f64,
    /// Most classes that are told apart, 100 to 100,000; default 2,000. With more, the least places of a country are
    /// merged into its greatest; every country keeps that one, so there may be more classes than this.
    pub classes: usize,
    /// Share of the clients that keep a DNS answer whatever its TTL, 0 to 1. Default 0.05.
    pub ignore_ttl_share: f64,
    /// How long those keep it, seconds, 0 to 604,800. Default 1,800.
    pub ignore_ttl_s: f64,
    /// A connect not done by then is joined by one to the next address, milliseconds, 10 to 10,000. Default 250
    /// (RFC 8305 section 5).
    pub happy_eyeballs_ms: f64,
    /// A request without an answer by then has failed for the client, seconds, 0.1 to 600. Default 5.
    pub timeout_s: f64,
    /// How often a failed request is tried again, 0 to 10. Default 1.
    pub retries: u32,
}

impl Default for PopulationModel {
    fn default() -> Self {
        Self {
            count: 1_000_000,
            sessions_per_day: 1.0,
            requests_per_session: 3.0,
            think_s: 20.0,
            weights: Weights::Addresses,
            table: None,
            diurnal: Diurnal::default(),
            accelerator_share: 0.5,
            classes: 2_000,
            ignore_ttl_share: 0.05,
            ignore_ttl_s: 1_800.0,
            happy_eyeballs_ms: 250.0,
            timeout_s: 5.0,
            retries: 1,
        }
    }
}

impl PopulationModel {
    /// Whether every field is within its range and fits the others. Errors: the first that does not.
    pub fn check(&self) -> Result<(), Invalid> {
        Invalid::unless_within("clients.count", self.count, 1, 1_000_000_000)?;
        if !(self.sessions_per_day > 0.0 && self.sessions_per_day <= 10_000.0) {
            return Err(Invalid::new("clients.sessions_per_day", "must be above 0 and up to 10000"));
        }
        for (field, value, min, max) in [
            ("clients.requests_per_session", self.requests_per_session, 1.0, 10_000.0),
            ("clients.think_s", self.think_s, 0.0, 86_400.0),
            ("clients.accelerator_share", self.accelerator_share, 0.0, 1.0),
            ("clients.ignore_ttl_share", self.ignore_ttl_share, 0.0, 1.0),
            ("clients.ignore_ttl_s", self.ignore_ttl_s, 0.0, 604_800.0),
            ("clients.happy_eyeballs_ms", self.happy_eyeballs_ms, 10.0, 10_000.0),
            ("clients.timeout_s", self.timeout_s, 0.1, 600.0),
        ] {
            Invalid::unless_within(field, value, min, max)?;
        }
        Invalid::unless_within("clients.retries", self.retries, 0, 10)?;
        Invalid::unless_within("clients.classes", self.classes, 100, 100_000)?;
        if let Diurnal::Curve(curve) = self.diurnal {
            curve.check()?;
        }
        self.check_table()
    }

    fn check_table(&self) -> Result<(), Invalid> {
        let wrong = |problem: String| Err(Invalid::new("clients.table", problem));
        let table = match (self.weights, &self.table) {
            (Weights::Addresses, None) => return Ok(()),
            (Weights::Addresses, Some(_)) => return wrong("is read only with weights = \"table\"".to_owned()),
            (Weights::Table, None) => return wrong("is needed for weights = \"table\"".to_owned()),
            (Weights::Table, Some(table)) => table,
        };
        for (country, weight) in table {
            if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()) {
                return wrong(format!("{country:?} is no country code: two capital letters are expected"));
            }
            if !(0.0..=1e15).contains(weight) {
                return wrong(format!("the weight of {country} must be 0 to 1e15"));
            }
        }
        if table.values().all(|weight| *weight == 0.0) {
            return wrong("no country has a weight above 0".to_owned());
        }
        Ok(())
    }
}

/// What decides how many clients a country has. Within a country it is always the number of IPv4 addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    /// Its number of IPv4 addresses in the database. Known bias: the first countries on the Internet hold more
    /// addresses than users.
    #[default]
    Addresses,
    /// [`PopulationModel::table`].
    Table,
}

/// How the hour of the day changes the number of sessions. In a scenario a table, or the text `"off"`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Diurnal {
    /// Every hour is the same.
    Off,
    /// A raised cosine.
    Curve(DiurnalCurve),
}

impl Default for Diurnal {
    fn default() -> Self {
        Self::Curve(DiurnalCurve::default())
    }
}

impl Diurnal {
    /// The number of sessions at this moment over that of the day's mean; `utc_s` is seconds since midnight UTC.
    pub fn factor(&self, longitude: f64, utc_s: f64) -> f64 {
        match self {
            Self::Off => 1.0,
            Self::Curve(curve) => curve.factor(longitude, utc_s),
        }
    }
}

/// A raised cosine over the local solar day with mean 1: least `trough`, greatest 2 - `trough`, twelve hours apart.
///
/// Perigee's choice: the simplest curve that has a peak, a trough and the Sun in it. Solar time follows the longitude
/// alone (4 minutes for each degree), so neither time zones nor daylight saving need a table.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiurnalCurve {
    /// The busiest hour of local solar time, 0 to 24. Default 20.
    pub peak_hour: f64,
    /// The rate in the quietest hour over the day's mean, 0 to 1. Default 0.3: the peak is 1.7.
    pub trough: f64,
}

impl Default for DiurnalCurve {
    fn default() -> Self {
        Self { peak_hour: 20.0, trough: 0.3 }
    }
}

impl DiurnalCurve {
    /// As [`Diurnal::factor`].
    pub fn factor(&self, longitude: f64, utc_s: f64) -> f64 {
        1.0 + (1.0 - self.trough) * libm::cos(day_angle(utc_s) + self.phase(longitude))
    }

    /// What a longitude adds to the angle of the UTC day, so that the peak is at angle 0.
    pub(crate) fn phase(&self, longitude: f64) -> f64 {
        std::f64::consts::TAU * (longitude / DEGREES_PER_HOUR - self.peak_hour) / DAY_H
    }

    fn check(&self) -> Result<(), Invalid> {
        Invalid::unless_within("clients.diurnal.peak_hour", self.peak_hour, 0.0, 24.0)?;
        Invalid::unless_within("clients.diurnal.trough", self.trough, 0.0, 1.0)
    }
}

/// The time of day as an angle: a whole turn from midnight to midnight.
pub(crate) fn day_angle(utc_s: f64) -> f64 {
    std::f64::consts::TAU * utc_s / (DAY_H * 3_600.0)
}

impl<'de> Deserialize<'de> for Diurnal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordOrTable;

        impl<'de> Visitor<'de> for WordOrTable {
            type Value = Diurnal;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"off\" or a table with peak_hour and trough")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Diurnal, E> {
                if text == "off" { Ok(Diurnal::Off) } else { Err(E::invalid_value(de::Unexpected::Str(text), &self)) }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Diurnal, A::Error> {
                DiurnalCurve::deserialize(MapAccessDeserializer::new(map)).map(Diurnal::Curve)
            }
        }

        deserializer.deserialize_any(WordOrTable)
    }
}

#[cfg(test)]
#[path = "model/tests.rs"]
mod tests;
