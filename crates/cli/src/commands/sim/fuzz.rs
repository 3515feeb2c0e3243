use std::collections::BTreeMap;

use perigee_sim::{FuzzGround, FuzzReport, Violation, fuzz_scenario};
use rayon::prelude::*;
use serde_json::json;

use super::pace::Pace;
use super::progress::Bar;
use crate::args::sim::Fuzz;
use crate::output;

/// Violations that are printed one by one.
const PRINTED: usize = 10;

/// Plays random worlds on all cores and says what broke.
pub(super) fn fuzz(args: &Fuzz) -> Result<(), String> {
    let ground = FuzzGround::new()?;
    let seeds = args.seed.map_or_else(|| args.seeds.list(), |seed| vec![seed]);
    if args.print {
        for seed in seeds {
            output::line(fuzz_scenario(&ground, seed)?);
        }
        return Ok(());
    }
    let bar = Bar::of_runs(seeds.len());
    let pace = Pace::start();
    let played: Vec<Result<FuzzReport, Violation>> = (seeds.par_iter())
        .map(|seed| {
            let played = perigee_sim::fuzz(&ground, *seed);
            bar.step();
            played
        })
        .collect();
    bar.end();
    let reports: Vec<&FuzzReport> = played.iter().filter_map(|p| p.as_ref().ok()).collect();
    let violations: Vec<&Violation> = played.iter().filter_map(|p| p.as_ref().err()).collect();
    let speed = pace.end(reports.iter().map(|r| r.events).sum());
    let requests: u64 = reports.iter().map(|r| r.requests).sum();
    let virtual_s: f64 = reports.iter().map(|r| r.duration_s).sum();
    let mut reached: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, n) in reports.iter().flat_map(|r| &r.reached) {
        *reached.entry(name).or_default() += n;
    }
    if args.json {
        let all: Vec<_> = violations.iter().map(|v| json!({ "violation": v, "line": v.to_string() })).collect();
        output::line(
            json!({ "seeds": seeds.len(), "requests": requests, "virtual_s": virtual_s, "reached": reached,
                    "violations": all, "run": speed })
            .to_string(),
        );
    } else {
        let rows = reached.iter().map(|(name, n)| vec![(*name).to_owned(), n.to_string()]);
        output::line(output::table(&["reached", "times"], rows.collect()));
        let worlds = seeds.len();
        output::line(format!("\n{worlds} worlds, {requests} requests in {virtual_s:.0} virtual seconds; {speed}"));
        violations.iter().take(PRINTED).for_each(|violation| output::line(format!("\n{violation}")));
    }
    match violations.len() {
        0 => Ok(()),
        n => Err(format!("{n} of {} worlds broke a rule", seeds.len())),
    }
}
