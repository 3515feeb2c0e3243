use std::collections::BTreeMap;
use std::ops::Range;

use perigee_sim::{Outcome, Step};

/// The steps of a run put together until a plot can show them: counts are added, percentiles and utilisation keep the
/// highest of the steps, so that no peak is lost by drawing it small.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bins {
    pub(crate) width_s: f64,
    pub(crate) rows: Vec<Bin>,
}

/// Some steps as one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bin {
    pub(crate) at_s: f64,
    /// As wide as its steps; the last one may be narrower than the others.
    pub(crate) width_s: f64,
    pub(crate) failed: BTreeMap<String, u64>,
    /// p50, p90, p99 and p99.9 in milliseconds, none without an answer.
    pub(crate) latency: Option<[f64; 4]>,
    /// Requests answered well, by region.
    pub(crate) ok: Vec<u64>,
    /// By region, 1 is all of its capacity.
    pub(crate) utilisation: Vec<f64>,
}

impl Bins {
    /// The steps of `outcome` that begin in `span_s`, in bins of `width_s`, a multiple of the step.
    pub(crate) fn of(outcome: &Outcome, span_s: Range<f64>, width_s: f64) -> Self {
        let mut rows: Vec<Bin> = Vec::new();
        for step in outcome.series.iter().filter(|step| span_s.contains(&step.at_s)) {
            let at_s = (step.at_s / width_s + 1e-9).floor() * width_s;
            match rows.last_mut() {
                Some(bin) if bin.at_s >= at_s => bin.add(step),
                _ => {
                    let width_s = width_s.min(outcome.duration_s - at_s).max(outcome.step_s);
                    let mut bin = Bin::empty(at_s, width_s, outcome.regions.len());
                    bin.add(step);
                    rows.push(bin);
                }
            }
        }
        Self { width_s, rows }
    }

    /// The kinds of failures, in the order of their names.
    pub(crate) fn kinds(&self) -> Vec<String> {
        let mut kinds: Vec<String> = self.rows.iter().flat_map(|b| b.failed.keys().cloned()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }
}

impl Bin {
    fn empty(at_s: f64, width_s: f64, regions: usize) -> Self {
        let (ok, utilisation) = (vec![0; regions], vec![0.0; regions]);
        Self { at_s, width_s, failed: BTreeMap::new(), latency: None, ok, utilisation }
    }

    fn add(&mut self, step: &Step) {
        for (kind, n) in step.failed.iter().filter(|(_, n)| **n > 0) {
            *self.failed.entry(kind.clone()).or_default() += n;
        }
        if step.latency.count > 0 {
            let l = step.latency;
            let new = [l.p50_ms, l.p90_ms, l.p99_ms, l.p999_ms];
            let old = self.latency.unwrap_or(new);
            self.latency = Some(std::array::from_fn(|i| old[i].max(new[i])));
        }
        for (i, region) in step.regions.iter().enumerate().take(self.ok.len()) {
            self.ok[i] += region.ok;
            self.utilisation[i] = self.utilisation[i].max(region.utilisation);
        }
    }

    /// Per cent of the answers, by region; all zero when there are none.
    pub(crate) fn shares(&self) -> Vec<f64> {
        let all: u64 = self.ok.iter().sum();
        self.ok.iter().map(|ok| if all == 0 { 0.0 } else { 100.0 * *ok as f64 / all as f64 }).collect()
    }
}

#[cfg(test)]
mod tests {
    use perigee_sim::{Percentiles, RegionStep};

    use super::*;

    fn step(i: u64, p50_ms: f64) -> Step {
        let latency = Percentiles { count: u64::from(p50_ms > 0.0), p50_ms, ..Percentiles::default() };
        let region = RegionStep { ok: i, utilisation: p50_ms / 10.0, ..RegionStep::default() };
        let failed = [("status".to_owned(), i)].into();
        Step { at_s: i as f64 * 10.0, latency, failed, regions: vec![region], ..Step::default() }
    }

    #[test]
    fn counts_are_added_and_peaks_are_kept() {
        let regions = vec![perigee_sim::Site::default()];
        let series = vec![step(0, 4.0), step(1, 9.0), step(2, 0.0)];
        let outcome = Outcome { duration_s: 30.0, step_s: 10.0, regions, series, ..Outcome::default() };
        let bins = Bins::of(&outcome, 0.0..30.0, 20.0);
        let (first, last) = (&bins.rows[0], &bins.rows[1]);
        assert_eq!((first.ok[0], first.failed["status"], first.latency.unwrap()[0]), (1, 1, 9.0));
        assert_eq!((first.utilisation[0], first.shares()), (0.9, vec![100.0]));
        assert_eq!((last.width_s, last.ok[0], last.latency), (10.0, 2, None));
        assert_eq!(bins.kinds(), ["status"]);
    }
}
