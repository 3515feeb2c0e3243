//! Rounds of turns, and what they say.

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::load::{Load, Messages, Outcome, Questions, run};
use crate::mmdb;
use crate::servers::{LOAD_CORE, Server, Task, await_answer, gdnsd, knot, pdns, perigee, perigee_with_a_file};

/// Networks in the client subnets.
const NETWORKS: usize = 10_000;
/// Queries under way.
const WINDOW: usize = 500;

struct Arguments {
    rounds: usize,
    seconds: f64,
    clients: Vec<usize>,
    names: Vec<usize>,
    regions: Vec<usize>,
    overload: bool,
}

fn list(text: &str) -> Vec<usize> {
    text.split(',').map(|n| n.parse().unwrap_or_else(|_| panic!("{n} is no number"))).collect()
}

fn arguments() -> Arguments {
    let mut arguments = Arguments {
        rounds: 5,
        seconds: 3.0,
        clients: vec![8, 500],
        names: vec![10, 100_000],
        regions: vec![2, 32],
        overload: true,
    };
    let mut given = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(key) = given.next() {
        let mut value = || given.next().unwrap_or_else(|| panic!("{key} has no value"));
        match key.as_str() {
            "--secs" => arguments.seconds = value().parse().unwrap(),
            "--clients" => arguments.clients = list(&value()),
            "--names" => arguments.names = list(&value()),
            "--regions" => arguments.regions = list(&value()),
            "--no-overload" => arguments.overload = false,
            rounds => arguments.rounds = rounds.parse().unwrap_or_else(|_| panic!("unknown argument {rounds}")),
        }
    }
    arguments
}

fn answers(address: SocketAddr) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let query = b"\x12\x34\0\0\0\x01\0\0\0\0\0\x01\x02h0\x03geo\x07example\0\0\x01\0\x01\
        \0\0\x29\x04\xd0\0\0\0\0\0\x0b\0\x08\0\x07\0\x01\x18\0\x08\x08\x08";
    let mut answer = [0; 1_500];
    let received = socket.send_to(query, address).and_then(|_| socket.recv(&mut answer));
    // Header, name, type and class.
    let query_len = 12 + 16 + 4;
    // An answer with a record of 60 s, which no server gives while something is unhealthy, and an OPT record.
    let ttl = &answer[query_len + 6..query_len + 10];
    matches!(received, Ok(len) if len > 60 && answer[3] & 15 == 0 && answer[7] > 0 && answer[11] == 1)
        && ttl == [0, 0, 0, 60]
}

/// What a server did in a turn.
struct Turn {
    per_cpu_second: f64,
    busy_percent: f64,
    outcome: Outcome,
}

fn turn(server: &Server, load: Load, messages: &Messages) -> Turn {
    let before = server.cpu_seconds();
    let outcome = run(load, messages);
    let used = (server.cpu_seconds() - before).max(1e-9);
    let busy_percent = 100.0 * used / outcome.seconds;
    Turn { per_cpu_second: outcome.answers as f64 / used, busy_percent, outcome }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

fn of(turns: &[Turn], value: impl Fn(&Turn) -> f64) -> f64 {
    median(turns.iter().map(value).collect())
}

/// Prints a record of `ours` beside `theirs`, a turn of each per round.
fn report(work: &str, peer: &str, ours: &[Turn], theirs: &[Turn]) {
    let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a.per_cpu_second / b.per_cpu_second).collect();
    let (least, most) = ratios.iter().fold((f64::MAX, 0.0_f64), |(least, most), r| (least.min(*r), most.max(*r)));
    let record = json!({
        "work": work,
        "peer": peer,
        "candidate_per_cpu_s": of(ours, |t| t.per_cpu_second),
        "peer_per_cpu_s": of(theirs, |t| t.per_cpu_second),
        "ratio": median(ratios),
        "ratio_least": least,
        "ratio_most": most,
        "rounds": ours.len(),
        "candidate_busy_percent": of(ours, |t| t.busy_percent),
        "peer_busy_percent": of(theirs, |t| t.busy_percent),
        "candidate_lost_percent": of(ours, |t| t.outcome.lost_percent()),
        "peer_lost_percent": of(theirs, |t| t.outcome.lost_percent()),
        "candidate_wrong": ours.iter().map(|t| t.outcome.wrong).sum::<u64>(),
        "peer_wrong": theirs.iter().map(|t| t.outcome.wrong).sum::<u64>(),
        "candidate_p99_ms": of(ours, |t| t.outcome.latency_ms(0.99)),
        "peer_p99_ms": of(theirs, |t| t.outcome.latency_ms(0.99)),
    });
    println!("{record}");
}

/// Lets each server have its turn, round after round; gives the turns by server.
fn rounds(servers: &[&Server], count: usize, load: impl Fn(SocketAddr) -> Load, messages: &Messages) -> Vec<Vec<Turn>> {
    let mut turns: Vec<Vec<Turn>> = servers.iter().map(|_| Vec::new()).collect();
    for round in 0..=count {
        for (server, turns) in servers.iter().zip(&mut turns) {
            let turn = turn(server, load(server.address), messages);
            eprintln!(
                "# round {round} {:8} {:9.0} per CPU second, {:5.1} % busy, {:.3} % lost, {} wrong, p99 {:.2} ms",
                server.name,
                turn.per_cpu_second,
                turn.busy_percent,
                turn.outcome.lost_percent(),
                turn.outcome.wrong,
                turn.outcome.latency_ms(0.99),
            );
            // The first round warms caches up.
            if round > 0 {
                turns.push(turn);
            }
        }
    }
    turns
}

pub fn main() {
    let arguments = arguments();
    let binary = PathBuf::from(std::env::var_os("PERIGEE").expect("PERIGEE names the binary to measure"));
    let pid = std::process::id().to_string();
    let pinned = Command::new("taskset").args(["-acp", LOAD_CORE, &pid]).stdout(Stdio::null()).status();
    assert!(pinned.is_ok_and(|status| status.success()), "taskset is missing, or there is no second core");
    let folder = std::env::temp_dir().join(format!("perigee-bench-dns-{pid}"));
    std::fs::create_dir_all(&folder).unwrap();
    let mmdb_file = folder.join("geo.mmdb");
    std::fs::write(&mmdb_file, mmdb::database(20_000)).unwrap();
    let load_average = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    eprintln!("# load average before: {}", load_average.trim());

    let duration = Duration::from_secs_f64(arguments.seconds);
    let by_window = |clients| move |server| Load { server, clients, window: WINDOW.max(clients), rate: None, duration };
    let ready = |mut server: Server| {
        await_answer(&mut server, answers);
        server
    };
    let usual = 1_000;
    {
        let task = Task { folder: &folder, mmdb: &mmdb_file, names: usual };
        let servers =
            [ready(perigee(&binary, &task, 4, 0)), ready(knot(&task)), ready(gdnsd(&task)), ready(pdns(&task))];
        let all: Vec<&Server> = servers.iter().collect();
        for (networks, what) in [(NETWORKS, "each query its own client subnet"), (0, "no EDNS")] {
            let messages = Messages::of(Questions { names: usual, networks });
            for clients in &arguments.clients {
                let turns = rounds(&all, arguments.rounds, by_window(*clients), &messages);
                for (server, theirs) in servers.iter().zip(&turns).skip(1) {
                    report(&format!("dns: {clients} clients, {what}"), &server.name, &turns[0], theirs);
                }
            }
        }
        if arguments.overload {
            overload(&servers[0], &arguments, duration);
        }
    }
    let clients = arguments.clients.first().copied().unwrap_or(8);
    for (what, sizes, by_names) in [("names", &arguments.names, true), ("regions", &arguments.regions, false)] {
        let start = |(instance, size): (usize, &usize)| {
            let (names, regions) = if by_names { (*size, 2) } else { (usual, *size) };
            let task = Task { folder: &folder, mmdb: &mmdb_file, names };
            // One after the other, as both sets of regions have the same addresses.
            let server = if by_names {
                perigee_with_a_file(&binary, &task, instance as u16)
            } else {
                perigee(&binary, &task, regions, instance as u16)
            };
            (ready(server), names)
        };
        let mut turns: Vec<Vec<Turn>> = sizes.iter().map(|_| Vec::new()).collect();
        for round in 0..arguments.rounds {
            for (number, size) in sizes.iter().enumerate() {
                let (server, names) = start((number, size));
                let messages = Messages::of(Questions { names, networks: NETWORKS });
                let turn = turn(&server, by_window(clients)(server.address), &messages);
                eprintln!("# round {round} {size} {what}: {:.0} per CPU second", turn.per_cpu_second);
                turns[number].push(turn);
            }
        }
        for (size, larger) in sizes.iter().zip(&turns).skip(1) {
            let peer = format!("itself with {} {what}", sizes[0]);
            report(&format!("dns: {clients} clients, {size} {what}"), &peer, larger, &turns[0]);
        }
    }
    let _ = std::fs::remove_dir_all(&folder);
}

/// Twice what it can do, beside what it can do, and what it does when that is over.
fn overload(server: &Server, arguments: &Arguments, duration: Duration) {
    let messages = Messages::of(Questions { names: 1_000, networks: NETWORKS });
    let clients = 8;
    let window = |server| Load { server, clients, window: 4_000, rate: None, duration };
    let able = rounds(&[server], arguments.rounds, window, &messages).remove(0);
    // As if all of a core's time were spent.
    let capacity = of(&able, |turn| turn.per_cpu_second);
    let rate = move |server| Load { server, clients, window: 0, rate: Some(2.0 * capacity), duration };
    let over = rounds(&[server], arguments.rounds, rate, &messages).remove(0);
    let usual = |server| Load { server, clients, window: WINDOW, rate: None, duration };
    let after = rounds(&[server], 1, usual, &messages).remove(0);
    let answers_per_s = |turn: &Turn| turn.outcome.answers as f64 / turn.outcome.seconds;
    let record = json!({
        "work": "dns: twice the capacity offered",
        "peer": "itself at its capacity",
        "candidate_per_cpu_s": of(&over, |t| t.per_cpu_second),
        "peer_per_cpu_s": capacity,
        "ratio": of(&over, |t| t.per_cpu_second) / capacity,
        "rounds": over.len(),
        "offered_per_s": of(&over, |t| t.outcome.sent as f64 / t.outcome.seconds),
        "answers_per_s": of(&over, answers_per_s),
        "answered_p99_ms": of(&over, |t| t.outcome.latency_ms(0.99)),
        "after_per_cpu_s": of(&after, |t| t.per_cpu_second),
        "after_lost_percent": of(&after, |t| t.outcome.lost_percent()),
        "after_p99_ms": of(&after, |t| t.outcome.latency_ms(0.99)),
    });
    println!("{record}");
}
