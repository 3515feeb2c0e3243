//! `cargo xtask faults|idle|soak`: what has to hold whatever the speed, under faults, with very many flows, over time.
//!
//! As with [`bench`](crate::bench), the measuring programs are bench targets, built as a release is. They print a
//! figure per line with the bound that it has to hold, if it has one, and fail when one does not.

use std::fmt::Write;
use std::process::Stdio;

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::bench::{release_binary, values};
use crate::exec::{Failure, cargo};
use crate::tools;

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tier {
    /// The accelerator's entry
    Edge,
}

/// Arguments of `faults`.
#[derive(Args, Debug)]
pub(crate) struct Faults {
    /// What is tried
    tier: Tier,
    /// New connections a second
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Seconds of load for each fault, the first two before it
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(3..=3_600))]
    secs: u32,
    /// Print a JSON list of figures
    #[arg(long)]
    json: bool,
}

/// Arguments of `idle`.
#[derive(Args, Debug)]
pub(crate) struct Idle {
    /// What is tried
    tier: Tier,
    /// Flows; fewer where the system does not allow a process so many open files
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..=1_000_000))]
    flows: u32,
    /// Print a JSON list of figures
    #[arg(long)]
    json: bool,
}

/// Arguments of `soak`.
#[derive(Args, Debug)]
pub(crate) struct Soak {
    /// What is tried
    tier: Tier,
    /// How long
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// Seed of everything random; one is drawn and printed without it
    #[arg(long)]
    seed: Option<u64>,
    /// Print a JSON list of figures
    #[arg(long)]
    json: bool,
}

/// Runs the faults. Errors, here and below: the measurement cannot be made, or a bound does not hold.
pub(crate) fn faults(Faults { tier: Tier::Edge, rate, secs, json }: &Faults) -> Result<(), Failure> {
    measure("edge_faults", &["--rate".into(), rate.to_string(), "--secs".into(), secs.to_string()], *json)
}

/// Holds the flows.
pub(crate) fn idle(Idle { tier: Tier::Edge, flows, json }: &Idle) -> Result<(), Failure> {
    measure("edge_idle", &["--flows".into(), flows.to_string()], *json)
}

/// Soaks.
pub(crate) fn soak(Soak { tier: Tier::Edge, minutes, seed, json }: &Soak) -> Result<(), Failure> {
    let mut arguments = vec!["--minutes".to_owned(), minutes.to_string()];
    arguments.extend(seed.iter().flat_map(|seed| ["--seed".to_owned(), seed.to_string()]));
    measure("edge_soak", &arguments, *json)
}

/// Builds and runs the bench target; what happens is shown, and then the figures.
fn measure(bench: &str, arguments: &[String], json: bool) -> Result<(), Failure> {
    tools::measuring()?;
    eprintln!("building and running the bench target `{bench}`, which takes minutes the first time");
    let mut command = cargo(["bench", "--quiet", "--locked", "--package", "perigee-bench", "--bench", bench, "--"]);
    command.args(arguments).env("TEST_PERIGEE", release_binary()?).stderr(Stdio::inherit());
    let output = command.output().map_err(|e| Failure::new(format!("cannot start cargo: {e}")))?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let figures = values(&printed)?;
    if json {
        println!("{:#}", Value::Array(figures.clone()));
    } else {
        print!("{}", table(&figures));
    }
    let failed: Vec<&str> =
        figures.iter().filter(|figure| figure["holds"] != true).filter_map(|f| f["what"].as_str()).collect();
    if !failed.is_empty() {
        return Err(Failure::new(format!("does not hold: {}", failed.join("; "))));
    }
    // Cargo repeats the program's own status.
    if output.status.success() { Ok(()) } else { Err(Failure::new(format!("`{bench}` failed: {}", output.status))) }
}

/// For people: a line per figure, with its bound.
fn table(figures: &[Value]) -> String {
    let width = figures.iter().filter_map(|figure| figure["what"].as_str()).map(str::len).max().unwrap_or(0);
    let mut table = String::new();
    for figure in figures {
        let what = figure["what"].as_str().unwrap_or_default();
        let unit = figure["unit"].as_str().unwrap_or_default();
        let number = figure["figure"].as_f64().map_or_else(|| "unknown".to_owned(), shown);
        let bound = match figure["at_most"].as_f64() {
            Some(most) if figure["holds"] == true => format!(" (at most {}: holds)", shown(most)),
            Some(most) => format!(" (at most {}: DOES NOT HOLD)", shown(most)),
            None => String::new(),
        };
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        let _ = writeln!(table, "{what:width$}  {number:>12}{unit}{bound}");
    }
    table
}

/// Numbers of things as they are, others with a digit behind the point.
fn shown(figure: f64) -> String {
    if figure.fract() == 0.0 { format!("{figure:.0}") } else { format!("{figure:.1}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::exec::root;

    #[test]
    fn a_bound_that_does_not_hold_is_seen() {
        let figures = [
            json!({ "what": "failed", "figure": 3.0, "unit": "", "at_most": 0.0, "holds": false }),
            json!({ "what": "waited", "figure": 12.345, "unit": "ms", "at_most": 1_000.0, "holds": true }),
            json!({ "what": "unknown", "figure": null, "unit": "", "at_most": 0.0, "holds": false }),
        ];
        let table = table(&figures);
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].contains(" 3 (at most 0: DOES NOT HOLD)"), "{table}");
        assert!(lines[1].contains(" 12.3 ms (at most 1000: holds)"), "{table}");
        assert!(lines[2].contains("unknown (at most 0: DOES NOT HOLD)"), "{table}");
    }

    #[test]
    fn every_measuring_program_is_there() {
        for bench in ["edge_faults", "edge_idle", "edge_soak"] {
            assert!(root().join(format!("crates/bench/benches/{bench}.rs")).exists(), "{bench}");
        }
    }
}
