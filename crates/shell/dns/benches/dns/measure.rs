//! Rounds of turns, and what they say.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use perigee_bench::{Turn, binary, load_average, of, pin_to_load_core, record, rounds};
use serde_json::json;

use crate::load::{Load, Messages, Outcome, Questions, run};
use crate::mmdb;
use crate::servers::{Server, Task, await_answer, gdnsd, knot, pdns, perigee, perigee_with_a_file};

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

fn turn(server: &Server, load: Load, messages: &Messages) -> Turn<Outcome> {
    let before = server.process.cpu_seconds();
    let outcome = run(load, messages);
    let cpu_seconds = (server.process.cpu_seconds() - before).max(1e-9);
    Turn { done: outcome.answers as f64, cpu_seconds, seconds: outcome.seconds, outcome }
}

/// Prints a record of `ours` beside `theirs`, a turn of each per round.
fn report(work: &str, peer: &str, ours: &[Turn<Outcome>], theirs: &[Turn<Outcome>]) {
    let mut record = record(work, peer, ours, theirs);
    for (side, turns) in [("candidate", ours), ("peer", theirs)] {
        let wrong: u64 = turns.iter().map(|t| t.outcome.wrong).sum();
        record.insert(format!("{side}_lost_percent"), json!(of(turns, |t| t.outcome.lost_percent())));
        record.insert(format!("{side}_wrong"), json!(wrong));
        record.insert(format!("{side}_p99_ms"), json!(of(turns, |t| t.outcome.latency_ms(0.99))));
    }
    println!("{}", serde_json::Value::Object(record));
}

/// Lets each server have its turn, round after round; gives the turns by server.
fn turns_of(
    servers: &[&Server],
    count: usize,
    load: impl Fn(SocketAddr) -> Load,
    messages: &Messages,
) -> Vec<Vec<Turn<Outcome>>> {
    rounds(servers, count, |round, server| {
        let turn = turn(server, load(server.address), messages);
        eprintln!(
            "# round {round} {:8} {:9.0} per CPU second, {:5.1} % busy, {:.3} % lost, {} wrong, p99 {:.2} ms",
            server.name,
            turn.per_cpu_second(),
            turn.busy_percent(),
            turn.outcome.lost_percent(),
            turn.outcome.wrong,
            turn.outcome.latency_ms(0.99),
        );
        turn
    })
}

pub fn main() {
    let arguments = arguments();
    let binary = binary();
    let pid = std::process::id();
    pin_to_load_core().unwrap_or_else(|e| panic!("the load needs a core of its own: {e}"));
    let folder = std::env::temp_dir().join(format!("perigee-bench-dns-{pid}"));
    std::fs::create_dir_all(&folder).unwrap();
    let mmdb_file = folder.join("geo.mmdb");
    std::fs::write(&mmdb_file, mmdb::database(20_000)).unwrap();
    eprintln!("# load average before: {}", load_average());

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
                let turns = turns_of(&all, arguments.rounds, by_window(*clients), &messages);
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
        let mut turns: Vec<Vec<Turn<Outcome>>> = sizes.iter().map(|_| Vec::new()).collect();
        for round in 0..arguments.rounds {
            for (number, size) in sizes.iter().enumerate() {
                let (server, names) = start((number, size));
                let messages = Messages::of(Questions { names, networks: NETWORKS });
                let turn = turn(&server, by_window(clients)(server.address), &messages);
                eprintln!("# round {round} {size} {what}: {:.0} per CPU second", turn.per_cpu_second());
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
    let able = turns_of(&[server], arguments.rounds, window, &messages).remove(0);
    // As if all of a core's time were spent.
    let capacity = of(&able, Turn::per_cpu_second);
    let rate = move |server| Load { server, clients, window: 0, rate: Some(2.0 * capacity), duration };
    let over = turns_of(&[server], arguments.rounds, rate, &messages).remove(0);
    let usual = |server| Load { server, clients, window: WINDOW, rate: None, duration };
    let after = turns_of(&[server], 1, usual, &messages).remove(0);
    let answers_per_s = |turn: &Turn<Outcome>| turn.outcome.answers as f64 / turn.outcome.seconds;
    let record = json!({
        "work": "dns: twice the capacity offered",
        "peer": "itself at its capacity",
        "candidate_per_cpu_s": of(&over, Turn::per_cpu_second),
        "peer_per_cpu_s": capacity,
        "ratio": of(&over, Turn::per_cpu_second) / capacity,
        "rounds": over.len(),
        "offered_per_s": of(&over, |t| t.outcome.sent as f64 / t.outcome.seconds),
        "answers_per_s": of(&over, answers_per_s),
        "answered_p99_ms": of(&over, |t| t.outcome.latency_ms(0.99)),
        "after_per_cpu_s": of(&after, Turn::per_cpu_second),
        "after_lost_percent": of(&after, |t| t.outcome.lost_percent()),
        "after_p99_ms": of(&after, |t| t.outcome.latency_ms(0.99)),
    });
    println!("{record}");
}
