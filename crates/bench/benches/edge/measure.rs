//! Rounds of turns, and what they say.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

use perigee_bench::{Turn, load_average, of, own_network, pin_to_load_core, record, rounds};
use serde_json::json;

use crate::load::{Outcome, STREAMS, Work, run};
use crate::servers::{Server, await_answer, haproxy, nginx_stream, origin, perigee};

struct Arguments {
    rounds: usize,
    duration: Duration,
    gib: u64,
}

fn arguments() -> Arguments {
    let mut arguments = Arguments { rounds: 5, duration: Duration::from_secs(3), gib: 4 };
    let mut given = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(key) = given.next() {
        let mut value = || given.next().unwrap_or_else(|| panic!("{key} has no value"));
        match key.as_str() {
            "--secs" => arguments.duration = Duration::from_secs_f64(value().parse().unwrap()),
            "--gib" => arguments.gib = value().parse().unwrap(),
            rounds => arguments.rounds = rounds.parse().unwrap_or_else(|_| panic!("unknown argument {rounds}")),
        }
    }
    arguments
}

/// Files of a run: logs and configurations in one folder, the bytes of the bulk work in memory.
struct Folders {
    run: PathBuf,
    bytes: PathBuf,
}

impl Folders {
    fn new(stream_bytes: u64) -> Self {
        let name = format!("perigee-bench-edge-{}", std::process::id());
        let memory = PathBuf::from("/dev/shm");
        let bytes = if memory.is_dir() { memory } else { std::env::temp_dir() }.join(format!("{name}-bytes"));
        let folders = Self { run: std::env::temp_dir().join(name), bytes };
        for folder in [&folders.run, &folders.bytes] {
            fs::create_dir_all(folder).unwrap();
        }
        // A file of holes: reading it is reading one page of zeros, whatever its length.
        File::create(folders.bytes.join("bulk")).unwrap().set_len(stream_bytes).unwrap();
        folders
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        for folder in [&self.run, &self.bytes] {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

fn turn(round: usize, server: &Server, work: Work) -> Turn<Outcome> {
    let before = server.process.cpu_seconds();
    let outcome = run(work, server.address);
    let cpu_seconds = (server.process.cpu_seconds() - before).max(1e-9);
    let turn = Turn { done: outcome.done, cpu_seconds, seconds: outcome.seconds, outcome };
    eprintln!(
        "# round {round} {:8} {:10.3} per CPU second, {:10.3} per second, {:5.1} % busy, {} wrong, {} MiB",
        server.name,
        turn.per_cpu_second(),
        turn.done / turn.seconds,
        turn.busy_percent(),
        outcome.wrong,
        server.process.resident_kib() / 1_024,
    );
    turn
}

pub fn main() {
    let arguments = arguments();
    match own_network() {
        Ok(()) => eprintln!("# in a network namespace of its own: the host's firewall rules cost nobody anything"),
        Err(error) => eprintln!("# in the host's network, with its firewall rules if it has any: {error}"),
    }
    pin_to_load_core().unwrap_or_else(|e| panic!("the load needs a core of its own: {e}"));
    eprintln!("# load average before: {}", load_average());

    let folders = Folders::new((arguments.gib << 30) / STREAMS);
    let mut origin = origin(&folders.run, &folders.bytes);
    await_answer(&mut origin);
    let mut servers = [perigee(&folders.run), haproxy(&folders.run), nginx_stream(&folders.run)];
    servers.iter_mut().for_each(await_answer);

    let duration = arguments.duration;
    for work in [Work::Bulk { gib: arguments.gib }, Work::Short { duration }, Work::Keep { duration }] {
        eprintln!("# {}", work.name());
        let turns = rounds(&servers, arguments.rounds, |round, server| turn(round, server, work));
        for (server, theirs) in servers.iter().zip(&turns).skip(1) {
            let mut record = record(&work.name(), server.name, &turns[0], theirs);
            let wrong = |turns: &[Turn<Outcome>]| turns.iter().map(|turn| turn.outcome.wrong).sum::<u64>();
            record.insert("candidate_wrong".into(), json!(wrong(&turns[0])));
            record.insert("peer_wrong".into(), json!(wrong(theirs)));
            let p99 = |turns: &[Turn<Outcome>]| of(turns, |turn| turn.outcome.p99_ms.unwrap_or_default());
            if !matches!(work, Work::Bulk { .. }) {
                record.insert("candidate_p99_ms".into(), json!(p99(&turns[0])));
                record.insert("peer_p99_ms".into(), json!(p99(theirs)));
            }
            println!("{}", serde_json::Value::Object(record));
        }
    }
}
