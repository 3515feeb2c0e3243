//! What queueing theory says about one queue: the yardstick that simulated targets are held to.
//!
//! Rates are per second, times seconds. All formulas are for Poisson arrivals, first come first served, and the long
//! run: a queue that began empty needs some time to get there. A queue that gets at least as much work as it can do has
//! no such state, and its formula gives `None`.

use serde::Serialize;

/// The long run of a stable queue.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SteadyState {
    /// Share of the time that a server works, 0 to below 1.
    pub utilisation: f64,
    /// Mean time from arrival to the beginning of the work, seconds.
    pub mean_wait: f64,
    /// Mean time from arrival to the end of the work, seconds.
    pub mean_response: f64,
    /// Mean number of requests waiting or worked on, by Little's law the arrival rate times the mean response (Little,
    /// "A proof for the queuing formula L = λW", 1961).
    pub mean_number: f64,
}

impl SteadyState {
    fn of(lambda: f64, mean_service: f64, servers: u32, mean_wait: f64) -> Self {
        let mean_response = mean_wait + mean_service;
        Self {
            utilisation: lambda * mean_service / f64::from(servers),
            mean_wait,
            mean_response,
            mean_number: lambda * mean_response,
        }
    }
}

/// True for a finite number above zero.
fn usable(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

/// M/M/1: arrivals at rate `lambda`, one server of rate `mu`, exponential service times. With ρ = λ/μ, the mean
/// response is 1 / (μ - λ).
///
/// `None` if `lambda >= mu`, or a rate is not finite and above zero. Source: Kleinrock, "Queueing Systems", volume 1
/// (1975), section 3.2.
pub fn mm1(lambda: f64, mu: f64) -> Option<SteadyState> {
    if !(usable(lambda) && usable(mu) && lambda < mu) {
        return None;
    }
    Some(SteadyState::of(lambda, 1.0 / mu, 1, lambda / mu / (mu - lambda)))
}

/// M/M/c: one line before `servers` servers of rate `mu` each. The mean wait is C / (cμ - λ), with C by [`erlang_c`].
///
/// `None` if `lambda >= servers * mu`, without servers, or if a rate is not finite and above zero. Source: Kleinrock,
/// volume 1, section 3.5.
pub fn mmc(lambda: f64, mu: f64, servers: u32) -> Option<SteadyState> {
    if !(usable(lambda) && usable(mu)) {
        return None;
    }
    let must_wait = erlang_c(lambda / mu, servers)?;
    Some(SteadyState::of(lambda, 1.0 / mu, servers, must_wait / (f64::from(servers) * mu - lambda)))
}

/// M/G/1: one server, service times of any distribution with this mean and variance (seconds, seconds squared). The mean
/// wait is λ (variance + mean²) / (2 (1 - ρ)). Variance 0 is M/D/1.
///
/// `None` if `lambda * mean >= 1`, or an argument is out of range. Source: Pollaczek (1930) and Khinchine (1932), as in
/// Kleinrock, volume 1, section 5.6.
pub fn mg1(lambda: f64, mean: f64, variance: f64) -> Option<SteadyState> {
    let load = lambda * mean;
    if !(usable(lambda) && usable(mean) && variance.is_finite() && variance >= 0.0 && load < 1.0) {
        return None;
    }
    Some(SteadyState::of(lambda, mean, 1, lambda * (variance + mean * mean) / (2.0 * (1.0 - load))))
}

/// Erlang's C: the share of arrivals at an M/M/c queue that must wait, for `offered` = λ/μ servers' worth of work.
///
/// From the loss formula B: C = B / (1 - ρ (1 - B)). `None` if `offered` is not above zero and below `servers`. Takes
/// one step per server. Source: Erlang, "Solution of some problems in the theory of probabilities of significance in
/// automatic telephone exchanges" (1917); Kleinrock, volume 1, section 3.5.
pub fn erlang_c(offered: f64, servers: u32) -> Option<f64> {
    if !(usable(offered) && offered < f64::from(servers)) {
        return None;
    }
    let lost = loss(offered, servers, servers)?;
    Some(lost / (1.0 - offered / f64::from(servers) * (1.0 - lost)))
}

/// M/M/c/K: the share of arrivals that find all of `places` taken, counting those being served, and are refused.
/// `places` = `servers` is Erlang's B; `servers` = 1 is M/M/1/K: (1 - ρ) ρ^K / (1 - ρ^(K+1)).
///
/// Holds at any load, also above 1. `None` if `offered` is not finite and above zero, without servers, or with fewer
/// places than servers. Adds one place at a time, P(n) = r P(n-1) / (1 + r P(n-1)) with r = offered / min(n, servers),
/// which neither overflows nor cancels. Source: the balance of a birth-death process, Kleinrock, volume 1, sections 3.5
/// and 3.6; the recursion follows from the ratio of neighbouring states.
pub fn loss(offered: f64, servers: u32, places: u32) -> Option<f64> {
    if !usable(offered) || servers == 0 || places < servers {
        return None;
    }
    let step = |lost: f64, n: u32| {
        let weight = offered / f64::from(n.min(servers)) * lost;
        weight / (1.0 + weight)
    };
    Some((1..=places).fold(1.0, step))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, want: f64) {
        assert!((got - want).abs() <= 1e-12 * want.abs().max(1.0), "{got}, expected {want}");
    }

    #[test]
    fn a_queue_with_one_server_is_the_same_by_every_formula() {
        for load in [0.01, 0.5, 0.8, 0.99] {
            let (lambda, mu) = (200.0 * load, 200.0);
            let one = mm1(lambda, mu).unwrap();
            let as_many = mmc(lambda, mu, 1).unwrap();
            let general = mg1(lambda, 1.0 / mu, 1.0 / (mu * mu)).unwrap();
            for other in [as_many, general] {
                near(other.utilisation, one.utilisation);
                near(other.mean_wait, one.mean_wait);
                near(other.mean_response, one.mean_response);
                near(other.mean_number, one.mean_number);
            }
            near(one.mean_response, 1.0 / (mu - lambda));
            near(one.mean_number, load / (1.0 - load));
        }
    }

    #[test]
    fn without_variance_the_wait_is_half() {
        let (lambda, mu) = (160.0, 200.0);
        let constant = mg1(lambda, 1.0 / mu, 0.0).unwrap();
        near(constant.mean_wait * 2.0, mm1(lambda, mu).unwrap().mean_wait);
    }

    #[test]
    fn the_recursion_gives_the_sums_of_the_textbook() {
        for (offered, servers) in [(0.5, 1), (3.2, 4), (12.8, 16), (15.9, 16)] {
            let power = |n: u32| (1..=n).fold(1.0, |product, k| product * offered / f64::from(k));
            let all: f64 = (0..=servers).map(power).sum();
            near(loss(offered, servers, servers).unwrap(), power(servers) / all);
            let full = power(servers) / (1.0 - offered / f64::from(servers));
            let below: f64 = (0..servers).map(power).sum();
            near(erlang_c(offered, servers).unwrap(), full / (below + full));
        }
        for load in [0.3, 0.9, 1.5] {
            for places in [1_u32, 2, 7, 30] {
                let power = |n: u32| libm::pow(load, f64::from(n));
                near(loss(load, 1, places).unwrap(), (1.0 - load) * power(places) / (1.0 - power(places + 1)));
            }
        }
        near(loss(1.0, 1, 9).unwrap(), 0.1);
    }

    #[test]
    fn published_values_are_met() {
        // Two servers: C = 2ρ² / (1 + ρ); Erlang's table: 20 erlangs on 30 trunks lose 0.85 %.
        near(erlang_c(1.0, 2).unwrap(), 1.0 / 3.0);
        assert!((loss(20.0, 30, 30).unwrap() - 0.0085).abs() < 5e-5);
    }

    #[test]
    fn thousands_of_servers_do_not_overflow() {
        let waits = erlang_c(9_900.0, 10_000).unwrap();
        assert!(waits > 0.0 && waits < 1.0, "{waits}");
        assert!(mmc(9_900.0, 1.0, 10_000).unwrap().mean_wait < mmc(9_990.0, 1.0, 10_000).unwrap().mean_wait);
    }

    #[test]
    fn what_has_no_long_run_has_no_figures() {
        assert_eq!(mm1(1.0, 1.0), None);
        assert_eq!(mmc(4.0, 1.0, 4), None);
        assert_eq!(mg1(2.0, 0.5, 0.0), None);
        assert_eq!(mmc(1.0, 1.0, 0), None);
        assert_eq!(loss(1.0, 2, 1), None);
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!((mm1(bad, 2.0), mmc(bad, 2.0, 2), mg1(bad, 0.1, 0.1)), (None, None, None));
            assert_eq!((mm1(1.0, bad), mg1(1.0, bad, 0.1), loss(bad, 1, 1)), (None, None, None));
        }
        assert_eq!(mg1(1.0, 0.1, -0.1), None);
    }
}
