use std::fs::File;
use std::io::{BufWriter, Write, stdout};
use std::path::Path;

use perigee_sim::{Outcome, Progress, Watch};
use serde::Serialize;
use serde_json::json;

use super::headline::{cell, headline, spreads};
use super::library::Named;
use super::list::span;
use super::live::{held, short};
use super::pace::{Pace, Speed, count};
use super::progress::Bar;
use super::reports;
use super::seeds::Seeds;
use super::worlds::{self, Worlds};
use crate::args::sim::Run;
use crate::output;

/// Runs a scenario in virtual time. Fails when something does not hold.
pub(super) fn run(args: &Run) -> Result<(), String> {
    let named = worlds::read(&args.scenario, args.sources.behaviour)?;
    let worlds = Worlds::load(&args.sources)?;
    if let Some(seeds) = &args.seeds {
        return many(&named, &worlds, seeds, args.json);
    }
    let world = worlds.of(&named.scenario)?;
    let mut watcher = Watcher::new(args.trace.as_deref())?;
    let pace = Pace::start();
    let outcome = worlds::run(&named, &world, args.seed, &mut watcher)?;
    let speed = pace.end(outcome.events);
    watcher.end()?;
    let to_stdout = args.trace.as_deref() == Some(Path::new("-"));
    let say = |text: String| if to_stdout { output::note(text) } else { output::line(text) };
    if args.json {
        say(with_speed(&outcome, &speed)?);
    } else {
        say(reports::summary(&outcome));
        say(format!("\n{} of virtual time in {speed}", span(outcome.duration_s)));
    }
    if let Some(dir) = &args.report {
        reports::write(&outcome, dir)?;
    }
    if let Some(other) = &args.compare {
        let mut watcher = Watcher::new(None)?;
        let other = worlds::outcome_of(other, &args.sources, args.seed, &mut watcher)?;
        watcher.end()?;
        say(format!("\n{}", reports::compare(&outcome, &other, args.report.as_deref())?));
        return held(&named.name, &outcome.bounds).and_then(|()| held(&other.scenario, &other.bounds));
    }
    held(&named.name, &outcome.bounds)
}

/// The outcome as one JSON object, with how fast it came.
fn with_speed(outcome: &Outcome, speed: &Speed) -> Result<String, String> {
    #[derive(Serialize)]
    struct Whole<'a> {
        #[serde(flatten)]
        outcome: &'a Outcome,
        run: &'a Speed,
    }
    serde_json::to_string(&Whole { outcome, run: speed }).map_err(|e| e.to_string())
}

/// Runs it for many seeds: a row each.
fn many(named: &Named, worlds: &Worlds, seeds: &Seeds, as_json: bool) -> Result<(), String> {
    let world = worlds.of(&named.scenario)?;
    let list = seeds.list();
    let bar = Bar::of_runs(list.len());
    let pace = Pace::start();
    let runs = worlds::run_seeds(named, &world, &list, &bar, |outcome| {
        (headline(&outcome), outcome.seed, outcome.trace_hash, outcome.events, outcome.bounds)
    })?;
    bar.end();
    let speed = pace.end(runs.iter().map(|(.., events, _)| events).sum());
    let figures: Vec<_> = runs.iter().map(|(figures, ..)| figures.clone()).collect();
    let spreads = spreads(&figures);
    if as_json {
        let rows = runs.iter().map(|(figures, seed, trace_hash, events, bounds)| {
            let figures: serde_json::Map<_, _> = figures.iter().map(|(n, v)| ((*n).to_owned(), json!(v))).collect();
            json!({ "seed": seed, "trace_hash": trace_hash, "events": events, "figures": figures, "bounds": bounds })
        });
        let rows: Vec<_> = rows.collect();
        let figures: serde_json::Map<_, _> = spreads.iter().map(|(n, s)| ((*n).to_owned(), json!(s))).collect();
        let scenario = &named.name;
        output::line(json!({ "scenario": scenario, "seeds": rows, "figures": figures, "run": speed }).to_string());
    } else {
        let mut header = vec!["seed"];
        header.extend(spreads.iter().map(|(name, _)| *name));
        let row = |(figures, seed, ..): &(Vec<(&str, f64)>, u64, _, _, _)| {
            std::iter::once(seed.to_string()).chain(figures.iter().map(|(_, v)| short(*v))).collect()
        };
        let mut rows: Vec<Vec<String>> = runs.iter().map(row).collect();
        rows.push(std::iter::once("median".to_owned()).chain(spreads.iter().map(|(_, s)| cell(s))).collect());
        output::line(output::table(&header, rows));
        output::line(format!("\n{} runs in {speed}", list.len()));
    }
    match runs.iter().filter(|(.., bounds)| bounds.iter().any(|b| !b.holds)).count() {
        0 => Ok(()),
        broken => Err(format!("{}: bounds do not hold for {broken} of {} seeds", named.name, list.len())),
    }
}

/// Looks on: a bar after two seconds, and the trace if it is wanted.
pub(super) struct Watcher {
    bar: Bar,
    trace: Option<BufWriter<Box<dyn Write>>>,
    problem: Option<std::io::Error>,
    pace: Pace,
}

impl Watcher {
    /// One that writes the trace into `trace`; `-` is standard output.
    ///
    /// Errors: the file cannot be made.
    pub(super) fn new(trace: Option<&Path>) -> Result<Self, String> {
        let open = |path: &Path| -> Result<Box<dyn Write>, String> {
            if path == Path::new("-") {
                return Ok(Box::new(stdout()));
            }
            Ok(Box::new(File::create(path).map_err(|e| format!("{}: {e}", path.display()))?))
        };
        let trace = trace.map(open).transpose()?.map(BufWriter::new);
        let bar = Bar::new(1_000, "{bar:30} {msg}");
        Ok(Self { bar, trace, problem: None, pace: Pace::start() })
    }

    /// Takes the bar away and writes the rest of the trace.
    ///
    /// Errors: the trace could not be written.
    pub(super) fn end(mut self) -> Result<(), String> {
        self.bar.end();
        let rest = self.trace.as_mut().map_or(Ok(()), Write::flush);
        match self.problem.map_or(rest, Err) {
            // Whoever read it has enough, as `head` does.
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(format!("the trace cannot be written: {e}")),
            _ => Ok(()),
        }
    }
}

impl Watch for Watcher {
    fn progress(&mut self, progress: &Progress) {
        let done = if progress.of_s > 0.0 { progress.at_s / progress.of_s } else { 1.0 };
        let speed = count(self.pace.end(progress.events).events_per_s);
        let message = format!("{} of {}, {speed} events a second", span(progress.at_s), span(progress.of_s));
        self.bar.at((1_000.0 * done) as u64, message);
    }

    fn trace(&mut self, line: &str) {
        if let Some(file) = &mut self.trace
            && let Err(error) = writeln!(file, "{line}")
        {
            self.problem = Some(error);
            self.trace = None;
        }
    }

    fn wants_trace(&self) -> bool {
        self.trace.is_some()
    }
}
