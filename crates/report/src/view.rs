use std::ops::Range;

use perigee_sim::{Anatomy, Outcome};

use crate::bins::Bins;
use crate::clock::Clock;
use crate::map;
use crate::palette::Palette;
use crate::plots::Picture;

/// Most points along the time axis of a plot; more could not be seen.
const POINTS: usize = 720;

/// A run as its plots see it: its steps in bins, its clock, colours and the ends of its axes.
pub(crate) struct View<'a> {
    pub(crate) outcome: &'a Outcome,
    pub(crate) bins: Bins,
    pub(crate) clock: Clock,
    pub(crate) palette: Palette,
    pub(crate) ends: Ends,
    /// Stands before the names of its pictures.
    prefix: String,
    /// Stands behind their titles.
    suffix: String,
}

impl<'a> View<'a> {
    /// One run alone.
    pub(crate) fn of(outcome: &'a Outcome) -> Self {
        let width_s = bin_width(outcome, outcome.duration_s);
        Self::window(outcome, Palette::of(&[outcome]), 0.0..outcome.duration_s, width_s)
    }

    /// The same run around its failover `number`, counted from 1; none where that is not much less than all of it.
    pub(crate) fn near(&self, anatomy: &Anatomy, number: usize) -> Option<Self> {
        let outcome = self.outcome;
        let course = [anatomy.mended_s, anatomy.last_failure_s, anatomy.dns_tail_s].into_iter().flatten();
        let span_s = course.fold(10.0 * outcome.step_s, f64::max);
        let margin_s = (span_s / 3.0).max(5.0 * outcome.step_s);
        let from_s = (anatomy.at_s - margin_s).max(0.0);
        let to_s = (anatomy.at_s + span_s + margin_s).min(outcome.duration_s);
        if to_s - from_s > outcome.duration_s / 3.0 {
            return None;
        }
        let width_s = bin_width(outcome, to_s - from_s);
        let mut near = Self::window(outcome, self.palette.clone(), from_s..to_s, width_s);
        near.prefix = format!("near-{number}-");
        near.suffix = format!(" (around {})", anatomy.event);
        Some(near)
    }

    /// Two close-ups of the same fault in two runs, on equal axes; none where either has none.
    pub(crate) fn near_pair([a, b]: &[Self; 2], index: usize) -> Option<[Self; 2]> {
        let (x, y) = (a.outcome.anatomies.get(index)?, b.outcome.anatomies.get(index)?);
        if (&x.event, x.at_s) != (&y.event, y.at_s) {
            return None;
        }
        let (mut x, mut y) = (a.near(x, index + 1)?, b.near(y, index + 1)?);
        x.ends = x.ends.with(y.ends);
        y.ends = x.ends;
        Some([x, y])
    }

    fn window(outcome: &'a Outcome, palette: Palette, span_s: Range<f64>, width_s: f64) -> Self {
        let bins = Bins::of(outcome, span_s.clone(), width_s);
        let ends = Ends::of(outcome, span_s, &bins);
        let clock = Clock::of(outcome);
        Self { outcome, bins, clock, palette, ends, prefix: String::new(), suffix: String::new() }
    }

    /// A title as it stands in a picture of this view.
    pub(crate) fn title(&self, title: &str) -> String {
        format!("{title}{}", self.suffix)
    }

    /// A picture of this view.
    pub(crate) fn picture(&self, name: &str, title: &str, description: &str, svg: &str) -> Picture {
        Picture::new(format!("{}{name}", self.prefix), &self.title(title), description, svg)
    }

    /// Two runs whose plots stand side by side: equal colours, bins and axes.
    pub(crate) fn pair(a: &'a Outcome, b: &'a Outcome) -> [Self; 2] {
        let palette = Palette::of(&[a, b]);
        let duration_s = a.duration_s.max(b.duration_s);
        let width_s = bin_width(a, duration_s).max(bin_width(b, duration_s));
        let [mut x, mut y] =
            [a, b].map(|outcome| Self::window(outcome, palette.clone(), 0.0..outcome.duration_s, width_s));
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
    pub(crate) from_s: f64,
    pub(crate) to_s: f64,
    pub(crate) requests_per_s: f64,
    pub(crate) failed_per_bin: f64,
    pub(crate) latency_ms: (f64, f64),
    pub(crate) share_percent: f64,
    pub(crate) utilisation_percent: f64,
    /// Of an arc on a map, requests a second.
    pub(crate) arc_rate: f64,
}

impl Ends {
    fn of(outcome: &Outcome, span_s: Range<f64>, bins: &Bins) -> Self {
        let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
        let answered = || bins.rows.iter().filter(|b| b.latency.is_some());
        let low = answered().filter_map(|b| b.latency).map(|l| l[0]).fold(f64::INFINITY, f64::min);
        let named = |b: &crate::bins::Bin| b.shares().into_iter().fold(0.0, f64::max);
        Self {
            from_s: span_s.start,
            to_s: span_s.end,
            requests_per_s: most(&mut bins.rows.iter().map(|b| b.ok.iter().sum::<u64>() as f64 / b.width_s)),
            failed_per_bin: most(&mut bins.rows.iter().map(|b| b.failed.values().sum::<u64>() as f64)),
            latency_ms: (
                if low.is_finite() { low } else { 1.0 },
                most(&mut answered().filter_map(|b| b.latency).map(|l| l[3])).max(2.0),
            ),
            share_percent: most(&mut bins.rows.iter().map(named)),
            arc_rate: map::heaviest(outcome),
            utilisation_percent: 100.0 * most(&mut bins.rows.iter().flat_map(|b| b.utilisation.iter().copied())),
        }
    }

    fn with(self, other: Self) -> Self {
        Self {
            from_s: self.from_s.min(other.from_s),
            to_s: self.to_s.max(other.to_s),
            requests_per_s: self.requests_per_s.max(other.requests_per_s),
            failed_per_bin: self.failed_per_bin.max(other.failed_per_bin),
            latency_ms: (self.latency_ms.0.min(other.latency_ms.0), self.latency_ms.1.max(other.latency_ms.1)),
            share_percent: self.share_percent.max(other.share_percent),
            arc_rate: self.arc_rate.max(other.arc_rate),
            utilisation_percent: self.utilisation_percent.max(other.utilisation_percent),
        }
    }
}
