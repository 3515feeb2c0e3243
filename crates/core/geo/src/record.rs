use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::areas;
use crate::place::{is_country, location};

/// Longest name that is kept, in characters; no real name comes near, and names travel in DNS answers.
const NAME_CHARS_MAX: usize = 64;

/// A record of a MaxMind database in any of the layouts in use:
///
/// | layout | fields |
/// | --- | --- |
/// | GeoIP2, GeoLite2, DB-IP | `city.names.en`, `subdivisions[0].names.en` and `.iso_code`, `continent.code`, `country.iso_code`, `location.latitude` and `.longitude` |
/// | flat | `city`, `region`, `continent_code`, `country_code` or `country`, `latitude`/`lat` and `longitude`/`lng`/`lon`, as numbers or text |
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    city: Loose,
    subdivisions: Loose,
    region: Loose,
    continent: Loose,
    continent_code: Loose,
    country: Loose,
    registered_country: Loose,
    country_code: Loose,
    location: Loose,
    latitude: Loose,
    lat: Loose,
    longitude: Loose,
    lng: Loose,
    lon: Loose,
}

impl Record {
    /// City, or the state where there is none; empty when neither is known. Control characters are dropped.
    pub(crate) fn city(&self) -> String {
        let name = [&self.city, &self.subdivisions, &self.region].into_iter().find_map(|l| l.text.as_deref());
        name.unwrap_or_default().chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect()
    }

    /// Two capital letters, or empty.
    pub(crate) fn country(&self) -> String {
        let codes = [
            &self.country.code,
            &self.registered_country.code,
            &self.country_code.text,
            // Some flat layouts have the code here, others the name: the shape tells.
            &self.country.text,
        ];
        codes.into_iter().flatten().map(|c| c.to_ascii_uppercase()).find(|c| is_country(c)).unwrap_or_default()
    }

    /// The continent's code, if it is one of the seven.
    pub(crate) fn continent(&self) -> Option<&'static str> {
        let codes = [&self.continent.code, &self.continent_code.text, &self.continent.text];
        codes.into_iter().flatten().find_map(|code| areas::continent(code))
    }

    /// The code of the state, for places in the USA whose state is one.
    pub(crate) fn subdivision(&self) -> Option<&'static str> {
        if self.country() != "US" {
            return None;
        }
        let names = [&self.subdivisions.code, &self.subdivisions.text, &self.region.text];
        names.into_iter().flatten().find_map(|name| areas::state(name))
    }

    /// None when either coordinate is missing or out of range.
    pub(crate) fn location(&self) -> Option<perigee_model::Location> {
        let latitude = self.location.latitude.or_else(|| self.latitude.degrees()).or_else(|| self.lat.degrees())?;
        let longitude = [&self.longitude, &self.lng, &self.lon];
        let longitude = self.location.longitude.or_else(|| longitude.into_iter().find_map(Loose::degrees))?;
        location(latitude, longitude)
    }
}

/// A value of which only the parts that matter here are kept, whatever its type: vendors disagree on types, and a
/// field nobody needs must not make a database unusable.
#[derive(Default)]
struct Loose {
    /// The text itself, or of a map its English name.
    text: Option<String>,
    number: Option<f64>,
    /// Of a map: `iso_code`, or `code` as continents have it.
    code: Option<String>,
    latitude: Option<f64>,
    longitude: Option<f64>,
}

impl Loose {
    fn degrees(&self) -> Option<f64> {
        self.number.or_else(|| self.text.as_deref()?.trim().parse().ok())
    }

    fn number(number: f64) -> Self {
        Self { number: Some(number), ..Self::default() }
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Loose, E> {
        let text = text.trim();
        Ok(Loose { text: (!text.is_empty()).then(|| text.to_owned()), ..Loose::default() })
    }

    fn visit_f64<E>(self, number: f64) -> Result<Loose, E> {
        Ok(Loose::number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Loose, E> {
        Ok(Loose::number(number as f64))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Loose, E> {
        Ok(Loose::number(number as f64))
    }

    fn visit_u128<E>(self, number: u128) -> Result<Loose, E> {
        Ok(Loose::number(number as f64))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Loose, E> {
        Ok(Loose::default())
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Loose, E> {
        Ok(Loose::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Loose, A::Error> {
        let first = seq.next_element()?.unwrap_or_default();
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(first)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose, A::Error> {
        let mut loose = Loose::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "names" | "name" | "en" => loose.text = map.next_value::<Loose>()?.text.or(loose.text),
                "code" => loose.code = loose.code.or(map.next_value::<Loose>()?.text),
                "iso_code" => loose.code = map.next_value::<Loose>()?.text,
                "latitude" => loose.latitude = map.next_value::<Loose>()?.degrees(),
                "longitude" => loose.longitude = map.next_value::<Loose>()?.degrees(),
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(loose)
    }
}
