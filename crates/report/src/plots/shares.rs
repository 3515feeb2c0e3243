use plotters::prelude::*;

use super::{Picture, legend, middle, region_bands};
use crate::ReportError;
use crate::axis::Axis;
use crate::frame::{Frame, draw, line};
use crate::number;
use crate::palette::REST;
use crate::view::View;

const NAME: &str = "shares";

/// Shares of the answers, a line per named region.
pub(super) fn picture(view: &View<'_>) -> Result<Picture, ReportError> {
    let bands: Vec<_> = region_bands(view).into_iter().filter(|b| b.colour != REST).collect();
    let title = "Share of all answers, percent, by region";
    let frame = Frame {
        title: title.into(),
        legend: legend(&bands),
        y: Axis::from_zero(view.ends.share_percent.min(98.0)),
        y_label: &|v| format!("{} %", number::short(v)),
    };
    let svg = draw(NAME, view, &frame, |plot| {
        for band in &bands {
            let points = view.bins.rows.iter().map(|bin| {
                let any = bin.ok.iter().any(|ok| *ok > 0);
                (middle(bin), any.then(|| band.regions.iter().map(|i| bin.shares()[*i]).sum()))
            });
            line(NAME, plot, points, band.colour.stroke_width(4))?;
        }
        Ok(())
    })?;
    let named = bands.iter().map(|b| b.label.as_str()).collect::<Vec<_>>().join(", ");
    Ok(view.picture(NAME, title, &format!("A line over the time of day for each of: {named}."), &svg))
}
