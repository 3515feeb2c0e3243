//! `perigee sim`: scenarios on real sockets and in virtual time.

mod library;
mod list;
mod live;
mod player;

use crate::args::sim::Sim;

/// Does what was asked.
pub(crate) async fn sim(command: Sim) -> Result<(), String> {
    match command {
        Sim::List { json } => list::list(json),
        Sim::Live(args) => live::live(args).await,
    }
}
