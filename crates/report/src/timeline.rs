use std::fmt::Write as _;

use perigee_sim::{Anatomy, Outcome};
use plotters::style::RGBColor;

use crate::axis::Axis;
use crate::clock::Clock;
use crate::frame::{FAULT, GRID, INK, MUTED, PAPER};
use crate::markup::escape;
use crate::number;
use crate::palette::{COLOURS, hex};
use crate::plots::Picture;

const WIDTH: f64 = 1_800.0;
const LEFT: f64 = 440.0;
const RIGHT: f64 = 1_600.0;
const TOP: f64 = 150.0;
const ROW: f64 = 50.0;

/// Ticks that people count in, seconds.
const TICKS_S: [(f64, &str); 13] = [
    (0.001, "1 ms"),
    (0.01, "10 ms"),
    (0.1, "0.1 s"),
    (1.0, "1 s"),
    (3.0, "3 s"),
    (10.0, "10 s"),
    (30.0, "30 s"),
    (60.0, "1 min"),
    (300.0, "5 min"),
    (1_800.0, "30 min"),
    (7_200.0, "2 h"),
    (28_800.0, "8 h"),
    (172_800.0, "2 d"),
];

/// A picture of every failover of a run, `anatomy-1` and so on. Each has room for the failover of its number in
/// `beside`, so that two runs side by side have equal axes.
pub(crate) fn timelines(outcome: &Outcome, clock: &Clock, beside: &[Anatomy]) -> Vec<Picture> {
    let all = outcome.anatomies.iter().enumerate();
    all.map(|(i, anatomy)| picture(anatomy, clock, i + 1, beside.get(i))).collect()
}

/// One stage of a failover: from when to when, seconds after the fault.
struct Row {
    label: &'static str,
    from_s: f64,
    to_s: f64,
    colour: RGBColor,
    words: String,
}

/// What a row is to look like; none where it did not come to that.
fn row(label: &'static str, from_s: Option<f64>, to_s: Option<f64>, colour: usize) -> Option<Row> {
    let to_s = to_s?;
    let from_s = from_s.unwrap_or(0.0).min(to_s);
    Some(Row { label, from_s, to_s, colour: COLOURS[colour], words: number::seconds(to_s) })
}

fn rows(a: &Anatomy) -> Vec<Row> {
    let after = |span: Option<f64>| a.mended_s.zip(span).map(|(mended, span)| mended + span);
    let mut all: Vec<Row> = [
        row("edges find out (first to last)", a.first_detected_s, a.all_detected_s.or(a.first_detected_s), 0),
        row("DNS finds out", a.dns_detected_s, a.dns_detected_s, 4),
        row("edges still send new flows", None, a.last_flow_s, 2),
        row("tail of the DNS caches", a.dns_detected_s, a.dns_tail_s, 1),
        row("requests fail", None, a.last_failure_s, 5),
    ]
    .into_iter()
    .flatten()
    .collect();
    if let Some(mended_s) = a.mended_s {
        let words = number::seconds(mended_s);
        all.push(Row { label: "broken", from_s: 0.0, to_s: mended_s, colour: FAULT, words });
    }
    for (label, span, colour) in
        [("first flow back", a.first_flow_back_s, 3), ("trusted by every edge again", a.trusted_again_s, 6)]
    {
        if let Some(mut row) = row(label, a.mended_s, after(span), colour) {
            row.words = format!("+{}", number::seconds(span.unwrap_or_default()));
            all.push(row);
        }
    }
    all
}

/// Time grows by factors, so that seconds and hours are seen at once; zero is its left end.
fn axis<'a>(rows: impl Iterator<Item = &'a Row> + Clone) -> Axis {
    let times = || rows.clone().flat_map(|r| [r.from_s, r.to_s]).filter(|t| *t > 0.0);
    let least = times().fold(f64::INFINITY, f64::min).clamp(0.002, 1.0);
    let most = times().fold(2.0, f64::max);
    let mut axis = Axis::logarithmic(least / 2.0, most);
    (axis.from, axis.to) = (least / 2.0, most * 1.05);
    axis.ticks = TICKS_S.iter().map(|t| t.0).filter(|t| (axis.from..=axis.to).contains(t)).collect();
    axis
}

fn picture(anatomy: &Anatomy, clock: &Clock, number: usize, beside: Option<&Anatomy>) -> Picture {
    let rows = rows(anatomy);
    let axis = axis(rows.iter().chain(&beside.map(self::rows).unwrap_or_default()));
    let x = |t: f64| LEFT + (RIGHT - LEFT) * axis.part(t.max(axis.from));
    let bottom = TOP + ROW * rows.len().max(1) as f64;
    let height = bottom + 84.0;
    let at = clock.time(anatomy.at_s);
    let title = format!("{} at {at}: {}", anatomy.event, anatomy.what);
    let mut svg = format!(
        "<svg width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         xmlns=\"http://www.w3.org/2000/svg\" font-family=\"sans-serif\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"{}\"/>\n",
        hex(PAPER)
    );
    let text = |x: f64, y: f64, anchor: &str, size: u32, colour: RGBColor, words: &str| {
        let (colour, words) = (hex(colour), escape(words));
        format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\" fill=\"{colour}\">{words}</text>\n"
        )
    };
    svg += &text(24.0, 46.0, "start", 32, INK, &title);
    let lost = format!("{} requests lost", number::count(anatomy.requests_lost));
    svg += &text(24.0, 94.0, "start", 25, INK, &lost);
    for tick in &axis.ticks {
        let _ = writeln!(
            svg,
            "<path d=\"M{0:.1} {TOP}V{bottom}\" stroke=\"{1}\" stroke-width=\"2\"/>",
            x(*tick),
            hex(GRID)
        );
        let label = TICKS_S.iter().find(|t| t.0 == *tick).map_or("", |t| t.1);
        svg += &text(x(*tick), bottom + 30.0, "middle", 24, MUTED, label);
    }
    for (i, row) in rows.iter().enumerate() {
        let y = TOP + ROW * i as f64;
        let (from, to) = (x(row.from_s), x(row.to_s));
        let (left, width) = if to - from < 10.0 { (to - 5.0, 10.0) } else { (from, to - from) };
        svg += &text(LEFT - 20.0, y + 33.0, "end", 25, INK, row.label);
        let _ = writeln!(
            svg,
            "<rect x=\"{left:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"28\" rx=\"4\" fill=\"{}\"/>",
            y + 10.0,
            hex(row.colour)
        );
        svg += &text(left + width + 14.0, y + 33.0, "start", 25, INK, &row.words);
    }
    svg += &text(RIGHT, bottom + 66.0, "end", 24, MUTED, "time since the fault (logarithmic)");
    svg.push_str("</svg>\n");
    let told: Vec<String> = rows.iter().map(|r| format!("{}: {}", r.label, r.words)).collect();
    Picture::new(format!("anatomy-{number}"), &title, &format!("{}. {lost}.", told.join("; ")), &svg)
}
