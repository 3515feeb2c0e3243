use plotters::prelude::*;

use super::{Picture, legend, middle, region_bands};
use crate::ReportError;
use crate::axis::Axis;
use crate::frame::{FAULT, Frame, draw, line};
use crate::number;
use crate::palette::REST;
use crate::view::View;

const NAME: &str = "utilisation";

/// From here on a minute counts as overload, percent ([`perigee_sim::Cost::overload_minutes`]).
const OVERLOAD_PERCENT: f64 = 90.0;

/// How much of each region's capacity is in use; of the unnamed regions, the busiest one.
pub(super) fn picture(view: &View<'_>) -> Result<Picture, ReportError> {
    let mut bands = region_bands(view);
    if let Some(rest) = bands.last_mut().filter(|b| b.colour == REST) {
        rest.label = format!("busiest of {}", rest.label);
    }
    let title = "Capacity in use, percent, by region (line at 90 %: overload)";
    let frame = Frame {
        title: title.into(),
        legend: legend(&bands),
        y: Axis::from_zero(view.ends.utilisation_percent.max(OVERLOAD_PERCENT)),
        y_label: &|v| format!("{} %", number::short(v)),
    };
    let svg = draw(NAME, view, &frame, |plot| {
        let limit = [(view.ends.from_s, Some(OVERLOAD_PERCENT)), (view.ends.to_s, Some(OVERLOAD_PERCENT))];
        line(NAME, plot, limit, FAULT.mix(0.7).stroke_width(2))?;
        for band in bands.iter().rev() {
            let points = view.bins.rows.iter().map(|bin| {
                let busiest = band.regions.iter().map(|i| bin.utilisation[*i]).fold(0.0, f64::max);
                (middle(bin), Some(100.0 * busiest))
            });
            line(NAME, plot, points, band.colour.stroke_width(4))?;
        }
        Ok(())
    })?;
    let most = number::percent(view.ends.utilisation_percent);
    let minutes = number::decimal(view.outcome.cost.overload_minutes, 1);
    let description = format!(
        "A line over the time of day for each region; the highest point is {most}; {minutes} minutes of overload."
    );
    Ok(view.picture(NAME, title, &description, &svg))
}
