use perigee_sim::Outcome;

use crate::clock::Clock;
use crate::figures::{Unit, kind_in_words, spans};
use crate::page::{Cell, document, figure, fold, footer, section, table, tile};
use crate::palette::{Palette, hex};
use crate::plots::Picture;
use crate::{ReportError, markup, number, pictures};

/// More moments than these are folded away.
const MOMENTS_OPEN: usize = 30;
/// More moments than these are left to `outcome.json`: a page must stay light.
const MOMENTS_MAX: usize = 1_000;

/// A run as one page of HTML: style and pictures are inside, nothing is fetched from elsewhere and no script runs.
///
/// It follows the reader's choice of light or dark. Errors: what [`pictures`] says.
pub fn html(outcome: &Outcome) -> Result<String, ReportError> {
    Ok(page_of(outcome, &pictures(outcome)?))
}

/// The page around pictures that are there already.
pub(crate) fn page_of(outcome: &Outcome, pictures: &[Picture]) -> String {
    let plots = |kind: &[&str]| -> String {
        let wanted = pictures.iter().filter(|p| kind.iter().any(|k| p.name.starts_with(k)));
        wanted.map(|p| figure(&p.svg)).collect()
    };
    let clock = Clock::of(outcome);
    let body = [
        header(outcome),
        tiles(outcome),
        section("Bounds", &bounds(outcome)),
        section("Failovers", &failovers(outcome, pictures, &clock)),
        section("Traffic", &plots(&["requests", "errors"])),
        section("Latency", &plots(&["latency"])),
        section("Where clients were sent", &(plots(&["shares", "map-"]) + &regions(outcome))),
        section("Load on regions", &(plots(&["utilisation"]))),
        section("Cost", &cost(outcome)),
        section("Loads", &loads(outcome)),
        section("What happened", &moments(outcome, &clock)),
        section("Decisions explained", &explanations(outcome, &clock)),
        footer(&[&outcome.attribution]),
    ];
    document(&format!("{} - Perigee", outcome.scenario), "", &body.concat())
}

/// Name, story and how to have the same run again.
pub(crate) fn header(outcome: &Outcome) -> String {
    let clock = Clock::of(outcome);
    let name = markup::escape(&outcome.scenario);
    let replay = format!("perigee sim run {} --seed {}", outcome.scenario, outcome.seed);
    let facts = [
        ("Behaviour", outcome.behaviour.clone()),
        ("Seed", outcome.seed.to_string()),
        ("Begins", format!("{} {}", clock.time(0.0), clock.zone())),
        ("Lasts", number::seconds(outcome.duration_s)),
        ("Events", number::count(outcome.events)),
        ("Trace", outcome.trace_hash.clone()),
    ];
    let facts: String =
        facts.iter().map(|(k, v)| format!("<span>{k} <code>{}</code></span>", markup::escape(v))).collect();
    format!(
        "<header>\n<h1>{name}</h1>\n<p class=\"story\">{}</p>\n<div class=\"facts\">{facts}</div>\n\
         <pre aria-label=\"the command that replays this run\">{}</pre>\n</header>\n",
        markup::escape(&outcome.story),
        markup::escape(&replay)
    )
}

fn tiles(outcome: &Outcome) -> String {
    let (totals, cost) = (&outcome.totals, &outcome.cost);
    let mut all = vec![
        (number::count(totals.requests), "requests".to_owned()),
        (number::count(cost.requests_lost), "requests lost".into()),
        (number::percent(cost.lost_percent), "of all requests lost".into()),
        (number::latency(totals.latency.count, totals.latency.p50_ms), "median latency".into()),
        (number::latency(totals.latency.count, totals.latency.p99_ms), "99th percentile".into()),
        (Unit::Minutes.say(cost.bad_minutes), "with more than 1 % lost".into()),
        (Unit::Minutes.say(cost.overload_minutes), "of overload, over regions".into()),
    ];
    if let Some(first) = outcome.anatomies.first() {
        if let Some(span) = first.all_detected_s {
            all.push((number::seconds(span), format!("until every edge knew of {}", first.event)));
        }
        if let Some(span) = first.dns_tail_s {
            all.push((number::seconds(span), format!("tail of the DNS caches after {}", first.event)));
        }
    }
    if outcome.clients > 0 {
        all.insert(0, (number::count(outcome.clients), "clients".into()));
    }
    format!("<div class=\"tiles\">\n{}</div>\n", all.iter().map(|(value, name)| tile(value, name)).collect::<String>())
}

fn bounds(outcome: &Outcome) -> String {
    let rows: Vec<Vec<Cell>> = outcome
        .bounds
        .iter()
        .map(|b| {
            let verdict = if b.holds { "holds" } else { "DOES NOT HOLD" };
            let value = crate::summary::bound_value(b);
            vec![Cell::text(&b.words), Cell::number(value), Cell::Verdict(verdict.into(), b.holds)]
        })
        .collect();
    table(&["bound", "measured", ""], &rows)
}

/// Each failover's own picture and close-ups, then all of them in numbers.
fn failovers(outcome: &Outcome, pictures: &[Picture], clock: &Clock) -> String {
    let mut out = String::new();
    for i in 1..=outcome.anatomies.len() {
        let (own, near) = (format!("anatomy-{i}"), format!("near-{i}-"));
        let wanted = pictures.iter().filter(|p| p.name == own || p.name.starts_with(&near));
        out.extend(wanted.map(|p| figure(&p.svg)));
    }
    out + &anatomies(outcome, clock)
}

/// A column per failover.
fn anatomies(outcome: &Outcome, clock: &Clock) -> String {
    let Some(first) = outcome.anatomies.first() else { return String::new() };
    let all: Vec<_> = outcome.anatomies.iter().map(spans).collect();
    let headings = std::iter::once("").chain(outcome.anatomies.iter().map(|a| a.event.as_str()));
    let mut begun = vec![Cell::text("time of day")];
    begun.extend(outcome.anatomies.iter().map(|a| Cell::number(clock.time(a.at_s))));
    let mut rows = vec![begun];
    for (i, figure) in spans(first).iter().enumerate() {
        let mut row = vec![Cell::text(&figure.name)];
        row.extend(all.iter().map(|figures| Cell::number(figures[i].say())));
        rows.push(row);
    }
    table(&headings.collect::<Vec<_>>(), &rows)
}

fn regions(outcome: &Outcome) -> String {
    let palette = Palette::of(&[outcome]);
    let rows: Vec<Vec<Cell>> = crate::summary::region_totals(outcome)
        .into_iter()
        .map(|r| {
            vec![
                Cell::Coloured(format!("{} {}", r.code, r.city), hex(palette.colour(&r.code))),
                Cell::number(number::count(r.ok)),
                Cell::number(number::percent(r.share_percent)),
                Cell::number(number::count(r.failed)),
                Cell::number(number::percent(100.0 * r.peak)),
            ]
        })
        .collect();
    match rows.is_empty() {
        true => String::new(),
        false => fold(
            "All regions in numbers",
            &table(&["region", "answered well", "share", "failed", "highest utilisation"], &rows),
        ),
    }
}

fn cost(outcome: &Outcome) -> String {
    let cost = &outcome.cost;
    let mut rows = vec![
        vec![Cell::text("requests lost"), Cell::number(number::count(cost.requests_lost))],
        vec![Cell::text("of all requests"), Cell::number(number::percent(cost.lost_percent))],
        vec![Cell::text("minutes with more than 1 % lost"), Cell::number(Unit::Minutes.say(cost.bad_minutes))],
        vec![Cell::text("minutes of overload, over regions"), Cell::number(Unit::Minutes.say(cost.overload_minutes))],
    ];
    for (kind, failed) in &outcome.totals.failed {
        rows.push(vec![Cell::text(format!("failed: {}", kind_in_words(kind))), Cell::number(number::count(*failed))]);
    }
    for (region, minutes) in &cost.overload_minutes_by_region {
        rows.push(vec![Cell::text(format!("overload of {region}")), Cell::number(Unit::Minutes.say(*minutes))]);
    }
    table(&["", ""], &rows)
}

fn loads(outcome: &Outcome) -> String {
    let rows: Vec<Vec<Cell>> = outcome
        .loads
        .iter()
        .map(|(name, l)| {
            let kinds: Vec<String> =
                l.failed_by_kind.iter().map(|(k, n)| format!("{n} {}", kind_in_words(k))).collect();
            let regions: Vec<String> =
                l.regions.iter().map(|(code, a)| format!("{code} {}", number::count(a.answers))).collect();
            vec![
                Cell::text(name),
                Cell::number(number::count(l.requests)),
                Cell::number(number::count(l.ok)),
                Cell::number(number::count(l.failed)),
                Cell::number(number::latency(l.ok, l.latency.p50_ms)),
                Cell::number(number::latency(l.ok, l.latency.p99_ms)),
                Cell::number(number::seconds(l.longest_gap_ms as f64 / 1_000.0)),
                Cell::text(regions.join(", ")),
                Cell::text(kinds.join(", ")),
            ]
        })
        .collect();
    let headings = ["load", "requests", "ok", "failed", "p50", "p99", "longest gap", "answers by region", "failures"];
    table(&headings, &rows)
}

fn moments(outcome: &Outcome, clock: &Clock) -> String {
    let all = outcome.moments.len();
    let rows: Vec<Vec<Cell>> = outcome
        .moments
        .iter()
        .take(MOMENTS_MAX)
        .map(|m| vec![Cell::text(clock.time(m.at_s)), Cell::text(&m.kind), Cell::text(&m.what), Cell::text(&m.text)])
        .collect();
    let table = table(&["time of day", "kind", "of", ""], &rows);
    match rows.len() {
        MOMENTS_MAX if all > MOMENTS_MAX => {
            let [shown, all] = [MOMENTS_MAX, all].map(|n| number::count(n as u64));
            fold(&format!("The first {shown} of {all} moments; all are in outcome.json"), &table)
        }
        n if n > MOMENTS_OPEN => fold(&format!("{} moments", number::count(n as u64)), &table),
        _ => table,
    }
}

fn explanations(outcome: &Outcome, clock: &Clock) -> String {
    let explained = outcome.explanations.iter();
    explained
        .map(|(at_s, text)| format!("<h3>{}</h3>\n<pre>{}</pre>\n", clock.time(*at_s), markup::escape(text)))
        .collect()
}

#[cfg(test)]
#[path = "html/tests.rs"]
mod tests;
