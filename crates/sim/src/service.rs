use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Stream, span};

/// The longest time that a parameter may name, and the end of the Pareto distribution: 60 s, the longest answer the
/// shipped test application gives (`/slow`). Perigee's choice: a client has given up long before.
pub const LONGEST_MS: f64 = 60_000.0;

/// The 0.99 quantile of the standard normal distribution.
const NORMAL_99: f64 = 2.326_347_874_040_841;

/// How long a target works on one request, as a distribution. Times are milliseconds.
///
/// The choices span what matters to a queue: no variance, much, and so much that a few requests carry most of the work.
/// [`check`](Self::check) says whether the parameters are in their ranges; everything else takes that for granted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "distribution", rename_all = "snake_case", deny_unknown_fields)]
pub enum ServiceTime {
    /// Always the same.
    Constant {
        /// The time, 0 to 60,000.
        ms: f64,
    },
    /// Without memory: what the formulas of M/M/c ask for.
    Exponential {
        /// Its mean, above 0 to 60,000.
        mean_ms: f64,
    },
    /// Skewed, as measured service times mostly are.
    LogNormal {
        /// Half of the requests take less; above 0 to 60,000.
        median_ms: f64,
        /// One request in a hundred takes more; from the median to 1,000 times the median, 60,000 at most.
        p99_ms: f64,
    },
    /// Heavy-tailed: the Pareto distribution on condition of being below [`LONGEST_MS`].
    Pareto {
        /// The least time, above 0 and below 60,000.
        least_ms: f64,
        /// Tail index, 0.1 to 100; at 2 and below the cap alone keeps the variance finite, at 1 and below the mean.
        alpha: f64,
    },
    /// Anything between two ends alike.
    Uniform {
        /// The lower end, from 0.
        least_ms: f64,
        /// The upper end, from the lower one to 60,000.
        most_ms: f64,
    },
    /// Two kinds of request, each exponential: mostly fast ones, now and then a slow one (hyperexponential).
    TwoSpeed {
        /// Mean of the fast ones, above 0 to 60,000.
        fast_ms: f64,
        /// Mean of the slow ones, from that of the fast ones to 60,000.
        slow_ms: f64,
        /// Share of the slow ones, 0 to 1.
        slow_share: f64,
    },
}

impl Default for ServiceTime {
    /// Exponential with a mean of 5 ms: a small service's, and the one distribution with a formula for every queue.
    fn default() -> Self {
        Self::Exponential { mean_ms: 5.0 }
    }
}

/// A value outside its range, in words.
pub(crate) fn out_of_range(what: &str, value: f64, range: &str) -> String {
    format!("{what} must be {range}, not {value}")
}

/// A time above 0 and at most the longest.
fn positive(what: &str, value: f64) -> Result<(), String> {
    let fits = value > 0.0 && value <= LONGEST_MS;
    if fits { Ok(()) } else { Err(out_of_range(what, value, "above 0 to 60000")) }
}

impl ServiceTime {
    /// Checks the ranges named at the variants. NaN and infinities are in none.
    ///
    /// # Errors
    ///
    /// The first parameter out of its range, by its name in a scenario.
    pub fn check(&self) -> Result<(), String> {
        let between = |what: &str, value: f64, (least, from): (f64, &str), most: f64| {
            let fits = value >= least && value <= most;
            if fits { Ok(()) } else { Err(out_of_range(what, value, &format!("{from} to {most}"))) }
        };
        match *self {
            Self::Constant { ms } => between("ms", ms, (0.0, "0"), LONGEST_MS),
            Self::Exponential { mean_ms } => positive("mean_ms", mean_ms),
            Self::LogNormal { median_ms, p99_ms } => {
                positive("median_ms", median_ms)?;
                between("p99_ms", p99_ms, (median_ms, "from median_ms"), LONGEST_MS.min(median_ms * 1_000.0))
            }
            Self::Pareto { least_ms, alpha } => {
                positive("least_ms", least_ms)?;
                if least_ms >= LONGEST_MS {
                    return Err(out_of_range("least_ms", least_ms, "below 60000"));
                }
                between("alpha", alpha, (0.1, "0.1"), 100.0)
            }
            Self::Uniform { least_ms, most_ms } => {
                between("least_ms", least_ms, (0.0, "0"), LONGEST_MS)?;
                between("most_ms", most_ms, (least_ms, "from least_ms"), LONGEST_MS)
            }
            Self::TwoSpeed { fast_ms, slow_ms, slow_share } => {
                positive("fast_ms", fast_ms)?;
                between("slow_ms", slow_ms, (fast_ms, "from fast_ms"), LONGEST_MS)?;
                between("slow_share", slow_share, (0.0, "0"), 1.0)
            }
        }
    }

    /// The mean, seconds.
    pub fn mean(&self) -> f64 {
        self.moments().0 / 1e3
    }

    /// The variance, seconds squared. Not below zero, but for the rounding of a difference.
    pub fn variance(&self) -> f64 {
        let (mean, square) = self.moments();
        match *self {
            Self::Constant { .. } => 0.0,
            Self::Uniform { least_ms, most_ms } => (most_ms - least_ms) * (most_ms - least_ms) / 12e6,
            Self::LogNormal { median_ms, p99_ms } => mean * mean * libm::expm1(spread(median_ms, p99_ms)) / 1e6,
            _ => (square - mean * mean) / 1e6,
        }
    }

    /// The means of the time and of its square, milliseconds.
    fn moments(&self) -> (f64, f64) {
        match *self {
            Self::Constant { ms } => (ms, ms * ms),
            Self::Exponential { mean_ms } => (mean_ms, 2.0 * mean_ms * mean_ms),
            Self::LogNormal { median_ms, p99_ms } => {
                let spread = spread(median_ms, p99_ms);
                (median_ms * libm::exp(spread / 2.0), median_ms * median_ms * libm::exp(2.0 * spread))
            }
            Self::Pareto { least_ms, alpha } => {
                let range = libm::log(LONGEST_MS / least_ms);
                let below_cap = -libm::expm1(-alpha * range);
                // The integral of x^(n - alpha - 1) from 1 to the cap, whose limit at alpha = n is the logarithm.
                let tail = |n: f64| match alpha - n {
                    0.0 => range,
                    k => -libm::expm1(-k * range) / k,
                };
                let moment = |n: f64| alpha / below_cap * tail(n);
                (least_ms * moment(1.0), least_ms * least_ms * moment(2.0))
            }
            Self::Uniform { least_ms, most_ms } => {
                ((least_ms + most_ms) / 2.0, (least_ms * least_ms + least_ms * most_ms + most_ms * most_ms) / 3.0)
            }
            Self::TwoSpeed { fast_ms, slow_ms, slow_share } => {
                let mix = |fast: f64, slow: f64| (1.0 - slow_share) * fast + slow_share * slow;
                (mix(fast_ms, slow_ms), 2.0 * mix(fast_ms * fast_ms, slow_ms * slow_ms))
            }
        }
    }

    /// The same distribution made ready for many draws.
    pub fn sampler(&self) -> Sampler {
        Sampler(match *self {
            Self::Constant { ms } => Shape::Constant(ms / 1e3),
            Self::Exponential { mean_ms } => Shape::Exponential(mean_ms / 1e3),
            Self::LogNormal { median_ms, p99_ms } => {
                let deviation = libm::sqrt(spread(median_ms, p99_ms));
                Shape::LogNormal { mu: libm::log(median_ms / 1e3), sigma: deviation }
            }
            Self::Pareto { least_ms, alpha } => Shape::Pareto {
                least: least_ms / 1e3,
                below_cap: -libm::expm1(-alpha * libm::log(LONGEST_MS / least_ms)),
                power: -1.0 / alpha,
            },
            Self::Uniform { least_ms, most_ms } => {
                Shape::Uniform { least: least_ms / 1e3, width: (most_ms - least_ms) / 1e3 }
            }
            Self::TwoSpeed { fast_ms, slow_ms, slow_share } => {
                Shape::TwoSpeed { fast: fast_ms / 1e3, slow: slow_ms / 1e3, slow_share }
            }
        })
    }

    /// One service time. For many draws, keep the [`sampler`](Self::sampler).
    pub fn draw(&self, stream: &mut Stream) -> Duration {
        self.sampler().draw(stream)
    }
}

/// Variance of the logarithm of a log-normal with this median and 0.99 quantile.
fn spread(median: f64, p99: f64) -> f64 {
    let sigma = libm::log(p99 / median) / NORMAL_99;
    sigma * sigma
}

/// A [`ServiceTime`] with everything worked out that does not change between draws.
///
/// A draw takes the same count of numbers from the stream every time, so two runs that differ in a factor alone draw
/// alike.
#[derive(Clone, Copy, Debug)]
pub struct Sampler(Shape);

/// Times in seconds.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Constant(f64),
    Exponential(f64),
    LogNormal { mu: f64, sigma: f64 },
    Pareto { least: f64, below_cap: f64, power: f64 },
    Uniform { least: f64, width: f64 },
    TwoSpeed { fast: f64, slow: f64, slow_share: f64 },
}

impl Sampler {
    /// One service time, whole nanoseconds.
    pub fn draw(&self, stream: &mut Stream) -> Duration {
        span(self.seconds(stream))
    }

    /// One service time in seconds, by inversion but for the log-normal.
    pub(crate) fn seconds(&self, stream: &mut Stream) -> f64 {
        match self.0 {
            Shape::Constant(seconds) => seconds,
            Shape::Exponential(mean) => stream.exponential(mean),
            Shape::LogNormal { mu, sigma } => stream.log_normal(mu, sigma),
            Shape::Pareto { least, below_cap, power } => least * libm::pow(1.0 - stream.unit() * below_cap, power),
            Shape::Uniform { least, width } => least + width * stream.unit(),
            Shape::TwoSpeed { fast, slow, slow_share } => {
                let mean = if stream.chance(slow_share) { slow } else { fast };
                stream.exponential(mean)
            }
        }
    }
}

#[cfg(test)]
#[path = "service/tests.rs"]
mod tests;
