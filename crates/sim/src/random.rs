//! Chance: named streams from one seed, with the same numbers on every machine.

use std::hash::Hasher;
use std::time::Duration;

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use siphasher::sip128::{Hasher128, SipHasher24};

/// A stream of random numbers that belongs to one thing by name.
///
/// Two streams of one run share nothing: drawing more from one never shifts another, so a change of one client's story
/// leaves everybody else's as it was. Logarithms and powers come from the `libm` package, not from the platform, whose
/// last digits differ. Source: xoshiro256++ (Blackman and Vigna, 2019), seeded by SipHash of the name under the seed.
#[derive(Clone, Debug)]
pub struct Stream(Xoshiro256PlusPlus);

impl Stream {
    /// The stream called `name` of the run with this seed.
    pub fn named(seed: u64, name: &str) -> Self {
        Self::numbered(seed, name, 0)
    }

    /// The stream of the `number`-th thing of a kind.
    pub fn numbered(seed: u64, kind: &str, number: u64) -> Self {
        let mut state = [0_u8; 32];
        for (half, bytes) in state.chunks_mut(16).enumerate() {
            let mut hasher = SipHasher24::new_with_keys(seed, half as u64);
            hasher.write(kind.as_bytes());
            hasher.write_u64(number);
            bytes.copy_from_slice(&hasher.finish128().as_bytes());
        }
        Self(Xoshiro256PlusPlus::from_seed(state))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in [0, 1), in steps of 2^-53.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in (0, 1]: fit for a logarithm.
    fn positive_unit(&mut self) -> f64 {
        1.0 - self.unit()
    }

    /// Uniform in 0 to `n` - 1; zero for an `n` of zero or one.
    ///
    /// The high half of a 128-bit product: the bias is below `n` / 2^64 (Lemire, "Fast random integer generation in an
    /// interval", without its rejection step).
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// True with this probability; values outside 0 to 1 count as their nearest end.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Exponential with this mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -libm::log(self.positive_unit()) * mean
    }

    /// Normal with mean 0 and variance 1 (Box and Muller, 1958; the second value is not kept).
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(self.positive_unit()));
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }

    /// Log-normal: the exponential of a normal with the mean `mu` and the deviation `sigma`.
    pub fn log_normal(&mut self, mu: f64, sigma: f64) -> f64 {
        libm::exp(mu + sigma * self.normal())
    }

    /// Pareto with the least value `least` and the tail index `alpha`, above zero.
    pub fn pareto(&mut self, least: f64, alpha: f64) -> f64 {
        least / libm::pow(self.positive_unit(), 1.0 / alpha)
    }

    /// Poisson with this mean: by multiplication (Knuth) up to 30, beyond by the normal with continuity correction,
    /// whose error there is below what a run of a day can tell.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        if mean <= 0.0 {
            return 0;
        }
        if mean > 30.0 {
            let value = mean + libm::sqrt(mean) * self.normal() + 0.5;
            return if value < 0.0 { 0 } else { value as u64 };
        }
        let limit = libm::exp(-mean);
        let mut count = 0;
        let mut product = self.positive_unit();
        while product > limit {
            count += 1;
            product *= self.positive_unit();
        }
        count
    }

    /// Geometric on 1, 2, ... with this mean, at least 1.
    pub fn geometric(&mut self, mean: f64) -> u64 {
        if mean <= 1.0 {
            return 1;
        }
        let steps = libm::log(self.positive_unit()) / libm::log(1.0 - 1.0 / mean);
        1 + steps.min(1e9) as u64
    }

    /// A span with exponential distribution.
    pub fn exponential_span(&mut self, mean: Duration) -> Duration {
        span(self.exponential(mean.as_secs_f64()))
    }
}

/// Seconds as a span, whole nanoseconds; negative, infinite and unknown ones are zero or the longest.
pub fn span(seconds: f64) -> Duration {
    Duration::from_nanos((seconds * 1e9) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_of(n: u32, mut draw: impl FnMut() -> f64) -> f64 {
        (0..n).map(|_| draw()).sum::<f64>() / f64::from(n)
    }

    fn near(got: f64, want: f64, tolerance: f64) {
        assert!((got - want).abs() <= tolerance * want.abs().max(1e-9), "{got}, expected {want}");
    }

    #[test]
    fn a_name_and_a_seed_give_the_same_numbers_for_ever() {
        let mut stream = Stream::named(42, "arrivals");
        let first: Vec<u64> = (0..3).map(|_| stream.bits()).collect();
        assert_eq!(first, FIRST_OF_ARRIVALS_42);
        assert_ne!(Stream::named(43, "arrivals").bits(), first[0]);
        assert_ne!(Stream::named(42, "service").bits(), first[0]);
        assert_ne!(Stream::numbered(42, "arrivals", 1).bits(), first[0]);
    }

    const FIRST_OF_ARRIVALS_42: [u64; 3] = [13024552790129604932, 4239704086356673669, 15232069888937467655];

    #[test]
    fn the_draws_have_their_means() {
        let mut s = Stream::named(7, "means");
        let n = 400_000;
        near(mean_of(n, || s.unit()), 0.5, 0.01);
        near(mean_of(n, || s.exponential(3.0)), 3.0, 0.01);
        near(mean_of(n, || s.below(11) as f64), 5.0, 0.01);
        near(mean_of(n, || s.geometric(4.0) as f64), 4.0, 0.01);
        near(mean_of(n, || s.pareto(1.0, 3.0)), 1.5, 0.01);
        near(mean_of(n, || s.log_normal(0.0, 0.5)), libm::exp(0.125), 0.01);
        for mean in [0.1, 2.0, 29.0, 31.0, 500.0] {
            near(mean_of(n, || s.poisson(mean) as f64), mean, 0.01);
            let variance = mean_of(n, || (s.poisson(mean) as f64 - mean).powi(2));
            near(variance, mean, 0.03);
        }
    }

    #[test]
    fn ends_of_ranges_are_kept() {
        let mut s = Stream::named(1, "ends");
        assert_eq!((s.below(0), s.below(1), s.poisson(0.0), s.geometric(0.5)), (0, 0, 0, 1));
        assert!((0..10_000).all(|_| s.below(3) < 3));
        assert_eq!((span(-1.0), span(f64::NAN)), (Duration::ZERO, Duration::ZERO));
        assert_eq!(span(1.5), Duration::from_millis(1_500));
    }
}
