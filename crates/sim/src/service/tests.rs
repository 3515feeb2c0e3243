use super::*;

const EACH: [ServiceTime; 9] = [
    ServiceTime::Constant { ms: 3.0 },
    ServiceTime::Exponential { mean_ms: 5.0 },
    ServiceTime::LogNormal { median_ms: 4.0, p99_ms: 20.0 },
    ServiceTime::Pareto { least_ms: 2.0, alpha: 3.5 },
    ServiceTime::Pareto { least_ms: 20_000.0, alpha: 1.0 },
    ServiceTime::Pareto { least_ms: 10_000.0, alpha: 2.0 },
    ServiceTime::Pareto { least_ms: 5_000.0, alpha: 0.5 },
    ServiceTime::Uniform { least_ms: 2.0, most_ms: 8.0 },
    ServiceTime::TwoSpeed { fast_ms: 2.0, slow_ms: 20.0, slow_share: 0.1 },
];

fn near(got: f64, want: f64, tolerance: f64, what: &impl std::fmt::Debug) {
    assert!((got - want).abs() <= tolerance * want.abs(), "{what:?}: {got}, expected {want}");
}

#[test]
fn the_draws_have_the_mean_and_the_variance_of_the_formulas() {
    for time in EACH {
        time.check().unwrap();
        let mut stream = Stream::named(11, "service");
        let n = 1_000_000;
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..n {
            let x = time.draw(&mut stream).as_secs_f64();
            sum += x;
            squares += x * x;
        }
        let mean = sum / f64::from(n);
        near(mean, time.mean(), 0.01, &time);
        let variance = squares / f64::from(n) - mean * mean;
        assert!((variance - time.variance()).abs() <= 0.03 * time.variance() + 1e-12, "{time:?}: {variance}");
    }
}

#[test]
fn the_quantiles_are_those_named() {
    let time = ServiceTime::LogNormal { median_ms: 4.0, p99_ms: 20.0 };
    let mut stream = Stream::named(12, "quantiles");
    let n = 1_000_000;
    let (mut below_median, mut above_p99) = (0, 0);
    for _ in 0..n {
        let x = time.draw(&mut stream);
        below_median += u32::from(x < Duration::from_millis(4));
        above_p99 += u32::from(x > Duration::from_millis(20));
    }
    near(f64::from(below_median), 0.5 * f64::from(n), 0.005, &"median");
    near(f64::from(above_p99), 0.01 * f64::from(n), 0.04, &"p99");
}

#[test]
fn the_tail_of_pareto_is_a_power_that_ends_at_the_cap() {
    let (least_ms, alpha) = (100.0, 1.2);
    let time = ServiceTime::Pareto { least_ms, alpha };
    let mut stream = Stream::named(13, "tail");
    let draws: Vec<f64> = (0..1_000_000).map(|_| time.draw(&mut stream).as_secs_f64() * 1e3).collect();
    assert!(draws.iter().all(|x| (least_ms - 1e-6..=LONGEST_MS).contains(x)));
    let survivors = |x: f64| libm::pow(least_ms / x, alpha);
    for x in [200.0, 1_000.0, 10_000.0] {
        let beyond = draws.iter().filter(|draw| **draw > x).count() as f64 / draws.len() as f64;
        near(beyond, (survivors(x) - survivors(LONGEST_MS)) / (1.0 - survivors(LONGEST_MS)), 0.05, &x);
    }
}

#[test]
fn the_moments_of_pareto_have_no_step_where_a_power_becomes_a_logarithm() {
    for at in [1.0, 2.0] {
        let of = |alpha| ServiceTime::Pareto { least_ms: 10.0, alpha };
        near(of(at + 1e-9).mean(), of(at).mean(), 1e-6, &at);
        near(of(at - 1e-9).variance(), of(at).variance(), 1e-6, &at);
    }
    let textbook = 3.0 * 10.0 / 2.0 / 1e3;
    near(ServiceTime::Pareto { least_ms: 10.0, alpha: 3.0 }.mean(), textbook, 1e-4, &"the cap is far away");
}

#[test]
fn the_ends_of_the_ranges_draw_sane_times() {
    let ends = [
        ServiceTime::Constant { ms: 0.0 },
        ServiceTime::LogNormal { median_ms: 4.0, p99_ms: 4.0 },
        ServiceTime::LogNormal { median_ms: 0.01, p99_ms: 10.0 },
        ServiceTime::Pareto { least_ms: 1e-3, alpha: 0.1 },
        ServiceTime::Pareto { least_ms: 59_999.0, alpha: 100.0 },
        ServiceTime::Uniform { least_ms: 7.0, most_ms: 7.0 },
        ServiceTime::TwoSpeed { fast_ms: 1.0, slow_ms: 1.0, slow_share: 1.0 },
    ];
    let mut stream = Stream::named(14, "ends");
    for time in ends {
        time.check().unwrap();
        assert!(time.mean().is_finite() && time.variance() > -1e-9, "{time:?}");
        assert!((0..10_000).all(|_| time.draw(&mut stream) < Duration::from_secs(3_600)), "{time:?}");
    }
}

#[test]
fn parameters_out_of_their_ranges_are_named() {
    let bad = [
        (ServiceTime::Constant { ms: -1.0 }, "ms must be 0 to 60000, not -1"),
        (ServiceTime::Constant { ms: f64::NAN }, "ms must be 0 to 60000, not NaN"),
        (ServiceTime::Exponential { mean_ms: 0.0 }, "mean_ms must be above 0 to 60000, not 0"),
        (ServiceTime::Exponential { mean_ms: f64::INFINITY }, "mean_ms must be above 0 to 60000, not inf"),
        (ServiceTime::LogNormal { median_ms: 5.0, p99_ms: 4.0 }, "p99_ms must be from median_ms to 5000, not 4"),
        (ServiceTime::Pareto { least_ms: 60_000.0, alpha: 2.0 }, "least_ms must be below 60000, not 60000"),
        (ServiceTime::Pareto { least_ms: 1.0, alpha: 0.0 }, "alpha must be 0.1 to 100, not 0"),
        (ServiceTime::Uniform { least_ms: 5.0, most_ms: 4.0 }, "most_ms must be from least_ms to 60000, not 4"),
        (
            ServiceTime::TwoSpeed { fast_ms: 5.0, slow_ms: 4.0, slow_share: 0.5 },
            "slow_ms must be from fast_ms to 60000, not 4",
        ),
        (ServiceTime::TwoSpeed { fast_ms: 1.0, slow_ms: 4.0, slow_share: 1.5 }, "slow_share must be 0 to 1, not 1.5"),
    ];
    for (time, problem) in bad {
        assert_eq!(time.check(), Err(problem.to_owned()));
    }
}

#[test]
fn a_distribution_is_read_by_its_name_and_knows_its_fields() {
    let read = |text: &str| serde_json::from_str::<ServiceTime>(text);
    let two = read(r#"{"distribution": "two_speed", "fast_ms": 2, "slow_ms": 20, "slow_share": 0.1}"#).unwrap();
    assert_eq!(two, EACH[8]);
    assert!(read(r#"{"distribution": "constant", "ms": 2, "mean_ms": 2}"#).is_err());
    assert!(read(r#"{"distribution": "constant"}"#).is_err());
    assert!(read(r#"{"distribution": "gamma", "ms": 2}"#).is_err());
    for time in EACH {
        assert_eq!(read(&serde_json::to_string(&time).unwrap()).unwrap(), time);
    }
}
