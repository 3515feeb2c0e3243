use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use perigee_model::Instant;

/// Seconds looked back.
const WINDOW_S: u64 = 10;

/// How many flows went to each region in the last seconds: what `status` shows as shares.
///
/// Each worker writes its own part, so its lock waits for nobody but `status`.
#[derive(Debug)]
pub(crate) struct Shares(Box<[Mutex<Seconds>]>);

type Seconds = VecDeque<(u64, BTreeMap<String, u64>)>;

impl Shares {
    /// A part for each of `workers`.
    pub(crate) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Mutex::default()).collect())
    }

    pub(crate) fn note(&self, worker: usize, region: &str, now: Instant) {
        let second = second(now);
        let Some(part) = self.0.get(worker) else { return };
        let mut seconds = part.lock().unwrap_or_else(PoisonError::into_inner);
        if seconds.back().is_none_or(|(s, _)| *s != second) {
            seconds.push_back((second, BTreeMap::new()));
            while seconds.front().is_some_and(|(s, _)| s + WINDOW_S <= second) {
                seconds.pop_front();
            }
        }
        if let Some((_, counts)) = seconds.back_mut() {
            match counts.get_mut(region) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(region.to_owned(), 1);
                }
            }
        }
    }

    pub(crate) fn last_ten_seconds(&self, now: Instant) -> BTreeMap<String, u64> {
        let mut total = BTreeMap::new();
        for part in &self.0 {
            let seconds = part.lock().unwrap_or_else(PoisonError::into_inner);
            for (_, counts) in seconds.iter().filter(|(s, _)| s + WINDOW_S > second(now)) {
                for (region, count) in counts {
                    *total.entry(region.clone()).or_insert(0) += count;
                }
            }
        }
        total
    }
}

const fn second(now: Instant) -> u64 {
    now.as_nanos() / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_the_last_ten_seconds_count() {
        let shares = Shares::new(2);
        let at = |s| Instant::START + Duration::from_secs(s);
        for s in 0..20 {
            shares.note(s as usize % 2, "a", at(s));
        }
        shares.note(1, "b", at(19));
        let now = shares.last_ten_seconds(at(19));
        assert_eq!((now["a"], now["b"]), (10, 1));
        assert!(shares.last_ten_seconds(at(40)).is_empty());
    }
}
