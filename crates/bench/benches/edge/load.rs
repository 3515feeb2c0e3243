//! The three works, done by programs that everybody knows: curl and wrk.

use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Connections of wrk.
const CONNECTIONS: &str = "64";
/// Streams of the bulk work.
pub const STREAMS: u64 = 4;
/// A stream that takes longer is cut off: the work is then not what it should be.
const PATIENCE_S: &str = "120";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A large file, over a few connections.
    Bulk { gib: u64 },
    /// A connection for each small answer.
    Short { duration: Duration },
    /// Small answers one after the other on kept connections.
    Keep { duration: Duration },
}

impl Work {
    pub fn name(self) -> String {
        match self {
            Self::Bulk { gib } => format!("edge: bulk, GiB of {gib} over {STREAMS} connections"),
            Self::Short { .. } => format!("edge: short, connections of {CONNECTIONS} at once"),
            Self::Keep { .. } => format!("edge: keep, requests on {CONNECTIONS} connections"),
        }
    }
}

/// What a load saw.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// GiB, connections or requests.
    pub done: f64,
    pub seconds: f64,
    /// Errors of sockets, answers that are no 2xx, and streams that were cut off.
    pub wrong: u64,
    /// Milliseconds, 99 of 100 answers; none of bulk.
    pub p99_ms: Option<f64>,
}

pub fn run(work: Work, server: SocketAddr) -> Outcome {
    let began = Instant::now();
    let outcome = match work {
        Work::Bulk { gib } => bulk(server, gib),
        Work::Short { duration } => wrk(server, duration, &["-H", "Connection: close"]),
        Work::Keep { duration } => wrk(server, duration, &[]),
    };
    Outcome { seconds: began.elapsed().as_secs_f64(), ..outcome }
}

fn bulk(server: SocketAddr, gib: u64) -> Outcome {
    let url = format!("http://{server}/bulk");
    let arguments = ["-s", "-m", PATIENCE_S, "-o", "/dev/null", "-w", "%{http_code} %{size_download}", &url];
    let curl = || Command::new("curl").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let streams: Vec<_> = (0..STREAMS).map(|_| curl()).collect();
    let mut outcome = Outcome::default();
    for stream in streams {
        let Output { stdout, .. } = stream.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&stdout);
        let (code, size) = said.split_once(' ').unwrap_or_default();
        let size: u64 = size.parse().unwrap_or(0);
        outcome.done += size as f64 / (1_u64 << 30) as f64;
        outcome.wrong += u64::from(code != "200" || size != (gib << 30) / STREAMS);
    }
    outcome
}

fn wrk(server: SocketAddr, duration: Duration, more: &[&str]) -> Outcome {
    let (seconds, url) = (format!("{}s", duration.as_secs().max(1)), format!("http://{server}/s"));
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", "-c", CONNECTIONS, "-d", &seconds, "--latency"]).args(more).arg(url);
    let output = wrk.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    read(&said).unwrap_or_else(|| panic!("wrk said {said:?} {}", String::from_utf8_lossy(&output.stderr)))
}

/// wrk's words: `N requests in`, `99% 1.23ms`, `Non-2xx or 3xx responses: N` and
/// `Socket errors: connect N, read N, write N, timeout N`.
fn read(said: &str) -> Option<Outcome> {
    let mut outcome = Outcome::default();
    let mut counted = false;
    for line in said.lines().map(str::trim) {
        if let Some((requests, _)) = line.split_once(" requests in ") {
            outcome.done = requests.parse().ok()?;
            counted = true;
        } else if let Some(latency) = line.strip_prefix("99%") {
            outcome.p99_ms = Some(milliseconds(latency.trim())?);
        } else if line.starts_with("Socket errors:") || line.starts_with("Non-2xx") {
            let numbers = line.split([' ', ',']).filter_map(|word| word.parse::<u64>().ok());
            outcome.wrong += numbers.sum::<u64>();
        }
    }
    counted.then_some(outcome)
}

fn milliseconds(text: &str) -> Option<f64> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let factor = match unit {
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        "m" => 6e4,
        _ => return None,
    };
    Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * factor)
}
