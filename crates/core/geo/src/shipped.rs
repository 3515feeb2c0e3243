//! The data that Perigee brings along, from the repository's `geo/` (origins and licences in its README).
//!
//! They are constants of the program, so it runs from anywhere. "IP Geolocation by DB-IP" (<https://db-ip.com>,
//! CC BY 4.0) must be shown wherever results of [`CITY`] are.

/// A city-level MaxMind database, IPv4 and IPv6, coarsened from DB-IP's "IP to City Lite".
pub const CITY: &[u8] = include_bytes!("../../../../geo/city.mmdb");
/// The cloud regions: code, city, country, continent, degrees, zones.
pub const REGIONS: &[u8] = include_bytes!("../../../../geo/regions.csv");
/// Median round trips between the regions, milliseconds.
pub const REGION_RTT: &[u8] = include_bytes!("../../../../geo/region-rtt-p50-ms.csv");
/// The edge cities.
pub const EDGES: &[u8] = include_bytes!("../../../../geo/edge-locations.csv");
/// The simulated places.
pub const OVERLAY: &[u8] = include_bytes!("../../../../geo/overlay.csv");
/// The text that the licence of [`CITY`] asks to show, as a link to <https://db-ip.com>.
pub const ATTRIBUTION: &str = "IP Geolocation by DB-IP";
