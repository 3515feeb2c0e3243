use rayon::prelude::*;
use serde_json::{Map, Value, json};

use super::headline::{cell, headline, spreads};
use super::library::Named;
use super::pace::Pace;
use super::progress::Bar;
use super::verdict::Spread;
use super::worlds::{self, Worlds};
use super::{reports, vary};
use crate::args::sim::Sweep;
use crate::output;

/// One combination of values, ready to run.
struct Combination {
    values: Vec<(String, String)>,
    named: Named,
    world: perigee_sim::World,
}

/// Runs every combination for every seed, on all cores.
pub(super) fn sweep(args: &Sweep) -> Result<(), String> {
    let named = worlds::read(&args.scenario, args.sources.behaviour)?;
    let worlds = Worlds::load(&args.sources)?;
    // All of them before the first run: a wrong value is told at once.
    let ready = |values: Vec<(String, String)>| {
        let named = named.with(&values)?;
        let world = worlds.of(&named.scenario)?;
        Ok(Combination { values, named, world })
    };
    let all: Vec<Combination> = vary::combinations(&args.vary).into_iter().map(ready).collect::<Result<_, String>>()?;
    let seeds = args.seeds.list();
    let jobs: Vec<(usize, u64)> = (0..all.len()).flat_map(|i| seeds.iter().map(move |seed| (i, *seed))).collect();
    let bar = Bar::of_runs(jobs.len());
    let pace = Pace::start();
    let done: Vec<Result<_, String>> = (jobs.par_iter())
        .map(|(i, seed)| {
            let Combination { values, named, world } = &all[*i];
            let outcome = worlds::run(named, world, *seed, &mut ());
            bar.step();
            let outcome = outcome?;
            let row = args.out.is_some().then(|| reports::row(&outcome, values));
            Ok((headline(&outcome), outcome.events, row))
        })
        .collect();
    bar.end();
    let done = done.into_iter().collect::<Result<Vec<_>, String>>()?;
    let speed = pace.end(done.iter().map(|(_, events, _)| events).sum());
    // Jobs are in the order of combinations, so each has a run of rows.
    let figures: Vec<_> = done.iter().map(|(figures, ..)| figures.clone()).collect();
    let table: Vec<(&Combination, Vec<(&str, Spread)>)> =
        all.iter().zip(figures.chunks(seeds.len()).map(spreads)).collect();
    if let Some(file) = &args.out {
        let rows: Vec<_> = done.into_iter().filter_map(|(.., row)| row).collect();
        reports::write_rows(&rows, file)?;
    }
    if args.json {
        let combinations: Vec<Value> = table.iter().map(|(c, figures)| as_json(&c.values, figures)).collect();
        output::line(json!({ "scenario": named.name, "combinations": combinations, "run": speed }).to_string());
        return Ok(());
    }
    let mut header: Vec<&str> = args.vary.iter().map(|v| v.key.as_str()).collect();
    header.extend(table.first().into_iter().flat_map(|(_, figures)| figures.iter().map(|(name, _)| *name)));
    let rows = table.iter().map(|(c, figures)| {
        c.values.iter().map(|(_, value)| value.clone()).chain(figures.iter().map(|(_, s)| cell(s))).collect()
    });
    output::line(output::table(&header, rows.collect()));
    output::line(format!("\nmedian (least..greatest) over seeds {}; {} runs in {speed}", args.seeds, jobs.len()));
    Ok(())
}

fn as_json(values: &[(String, String)], figures: &[(&str, Spread)]) -> Value {
    let values: Map<String, Value> = values.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    let figures: Map<String, Value> = figures.iter().map(|(name, s)| ((*name).to_owned(), json!(s))).collect();
    json!({ "values": values, "figures": figures })
}
