//! Where an address is, how far every region and edge is from there, and how wide a DNS answer about it may be cached.
//!
//! An [`Atlas`] answers all of it from tables made once: an address becomes a [`Place`], a place has an order of
//! regions (its [`Leg`]s) and a nearest edge, and a network has a scope in which that order holds. The data comes as
//! bytes ([`Database`], [`Tables`], [`Overlay`]); [`shipped`] holds what Perigee brings along. This crate does not
//! know health, weights or dials: an order is about distance alone. Start with [`Atlas`] and [`Database`].

mod areas;
mod atlas;
mod database;
mod distance;
mod error;
mod fold;
mod overlay;
mod partition;
mod place;
mod range_map;
mod record;
pub mod shipped;
mod special;
mod tables;
mod traffic_area;
mod transition;

pub use atlas::{AddressBlock, Atlas, Leg, Located, Origin, PlaceIndex, PopIndex};
pub use database::Database;
pub use distance::{Direction, access_ms, great_circle_km, great_circle_ms};
pub use error::GeoError;
pub use overlay::{Overlay, OverlayEntry};
pub use partition::Partition;
pub use place::Place;
pub use tables::{Pop, TableRegion, Tables};
pub use traffic_area::TrafficArea;
pub use transition::embedded_ipv4;
