//! `perigee sim`: scenarios on real sockets and in virtual time.

mod compare;
mod figures;
mod fuzz;
mod headline;
mod library;
mod list;
mod live;
mod pace;
mod parity;
mod player;
mod progress;
mod reports;
mod run;
mod seeds;
mod sweep;
mod vary;
mod verdict;
mod worlds;

use crate::args::sim::Sim;
pub(crate) use seeds::Seeds;
pub(crate) use vary::Vary;

/// Does what was asked.
pub(crate) async fn sim(command: Sim) -> Result<(), String> {
    match command {
        Sim::List { json } => list::list(json),
        // Nothing else runs in this process while a simulation has its cores.
        Sim::Run(args) => run::run(&args),
        Sim::Live(args) => live::live(args).await,
        Sim::Compare(args) => compare::compare(&args),
        Sim::Sweep(args) => sweep::sweep(&args),
        Sim::Fuzz(args) => fuzz::fuzz(&args),
        Sim::Parity(args) => parity::parity(args).await,
    }
}
