use plotters::prelude::*;

use super::Picture;
use crate::ReportError;
use crate::axis::Axis;
use crate::figures::kind_in_words;
use crate::frame::{Frame, draw, failed};
use crate::number;
use crate::palette::{COLOURS, REST};
use crate::view::View;

const NAME: &str = "errors";

/// Colours of the kinds that are always there; another kind is grey.
const KINDS: [(&str, usize); 5] =
    [("new_connection", 5), ("in_flight", 1), ("timeout", 0), ("status", 3), ("resolve", 6)];

/// Failed requests by kind, as columns.
pub(super) fn picture(view: &View<'_>) -> Result<Picture, ReportError> {
    let width = number::per(view.bins.width_s);
    let title = format!("Failed requests per {width}, by kind");
    let kinds = view.bins.kinds();
    let legend = kinds.iter().map(|k| (kind_in_words(k), colour(k))).collect::<Vec<_>>();
    let nothing = vec![("no request failed".to_owned(), REST)];
    let frame = Frame {
        title: title.clone(),
        legend: if legend.is_empty() { nothing } else { legend },
        y: Axis::from_zero(view.ends.failed_per_bin.max(4.0)),
        y_label: &number::short,
    };
    // A column is never narrower than can be seen.
    let least_s = (view.ends.to_s - view.ends.from_s) / 400.0;
    let svg = draw(NAME, view, &frame, |plot| {
        for bin in &view.bins.rows {
            let mut floor = 0.0;
            for kind in &kinds {
                let height = bin.failed.get(kind).copied().unwrap_or_default() as f64;
                if height > 0.0 {
                    let corners = [(bin.at_s, floor), (bin.at_s + bin.width_s.max(least_s), floor + height)];
                    plot.draw(&Rectangle::new(corners, colour(kind).filled())).map_err(|e| failed(NAME, e))?;
                }
                floor += height;
            }
        }
        Ok(())
    })?;
    let all: u64 = view.bins.rows.iter().flat_map(|b| b.failed.values()).sum();
    let description = format!("Columns over the time of day; {} requests failed in all.", number::count(all));
    Ok(view.picture(NAME, &title, &description, &svg))
}

fn colour(kind: &str) -> RGBColor {
    KINDS.iter().find(|(name, _)| *name == kind).map_or(REST, |(_, i)| COLOURS[*i])
}
