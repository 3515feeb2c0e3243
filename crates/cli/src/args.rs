pub(crate) mod dns;
pub(crate) mod sim;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::lab::Lab;

/// A multi-region global accelerator that anyone can run.
///
/// Two tiers: DNS and an anycast edge choose a region from where the client is and how the regions are; each region's
/// load balancer chooses a target. `perigee up` runs all of it on this machine.
#[derive(Debug, Parser)]
#[command(
    name = "perigee",
    version,
    after_help = "Example: perigee up   then   curl --interface 127.81.200.9 http://127.75.2.1:8080/"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the whole stack in this process
    #[command(after_help = "Example: perigee up --here Tokyo --behaviour aws")]
    Up(Up),
    /// Run one role of the stack: what a container runs
    #[command(subcommand, after_help = "Example: perigee run edge --config /etc/perigee --pop ICN")]
    Run(Role),
    /// Validate a configuration: every problem at once
    #[command(after_help = "Example: perigee check --config ./my-stack --print")]
    Check(Check),
    /// Show regions, zones, targets, health, flows and shares of a running stack
    #[command(after_help = "Example: perigee status --json | jq .load_balancers")]
    Status(Status),
    /// Explain the way of one request, hop by hop, or the answer to one DNS question; sends nothing
    #[command(
        after_help = "Examples:\n  perigee explain --client 127.81.200.9 --path /check\n  perigee explain --dns app.perigee.test --client 127.81.200.9 --resolver 127.1.200.53"
    )]
    Explain(Explain),
    /// List where the ports of custom routing accelerators lead, and which of them take traffic
    #[command(after_help = "Example: perigee mappings --accelerator game --destination 127.82.16.4")]
    Mappings(Mappings),
    /// Break a region, a zone, an edge, a load balancer or a target on purpose
    #[command(after_help = "Example: perigee kill ap-northeast-2 --how blackhole")]
    Kill(Kill),
    /// Mend what `kill` broke
    #[command(after_help = "Example: perigee restore ap-northeast-2")]
    Restore(Restore),
    /// Read the configuration again and apply it without dropping a connection, or refuse it whole
    #[command(after_help = "Example: perigee reload")]
    Reload(Reload),
    /// Send load as an honest client at a place, or ask DNS at a rate
    #[command(
        after_help = "Examples:\n  perigee load --from Seoul --rate 1000 --for 30 http://127.75.2.1:8080/\n  perigee load --from Tokyo --dns app.perigee.test"
    )]
    Load(Load),
    /// Scenarios: what happens when something breaks, on real sockets or in virtual time
    #[command(subcommand, after_help = "Examples:\n  perigee sim run crash\n  perigee sim live crash")]
    Sim(sim::Sim),
    /// Geography: where an address is, and which edge and region that means
    #[command(subcommand, after_help = "Example: perigee geo lookup 168.126.63.1")]
    Geo(Geo),
    /// DNS: the keys of signed zones
    #[command(subcommand, after_help = "Example: perigee dns keys list --directory ./keys --zone example.org")]
    Dns(dns::Dns),
    /// Print a shell completion script
    #[command(after_help = "Example: perigee completions bash > /etc/bash_completion.d/perigee")]
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Write man pages into a directory
    #[command(after_help = "Example: perigee man ./man")]
    Man {
        /// Where to
        dir: PathBuf,
    },
    #[command(hide = true)]
    Lab(Lab),
}

/// Where the configuration comes from.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Sources {
    /// Directory with perigee.toml and regions/*.toml; the built-in stack without it
    #[arg(long, value_name = "DIR", env = "PERIGEE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// The operator's own place: where clients on 127.0.0.0/16 are
    #[arg(long, value_name = "PLACE")]
    pub(crate) here: Option<String>,
    /// What is possible (fast) or what the original does, errors and delays included (aws)
    #[arg(long, value_enum)]
    pub(crate) behaviour: Option<Behaviour>,
    /// A GeoLite2, GeoIP2 or DB-IP database of your own
    #[arg(long, value_name = "FILE")]
    pub(crate) geo: Option<PathBuf>,
    /// Any other setting, by its key; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Behaviour {
    Fast,
    Aws,
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// Where the admin API listens
    #[arg(long = "admin", value_name = "ADDRESS:PORT")]
    pub(crate) admin: Option<SocketAddr>,
    /// Where DNS listens
    #[arg(long = "dns", value_name = "ADDRESS:PORT")]
    pub(crate) dns: Option<SocketAddr>,
    /// Print where everything listens as one JSON object once it serves
    #[arg(long)]
    pub(crate) json: bool,
}

/// What every role takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct RoleArgs {
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// Where this process's admin API listens
    #[arg(long = "admin", value_name = "ADDRESS:PORT")]
    pub(crate) admin: Option<SocketAddr>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// The authoritative DNS server
    #[command(after_help = "Example: perigee run dns --config /etc/perigee --listen 10.1.0.53:53")]
    Dns {
        #[command(flatten)]
        role: RoleArgs,
        /// Where it listens, UDP and TCP
        #[arg(long, value_name = "ADDRESS:PORT")]
        listen: Option<SocketAddr>,
    },
    /// One edge: the accelerators' static addresses at one point of presence
    #[command(after_help = "Example: perigee run edge --config /etc/perigee --pop ICN")]
    Edge {
        #[command(flatten)]
        role: RoleArgs,
        /// The point of presence, by the IATA code of its city; all of them without it
        #[arg(long, value_name = "CODE")]
        pop: Option<String>,
    },
    /// A region's load balancer nodes
    #[command(
        after_help = "Example: perigee run region --config /etc/perigee --region ap-northeast-2 --zone ap-northeast-2a"
    )]
    Region {
        #[command(flatten)]
        role: RoleArgs,
        /// Which region
        #[arg(long, value_name = "REGION")]
        region: String,
        /// Only the nodes in this zone
        #[arg(long, value_name = "ZONE")]
        zone: Option<String>,
    },
    /// A target: the built-in application
    #[command(
        after_help = "Example: perigee run target --config /etc/perigee --region ap-northeast-2 --target 10.82.1.10"
    )]
    Target {
        #[command(flatten)]
        role: RoleArgs,
        /// In which region
        #[arg(long, value_name = "REGION")]
        region: String,
        /// Which of the region's targets, by address or address:port
        #[arg(long, value_name = "ADDRESS[:PORT]")]
        target: String,
    },
    /// The AWS-compatible API (not built yet)
    Control {
        #[command(flatten)]
        role: RoleArgs,
    },
    /// The console (not built yet)
    Console {
        #[command(flatten)]
        role: RoleArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// Print the result and where each value came from
    #[arg(long)]
    pub(crate) print: bool,
    /// Problems (or, with --print, values) as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which running stack is asked.
#[derive(Clone, Debug, Args)]
pub(crate) struct Running {
    /// The admin API of the running stack
    #[arg(long = "admin", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7070")]
    pub(crate) admin: SocketAddr,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) running: Running,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The client's address
    #[arg(long, value_name = "IP")]
    pub(crate) client: IpAddr,
    /// Explain this DNS name's answer instead of a request
    #[arg(long, value_name = "NAME", conflicts_with_all = ["host", "path", "method", "headers"])]
    pub(crate) dns: Option<String>,
    /// The record type asked for
    #[arg(long = "type", value_name = "TYPE", default_value = "A", requires = "dns")]
    pub(crate) record_type: String,
    /// The resolver that asks for the client and passes on its subnet; without it the client asks itself
    #[arg(long, value_name = "IP", requires = "dns")]
    pub(crate) resolver: Option<IpAddr>,
    /// The host of the request
    #[arg(long, value_name = "H")]
    pub(crate) host: Option<String>,
    /// The path of the request
    #[arg(long, value_name = "P", default_value = "/")]
    pub(crate) path: String,
    /// The method of the request
    #[arg(long, value_name = "M", default_value = "GET")]
    pub(crate) method: String,
    /// A header field of the request; repeatable
    #[arg(long = "header", value_name = "K:V")]
    pub(crate) headers: Vec<String>,
    #[command(flatten)]
    pub(crate) running: Running,
    #[command(flatten)]
    pub(crate) sources: Sources,
}

#[derive(Debug, Args)]
pub(crate) struct Mappings {
    /// Of this custom routing accelerator alone
    #[arg(long, value_name = "NAME")]
    pub(crate) accelerator: Option<String>,
    /// Those alone that lead to this address
    #[arg(long, value_name = "IP")]
    pub(crate) destination: Option<Ipv4Addr>,
    #[command(flatten)]
    pub(crate) running: Running,
    #[command(flatten)]
    pub(crate) sources: Sources,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum How {
    /// Connects are refused, established connections reset
    Crash,
    /// Packets vanish
    Blackhole,
    /// Every request is answered 500
    Error,
    /// Every request is answered late
    Slow,
    /// Nothing is broken, but it counts as unhealthy: the operator's word against the checks
    Unhealthy,
}

#[derive(Debug, Args)]
pub(crate) struct Kill {
    /// A region, a zone, an edge's code, a network zone (zone-a or zone-b), a load balancer (region/name), a target
    /// (address or address:port), or a DNS health check (check:NAME; `--how unhealthy` only)
    pub(crate) what: String,
    /// How
    #[arg(long, value_enum, default_value = "crash")]
    pub(crate) how: How,
    /// Delay of `slow`, in milliseconds
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub(crate) delay_ms: Option<u64>,
    #[command(flatten)]
    pub(crate) running: Running,
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// As for `kill`
    pub(crate) what: String,
    #[command(flatten)]
    pub(crate) running: Running,
}

#[derive(Debug, Args)]
pub(crate) struct Reload {
    #[command(flatten)]
    pub(crate) running: Running,
}

#[derive(Debug, Args)]
pub(crate) struct Load {
    /// What to ask for
    #[arg(value_name = "URL", required_unless_present = "dns")]
    pub(crate) url: Option<String>,
    /// Ask DNS for this name instead
    #[arg(long, value_name = "NAME", conflicts_with = "url")]
    pub(crate) dns: Option<String>,
    /// The DNS server: for --dns, and for a URL's host that is a name
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) server: Option<SocketAddr>,
    /// The admin API of the stack, asked which region an address of --dns belongs to
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7070")]
    pub(crate) admin: SocketAddr,
    /// The place the client is at: its connections start from an address there
    #[arg(long, value_name = "PLACE")]
    pub(crate) from: Option<String>,
    /// The address the client's connections start from
    #[arg(long, value_name = "IP", conflicts_with = "from")]
    pub(crate) source: Option<IpAddr>,
    /// Requests or queries a second, on a schedule that does not wait for answers
    #[arg(long, value_name = "N")]
    pub(crate) rate: Option<f64>,
    /// A new connection for every request
    #[arg(long, conflicts_with = "keep")]
    pub(crate) new: bool,
    /// Kept connections only; without --new and --keep, half and half
    #[arg(long)]
    pub(crate) keep: bool,
    /// For how long: seconds, or with a unit (500ms, 30s, 5m, 1h)
    #[arg(long = "for", value_name = "T", default_value = "10s", value_parser = time_span)]
    pub(crate) duration: Duration,
    /// A request without its whole answer by then has failed
    #[arg(long, value_name = "T", default_value = "2s", value_parser = time_span)]
    pub(crate) timeout: Duration,
    /// One JSON object a second, then the summary as one more
    #[arg(long)]
    pub(crate) json: bool,
}

/// A span of time: a number of seconds, or a number with `ms`, `s`, `m` or `h`; above zero, at most a day.
fn time_span(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_s = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        other => return Err(format!("{other:?} is no unit of time; there are ms, s, m and h")),
    };
    let seconds = digits.trim().parse::<f64>().map_err(|_| format!("{digits:?} is no number"))? * unit_s;
    if seconds > 0.0 && seconds <= 86_400.0 {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("must be above 0 and at most a day".to_owned())
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Geo {
    /// Where an address is, and which edge and region that means
    #[command(after_help = "Example: perigee geo lookup 168.126.63.1")]
    Lookup {
        /// The address
        ip: IpAddr,
        #[command(flatten)]
        sources: Sources,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_time_span_takes_seconds_or_a_unit_and_nothing_senseless() {
        for (text, ms) in
            [("30", 30_000), ("30s", 30_000), ("500ms", 500), ("2m", 120_000), ("1.5h", 5_400_000), ("0.5", 500)]
        {
            assert_eq!(time_span(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "-1", "0", "nan", "inf", "1e99", "5 parsecs", "25h"] {
            assert!(time_span(text).is_err(), "{text} was taken for a time");
        }
    }
}
