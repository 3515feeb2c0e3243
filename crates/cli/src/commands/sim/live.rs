use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};
use perigee_load::Second;
use perigee_sim::JudgedBound;
use serde_json::json;

use super::library;
use super::player::{Played, play};
use crate::args::sim::Live;
use crate::logging;
use crate::output::{self, GREEN, RED, is_terminal, paint};

/// Plays a scenario on real sockets. Fails when something does not hold.
pub(super) async fn live(args: Live) -> Result<(), String> {
    let named = library::read(&args.scenario)?;
    named.scenario.playable_live().map_err(|why| format!("{}: {why}", named.name))?;
    logging::start("error");
    let bar = (!args.json && stderr().is_terminal()).then(|| {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} s  {msg}");
        let bar = ProgressBar::new(named.scenario.duration_s().ceil() as u64);
        bar.set_message("waiting until everything is healthy");
        style.map(|s| bar.clone().with_style(s)).unwrap_or(bar)
    });
    let shown = bar.clone();
    let on_second = move |load: &str, second: &Second| {
        if let Some(bar) = &shown {
            bar.set_message(load.to_owned());
            bar.set_position(second.second);
            bar.println(format!("{load:<10} {second}"));
        }
    };
    let played = play(&named.scenario, &args.ground, on_second).await;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let played = played.map_err(|e| format!("{}: {e}", named.name))?;
    if args.json {
        let Played { printed, events, bounds, .. } = &played;
        output::line(json!({ "loads": printed, "events": events, "bounds": bounds }).to_string());
    } else {
        people(&named.scenario.story, &played);
    }
    held(&named.name, &played.bounds)
}

fn people(story: &str, played: &Played) {
    output::line(story);
    let rows = played.loads.iter().map(|(name, load)| {
        let failed: Vec<String> = load.failed_by_kind.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        let all: u64 = load.regions.values().map(|a| a.answers).sum();
        let share = |n: u64| n as f64 * 100.0 / all.max(1) as f64;
        let regions: Vec<String> = load.regions.iter().map(|(r, a)| format!("{r} {:.1} %", share(a.answers))).collect();
        vec![
            name.clone(),
            load.requests.to_string(),
            if failed.is_empty() { "0".to_owned() } else { failed.join(", ") },
            format!("{} ms", load.longest_gap_ms),
            format!("{:.1} ms", load.latency.p50_ms),
            format!("{:.1} ms", load.latency.p99_ms),
            regions.join(", "),
        ]
    });
    let header = ["load", "requests", "failed", "longest gap", "p50", "p99", "answers"];
    output::line(format!("\n{}", output::table(&header, rows.collect())));
    output::line(format!("\n{}", verdicts(&played.bounds)));
}

/// A table of what had to hold.
pub(super) fn verdicts(bounds: &[JudgedBound]) -> String {
    let rows = bounds.iter().map(|bound| {
        let value = bound.value.map_or_else(|| "cannot be told".to_owned(), |v| format!("{} {}", short(v), bound.unit));
        let (word, colour) = if bound.holds { ("holds", GREEN) } else { ("DOES NOT HOLD", RED) };
        vec![bound.words.clone(), value, paint(word, colour, is_terminal())]
    });
    output::table(&["must hold", "measured", ""], rows.collect())
}

/// A number without digits that say nothing.
pub(super) fn short(value: f64) -> String {
    if value.fract().abs() < 1e-9 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// Errors when a bound does not hold.
pub(super) fn held(name: &str, bounds: &[JudgedBound]) -> Result<(), String> {
    match bounds.iter().filter(|b| !b.holds).count() {
        0 => Ok(()),
        broken => Err(format!("{name}: {broken} of {} bounds do not hold", bounds.len())),
    }
}
