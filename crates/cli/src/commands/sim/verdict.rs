//! When a figure of a live run and the same figure of many virtual runs are the same.

use serde::Serialize;

/// Share of a value that two runs may differ by.
pub(super) const TOLERANCE: f64 = 0.05;

/// The least difference that means anything, by unit: a request more or less; what a loaded machine's scheduler does
/// to a moment; half a percentage point.
pub(super) fn resolution(unit: &str) -> f64 {
    match unit {
        "ms" => 50.0,
        "%" => 0.5,
        _ => 1.0,
    }
}

/// A figure over many seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    /// Half of the runs were not above.
    pub(super) median: f64,
    /// The least.
    pub(super) min: f64,
    /// The greatest.
    pub(super) max: f64,
}

impl Spread {
    /// Of these values; none of none.
    pub(super) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let half = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) };
        Some(Self { median, min, max })
    }
}

/// What the comparison says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// Within the tolerance of the median.
    Median,
    /// Between the least and the greatest, or within the tolerance of one of them.
    Band,
    /// Neither.
    Differs,
}

impl Verdict {
    /// Compares a live value with those of the seeds; none is a figure that could not be told.
    ///
    /// The tolerance is [`TOLERANCE`] of the value compared with, at least the unit's [`resolution`]. A figure that
    /// could not be told live agrees when it could not be told in a virtual run either.
    pub(super) fn of(live: Option<f64>, seeds: &[Option<f64>], unit: &str) -> Self {
        let Some(live) = live else {
            let untold = seeds.iter().filter(|v| v.is_none()).count();
            return match untold {
                0 => Self::Differs,
                n if 2 * n > seeds.len() => Self::Median,
                _ => Self::Band,
            };
        };
        let Some(spread) = Spread::of(seeds.iter().copied().flatten().collect()) else { return Self::Differs };
        let slack = |value: f64| (TOLERANCE * value.abs()).max(resolution(unit));
        if (live - spread.median).abs() <= slack(spread.median) {
            Self::Median
        } else if live >= spread.min - slack(spread.min) && live <= spread.max + slack(spread.max) {
            Self::Band
        } else {
            Self::Differs
        }
    }

    /// For people.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Median => "within 5 % of the median",
            Self::Band => "inside the band",
            Self::Differs => "DIFFERS",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeds(values: &[f64]) -> Vec<Option<f64>> {
        values.iter().copied().map(Some).collect()
    }

    #[test]
    fn five_percent_of_the_median_is_the_same() {
        let all = seeds(&[1_000.0; 9]);
        for (live, verdict) in [(1_000.0, Verdict::Median), (1_050.0, Verdict::Median), (949.0, Verdict::Differs)] {
            assert_eq!(Verdict::of(Some(live), &all, "requests"), verdict, "{live}");
        }
    }

    #[test]
    fn what_some_seed_does_is_inside_the_band() {
        let all = seeds(&[1_000.0, 1_000.0, 1_000.0, 2_000.0]);
        for (live, verdict) in [(1_500.0, Verdict::Band), (2_100.0, Verdict::Band), (2_101.0, Verdict::Differs)] {
            assert_eq!(Verdict::of(Some(live), &all, "requests"), verdict, "{live}");
        }
    }

    #[test]
    fn differences_below_the_resolution_mean_nothing() {
        let zero = seeds(&[0.0, 0.0]);
        for (unit, same, other) in [("requests", 1.0, 2.0), ("ms", 50.0, 51.0), ("%", 0.5, 0.6)] {
            assert_eq!(Verdict::of(Some(same), &zero, unit), Verdict::Median, "{unit}");
            assert_eq!(Verdict::of(Some(other), &zero, unit), Verdict::Differs, "{unit}");
        }
    }

    #[test]
    fn a_figure_that_cannot_be_told_agrees_with_its_like_alone() {
        assert_eq!(Verdict::of(None, &seeds(&[1.0]), "ms"), Verdict::Differs);
        assert_eq!(Verdict::of(None, &[None, None, Some(1.0)], "ms"), Verdict::Median);
        assert_eq!(Verdict::of(None, &[None, Some(1.0), Some(2.0)], "ms"), Verdict::Band);
        assert_eq!(Verdict::of(Some(1.0), &[None], "ms"), Verdict::Differs);
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_two_in_the_middle() {
        let spread = Spread::of(vec![4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((spread.median, spread.min, spread.max), (2.5, 1.0, 4.0));
        assert_eq!(Spread::of(vec![7.0]).unwrap().median, 7.0);
        assert_eq!(Spread::of(vec![]), None);
    }
}
