use std::fmt::Write as _;

use perigee_sim::{MapMoment, Outcome, Site};

use crate::frame::{FAULT, GRID, INK, MUTED, PAPER};
use crate::markup::escape;
use crate::palette::hex;
use crate::plots::Picture;
use crate::projection::{great_circle, natural_earth};
use crate::view::View;
use crate::{ReportError, land, markup, number};

const WIDTH: f64 = 1_800.0;
const SCALE: f64 = 326.0;
/// Nobody lives beyond these, degrees.
const NORTH: f64 = 79.0;
const SOUTH: f64 = -57.0;
/// Where the map begins below title and legend.
const TOP: f64 = 176.0;
/// More arcs than these are not seen; the heaviest are drawn.
const ARCS_MAX: usize = 700;

/// A picture of every map of a run, `map-1` and so on.
pub(crate) fn maps(view: &View<'_>) -> Result<Vec<Picture>, ReportError> {
    let moments = &view.outcome.maps;
    if moments.is_empty() {
        return Ok(Vec::new());
    }
    let land = land_path(&land::rings()?);
    Ok(moments.iter().enumerate().map(|(i, m)| picture(view, m, i + 1, &land)).collect())
}

/// The greatest rate of an arc of a run, requests a second; zero without maps.
pub(crate) fn heaviest(outcome: &Outcome) -> f64 {
    outcome.maps.iter().flat_map(merged).map(|arc| arc.rate).fold(0.0, f64::max)
}

/// Clients of about one place that go to one region.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Arc {
    from: (f64, f64),
    to: Option<usize>,
    rate: f64,
}

/// Arcs of places less than half a degree apart as one, the heaviest first.
fn merged(moment: &MapMoment) -> Vec<Arc> {
    let cell = |a: &Arc| ((a.from.0 * 2.0).round() as i32, (a.from.1 * 2.0).round() as i32, a.to);
    let mut arcs: Vec<Arc> =
        moment.arcs.iter().map(|(lat, lon, to, rate)| Arc { from: (*lat, *lon), to: *to, rate: *rate }).collect();
    arcs.sort_by_key(cell);
    arcs.dedup_by(|next, kept| {
        let same = cell(next) == cell(kept);
        if same {
            kept.rate += next.rate;
        }
        same
    });
    arcs.sort_by(|a, b| b.rate.total_cmp(&a.rate));
    arcs
}

fn picture(view: &View<'_>, moment: &MapMoment, number: usize, land: &str) -> Picture {
    let heaviest = view.ends.arc_rate;
    let height = at(SOUTH, 0.0).1.ceil() + 12.0;
    let title = format!("Where clients were sent at {}: {}", view.clock.time(moment.at_s), moment.title);
    let mut svg = format!(
        "<svg width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         xmlns=\"http://www.w3.org/2000/svg\" font-family=\"sans-serif\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"{}\"/>\n\
         <text x=\"24\" y=\"46\" font-size=\"32\" fill=\"{}\">{}</text>\n{land}",
        hex(PAPER),
        hex(INK),
        escape(&title)
    );
    let mut arcs = merged(moment);
    let left_out = arcs.len().saturating_sub(ARCS_MAX);
    arcs.truncate(ARCS_MAX);
    let regions = &view.outcome.regions;
    legend(&mut svg, view, &arcs, heaviest);
    for arc in arcs.iter().rev() {
        draw_arc(&mut svg, view, arc, heaviest);
    }
    marks(&mut svg, view, moment, &arcs);
    svg.push_str("</svg>\n");
    let down: Vec<&str> = moment.down.iter().filter_map(|i| regions.get(*i)).map(|r| r.code.as_str()).collect();
    let down = if down.is_empty() { "No region is down".into() } else { format!("Down: {}", down.join(", ")) };
    let refused: f64 = arcs.iter().filter(|a| a.to.is_none()).map(|a| a.rate).fold(0.0, |a, b| a + b);
    let description = format!(
        "A world map with an arc from each place of clients to the region that answers them. {down}. {} requests a \
         second were refused. {left_out} of the thinnest arcs are not drawn.",
        number::short(refused)
    );
    Picture::new(format!("map-{number}"), &title, &description, &svg)
}

/// On the page.
fn at(latitude: f64, longitude: f64) -> (f64, f64) {
    let (x, y) = natural_earth(latitude, longitude);
    (WIDTH / 2.0 + SCALE * x, TOP + SCALE * (natural_earth(NORTH, 0.0).1 - y))
}

fn path(points: impl IntoIterator<Item = (f64, f64)>) -> String {
    let mut d = String::new();
    for (i, (latitude, longitude)) in points.into_iter().enumerate() {
        let (x, y) = at(latitude, longitude);
        let _ = write!(d, "{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' });
    }
    d
}

fn land_path(rings: &[Vec<[f64; 2]>]) -> String {
    let inhabited = rings.iter().filter(|ring| ring.iter().any(|p| p[1] > SOUTH));
    let d: String = inhabited
        .flat_map(land::on_page)
        .map(|ring| path(ring.iter().map(|p| (p[1].clamp(SOUTH, NORTH), p[0]))) + "Z")
        .collect();
    format!("<path d=\"{d}\" fill=\"{}\" fill-rule=\"evenodd\"/>\n", hex(GRID))
}

fn width(rate: f64, heaviest: f64) -> f64 {
    if heaviest > 0.0 { (9.0 * (rate / heaviest).sqrt()).max(0.8) } else { 0.8 }
}

fn draw_arc(svg: &mut String, view: &View<'_>, arc: &Arc, heaviest: f64) {
    let Some(region) = arc.to.and_then(|i| view.outcome.regions.get(i)) else { return refused(svg, arc) };
    let runs = great_circle(arc.from, (region.latitude, region.longitude));
    let d: String = runs.into_iter().map(path).collect();
    let (x, y) = at(arc.from.0, arc.from.1);
    let (w, colour) = (width(arc.rate, heaviest), hex(view.palette.colour(&region.code)));
    let _ = writeln!(
        svg,
        "<path d=\"{d}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{w:.1}\" stroke-opacity=\"0.55\" \
         stroke-linecap=\"round\"/><circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{:.1}\" fill=\"{colour}\"/>",
        (w / 2.0).max(2.2)
    );
}

/// Clients whom no region took.
fn refused(svg: &mut String, arc: &Arc) {
    let (x, y) = at(arc.from.0, arc.from.1);
    let d = cross(x, y, 6.0);
    let _ = writeln!(svg, "<path d=\"{d}\" stroke=\"{}\" stroke-width=\"3\" fill=\"none\"/>", hex(FAULT));
}

fn cross(x: f64, y: f64, r: f64) -> String {
    let (l, t, right, b) = (x - r, y - r, x + r, y + r);
    format!("M{l:.1} {t:.1}L{right:.1} {b:.1}M{l:.1} {b:.1}L{right:.1} {t:.1}")
}

/// The regions, with the names of those that have a colour or are down, where there is room.
fn marks(svg: &mut String, view: &View<'_>, moment: &MapMoment, arcs: &[Arc]) {
    let regions = &view.outcome.regions;
    let rate = |i: usize| arcs.iter().filter(|a| a.to == Some(i)).map(|a| a.rate).fold(0.0, |a, b| a + b);
    let named = |i: usize| view.palette.named().contains(&regions[i].code);
    let mut order: Vec<usize> = (0..regions.len()).collect();
    order.sort_by(|a, b| {
        let key = |i: usize| (moment.down.contains(&i), named(i));
        key(*b).cmp(&key(*a)).then(rate(*b).total_cmp(&rate(*a)))
    });
    for i in order.iter().rev() {
        mark(svg, view, &regions[*i], moment.down.contains(i), rate(*i));
    }
    let around = |r: &Site| {
        let (x, y) = at(r.latitude, r.longitude);
        [x - 9.0, y - 9.0, x + 9.0, y + 9.0]
    };
    let mut taken: Vec<[f64; 4]> = regions.iter().map(around).collect();
    for i in order.into_iter().filter(|i| named(*i) || moment.down.contains(i)) {
        label(svg, &regions[i], moment.down.contains(&i), &mut taken);
    }
}

fn mark(svg: &mut String, view: &View<'_>, region: &Site, down: bool, rate: f64) {
    let (x, y) = at(region.latitude, region.longitude);
    let paper = hex(PAPER);
    let state = if down { "down".into() } else { format!("{} requests a second", number::short(rate)) };
    let hint = escape(&format!("{} {}: {state}", region.code, region.city));
    let _ = if down {
        let (d, red) = (cross(x, y, 6.0), hex(FAULT));
        writeln!(
            svg,
            "<g><title>{hint}</title><circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"13\" fill=\"{paper}\" stroke=\"{red}\" \
             stroke-width=\"4\"/><path d=\"{d}\" stroke=\"{red}\" stroke-width=\"4\" fill=\"none\"/></g>"
        )
    } else {
        let colour = hex(view.palette.colour(&region.code));
        writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"8\" fill=\"{colour}\" stroke=\"{paper}\" \
             stroke-width=\"2.5\"><title>{hint}</title></circle>"
        )
    };
}

/// Writes a region's city right of it, left of it, above or below: where no other label is; else not at all.
fn label(svg: &mut String, region: &Site, down: bool, taken: &mut Vec<[f64; 4]>) {
    let (x, y) = at(region.latitude, region.longitude);
    let text = if down { format!("{} is down", region.city) } else { region.city.clone() };
    let w = markup::text_width(&text, 23.0);
    let aside = if down { 24.0 } else { 18.0 };
    let places = [
        ("start", x + aside, y + 8.0, x + aside),
        ("end", x - aside, y + 8.0, x - aside - w),
        ("middle", x, y - 18.0, x - w / 2.0),
        ("middle", x, y + 34.0, x - w / 2.0),
    ];
    for (anchor, tx, ty, left) in places {
        let own = [left, ty - 22.0, left + w, ty + 6.0];
        let free = own[0] > 0.0 && own[2] < WIDTH;
        if free && !taken.iter().any(|t| own[0] < t[2] && t[0] < own[2] && own[1] < t[3] && t[1] < own[3]) {
            let (ink, paper) = (hex(if down { FAULT } else { INK }), hex(PAPER));
            let _ = writeln!(
                svg,
                "<text x=\"{tx:.1}\" y=\"{ty:.1}\" text-anchor=\"{anchor}\" font-size=\"23\" fill=\"{ink}\" \
                 stroke=\"{paper}\" stroke-width=\"5\" stroke-opacity=\"0.8\" stroke-linejoin=\"round\" \
                 paint-order=\"stroke\">{}</text>",
                escape(&text)
            );
            taken.push(own);
            return;
        }
    }
}

fn legend(svg: &mut String, view: &View<'_>, arcs: &[Arc], heaviest: f64) {
    let mut x = 26.0;
    let mut y = 90.0;
    let mut item = |sign: String, label: &str, svg: &mut String| {
        let w = 34.0 + markup::text_width(label, 25.0) + 40.0;
        if x + w > WIDTH {
            (x, y) = (26.0, y + 38.0);
        }
        let ink = hex(INK);
        let _ = writeln!(
            svg,
            "<g transform=\"translate({x} {y})\">{sign}<text x=\"34\" y=\"9\" font-size=\"25\" fill=\"{ink}\">{}</text></g>",
            escape(label)
        );
        x += w;
    };
    for code in view.palette.named() {
        if let Some(region) = view.outcome.regions.iter().find(|r| r.code == *code) {
            let colour = hex(view.palette.colour(code));
            let sign = format!("<circle cx=\"12\" cy=\"0\" r=\"10\" fill=\"{colour}\"/>");
            item(sign, &format!("{code} {}", region.city), svg);
        }
    }
    let rest = hex(crate::palette::REST);
    item(format!("<circle cx=\"12\" cy=\"0\" r=\"10\" fill=\"{rest}\"/>"), "other regions", svg);
    let sign = format!("<path d=\"M0 0H24\" stroke=\"{}\" stroke-width=\"9\"/>", hex(MUTED));
    item(sign, &format!("{} requests/s", number::short(heaviest)), svg);
    if arcs.iter().any(|a| a.to.is_none()) {
        let sign = format!("<path d=\"{}\" stroke=\"{}\" stroke-width=\"3\"/>", cross(12.0, 0.0, 6.0), hex(FAULT));
        item(sign, "refused", svg);
    }
}

#[cfg(test)]
#[path = "map/tests.rs"]
mod tests;
