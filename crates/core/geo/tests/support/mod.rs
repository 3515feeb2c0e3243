//! What the tests of this crate share: the shipped data, loaded once per process, and a writer of small databases.
#![allow(dead_code, reason = "every test binary uses a part of it")]

pub mod mmdb;

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use perigee_geo::{Atlas, Database, GeoError, Overlay, Tables, shipped};
use perigee_model::{Location, RegionCode};

/// The shipped database.
pub fn database() -> &'static Arc<Database> {
    static DATABASE: OnceLock<Arc<Database>> = OnceLock::new();
    DATABASE.get_or_init(|| Arc::new(Database::load(shipped::CITY).unwrap()))
}

/// The shipped tables.
pub fn tables() -> Tables {
    Tables::parse(shipped::REGIONS, shipped::REGION_RTT, shipped::EDGES).unwrap()
}

/// The shipped overlay.
pub fn overlay() -> Overlay {
    Overlay::parse(shipped::OVERLAY).unwrap()
}

/// The table's regions with these codes, in this order.
pub fn regions(codes: &[&str]) -> Vec<(RegionCode, Location)> {
    let tables = tables();
    codes.iter().map(|c| (RegionCode::new(c), tables.region(c).unwrap().location)).collect()
}

/// An atlas of the shipped data with the operator in Seoul.
pub fn atlas(codes: &[&str]) -> Atlas {
    Atlas::build(database(), &tables(), &overlay(), &regions(codes), "Seoul").unwrap()
}

/// An atlas of a database made for the test, without overlay.
pub fn atlas_of(bytes: &[u8], codes: &[&str]) -> Result<Atlas, GeoError> {
    let database = Arc::new(Database::load(bytes)?);
    Atlas::build(&database, &tables(), &Overlay::default(), &regions(codes), "Seoul")
}

/// An address.
pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
