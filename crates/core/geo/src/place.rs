use std::fmt;
use std::sync::Arc;

use perigee_model::Location;
use serde::Serialize;

/// A place that an address can be at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Place {
    /// City, or the state where the database names no city; empty when unknown. Free of control characters.
    pub city: Arc<str>,
    /// ISO 3166 code, two capital letters; empty when unknown.
    pub country: Arc<str>,
    /// Where it is, if the data says so; a country database does not.
    pub location: Option<Location>,
}

impl Place {
    /// The place of an address that nothing is known about.
    pub fn unknown() -> Self {
        Self { city: "".into(), country: "".into(), location: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.city, &*self.country) {
            ("", "") => f.pad("unknown place"),
            ("", country) => f.pad(country),
            (city, "") => f.pad(city),
            (city, country) => f.pad(&format!("{city}, {country}")),
        }
    }
}

/// Whether both coordinates are numbers within -90 to 90 and -180 to 180 degrees.
pub(crate) fn location(latitude: f64, longitude: f64) -> Option<Location> {
    ((-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude))
        .then_some(Location { latitude, longitude })
}

/// Whether `code` has the shape of an ISO 3166 code: two capital letters.
pub(crate) fn is_country(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase())
}
