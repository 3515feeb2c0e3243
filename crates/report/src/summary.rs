use std::fmt;

use comfy_table::{CellAlignment, Table, presets};
use perigee_sim::{JudgedBound, Outcome};

use crate::clock::Clock;
use crate::figures::{Unit, kind_in_words, spans};
use crate::number;

/// Regions that have a line of their own.
const REGIONS_SHOWN: usize = 8;

/// What a terminal shows of a run; printed by its `Display`, without colours, lines ended but for the last.
#[derive(Clone, Copy, Debug)]
pub struct Summary<'a>(&'a Outcome);

/// The summary of a run for a terminal.
pub const fn summary(outcome: &Outcome) -> Summary<'_> {
    Summary(outcome)
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let o = self.0;
        let parts = [head(o), totals(o), regions(o), anatomies(o), cost(o), loads(o), bounds(o)];
        let parts: Vec<String> = parts.into_iter().filter(|p| !p.is_empty()).collect();
        f.write_str(parts.join("\n\n").trim_end())
    }
}

fn head(o: &Outcome) -> String {
    let clock = Clock::of(o);
    format!(
        "{}: {}\n{} behaviour, seed {}, {} from {} {}, {} events\ntrace {}",
        o.scenario,
        o.story,
        o.behaviour,
        o.seed,
        number::seconds(o.duration_s),
        clock.time(0.0),
        clock.zone(),
        number::count(o.events),
        o.trace_hash
    )
}

fn totals(o: &Outcome) -> String {
    let t = &o.totals;
    let mut rows = Vec::new();
    if o.clients > 0 {
        let text = format!("{}, {} sessions", number::count(o.clients), number::count(t.sessions));
        rows.push(vec!["clients".into(), text]);
    }
    rows.push(vec!["requests".into(), format!("{}, {} answered well", number::count(t.requests), number::count(t.ok))]);
    let kinds: Vec<String> =
        t.failed.iter().map(|(k, n)| format!("{} {}", number::count(*n), kind_in_words(k))).collect();
    rows.push(vec!["failed".into(), if kinds.is_empty() { "none".into() } else { kinds.join(", ") }]);
    if t.latency.count > 0 {
        let l = t.latency;
        let named = [("p50", l.p50_ms), ("p90", l.p90_ms), ("p99", l.p99_ms), ("p99.9", l.p999_ms), ("max", l.max_ms)];
        let said: Vec<String> = named.iter().map(|(n, v)| format!("{n} {}", number::milliseconds(*v))).collect();
        rows.push(vec!["latency".into(), said.join(", ")]);
    }
    if t.dns_answers > 0 {
        let cached = 100.0 * t.dns_from_cache as f64 / t.dns_answers as f64;
        let text = format!("{}, {} from a cache", number::count(t.dns_answers), number::percent(cached));
        rows.push(vec!["DNS answers".into(), text]);
    }
    grid(&[], rows, &[])
}

/// A region over the whole run.
pub(crate) struct RegionTotal {
    pub(crate) code: String,
    pub(crate) city: String,
    pub(crate) ok: u64,
    pub(crate) failed: u64,
    /// Of all answers, percent.
    pub(crate) share_percent: f64,
    /// Highest utilisation of a step, 1 is all.
    pub(crate) peak: f64,
}

/// All regions, the one with the most answers first.
pub(crate) fn region_totals(o: &Outcome) -> Vec<RegionTotal> {
    let all: u64 = o.series.iter().flat_map(|s| &s.regions).map(|r| r.ok).sum();
    let mut rows: Vec<RegionTotal> = o
        .regions
        .iter()
        .enumerate()
        .map(|(i, site)| {
            let steps = || o.series.iter().filter_map(move |s| s.regions.get(i));
            let ok = steps().map(|r| r.ok).sum();
            RegionTotal {
                code: site.code.clone(),
                city: site.city.clone(),
                ok,
                failed: steps().map(|r| r.failed).sum(),
                share_percent: if all == 0 { 0.0 } else { 100.0 * ok as f64 / all as f64 },
                peak: steps().map(|r| r.utilisation).fold(0.0, f64::max),
            }
        })
        .collect();
    rows.sort_by(|a, b| (b.ok, &a.code).cmp(&(a.ok, &b.code)));
    rows
}

fn regions(o: &Outcome) -> String {
    let all = region_totals(o);
    let (shown, rest) = all.split_at(all.len().min(REGIONS_SHOWN));
    let line = |name: String, ok: u64, share: f64, failed: u64, peak: f64| {
        vec![name, number::count(ok), number::percent(share), number::count(failed), number::percent(100.0 * peak)]
    };
    let mut rows: Vec<Vec<String>> =
        shown.iter().map(|r| line(format!("{} {}", r.code, r.city), r.ok, r.share_percent, r.failed, r.peak)).collect();
    if !rest.is_empty() {
        let ok = rest.iter().map(|r| r.ok).sum();
        let share = rest.iter().map(|r| r.share_percent).sum();
        let failed = rest.iter().map(|r| r.failed).sum();
        let peak = rest.iter().map(|r| r.peak).fold(0.0, f64::max);
        rows.push(line(format!("{} others", rest.len()), ok, share, failed, peak));
    }
    grid(&["region", "answered well", "share", "failed", "highest utilisation"], rows, &[1, 2, 3, 4])
}

fn anatomies(o: &Outcome) -> String {
    let clock = Clock::of(o);
    let one = |a: &perigee_sim::Anatomy| {
        let rows = spans(a).iter().map(|f| vec![format!("  {}", f.name), f.say()]).collect();
        format!("{} at {} ({})\n{}", a.event, clock.time(a.at_s), a.what, grid(&[], rows, &[1]))
    };
    o.anatomies.iter().map(one).collect::<Vec<_>>().join("\n\n")
}

fn cost(o: &Outcome) -> String {
    let c = &o.cost;
    let mut overload = Unit::Minutes.say(c.overload_minutes);
    if !c.overload_minutes_by_region.is_empty() {
        let by: Vec<String> =
            c.overload_minutes_by_region.iter().map(|(r, m)| format!("{r} {}", number::decimal(*m, 1))).collect();
        overload = format!("{overload} ({})", by.join(", "));
    }
    let lost = format!("{} requests, {}", number::count(c.requests_lost), number::percent(c.lost_percent));
    let rows = [("lost", lost), ("bad", Unit::Minutes.say(c.bad_minutes)), ("overload", overload)];
    format!("cost\n{}", grid(&[], rows.map(|(k, v)| vec![format!("  {k}"), v]).into(), &[]))
}

fn loads(o: &Outcome) -> String {
    if o.loads.is_empty() {
        return String::new();
    }
    let rows = o.loads.iter().map(|(name, l)| {
        let gap = number::seconds(l.longest_gap_ms as f64 / 1_000.0);
        let counts = [l.requests, l.ok, l.failed].map(number::count);
        let latencies = [l.latency.p50_ms, l.latency.p99_ms].map(|ms| number::latency(l.ok, ms));
        [vec![name.clone()], counts.into(), latencies.into(), vec![gap]].concat()
    });
    let headings = ["load", "requests", "ok", "failed", "p50", "p99", "longest gap"];
    grid(&headings, rows.collect(), &[1, 2, 3, 4, 5, 6])
}

fn bounds(o: &Outcome) -> String {
    let verdict = |b: &JudgedBound| if b.holds { "holds" } else { "DOES NOT HOLD" };
    let rows: Vec<Vec<String>> =
        o.bounds.iter().map(|b| vec![b.words.clone(), bound_value(b), verdict(b).to_owned()]).collect();
    if rows.is_empty() { String::new() } else { grid(&["bound", "measured", ""], rows, &[1]) }
}

/// The figure of a bound with its unit.
pub(crate) fn bound_value(bound: &JudgedBound) -> String {
    let Some(value) = bound.value else { return "nothing to measure".into() };
    match bound.unit.as_str() {
        "s" => number::seconds(value),
        "ms" => number::milliseconds(value),
        "%" => number::percent(value),
        unit => format!("{} {unit}", number::short(value)).trim_end().to_owned(),
    }
}

/// A table without borders; the columns named by position are set to the right.
pub(crate) fn grid(header: &[&str], rows: Vec<Vec<String>>, right: &[usize]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if !header.is_empty() {
        table.set_header(header.to_vec());
    }
    for row in rows {
        table.add_row(row);
    }
    for i in right {
        if let Some(column) = table.column_mut(*i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|l| l.strip_prefix(' ').unwrap_or(&l).trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
#[path = "summary/tests.rs"]
mod tests;
