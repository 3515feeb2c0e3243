//! The `perigee` command: wires the configuration, the pure core and the shells together, and talks to people.
//!
//! It decides nothing about traffic. [`stack`] is the composition root, `args` what people type, `commands` what they
//! see.

mod args;
mod commands;
mod geography;
mod hosts;
mod lab;
mod logging;
mod output;
mod stack;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output::failure(&format!("cannot start: {error}")),
    };
    let done = runtime.block_on(run(cli.command));
    // Blocking reads that nobody waits for any more must not hold the process.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => output::failure(&problem),
    }
}

async fn run(command: Command) -> Result<(), String> {
    match command {
        Command::Up(up) => commands::up::up(up).await,
        Command::Run(role) => commands::up::run(role).await,
        Command::Check(check) => commands::check::check(&check),
        Command::Status(status) => commands::status::status(&status).await,
        Command::Explain(explain) => commands::explain::explain(explain).await,
        Command::Mappings(mappings) => commands::mappings::mappings(mappings).await,
        Command::Kill(kill) => commands::faults::kill(kill).await,
        Command::Restore(restore) => commands::faults::restore(restore).await,
        Command::Reload(reload) => commands::faults::reload(&reload).await,
        Command::Load(load) => commands::load::load(load).await,
        Command::Sim(sim) => commands::sim::sim(sim).await,
        Command::Geo(geo) => commands::geo::geo(&geo),
        Command::Dns(dns) => commands::dns::dns(dns),
        Command::Completions { shell } => commands::shell::completions(shell),
        Command::Man { dir } => commands::shell::man(&dir),
        Command::Lab(lab) => match lab.run().await? {},
    }
}
