use plotters::prelude::*;

use super::{Picture, legend, region_bands};
use crate::ReportError;
use crate::axis::Axis;
use crate::frame::{Frame, draw, failed};
use crate::number;
use crate::view::View;

const NAME: &str = "requests";

/// Answers per second, the regions on top of each other.
pub(super) fn picture(view: &View<'_>) -> Result<Picture, ReportError> {
    let bands = region_bands(view);
    let title = "Requests answered per second, by region";
    let frame = Frame {
        title: title.into(),
        legend: legend(&bands),
        y: Axis::from_zero(view.ends.requests_per_s),
        y_label: &number::short,
    };
    let svg = draw(NAME, view, &frame, |plot| {
        let rows = &view.bins.rows;
        let mut floor = vec![0.0; rows.len()];
        for band in &bands {
            let mut outline = Vec::with_capacity(4 * rows.len());
            let below = floor.clone();
            for (bin, floor) in rows.iter().zip(&mut floor) {
                *floor += band.regions.iter().map(|i| bin.ok[*i]).sum::<u64>() as f64 / bin.width_s;
                outline.extend([(bin.at_s, *floor), (bin.at_s + bin.width_s, *floor)]);
            }
            for (bin, below) in rows.iter().zip(&below).rev() {
                outline.extend([(bin.at_s + bin.width_s, *below), (bin.at_s, *below)]);
            }
            let area = Polygon::new(outline, band.colour.mix(0.88).filled());
            plot.draw(&area).map_err(|e| failed(NAME, e))?;
        }
        Ok(())
    })?;
    let most = number::short(view.ends.requests_per_s);
    let description = format!("A stacked area over the time of day; the highest point is {most} answers a second.");
    Ok(view.picture(NAME, title, &description, &svg))
}
