use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Sources;
use crate::commands::sim::{Seeds, Vary};

/// What can be done with scenarios.
#[derive(Debug, Subcommand)]
pub(crate) enum Sim {
    /// Show the built-in scenarios and their stories
    #[command(after_help = "Example: perigee sim list")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Run a scenario in virtual time: the same decision code on a simulated clock and network
    #[command(
        after_help = "Examples:\n  perigee sim run crash --report ./crash\n  perigee sim run crash --seeds 1..100"
    )]
    Run(Run),
    /// Play a scenario on real sockets: a whole stack in this process, real load, real faults
    #[command(after_help = "Example: perigee sim live crash")]
    Live(Live),
    /// Two runs side by side: scenarios, outcomes that were written, or the two behaviours
    #[command(
        after_help = "Examples:\n  perigee sim compare crash blackhole\n  perigee sim compare crash --behaviours"
    )]
    Compare(Compare),
    /// Run every combination of values for every seed, on all cores
    #[command(after_help = "Example: perigee sim sweep crash --seeds 1..100 --vary behaviour=aws,fast --vary \
                            load.seoul.rate=100,1000 --out crash.parquet")]
    Sweep(Sweep),
    /// Play scenarios live and in virtual time and compare the figures
    #[command(after_help = "Example: perigee sim parity crash --seeds 50")]
    Parity(Parity),
    /// Play random worlds under random faults and check what must always hold, and what must come about afterwards
    #[command(after_help = "Examples:\n  perigee sim fuzz --seeds 1000\n  perigee sim fuzz --seed 4711 --print")]
    Fuzz(Fuzz),
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// A scenario's file, or the name of a built-in one
    pub(crate) scenario: String,
    /// The seed of everything that is left to chance
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Run it for each of these seeds, on all cores, both ends included; one number counts from 1
    #[arg(long, value_name = "A..B", conflicts_with_all = ["seed", "report", "trace", "compare"])]
    pub(crate) seeds: Option<Seeds>,
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// Write a page with plots, and every figure as JSON, into this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
    /// Set the run beside another: a scenario, or an outcome that was written
    #[arg(long, value_name = "SCENARIO|FILE.json")]
    pub(crate) compare: Option<String>,
    /// Write every event, a line each; - is standard output, and then the result goes to standard error
    #[arg(long, value_name = "FILE|-")]
    pub(crate) trace: Option<PathBuf>,
    /// Print the outcome as one JSON object
    #[arg(long, conflicts_with = "compare")]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Fuzz {
    /// The worlds, both ends included; one number counts from 1
    #[arg(long, value_name = "N|A..B", default_value = "1000")]
    pub(crate) seeds: Seeds,
    /// One world alone: plays a violation again
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    pub(crate) seed: Option<u64>,
    /// Print the scenarios instead of playing them
    #[arg(long, conflicts_with = "json")]
    pub(crate) print: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Live {
    /// A scenario's file, or the name of a built-in one
    pub(crate) scenario: String,
    #[command(flatten)]
    pub(crate) ground: Ground,
    /// Print one JSON object: loads, events, bounds
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where a scenario is played on real sockets.
#[derive(Clone, Debug, Args)]
pub(crate) struct Ground {
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// Where the stack's admin API listens
    #[arg(long = "admin", value_name = "ADDRESS:PORT")]
    pub(crate) admin: Option<SocketAddr>,
    /// Where its DNS listens
    #[arg(long = "dns", value_name = "ADDRESS:PORT")]
    pub(crate) dns: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// A scenario, or the outcome.json of a run
    pub(crate) a: String,
    /// Another
    #[arg(required_unless_present = "behaviours")]
    pub(crate) b: Option<String>,
    /// The scenario in aws beside the same in fast: same world, same seed
    #[arg(long, conflicts_with_all = ["b", "behaviour"])]
    pub(crate) behaviours: bool,
    /// The seed of everything that is left to chance
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// Write the comparison as a page into this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Sweep {
    /// A scenario's file, or the name of a built-in one
    pub(crate) scenario: String,
    /// The seeds, both ends included; one number counts from 1
    #[arg(long, value_name = "A..B", default_value = "1..10")]
    pub(crate) seeds: Seeds,
    /// Values of a key of the scenario; repeatable, all combinations are run
    #[arg(long, value_name = "KEY=V1,V2,...")]
    pub(crate) vary: Vec<Vary>,
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// Write a row per run
    #[arg(long, value_name = "FILE.parquet")]
    pub(crate) out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Parity {
    /// Scenarios that can be played live; every built-in one without any
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenarios: Vec<String>,
    /// Seeds of the virtual runs, from 1; or A..B
    #[arg(long, value_name = "N", default_value = "200")]
    pub(crate) seeds: Seeds,
    #[command(flatten)]
    pub(crate) ground: Ground,
    /// Write the table as Markdown
    #[arg(long, value_name = "FILE.md")]
    pub(crate) out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
