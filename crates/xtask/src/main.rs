//! `cargo xtask`: the commands that CI runs, in Rust, so that a person runs exactly the same ones.
//!
//! Start with [`test`] for what a test run does and in which order, and with [`compose`] for the stack of containers.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command for people; its output is its interface")]

mod bench;
mod check;
mod compose;
mod endure;
mod exec;
mod licences;
mod purity;
mod test;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Development tasks of Perigee
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run everything CI runs, in CI's order, or a part of it; installs what is missing
    Test {
        /// The part; everything without it
        part: Option<test::Part>,
    },
    /// The same as `test` without a part
    Ci,
    /// Start, stop or test the stack of containers
    Compose {
        /// What to do with the stack
        action: compose::Action,
    },
    /// Measure against a peer, in turns, by CPU time
    Bench {
        /// What to measure
        name: bench::Name,
        /// Print a JSON list of records
        #[arg(long)]
        json: bool,
        /// Turns of each side per work; the medians count
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(5..=1_000))]
        rounds: u32,
        #[command(flatten)]
        options: bench::Options,
    },
    /// Crash, cut off and flap a region and a network zone under new connections, and see that none is lost
    Faults(endure::Faults),
    /// Hold idle flows, and see what they cost in memory
    Idle(endure::Idle),
    /// Let checked streams flow for minutes while everything around them is killed and changed
    Soak(endure::Soak),
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Test { part } => test::run(part),
        Task::Ci => test::run(None),
        Task::Compose { action } => compose::run(action),
        Task::Bench { name, json, rounds, options } => bench::run(name, json, rounds, &options),
        Task::Faults(faults) => endure::faults(&faults),
        Task::Idle(idle) => endure::idle(&idle),
        Task::Soak(soak) => endure::soak(&soak),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}
