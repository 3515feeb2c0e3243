use std::net::SocketAddr;

use clap::{Args, Subcommand};

use super::Sources;

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
    /// Play a scenario on real sockets: a whole stack in this process, real load, real faults
    #[command(after_help = "Example: perigee sim live crash")]
    Live(Live),
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
