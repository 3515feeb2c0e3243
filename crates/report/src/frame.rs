use std::fmt::Display;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::axis::Axis;
use crate::stages::stages;
use crate::view::View;
use crate::{ReportError, markup};

/// Plots are drawn in these units, whole numbers each; a page or a PNG makes them as large as it likes.
pub(crate) const WIDTH: u32 = 1_800;
pub(crate) const HEIGHT: u32 = 720;
const LEFT: i32 = 130;
const RIGHT: i32 = 1_745;
const BOTTOM: i32 = 630;

/// Colours that are not data. A page gives them other values in the dark, by their names here.
pub(crate) const PAPER: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);
pub(crate) const INK: RGBColor = RGBColor(0x1F, 0x23, 0x28);
pub(crate) const MUTED: RGBColor = RGBColor(0x5B, 0x64, 0x6E);
pub(crate) const GRID: RGBColor = RGBColor(0xE1, 0xE5, 0xEA);
pub(crate) const FAULT: RGBColor = RGBColor(0xB4, 0x23, 0x18);

/// The part of a picture in which values are drawn.
pub(crate) type Plot<'a> = DrawingArea<SVGBackend<'a>, Cartesian2d<Axis, Axis>>;
type Page<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// What a plot has besides its values.
pub(crate) struct Frame<'a> {
    /// What is plotted, with its unit.
    pub(crate) title: String,
    /// The colours and what they stand for.
    pub(crate) legend: Vec<(String, RGBColor)>,
    /// The vertical axis.
    pub(crate) y: Axis,
    /// The words at its ticks.
    pub(crate) y_label: &'a dyn Fn(f64) -> String,
}

/// Draws a plot over the time of a run: title, legend, axes, faults, and what `values` draws between them.
pub(crate) fn draw(
    name: &str,
    view: &View<'_>,
    frame: &Frame<'_>,
    values: impl FnOnce(&Plot<'_>) -> Result<(), ReportError>,
) -> Result<String, ReportError> {
    let mut svg = String::new();
    let (ticks, step_s) = view.clock.ticks(view.ends.from_s, view.ends.to_s, 13);
    let x = Axis::linear(view.ends.from_s, view.ends.to_s, ticks);
    {
        let page = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        let fail = |error: Box<dyn std::error::Error + Send + Sync>| failed(name, error);
        page.fill(&PAPER).map_err(|e| failed(name, e))?;
        let top = heading(&page, &view.title(&frame.title), &frame.legend).map_err(fail)?;
        let inner = page.clone().shrink((LEFT, top), ((RIGHT - LEFT) as u32, (BOTTOM - top) as u32));
        let (columns, rows) = inner.get_pixel_range();
        let coordinates = Cartesian2d::new(x.clone(), frame.y.clone(), (columns, rows.end..rows.start));
        let plot = inner.apply_coord_spec(coordinates);
        bands(&plot, view, &x, &frame.y).map_err(fail)?;
        grid(&page, &plot, &x, frame).map_err(fail)?;
        faults(&page, view, &x, top).map_err(fail)?;
        values(&plot)?;
        clock_labels(&page, view, &x, step_s).map_err(fail)?;
        page.present().map_err(|e| failed(name, e))?;
    }
    Ok(svg)
}

/// An error of the plotting library as ours.
pub(crate) fn failed(name: &str, error: impl Display) -> ReportError {
    ReportError::Plot { name: name.into(), reason: error.to_string() }
}

fn text(size: f64, colour: RGBColor, h: HPos, v: VPos) -> TextStyle<'static> {
    // The backend writes a size divided by 1.24.
    ("sans-serif", size * 1.24).into_font().color(&colour).pos(Pos::new(h, v))
}

/// Title and legend; says where the plot begins.
fn heading(
    page: &Page<'_>,
    title: &str,
    legend: &[(String, RGBColor)],
) -> Result<i32, Box<dyn std::error::Error + Send + Sync>> {
    page.draw(&Text::new(title.to_owned(), (24, 20), text(32.0, INK, HPos::Left, VPos::Top)))?;
    let (mut x, mut y) = (26, 84);
    for (label, colour) in legend {
        let width = 32 + markup::text_width(label, 25.0) as i32 + 40;
        if x + width > WIDTH as i32 && x > 26 {
            (x, y) = (26, y + 38);
        }
        page.draw(&Rectangle::new([(x, y - 11), (x + 22, y + 11)], colour.filled()))?;
        page.draw(&Text::new(label.clone(), (x + 32, y), text(25.0, INK, HPos::Left, VPos::Center)))?;
        x += width;
    }
    Ok(y + 66)
}

/// Where something was broken, as a tint behind the values.
fn bands(plot: &Plot<'_>, view: &View<'_>, x: &Axis, y: &Axis) -> Drawn {
    for stage in stages(view.outcome) {
        let Some(to_s) = stage.to_s else { continue };
        let (from_s, to_s) = (stage.from_s.max(x.from), to_s.min(x.to));
        if from_s < to_s {
            let corners = [(from_s, y.from), (to_s, y.to)];
            plot.draw(&Rectangle::new(corners, FAULT.mix(0.10).filled()))?;
        }
    }
    Ok(())
}

fn grid(page: &Page<'_>, plot: &Plot<'_>, x: &Axis, frame: &Frame<'_>) -> Drawn {
    for tick in &frame.y.ticks {
        plot.draw(&PathElement::new(vec![(x.from, *tick), (x.to, *tick)], GRID.stroke_width(2)))?;
        let row = plot.map_coordinate(&(x.from, *tick)).1;
        let label = (frame.y_label)(*tick);
        page.draw(&Text::new(label, (LEFT - 16, row), text(24.0, MUTED, HPos::Right, VPos::Center)))?;
    }
    Ok(())
}

/// A line at the beginning of each fault, with its name where there is room for it.
fn faults(page: &Page<'_>, view: &View<'_>, x: &Axis, top: i32) -> Drawn {
    let mut free_from = i32::MIN;
    for stage in stages(view.outcome).iter().filter(|s| (x.from..=x.to).contains(&s.from_s)) {
        let column = x.map(&stage.from_s, (LEFT, RIGHT));
        page.draw(&PathElement::new(vec![(column, top - 6), (column, BOTTOM)], FAULT.stroke_width(2)))?;
        let width = markup::text_width(&stage.label, 23.0) as i32;
        let begin = column.min(RIGHT - width);
        if begin >= free_from {
            page.draw(&Text::new(stage.label.clone(), (begin, top - 12), text(23.0, FAULT, HPos::Left, VPos::Bottom)))?;
            free_from = begin + width + 16;
        }
    }
    Ok(())
}

fn clock_labels(page: &Page<'_>, view: &View<'_>, x: &Axis, step_s: f64) -> Drawn {
    page.draw(&PathElement::new(vec![(LEFT, BOTTOM), (RIGHT, BOTTOM)], MUTED.stroke_width(2)))?;
    for tick in &x.ticks {
        let column = x.map(tick, (LEFT, RIGHT));
        page.draw(&PathElement::new(vec![(column, BOTTOM), (column, BOTTOM + 9)], MUTED.stroke_width(2)))?;
        let label = view.clock.tick(*tick, step_s);
        page.draw(&Text::new(label, (column, BOTTOM + 18), text(24.0, MUTED, HPos::Center, VPos::Top)))?;
    }
    let caption = format!("time of day, {}", view.clock.zone());
    page.draw(&Text::new(caption, (RIGHT, BOTTOM + 54), text(24.0, MUTED, HPos::Right, VPos::Top)))?;
    Ok(())
}

/// A line through the values, broken where there is none.
pub(crate) fn line(
    name: &str,
    plot: &Plot<'_>,
    points: impl IntoIterator<Item = (f64, Option<f64>)>,
    style: ShapeStyle,
) -> Result<(), ReportError> {
    let mut stretch: Vec<(f64, f64)> = Vec::new();
    let mut stretches = Vec::new();
    for (x, y) in points {
        match y {
            Some(y) => stretch.push((x, y)),
            None => stretches.push(std::mem::take(&mut stretch)),
        }
    }
    stretches.push(stretch);
    for points in stretches.into_iter().filter(|points| !points.is_empty()) {
        plot.draw(&PathElement::new(points, style)).map_err(|e| failed(name, e))?;
    }
    Ok(())
}
