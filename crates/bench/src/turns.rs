//! Rounds of turns, and what they say.

use serde_json::{Map, Value, json};

/// What one side did in a turn.
#[derive(Clone, Debug)]
pub struct Turn<T> {
    /// Units of work done: answers, requests, GiB.
    pub done: f64,
    /// CPU time that it spent, seconds; above 0.
    pub cpu_seconds: f64,
    /// How long the turn took, seconds; above 0.
    pub seconds: f64,
    /// What else the load saw.
    pub outcome: T,
}

impl<T> Turn<T> {
    /// Units of work per second of CPU time. Source: Perigee's choice; the wall clock would measure the load
    /// generator, which is busier than what it measures.
    pub fn per_cpu_second(&self) -> f64 {
        self.done / self.cpu_seconds
    }

    /// Share of a core that was used, percent.
    pub fn busy_percent(&self) -> f64 {
        100.0 * self.cpu_seconds / self.seconds
    }
}

/// The middle value, of an even number the mean of the two. NaN if there is none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        len => f64::midpoint(values[(len - 1) / 2], values[len / 2]),
    }
}

/// The median of a value over turns.
pub fn of<T>(turns: &[T], value: impl Fn(&T) -> f64) -> f64 {
    median(turns.iter().map(value).collect())
}

/// Lets each side have its turn, round after round, so that what else the machine does meets them alike; gives the
/// turns by side, `count` of each. `turn` gets the round's number too: round 0 warms up and does not count.
pub fn rounds<S, T>(sides: &[S], count: usize, mut turn: impl FnMut(usize, &S) -> T) -> Vec<Vec<T>> {
    let mut turns: Vec<Vec<T>> = sides.iter().map(|_| Vec::with_capacity(count)).collect();
    for round in 0..=count {
        for (side, turns) in sides.iter().zip(&mut turns) {
            let done = turn(round, side);
            if round > 0 {
                turns.push(done);
            }
        }
    }
    turns
}

/// The record of a work that both sides did, a turn of each per round: what `cargo xtask bench` reads and prints. The
/// ratio is the median of the rounds' ratios; above 1 the candidate does more per CPU second.
pub fn record<T>(work: &str, peer: &str, ours: &[Turn<T>], theirs: &[Turn<T>]) -> Map<String, Value> {
    let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a.per_cpu_second() / b.per_cpu_second()).collect();
    let (least, most) = ratios.iter().fold((f64::MAX, 0.0_f64), |(least, most), r| (least.min(*r), most.max(*r)));
    let mut record = Map::new();
    let mut put = |key: &str, value: Value| record.insert(key.to_owned(), value);
    put("work", json!(work));
    put("peer", json!(peer));
    put("candidate_per_cpu_s", json!(of(ours, Turn::per_cpu_second)));
    put("peer_per_cpu_s", json!(of(theirs, Turn::per_cpu_second)));
    put("ratio", json!(median(ratios)));
    put("ratio_least", json!(least));
    put("ratio_most", json!(most));
    put("rounds", json!(ours.len()));
    put("candidate_busy_percent", json!(of(ours, Turn::busy_percent)));
    put("peer_busy_percent", json!(of(theirs, Turn::busy_percent)));
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(done: f64) -> Turn<()> {
        Turn { done, cpu_seconds: 2.0, seconds: 4.0, outcome: () }
    }

    #[test]
    fn a_median_is_the_middle_or_the_mean_of_the_two_middle_values() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 100.0]), 3.0);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn sides_take_turns_and_the_first_round_does_not_count() {
        let mut order = Vec::new();
        let turns = rounds(&["a", "b"], 2, |round, side| {
            order.push(format!("{side}{round}"));
            round
        });
        assert_eq!(order, ["a0", "b0", "a1", "b1", "a2", "b2"]);
        assert_eq!(turns, [[1, 2], [1, 2]]);
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_and_not_the_ratio_of_medians() {
        // The machine was half as fast in the second round, for both.
        let (ours, theirs) = ([turn(20.0), turn(10.0), turn(20.0)], [turn(10.0), turn(5.0), turn(5.0)]);
        let record = record("w", "p", &ours, &theirs);
        assert_eq!((&record["ratio"], &record["rounds"]), (&json!(2.0), &json!(3)));
        assert_eq!((&record["ratio_least"], &record["ratio_most"]), (&json!(2.0), &json!(4.0)));
        assert_eq!((&record["candidate_per_cpu_s"], &record["peer_per_cpu_s"]), (&json!(10.0), &json!(2.5)));
        assert_eq!(record["candidate_busy_percent"], json!(50.0));
    }
}
