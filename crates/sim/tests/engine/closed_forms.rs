//! One queue through the whole engine, held to queueing theory.
//!
//! A region with one target, ways that take no time, Poisson arrivals: a latency is a response time. Means come from
//! independent runs whose seeds are 1, 2, 3 and so on, the first twentieth of each left out because a queue begins
//! empty; their interval is Student's over the runs.

use std::num::NonZeroU64;

use perigee_sim::closed_form::{SteadyState, mg1, mm1, mmc};
use perigee_sim::student_t_975;

use crate::support::{Play, each};

const RUNS: u64 = 20;
/// Steps of a run.
const STEPS: u64 = 20;

struct Seen {
    response: f64,
    number: f64,
    rate: f64,
    utilisation: f64,
}

fn run(play: &Play, seed: u64) -> Seen {
    let outcome = play.seed(seed);
    assert_eq!(outcome.cost.requests_lost, 0);
    let steps = &outcome.series[1..STEPS as usize];
    let answered: u64 = steps.iter().map(|s| s.latency.count).sum();
    let sum: f64 = steps.iter().map(|s| s.latency.mean_ms * s.latency.count as f64).sum();
    let requests: u64 = steps.iter().map(|s| s.requests).sum();
    let busy: f64 = steps.iter().map(|s| s.regions[0].utilisation).sum();
    // Who came less who went, at the end of every second: nothing of it was made from latencies.
    let (mut inside, mut area, mut moments) = (0_i64, 0, 0);
    for second in outcome.loads["line"].seconds.iter().filter(|s| s.second as f64 <= outcome.duration_s) {
        inside += second.sent as i64 - second.ok as i64;
        if second.second as f64 > outcome.step_s {
            (area, moments) = (area + inside, moments + 1);
        }
    }
    Seen {
        response: sum / answered as f64 / 1e3,
        number: area as f64 / f64::from(moments),
        rate: requests as f64 / (steps.len() as f64 * outcome.step_s),
        utilisation: busy / steps.len() as f64,
    }
}

/// Mean and half of the 95 % interval.
fn interval(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0);
    (mean, student_t_975(NonZeroU64::new(values.len() as u64 - 1).unwrap()) * (variance / n).sqrt())
}

/// Plays `requests` in all and compares.
fn holds(service: &str, servers: u32, lambda: f64, requests: u64, formula: SteadyState) {
    let for_s = ((requests / RUNS) as f64 / lambda / STEPS as f64).round() * STEPS as f64;
    let play = Play::new(
        &format!(
            "story = \"a queue\"\nreport = {{ step_s = {} }}\nnetwork = {{ hop_us = 0 }}\n\
         stack = {{ regions = [\"ap-northeast-2\"], zones = 1, targets_per_zone = 1 }}\n\
         targets = {{ service = {service}, concurrency = {servers}, queue = 1000000 }}\n\
         [[load]]\nname = \"line\"\nfrom = \"Seoul\"\nrate = {lambda:?}\nfor_s = {}\npoisson = true\n\
         connections = \"keep\"\ntimeout_s = 600\n",
            for_s / STEPS as f64,
            for_s * 1.01,
        )
        .replacen("story", &format!("for_s = {for_s}\nstory"), 1),
    );
    let seen = each(RUNS, |seed| run(&play, seed));
    let of = |figure: fn(&Seen) -> f64| interval(&seen.iter().map(figure).collect::<Vec<_>>());
    let ((response, half), (number, number_half)) = (of(|s| s.response), of(|s| s.number));
    let (rate, utilisation) = (of(|s| s.rate).0, of(|s| s.utilisation).0);
    let name = format!("{service}, {servers} servers");
    println!(
        "{name}: response {response:.6} ± {half:.6}, formula {:.6}; number {number:.4} ± {number_half:.4}, \
         formula {:.4}; utilisation {utilisation:.5}, formula {:.5}",
        formula.mean_response, formula.mean_number, formula.utilisation
    );
    assert!((response / formula.mean_response - 1.0).abs() < 0.01, "{name}: beyond 1 %");
    assert!((response - formula.mean_response).abs() <= half, "{name}: beyond the interval");
    assert!((utilisation / formula.utilisation - 1.0).abs() < 0.01, "{name}: utilisation");
    // Little's law: the number that was counted is the rate times the response that was measured.
    assert!(number_half < 0.05 * number, "{name}: too few moments");
    assert!((number - rate * response).abs() <= 2.0 * number_half, "{name}: Little's law");
}

const EXPONENTIAL: &str = "{ distribution = \"exponential\", mean_ms = 5 }";

#[test]
fn one_server_at_half_its_capacity_is_mm1() {
    holds(EXPONENTIAL, 1, 100.0, 800_000, mm1(100.0, 200.0).unwrap());
}

#[test]
fn one_server_at_four_fifths_of_its_capacity_is_mm1() {
    holds(EXPONENTIAL, 1, 160.0, 4_000_000, mm1(160.0, 200.0).unwrap());
}

#[test]
fn four_servers_are_mmc() {
    holds(EXPONENTIAL, 4, 560.0, 1_000_000, mmc(560.0, 200.0, 4).unwrap());
}

#[test]
fn work_at_two_speeds_is_mg1() {
    let service = "{ distribution = \"two_speed\", fast_ms = 2, slow_ms = 20, slow_share = 0.1 }";
    // Mean 3.8 ms; the mean square is 2 (0.9 * 4 + 0.1 * 400) = 87.2 square milliseconds.
    let formula = mg1(100.0, 0.0038, (87.2 - 3.8 * 3.8) / 1e6).unwrap();
    holds(service, 1, 100.0, 2_000_000, formula);
}
