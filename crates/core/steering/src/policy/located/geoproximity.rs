use perigee_geo::{Atlas, Direction};
use perigee_model::Location;

use super::{Classes, Located, by_place};

/// The order of the biased distances to the branches' locations (Route 53 developer guide, "Geoproximity routing").
///
/// Ties, and all from the unknown place, by position: latitude, longitude, bias.
pub(super) fn build(legacy_bias: bool, branches: &[([u64; 2], i8)], atlas: &Atlas) -> Located {
    let location = |bits: [u64; 2]| Location { latitude: f64::from_bits(bits[0]), longitude: f64::from_bits(bits[1]) };
    let branches: Vec<(Direction, i8)> =
        branches.iter().map(|(at, bias)| (Direction::of(location(*at)), *bias)).collect();
    by_place(atlas, Classes::default(), |classes, place| {
        let mut order: Vec<usize> = (0..branches.len()).collect();
        if let Some(from) = atlas.location_of(place).map(Direction::of) {
            let distance: Vec<f64> =
                branches.iter().map(|(at, bias)| biased_km(from.km(*at), *bias, legacy_bias)).collect();
            order.sort_by(|a, b| distance[*a].total_cmp(&distance[*b]));
        }
        classes.order(order.into_iter())
    })
}

/// The distance that a branch of a bias counts as being away.
///
/// Source: `spec/dns.md` section 2.3: d × (1 − b/100); the older guide for negative biases d / (1 + b/100).
pub(crate) fn biased_km(km: f64, bias: i8, legacy_bias: bool) -> f64 {
    let bias = f64::from(bias.clamp(-99, 99)) / 100.0;
    if legacy_bias && bias < 0.0 { km / (1.0 + bias) } else { km * (1.0 - bias) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bias_halves_or_stretches_the_distance_by_both_formulas() {
        for (bias, legacy, expected) in [
            (50, false, 50.0),
            (-50, false, 150.0),
            (-99, false, 199.0),
            (-50, true, 200.0),
            (50, true, 50.0),
            (0, true, 100.0),
        ] {
            assert!((biased_km(100.0, bias, legacy) - expected).abs() < 1e-9, "bias {bias}, legacy {legacy}");
        }
    }
}
