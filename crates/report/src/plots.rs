//! The pictures of a run.

mod errors;
mod latency;
mod requests;
mod shares;
mod utilisation;

use std::path::{Path, PathBuf};

use perigee_sim::Outcome;
use plotters::style::RGBColor;

use crate::bins::Bin;
use crate::palette::REST;
use crate::view::View;
use crate::write::{folder, save};
use crate::{ReportError, map, markup, png, timeline};

/// Failovers that are shown close up; those after them have their course and their figures.
pub(crate) const CLOSE_UPS_MAX: usize = 6;

/// A picture of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The name of its files: `requests`, `errors`, `latency`, `shares`, `utilisation`, `anatomy-N`,
    /// `near-N-requests` and so on, or `map-N`.
    pub name: String,
    /// Its title.
    pub title: String,
    /// What there is to see, for those who cannot see it.
    pub description: String,
    /// The picture, a whole SVG document that needs nothing from elsewhere.
    pub svg: String,
}

impl Picture {
    pub(crate) fn new(name: impl Into<String>, title: &str, description: &str, svg: &str) -> Self {
        let name = name.into();
        let svg = markup::accessible(svg, &name, title, description);
        Self { name, title: title.into(), description: description.into(), svg }
    }
}

/// All pictures of a run in the order of a report: five plots over time, then each failover's course
/// with its close-ups, then the maps.
///
/// Errors: none that an outcome could cause; what the plotting library refuses is passed on.
pub fn pictures(outcome: &Outcome) -> Result<Vec<Picture>, ReportError> {
    let view = View::of(outcome);
    let mut all = over_time(&view)?;
    for (timeline, (i, anatomy)) in
        timeline::timelines(outcome, &view.clock, &[]).into_iter().zip(outcome.anatomies.iter().enumerate())
    {
        all.push(timeline);
        if i >= CLOSE_UPS_MAX {
            continue;
        }
        if let Some(near) = view.near(anatomy, i + 1) {
            all.extend(close_ups(&near)?);
        }
    }
    all.extend(map::maps(&view)?);
    Ok(all)
}

/// The plots over time.
pub(crate) fn over_time(view: &View<'_>) -> Result<Vec<Picture>, ReportError> {
    Ok(vec![
        requests::picture(view)?,
        errors::picture(view)?,
        latency::picture(view)?,
        shares::picture(view)?,
        utilisation::picture(view)?,
    ])
}

/// The plots around a failover.
pub(crate) fn close_ups(near: &View<'_>) -> Result<[Picture; 3], ReportError> {
    Ok([requests::picture(near)?, errors::picture(near)?, latency::picture(near)?])
}

/// Writes every picture of a run as `NAME.svg` and `NAME.png` into a folder, which is made if it is not there.
///
/// Returns the files. PNGs are 1800 pixels wide; their letters are Noto Sans, which the program carries. Errors: a
/// file that cannot be written, or a picture that cannot be drawn.
pub fn write_plots(outcome: &Outcome, dir: &Path) -> Result<Vec<PathBuf>, ReportError> {
    save_all(&pictures(outcome)?, dir)
}

pub(crate) fn save_all(pictures: &[Picture], dir: &Path) -> Result<Vec<PathBuf>, ReportError> {
    folder(dir)?;
    let mut files = Vec::new();
    for picture in pictures {
        files.push(save(dir.join(format!("{}.svg", picture.name)), picture.svg.as_bytes())?);
        files.push(save(dir.join(format!("{}.png", picture.name)), &png::png(&picture.svg)?)?);
    }
    Ok(files)
}

/// A region with a colour of its own, or all the others together.
struct Band {
    label: String,
    colour: RGBColor,
    /// Positions of its regions.
    regions: Vec<usize>,
}

/// The named regions in their order, then the rest if there is any.
fn region_bands(view: &View<'_>) -> Vec<Band> {
    let regions = &view.outcome.regions;
    let mut bands = Vec::new();
    for code in view.palette.named() {
        if let Some(i) = regions.iter().position(|r| r.code == *code) {
            let label = format!("{code} {}", regions[i].city);
            bands.push(Band { label, colour: view.palette.colour(code), regions: vec![i] });
        }
    }
    let rest: Vec<usize> = (0..regions.len()).filter(|i| !view.palette.named().contains(&regions[*i].code)).collect();
    if !rest.is_empty() {
        bands.push(Band { label: format!("{} other regions", rest.len()), colour: REST, regions: rest });
    }
    bands
}

fn legend(bands: &[Band]) -> Vec<(String, RGBColor)> {
    bands.iter().map(|b| (b.label.clone(), b.colour)).collect()
}

/// The middle of a bin, where a line passes.
fn middle(bin: &Bin) -> f64 {
    bin.at_s + bin.width_s / 2.0
}

#[cfg(test)]
#[path = "plots/tests.rs"]
mod tests;
