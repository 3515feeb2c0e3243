use std::cmp::Ordering;
use std::fmt;

use perigee_sim::Outcome;

use crate::figures::{Better, Figure, Unit, figures};
use crate::html::header;
use crate::markup::escape;
use crate::page::{Cell, document, figure, footer, section, table};
use crate::plots::{CLOSE_UPS_MAX, Picture, close_ups, over_time};
use crate::summary::grid;
use crate::view::View;
use crate::{ReportError, map, number, timeline};

/// Which of two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

/// One figure of two runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// What it is.
    pub name: String,
    /// Its value in A and in B; none where it has none.
    pub values: [Option<f64>; 2],
    /// Its unit.
    pub unit: Unit,
    /// Which run is better by it; none when they are equal, when a value is missing or when it has no better.
    pub better: Option<Side>,
}

/// Two runs side by side; printed by its `Display` as a table for a terminal.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// What each run is: scenario, behaviour and seed.
    pub runs: [String; 2],
    /// Whether the two did the same, event by event.
    pub same_trace: bool,
    /// The figures of A in their order, then those that only B has.
    pub rows: Vec<Compared>,
}

/// Compares the headline figures of two runs.
pub fn compare(a: &Outcome, b: &Outcome) -> Comparison {
    let (of_a, of_b) = (figures(a), figures(b));
    let only_b = of_b.iter().filter(|f| !of_a.iter().any(|g| g.name == f.name));
    let rows = of_a
        .iter()
        .map(|f| row(f, f.value, of_b.iter().find(|g| g.name == f.name).and_then(|g| g.value)))
        .chain(only_b.map(|f| row(f, None, f.value)))
        .collect();
    let run = |o: &Outcome| format!("{}, {}, seed {}", o.scenario, o.behaviour, o.seed);
    Comparison { runs: [run(a), run(b)], same_trace: a.trace_hash == b.trace_hash, rows }
}

fn row(figure: &Figure, a: Option<f64>, b: Option<f64>) -> Compared {
    let smaller = a.zip(b).and_then(|(a, b)| match a.partial_cmp(&b)? {
        Ordering::Less => Some(Side::A),
        Ordering::Greater => Some(Side::B),
        Ordering::Equal => None,
    });
    let better = match figure.better {
        Better::Less => smaller,
        Better::More => smaller.map(|side| if side == Side::A { Side::B } else { Side::A }),
        Better::Neither => None,
    };
    Compared { name: figure.name.clone(), values: [a, b], unit: figure.unit, better }
}

impl Compared {
    /// Both values, the difference B - A with its sign and its part of A, and which is better, in words.
    fn words(&self) -> [String; 4] {
        let say = |value: Option<f64>| value.map_or_else(|| "-".into(), |v| self.unit.say(v));
        let better = match self.better {
            Some(Side::A) => "A",
            Some(Side::B) => "B",
            None => "",
        };
        [say(self.values[0]), say(self.values[1]), self.difference(), better.into()]
    }

    fn difference(&self) -> String {
        let [Some(a), Some(b)] = self.values else { return String::new() };
        let by = b - a;
        if by == 0.0 {
            return "equal".into();
        }
        let sign = if by > 0.0 { '+' } else { '-' };
        let said = match self.unit {
            Unit::Percent => number::percent(by.abs()).replace('%', "points"),
            unit => unit.say(by.abs()),
        };
        let part = 100.0 * by.abs() / a.abs();
        match a != 0.0 && part < 1_000.0 && self.unit != Unit::Percent {
            true => format!("{sign}{said} ({sign}{} %)", number::decimal(part, 1)),
            false => format!("{sign}{said}"),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let same = if self.same_trace { "the same, event by event" } else { "different runs" };
        writeln!(f, "A: {}\nB: {}\n{same}\n", self.runs[0], self.runs[1])?;
        let rows = self.rows.iter().map(|r| {
            let mut row = vec![r.name.clone()];
            row.extend(r.words());
            row
        });
        f.write_str(&grid(&["figure", "A", "B", "B - A", "better"], rows.collect(), &[1, 2, 3]))
    }
}

/// Two runs as one page of HTML, with plots side by side on equal axes in equal colours; like [`crate::html`], it
/// needs nothing from elsewhere. Errors: as there.
pub fn compare_html(a: &Outcome, b: &Outcome) -> Result<String, ReportError> {
    let views = View::pair(a, b);
    let [mut left, mut right] = [side(&views[0], b)?, side(&views[1], a)?];
    for near in (0..a.anatomies.len().min(CLOSE_UPS_MAX)).filter_map(|i| View::near_pair(&views, i)) {
        left.extend(close_ups(&near[0])?);
        right.extend(close_ups(&near[1])?);
    }
    let comparison = compare(a, b);
    let mut attributions = vec![a.attribution.as_str(), b.attribution.as_str()];
    attributions.dedup();
    let body = [
        format!(
            "<h1>Two runs side by side</h1>\n<div class=\"pair\">\n<div><h3>A</h3>{}</div>\n<div><h3>B</h3>{}</div>\n</div>\n",
            lower_headings(&header(a)),
            lower_headings(&header(b))
        ),
        section("Figures", &figures_table(&comparison)),
        section("Traffic", &pairs(&left, &right, &["requests", "errors"])),
        section("Latency", &pairs(&left, &right, &["latency"])),
        section("Load on regions", &pairs(&left, &right, &["shares", "utilisation"])),
        section("Failovers", &pairs(&left, &right, &["anatomy-", "near-"])),
        section("Where clients were sent", &pairs(&left, &right, &["map-"])),
        footer(&attributions),
    ];
    Ok(document(&format!("{} and {} - Perigee", a.scenario, b.scenario), "wide", &body.concat()))
}

fn side(view: &View<'_>, beside: &Outcome) -> Result<Vec<Picture>, ReportError> {
    let mut all = over_time(view)?;
    all.extend(timeline::timelines(view.outcome, &view.clock, &beside.anatomies));
    all.extend(map::maps(view)?);
    Ok(all)
}

/// A page has one heading of the first order.
fn lower_headings(markup: &str) -> String {
    markup.replace("<h1>", "<p><strong>").replace("</h1>", "</strong></p>")
}

/// The pictures of some kinds, A's left of B's.
fn pairs(left: &[Picture], right: &[Picture], kinds: &[&str]) -> String {
    let mut out = String::new();
    for kind in kinds {
        let of = |all: &'_ [Picture], side: &str| -> Vec<String> {
            let wanted = all.iter().filter(|p| p.name.starts_with(kind));
            wanted.map(|p| figure(&renamed(p, side))).collect()
        };
        let (a, b) = (of(left, "a"), of(right, "b"));
        let none = String::new();
        for i in 0..a.len().max(b.len()) {
            let (a, b) = (a.get(i).unwrap_or(&none), b.get(i).unwrap_or(&none));
            out += &format!("<div class=\"pair\">\n<div>{a}</div>\n<div>{b}</div>\n</div>\n");
        }
    }
    out
}

/// The same picture twice on a page must not have its ids twice.
fn renamed(picture: &Picture, side: &str) -> String {
    let name = escape(&picture.name);
    let ids = format!("aria-labelledby=\"{name}-title {name}-desc\"");
    let new = format!("aria-labelledby=\"{side}-{name}-title {side}-{name}-desc\"");
    let svg = picture.svg.replacen(&ids, &new, 1);
    ["title", "desc"].into_iter().fold(svg, |svg, part| {
        svg.replacen(&format!("id=\"{name}-{part}\""), &format!("id=\"{side}-{name}-{part}\""), 1)
    })
}

fn figures_table(comparison: &Comparison) -> String {
    let rows: Vec<Vec<Cell>> = comparison
        .rows
        .iter()
        .map(|r| {
            let [a, b, difference, better] = r.words();
            let verdict = match r.better {
                Some(_) => Cell::Verdict(better, true),
                None => Cell::text(better),
            };
            vec![Cell::text(&r.name), Cell::number(a), Cell::number(b), Cell::number(difference), verdict]
        })
        .collect();
    let same = if comparison.same_trace { "<p>The two runs are the same, event by event.</p>\n" } else { "" };
    format!("{same}{}", table(&["figure", "A", "B", "B - A", "better"], &rows))
}

#[cfg(test)]
#[path = "compare/tests.rs"]
mod tests;
