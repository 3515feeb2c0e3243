//! A run: starts everything, lets it be for a while, and says what came of it.

use std::net::{Ipv4Addr, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use perigee_bench::{Edge, Endpoint, Finding, Group, Process, binary, conclude, own_network, raise_file_limit};
use perigee_tests::http::Client;

use crate::chaos::{Chaos, Folder};
use crate::client::{Seen, run};
use crate::endpoint;
use crate::journal::Journal;
use crate::stream::Identity;
use crate::watch::Watch;

/// Growth between the first and the last third of a run that still counts as flat, of memory as a share: what the
/// allocator and the number of streams at a moment do by themselves. A leak of a hundred bytes a stream is beyond it
/// after half an hour.
const GROWTH_SHARE: f64 = 0.1;
const GROWTH_FILES: f64 = 40.0;

struct Arguments {
    minutes: f64,
    seed: u64,
}

fn arguments() -> Arguments {
    let clock = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    let mut arguments = Arguments { minutes: 30.0, seed: u64::from(clock.subsec_nanos()) };
    let mut given = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(key) = given.next() {
        let mut value = || given.next().unwrap_or_else(|| panic!("{key} has no value"));
        match key.as_str() {
            "--endpoint" => {
                let (number, life, address) = (value(), value(), value());
                let identity = Identity { endpoint: number.parse().unwrap(), life: life.parse().unwrap() };
                endpoint::main(identity, address.parse().unwrap());
            }
            "--minutes" => arguments.minutes = value().parse().unwrap(),
            "--seed" => arguments.seed = value().parse().unwrap(),
            _ => panic!("unknown argument {key}"),
        }
    }
    assert!((0.1..=100_000.0).contains(&arguments.minutes), "--minutes has to be 0.1 to 100000");
    arguments
}

fn edge(folder: &Folder) -> Edge {
    let group = |region, net: u8| {
        let endpoint = |host: u8| Endpoint { address: Ipv4Addr::new(127, 7, net, host), weight: 128 };
        Group { region, dial: 100, endpoints: (1..=3).map(endpoint).collect() }
    };
    Edge {
        folder: folder.path().to_owned(),
        addresses: [Ipv4Addr::new(127, 7, 75, 1), Ipv4Addr::new(127, 7, 75, 2)],
        port: 18_380,
        admin: ([127, 7, 70, 1], 7_070).into(),
        flows: 20_000,
        preserve_clients: false,
        groups: vec![group("ap-northeast-2", 82), group("ap-northeast-1", 81)],
    }
}

/// Flows that the edge says are open.
fn open_flows(edge: &Edge) -> f64 {
    let status = Client::open(edge.admin, None).and_then(|mut client| client.get("/v1/status"));
    status.map_or(f64::NAN, |status| status.json()["edge"]["active_flows"].as_f64().unwrap_or(f64::NAN))
}

/// Waits until the edge has no flow any more, at most ten seconds; gives how many it has.
fn emptied(edge: &Edge) -> f64 {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let flows = open_flows(edge);
        if flows == 0.0 || Instant::now() > end {
            return flows;
        }
        sleep(Duration::from_millis(100));
    }
}

pub fn main() -> ExitCode {
    let arguments = arguments();
    match own_network() {
        Ok(()) => eprintln!("# in a network namespace of its own"),
        Err(error) => eprintln!("# in the host's network: {error}"),
    }
    raise_file_limit(65_536).unwrap();
    let seed = arguments.seed;
    eprintln!("# {} minutes with --seed {seed}", arguments.minutes);
    let folder = Folder::new();
    let edge = edge(&folder);
    let journal = Arc::new(Journal::default());
    let mut chaos = Chaos::start(edge.clone(), seed, &journal);
    let mut process = edge.start(binary().to_str().unwrap(), None).unwrap();
    let patience = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(edge.address()).is_err() {
        assert!(process.ended().is_none() && Instant::now() < patience, "no edge: {}", process.last_words(20));
        sleep(Duration::from_millis(50));
    }
    emptied(&edge);
    let files_before = process.open_files();

    let end = Instant::now() + Duration::from_secs_f64(60.0 * arguments.minutes);
    let clients = {
        let (address, journal) = (edge.address(), journal.clone());
        std::thread::spawn(move || run(address, seed, end, &journal))
    };
    let mut watch = Watch::default();
    chaos.run(end, || {
        assert!(process.ended().is_none(), "the edge has ended: {}", process.last_words(50));
        watch.look(&process);
    });
    let seen = clients.join().unwrap();
    let flows_left = emptied(&edge);
    let files_left = process.open_files().saturating_sub(files_before);
    eprintln!("# done: {:?}", chaos.done);
    for refused in &chaos.refused {
        eprintln!("# the edge refused {refused}");
    }
    conclude(&findings(&seen, &watch, &chaos, &process, flows_left, files_left))
}

fn findings(
    seen: &Seen,
    watch: &Watch,
    chaos: &Chaos<'_>,
    process: &Process,
    flows_left: f64,
    files_left: usize,
) -> Vec<Finding> {
    let done: u64 = chaos.done.values().sum();
    let (memory, files) = (watch.resident_kib(), watch.open_files());
    let number = |what: &str, n: u64| Finding::new(what, n as f64, "");
    let never = |what: &str, n: u64| number(what, n).at_most(0.0);
    vec![
        number("things done to endpoints, configuration and edge", done),
        never("things that the edge refused to do", chaos.refused.len() as u64),
        number("streams", seen.streams),
        Finding::new("octets that were compared", seen.octets as f64 / f64::from(1 << 30), "GiB"),
        number("streams whole and right, both ways", seen.whole),
        number("streams cut off by what was done", seen.excused),
        never("streams cut off by nothing", seen.unexcused),
        never("streams with a wrong octet", seen.wrong),
        never("flows that moved to another endpoint", seen.moved),
        Finding::new("resident memory, median of the first third", memory.first, "KiB"),
        Finding::new("its growth until the last third", memory.growth(), "KiB").at_most(GROWTH_SHARE * memory.first),
        Finding::new("open files, median of the first third", files.first, ""),
        Finding::new("their growth until the last third", files.growth(), "").at_most(GROWTH_FILES),
        Finding::new("flows that the edge still counts at the end", flows_left, "").at_most(0.0),
        number("open files at the end beyond those at the beginning", files_left as u64),
        Finding::new("CPU time of the edge", process.cpu_seconds(), "s"),
    ]
}
