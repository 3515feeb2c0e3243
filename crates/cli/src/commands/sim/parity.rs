use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;
use serde_json::json;

use super::figures::{Figure, figures, virtual_events};
use super::library::{self, Named};
use super::live::short;
use super::player::play;
use super::progress::Bar;
use super::verdict::{Spread, TOLERANCE, Verdict, resolution};
use super::worlds::{self, Worlds};
use crate::args::sim::Parity;
use crate::logging;
use crate::output::{self, GREEN, RED, is_terminal, paint};

/// A figure, live and virtual.
#[derive(Clone, Debug, Serialize)]
struct Row {
    scenario: String,
    figure: String,
    unit: String,
    live: Option<f64>,
    /// Of the seeds where it could be told.
    seeds: Option<Spread>,
    /// Seeds where it could not.
    seeds_untold: usize,
    verdict: Verdict,
}

/// Plays scenarios live and virtually and compares. Fails when a figure differs.
pub(super) async fn parity(args: Parity) -> Result<(), String> {
    logging::start("error");
    let chosen = choose(&args.scenarios)?;
    let worlds = Worlds::load(&args.ground.sources)?;
    let mut rows = Vec::new();
    for named in &chosen {
        output::note(format!("{}: live, then {} seeds in virtual time", named.name, args.seeds.list().len()));
        rows.extend(compare(named, &worlds, &args).await?);
    }
    if let Some(file) = &args.out {
        let text = markdown(&rows, &command(&args, file));
        std::fs::write(file, text).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    let differ = rows.iter().filter(|row| row.verdict == Verdict::Differs).count();
    if args.json {
        output::line(json!({ "figures": rows, "differ": differ }).to_string());
    } else {
        output::line(output::table(&HEADER, rows.iter().map(|row| cells(row, true)).collect()));
        output::line(format!("\n{}", rule()));
    }
    if differ == 0 { Ok(()) } else { Err(format!("{differ} of {} figures differ", rows.len())) }
}

/// Those named, or every built-in one that can be played live.
fn choose(names: &[String]) -> Result<Vec<Named>, String> {
    if names.is_empty() {
        let all = library::all()?;
        return Ok(all.into_iter().filter(|named| named.scenario.playable_live().is_ok()).collect());
    }
    let chosen: Vec<Named> = names.iter().map(|name| library::read(name)).collect::<Result<_, _>>()?;
    for named in &chosen {
        named.scenario.playable_live().map_err(|why| format!("{}: {why}", named.name))?;
    }
    Ok(chosen)
}

async fn compare(named: &Named, worlds: &Worlds, args: &Parity) -> Result<Vec<Row>, String> {
    let (scenario, regions) = (&named.scenario, worlds.regions());
    let played = play(scenario, &args.ground, |_, _| {}).await.map_err(|e| format!("{}: {e}", named.name))?;
    let live = figures(scenario, &regions, &played.loads, &played.events);
    let world = worlds.of(scenario)?;
    let seeds = args.seeds.list();
    let bar = Bar::of_runs(seeds.len());
    let events = virtual_events(scenario);
    let runs: Vec<Vec<Figure>> =
        worlds::run_seeds(named, &world, &seeds, &bar, |outcome| figures(scenario, &regions, &outcome.loads, &events))?;
    bar.end();
    let row = |(i, figure): (usize, Figure)| {
        let values: Vec<Option<f64>> = runs.iter().map(|run| run.get(i).and_then(|f| f.value)).collect();
        let verdict = Verdict::of(figure.value, &values, &figure.unit);
        let told: Vec<f64> = values.iter().copied().flatten().collect();
        let seeds_untold = values.len() - told.len();
        Row {
            scenario: named.name.clone(),
            figure: figure.name,
            unit: figure.unit,
            live: figure.value,
            seeds: Spread::of(told),
            seeds_untold,
            verdict,
        }
    };
    Ok(live.into_iter().enumerate().map(row).collect())
}

const HEADER: [&str; 6] = ["scenario", "figure", "live", "virtual median", "virtual band", "verdict"];

fn cells(row: &Row, colours: bool) -> Vec<String> {
    let told = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{} {}", short(v), row.unit));
    let band = row.seeds.map_or_else(|| "-".to_owned(), |s| format!("{}..{}", short(s.min), short(s.max)));
    let untold = if row.seeds_untold > 0 { format!(" ({} untold)", row.seeds_untold) } else { String::new() };
    let colour = if row.verdict == Verdict::Differs { RED } else { GREEN };
    vec![
        row.scenario.clone(),
        row.figure.clone(),
        told(row.live),
        told(row.seeds.map(|s| s.median)),
        band + &untold,
        paint(row.verdict.words(), colour, colours && is_terminal()),
    ]
}

/// When two figures are the same, in words.
fn rule() -> String {
    format!(
        "The same: within {:.0} % of the median over the seeds, or within {:.0} % of the band from the least to the \
         greatest; differences of up to {} request, {} ms and {} percentage points are below the resolution.",
        100.0 * TOLERANCE,
        100.0 * TOLERANCE,
        resolution("requests"),
        resolution("ms"),
        resolution("%"),
    )
}

/// The command that makes the file again.
fn command(args: &Parity, file: &Path) -> String {
    let mut command = String::from("perigee sim parity");
    for name in &args.scenarios {
        let _ = write!(command, " {name}");
    }
    let file = file.file_name().unwrap_or_default().to_string_lossy();
    let _ = write!(command, " --seeds {} --out {file}", args.seeds);
    command
}

fn markdown(rows: &[Row], command: &str) -> String {
    let mut text = format!("<!-- Made by `{command}`; not edited by hand. -->\n\n# Live and virtual time\n\n");
    let _ =
        writeln!(text, "Each scenario is played once on real sockets and once per seed in virtual time. {}\n", rule());
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    text += &line(&HEADER.map(str::to_owned));
    text += &line(&HEADER.map(|_| "---".to_owned()));
    for row in rows {
        text += &line(&cells(row, false));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_names_every_live_scenario_is_compared_and_a_virtual_one_is_refused() {
        let all = choose(&[]).unwrap();
        assert!(all.len() >= 4 && all.iter().all(|named| named.scenario.playable_live().is_ok()));
        assert_eq!(choose(&["crash".to_owned()]).unwrap().len(), 1);
        assert!(choose(&["no-such-scenario".to_owned()]).is_err());
    }

    #[test]
    fn the_file_says_how_it_was_made_and_has_a_row_per_figure() {
        let row = Row {
            scenario: "crash".to_owned(),
            figure: "seoul: outage".to_owned(),
            unit: "ms".to_owned(),
            live: Some(12.0),
            seeds: Spread::of(vec![9.0, 10.0, 20.0]),
            seeds_untold: 0,
            verdict: Verdict::of(Some(12.0), &[Some(9.0), Some(10.0), Some(20.0)], "ms"),
        };
        let text = markdown(&[row], "perigee sim parity --seeds 1..3 --out parity.md");
        assert!(text.starts_with("<!-- Made by `perigee sim parity --seeds 1..3 --out parity.md`"), "{text}");
        let last = text.lines().last().unwrap();
        assert_eq!(last, "| crash | seoul: outage | 12 ms | 10 ms | 9..20 | within 5 % of the median |");
    }
}
