use serde::{Deserialize, Serialize};

use crate::{LoadBalancerIndex, RegionCode, TargetGroupIndex, ZoneName};

/// A point on the globe in degrees: latitude -90 to 90, longitude -180 to 180.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Location {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

/// A region: a place with availability zones, load balancers and target groups of its own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Region {
    /// Its code, unique in the snapshot.
    pub code: RegionCode,
    /// The city it is named after.
    pub city: String,
    /// ISO 3166 country code, two letters.
    pub country: String,
    /// Where it is.
    pub location: Location,
    /// Its availability zones, at least one, in name order.
    pub zones: Vec<ZoneName>,
    /// Its load balancers, in name order.
    pub load_balancers: Vec<LoadBalancerIndex>,
    /// Its target groups, in name order.
    pub target_groups: Vec<TargetGroupIndex>,
}
