use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged};

/// One axis of a plot: where it begins and ends, where its grid lines are, and whether it is logarithmic.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) ticks: Vec<f64>,
    log: bool,
}

impl Axis {
    /// A linear axis with the ticks given.
    pub(crate) fn linear(from: f64, to: f64, ticks: Vec<f64>) -> Self {
        Self { from, to: if to > from { to } else { from + 1.0 }, ticks, log: false }
    }

    /// From zero to a little above `most`, with four to eight round ticks.
    pub(crate) fn from_zero(most: f64) -> Self {
        let most = if most > 0.0 && most.is_finite() { most } else { 1.0 };
        let size = 10f64.powf((most / 5.0).log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|m| m * size).find(|s| most / s <= 6.0);
        let step = step.unwrap_or(10.0 * size);
        let n = (most * 1.02 / step).ceil();
        Self::linear(0.0, n * step, (0..=n as u32).map(|i| f64::from(i) * step).collect())
    }

    /// Logarithmic around two positive ends, with ticks at 1, 2 and 5 of each decade, or at decades if those are many.
    pub(crate) fn logarithmic(low: f64, high: f64) -> Self {
        let low = low.max(1e-3);
        let high = high.max(low * 2.0);
        let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
        let all: Vec<f64> = decades
            .flat_map(|d| [1.0, 2.0, 5.0].map(|m| if d < 0 { m / 10f64.powi(-d) } else { m * 10f64.powi(d) }))
            .collect();
        let from = all.iter().copied().filter(|t| *t <= low).fold(all[0], f64::max);
        let to = all.iter().copied().filter(|t| *t >= high).fold(f64::INFINITY, f64::min);
        let many = (to / from).log10() > 3.2;
        let decade = |t: &f64| !many || (t.log10() - t.log10().round()).abs() < 1e-9;
        let ticks = all.into_iter().filter(|t| (from..=to).contains(t)).filter(decade).collect();
        Self { from, to, ticks, log: true }
    }

    /// How far along the axis a value is, 0 to 1, outside for values outside.
    pub(crate) fn part(&self, value: f64) -> f64 {
        match self.log {
            true => (value.max(1e-9) / self.from).ln() / (self.to / self.from).ln(),
            false => (value - self.from) / (self.to - self.from),
        }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (low, high): (i32, i32)) -> i32 {
        low + (self.part(*value) * f64::from(high - low)).round() as i32
    }

    fn key_points<H: KeyPointHint>(&self, _hint: H) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_above_its_greatest_value_at_a_round_number() {
        assert_eq!(Axis::from_zero(417.0).ticks, [0.0, 100.0, 200.0, 300.0, 400.0, 500.0]);
        assert_eq!(Axis::from_zero(100.0).to, 120.0);
        assert!(Axis::from_zero(0.0).to > 1.0, "an axis of nothing has a length");
    }

    #[test]
    fn a_logarithmic_axis_has_equal_ratios_at_equal_distances() {
        let axis = Axis::logarithmic(32.0, 1_100.0);
        assert_eq!((axis.from, axis.to), (20.0, 2_000.0));
        assert_eq!(axis.ticks, [20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0]);
        assert_eq!(axis.map(&200.0, (100, 0)), 50);
        assert_eq!(Axis::logarithmic(1.0, 90_000.0).ticks, [1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0]);
    }
}
