//! The areas of the geolocation policy: continents and the states of the USA by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Tables;

/// The continents' codes (Route 53 API, `GeoLocation.ContinentCode`).
pub(crate) const CONTINENTS: [&str; 7] = ["AF", "AN", "AS", "EU", "NA", "OC", "SA"];

/// The states of the USA and the District of Columbia: ISO 3166-2 code without the country, and English name.
const STATES: [(&str, &str); 51] = [
    ("AL", "Alabama"),
    ("AK", "Alaska"),
    ("AZ", "Arizona"),
    ("AR", "Arkansas"),
    ("CA", "California"),
    ("CO", "Colorado"),
    ("CT", "Connecticut"),
    ("DE", "Delaware"),
    ("DC", "District of Columbia"),
    ("FL", "Florida"),
    ("GA", "Georgia"),
    ("HI", "Hawaii"),
    ("ID", "Idaho"),
    ("IL", "Illinois"),
    ("IN", "Indiana"),
    ("IA", "Iowa"),
    ("KS", "Kansas"),
    ("KY", "Kentucky"),
    ("LA", "Louisiana"),
    ("ME", "Maine"),
    ("MD", "Maryland"),
    ("MA", "Massachusetts"),
    ("MI", "Michigan"),
    ("MN", "Minnesota"),
    ("MS", "Mississippi"),
    ("MO", "Missouri"),
    ("MT", "Montana"),
    ("NE", "Nebraska"),
    ("NV", "Nevada"),
    ("NH", "New Hampshire"),
    ("NJ", "New Jersey"),
    ("NM", "New Mexico"),
    ("NY", "New York"),
    ("NC", "North Carolina"),
    ("ND", "North Dakota"),
    ("OH", "Ohio"),
    ("OK", "Oklahoma"),
    ("OR", "Oregon"),
    ("PA", "Pennsylvania"),
    ("RI", "Rhode Island"),
    ("SC", "South Carolina"),
    ("SD", "South Dakota"),
    ("TN", "Tennessee"),
    ("TX", "Texas"),
    ("UT", "Utah"),
    ("VT", "Vermont"),
    ("VA", "Virginia"),
    ("WA", "Washington"),
    ("WV", "West Virginia"),
    ("WI", "Wisconsin"),
    ("WY", "Wyoming"),
];

/// The continent with this code, whatever the case.
pub(crate) fn continent(code: &str) -> Option<&'static str> {
    CONTINENTS.into_iter().find(|known| known.eq_ignore_ascii_case(code))
}

/// The code of the state with this code or English name, whatever the case.
///
/// Some databases name the capital's district `Washington, D.C.`; that is told from the state by its comma.
pub(crate) fn state(name: &str) -> Option<&'static str> {
    if name.to_ascii_uppercase().starts_with("WASHINGTON,") {
        return Some("DC");
    }
    let is_called = |(code, full): &&(&str, &str)| code.eq_ignore_ascii_case(name) || full.eq_ignore_ascii_case(name);
    STATES.iter().find(is_called).map(|(code, _)| *code)
}

/// The continent of every country that the database or the tables name one for; the database's word counts.
pub(crate) fn continents(of_database: &BTreeMap<String, &'static str>, tables: &Tables) -> Continents {
    let of_tables = tables.regions().iter().map(|r| (r.country.as_str().into(), r.continent));
    let of_database = of_database.iter().map(|(country, continent)| (country.as_str().into(), *continent));
    of_tables.chain(of_database).collect()
}

/// Continents by country code.
pub(crate) type Continents = BTreeMap<Arc<str>, &'static str>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_known_by_name_and_by_code() {
        for (name, code) in [
            ("California", Some("CA")),
            ("new york", Some("NY")),
            ("tx", Some("TX")),
            ("Washington", Some("WA")),
            ("Washington, D.C.", Some("DC")),
            ("District of Columbia", Some("DC")),
            ("Bavaria", None),
        ] {
            assert_eq!(state(name), code, "{name}");
        }
    }
}
