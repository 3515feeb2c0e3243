use perigee_geo::Atlas;

use super::{Classes, Located, by_place};

/// The order of the round trips to the branches' regions (Route 53 developer guide, "Latency-based routing").
///
/// Ties by region code, which is the order of the regions; from the unknown place the lowest code first.
pub(super) fn build(regions: &[usize], atlas: &Atlas) -> Located {
    by_place(atlas, Classes::default(), |classes, place| {
        let order = atlas.order(place).iter().filter_map(|leg| regions.binary_search(&leg.region.0).ok());
        classes.order(order)
    })
}
