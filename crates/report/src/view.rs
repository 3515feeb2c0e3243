use perigee_sim::Outcome;

use crate::bins::Bins;
use crate::clock::Clock;
use crate::palette::Palette;

/// Most points along the time axis of a plot; more could not be seen.
const POINTS: usize = 720;

/// A run as its plots see it: its steps in bins, its clock, colours and the ends of its axes.
pub(crate) struct View<'a> {
    pub(crate) outcome: &'a Outcome,
    pub(crate) bins: Bins,
    pub(crate) clock: Clock,
    pub(crate) palette: Palette,
    pub(crate) ends: Ends,
}

impl<'a> View<'a> {
    /// One run alone.
    pub(crate) fn of(outcome: &'a Outcome) -> Self {
        let bins = Bins::of(outcome, bin_width(outcome, outcome.duration_s));
        let ends = Ends::of(outcome, &bins);
        Self { outcome, bins, clock: Clock::of(outcome), palette: Palette::of(&[outcome]), ends }
    }

    /// Two runs whose plots stand side by side: equal colours, bins and axes.
    pub(crate) fn pair(a: &'a Outcome, b: &'a Outcome) -> [Self; 2] {
        let palette = Palette::of(&[a, b]);
        let duration_s = a.duration_s.max(b.duration_s);
        let width_s = bin_width(a, duration_s).max(bin_width(b, duration_s));
        let [mut x, mut y] = [a, b].map(|outcome| {
            let bins = Bins::of(outcome, width_s);
            let ends = Ends::of(outcome, &bins);
            Self { outcome, bins, clock: Clock::of(outcome), palette: palette.clone(), ends }
        });
        x.ends = x.ends.with(y.ends);
        y.ends = x.ends;
        [x, y]
    }
}

fn bin_width(outcome: &Outcome, duration_s: f64) -> f64 {
    let step_s = if outcome.step_s > 0.0 { outcome.step_s } else { 1.0 };
    step_s * (duration_s / step_s / POINTS as f64).ceil().max(1.0)
}

/// Where the axes of a run's plots end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ends {
    pub(crate) duration_s: f64,
    pub(crate) requests_per_s: f64,
    pub(crate) failed_per_bin: f64,
    pub(crate) latency_ms: (f64, f64),
    pub(crate) share_percent: f64,
    pub(crate) utilisation_percent: f64,
}

impl Ends {
    fn of(outcome: &Outcome, bins: &Bins) -> Self {
        let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
        let answered = || bins.rows.iter().filter(|b| b.latency.is_some());
        let low = answered().filter_map(|b| b.latency).map(|l| l[0]).fold(f64::INFINITY, f64::min);
        let named = |b: &crate::bins::Bin| b.shares().into_iter().fold(0.0, f64::max);
        Self {
            duration_s: outcome.duration_s,
            requests_per_s: most(&mut bins.rows.iter().map(|b| b.ok.iter().sum::<u64>() as f64 / b.width_s)),
            failed_per_bin: most(&mut bins.rows.iter().map(|b| b.failed.values().sum::<u64>() as f64)),
            latency_ms: (
                if low.is_finite() { low } else { 1.0 },
                most(&mut answered().filter_map(|b| b.latency).map(|l| l[3])).max(2.0),
            ),
            share_percent: most(&mut bins.rows.iter().map(named)),
            utilisation_percent: 100.0 * most(&mut bins.rows.iter().flat_map(|b| b.utilisation.iter().copied())),
        }
    }

    fn with(self, other: Self) -> Self {
        Self {
            duration_s: self.duration_s.max(other.duration_s),
            requests_per_s: self.requests_per_s.max(other.requests_per_s),
            failed_per_bin: self.failed_per_bin.max(other.failed_per_bin),
            latency_ms: (self.latency_ms.0.min(other.latency_ms.0), self.latency_ms.1.max(other.latency_ms.1)),
            share_percent: self.share_percent.max(other.share_percent),
            utilisation_percent: self.utilisation_percent.max(other.utilisation_percent),
        }
    }
}
