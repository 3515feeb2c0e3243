use plotters::prelude::*;

use super::{Picture, middle};
use crate::ReportError;
use crate::axis::Axis;
use crate::frame::{Frame, draw, line};
use crate::number;
use crate::palette::COLOURS;
use crate::view::View;

const NAME: &str = "latency";
const LINES: [(&str, usize); 4] = [("p50", 4), ("p90", 0), ("p99", 1), ("p99.9", 5)];

/// Percentiles of the latency of answers.
pub(super) fn picture(view: &View<'_>) -> Result<Picture, ReportError> {
    let title = "Latency of answers, milliseconds, logarithmic";
    let frame = Frame {
        title: title.into(),
        legend: LINES.iter().rev().map(|(name, i)| ((*name).to_owned(), COLOURS[*i])).collect(),
        y: Axis::logarithmic(view.ends.latency_ms.0, view.ends.latency_ms.1),
        y_label: &number::short,
    };
    let svg = draw(NAME, view, &frame, |plot| {
        for (i, (_, colour)) in LINES.iter().enumerate() {
            let points = view.bins.rows.iter().map(|bin| (middle(bin), bin.latency.map(|l| l[i])));
            line(NAME, plot, points, COLOURS[*colour].stroke_width(4))?;
        }
        Ok(())
    })?;
    let l = view.outcome.totals.latency;
    let [p50, p99, p999] = [l.p50_ms, l.p99_ms, l.p999_ms].map(|ms| number::latency(l.count, ms));
    let description = format!(
        "Four lines over the time of day; over the whole run the median is {p50}, the 99th percentile {p99}, the \
         99.9th {p999}."
    );
    Ok(view.picture(NAME, title, &description, &svg))
}
