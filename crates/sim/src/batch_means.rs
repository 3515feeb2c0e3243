use std::num::NonZeroU64;

/// Batches kept; when they are full, neighbours are joined, which leaves half as many, twice as long.
const BATCHES: usize = 64;

/// The 0.975 quantiles of Student's t with 1 to 9 degrees of freedom (Abramowitz and Stegun, table 26.10).
const T_975: [f64; 9] = [
    12.706_204_736,
    4.302_652_730,
    3.182_446_305,
    2.776_445_105,
    2.570_581_836,
    2.446_911_851,
    2.364_624_252,
    2.306_004_135,
    2.262_157_163,
];

/// The 0.975 quantile of the standard normal distribution.
const NORMAL_975: f64 = 1.959_963_984_540_054;

/// The mean of a long row of correlated values, such as response times one after another, and how far to trust it.
///
/// Values next to each other resemble each other, so their count says little. The means of long batches hardly do:
/// Student's interval over the batch means is right once a batch outlasts the correlation. From 64 values on there are 32
/// to 63 batches, as long as possible; whoever adds too few values for the queue at hand gets too narrow an interval.
/// The beginning of a run that started empty should be left out. No allocation; order matters, and sums of 10^9 values
/// keep six digits and more.
///
/// Source: batch means, Law, "Simulation Modeling and Analysis", section 9.5.3; joining batches after Fishman (1978).
#[derive(Clone, Debug)]
pub struct BatchMeans {
    /// Sums of whole batches.
    sums: [f64; BATCHES],
    whole: usize,
    length: u64,
    open: f64,
    in_open: u64,
    total: f64,
    count: u64,
}

impl Default for BatchMeans {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchMeans {
    /// No values yet.
    pub const fn new() -> Self {
        Self { sums: [0.0; BATCHES], whole: 0, length: 1, open: 0.0, in_open: 0, total: 0.0, count: 0 }
    }

    /// Takes the next value.
    pub fn add(&mut self, value: f64) {
        self.open += value;
        self.in_open += 1;
        self.count += 1;
        if self.in_open == self.length {
            self.close();
        }
    }

    fn close(&mut self) {
        self.total += self.open;
        self.sums[self.whole] = self.open;
        self.whole += 1;
        (self.open, self.in_open) = (0.0, 0);
        if self.whole == BATCHES {
            for joined in 0..BATCHES / 2 {
                self.sums[joined] = self.sums[2 * joined] + self.sums[2 * joined + 1];
            }
            self.whole = BATCHES / 2;
            self.length *= 2;
        }
    }

    /// How many values it has taken.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The mean of all values; `None` without any.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.total + self.open) / self.count as f64)
    }

    /// Half the width of the 95 % confidence interval around the mean: the t quantile times the standard error of the
    /// whole batches' means. The values since the last whole batch, less than a 32nd of all, count for the mean alone.
    /// `None` below two batches.
    pub fn half_width_95(&self) -> Option<f64> {
        let freedom = NonZeroU64::new(self.whole.saturating_sub(1) as u64)?;
        let length = self.length as f64;
        let means = || self.sums[..self.whole].iter().map(|sum| sum / length);
        let centre = means().sum::<f64>() / self.whole as f64;
        let squares: f64 = means().map(|mean| (mean - centre) * (mean - centre)).sum();
        let error = libm::sqrt(squares / freedom.get() as f64 / self.whole as f64);
        Some(student_t_975(freedom) * error)
    }
}

/// The 0.975 quantile of Student's t: what 95 % of the draws stay within, both sides together.
///
/// Up to 9 degrees of freedom from a table, beyond by the expansion of Cornish and Fisher around the normal quantile, to
/// the fourth order, where it is right to five digits (Abramowitz and Stegun, "Handbook of Mathematical Functions",
/// 26.7.5).
pub fn student_t_975(freedom: NonZeroU64) -> f64 {
    if let Some(listed) = T_975.get(freedom.get() as usize - 1) {
        return *listed;
    }
    let (x, n) = (NORMAL_975, freedom.get() as f64);
    let y = x * x;
    let first = x * (y + 1.0) / 4.0;
    let second = x * ((5.0 * y + 16.0) * y + 3.0) / 96.0;
    let third = x * (((3.0 * y + 19.0) * y + 17.0) * y - 15.0) / 384.0;
    let fourth = x * ((((79.0 * y + 776.0) * y + 1_482.0) * y - 1_920.0) * y - 945.0) / 92_160.0;
    x + (first + (second + (third + fourth / n) / n) / n) / n
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stream;

    #[test]
    fn the_quantiles_are_those_of_the_tables() {
        let table = [(1, 12.7062), (2, 4.3027), (9, 2.2622), (10, 2.2281), (20, 2.0860), (31, 2.0395), (60, 2.0003)];
        for (freedom, expected) in table.into_iter().chain([(120, 1.9799), (1_000_000_000, 1.96)]) {
            let got = student_t_975(NonZeroU64::new(freedom).unwrap());
            assert!((got - expected).abs() < 6e-5, "{freedom}: {got}, expected {expected}");
        }
    }

    #[test]
    fn a_few_values_are_their_own_batches() {
        let mut means = BatchMeans::new();
        assert_eq!((means.mean(), means.half_width_95()), (None, None));
        means.add(1.0);
        assert_eq!((means.mean(), means.half_width_95()), (Some(1.0), None));
        [2.0, 3.0].into_iter().for_each(|x| means.add(x));
        assert_eq!((means.mean(), means.count()), (Some(2.0), 3));
        let half = means.half_width_95().unwrap();
        assert!((half - 4.302_652_73 / 3.0_f64.sqrt()).abs() < 1e-8, "{half}");
    }

    #[test]
    fn joined_batches_keep_every_value() {
        for n in [63_u32, 64, 65, 127, 128, 1_000, 12_345] {
            let mut means = BatchMeans::new();
            (0..n).for_each(|x| means.add(f64::from(x)));
            assert_eq!(means.mean(), Some(f64::from(n - 1) / 2.0), "{n}");
            let batches = n as usize / means.length as usize;
            assert_eq!(means.whole, batches);
            assert!(n < 64 || (32..64).contains(&batches), "{n}: {batches}");
        }
    }

    /// The share of 95 % intervals, over many rows of an autoregressive process, that hold its mean of zero.
    fn coverage(correlation: f64, values: u32) -> f64 {
        let rows = 1_000;
        let held = (0..rows).filter(|row| {
            let mut stream = Stream::numbered(5, "coverage", *row);
            let mut means = BatchMeans::new();
            let mut x = stream.normal() / (1.0 - correlation * correlation).sqrt();
            for _ in 0..values {
                means.add(x);
                x = correlation * x + stream.normal();
            }
            means.mean().unwrap().abs() <= means.half_width_95().unwrap()
        });
        held.count() as f64 / rows as f64
    }

    #[test]
    fn the_interval_holds_the_mean_as_often_as_it_says() {
        // 1,000 trials at 95 %: standard deviation 0.7 %; four of them either way.
        for (correlation, values) in [(0.0, 50), (0.0, 1_000), (0.9, 6_000)] {
            let share = coverage(correlation, values);
            assert!((0.922..=0.978).contains(&share), "correlation {correlation}: {share}");
        }
        let share = coverage(0.99, 500);
        assert!(share < 0.9, "batches shorter than the correlation give too narrow an interval: {share}");
    }
}
