//! Connections that say nothing, by the thousand.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use perigee_tests::figures::Figures;
use perigee_tests::http::connect;
use perigee_tests::stack::{Setup, Stack};
use perigee_tests::wait::until;

/// Tries to open `count` connections from forty clients in Seoul; gives those that were not reset at once.
fn open(to: SocketAddr, count: usize) -> Vec<TcpStream> {
    let source = |n: usize| [127, 82, 200, 20 + u8::try_from(n % 40).unwrap()].into();
    (0..count).filter_map(|n| connect(to, Some(source(n)), Duration::from_secs(5)).ok()).collect()
}

/// As many descriptors as the system lets a test have. Panics if that is less than the test needs.
fn raise_file_limit(needed: u64) {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    assert!(hard >= needed, "this test needs {needed} open files in each process, the hard limit is {hard}");
}

/// Counts the connections that the other side has closed or reset.
fn closed(connections: &mut [TcpStream]) -> usize {
    let is_closed = |stream: &mut TcpStream| {
        stream.set_nonblocking(true).unwrap();
        !matches!(stream.read(&mut [0; 1]), Err(e) if e.kind() == std::io::ErrorKind::WouldBlock)
    };
    connections.iter_mut().filter_map(|s| is_closed(s).then_some(())).count()
}

#[test]
fn ten_thousand_idle_connections_cost_bounded_memory() {
    // One idle flow through the edge is three descriptors of the one process that plays edge and node.
    const THROUGH_THE_EDGE: usize = 3_000;
    const AT_A_NODE: usize = 7_000;
    raise_file_limit(20_000);
    let limits = format!("[limits]\nedge_flows = {}\nnode_connections = 8000\n", THROUGH_THE_EDGE + 50);
    let mut stack = Stack::with(&Setup { tables: limits, ..Setup::default() });
    let load = stack.load("Tokyo", &["--rate=50", "--for=3", "--keep", &stack.url(0)]);
    let warm = load.finish();
    assert_eq!(warm.number("failed"), 0, "{}", warm.failure_list());
    let mut figures = Figures::of("ten_thousand_idle_connections_cost_bounded_memory");
    let start_kb = stack.resident_kb();
    figures.note("memory before", start_kb / 1_000, "MB");

    let mut flows = open(stack.slot().accelerator(0), THROUGH_THE_EDGE);
    assert_eq!(flows.len(), THROUGH_THE_EDGE);
    until("every flow is at the edge", Duration::from_secs(10), || {
        stack.status()["edge"]["active_flows"].as_u64().is_some_and(|n| n >= THROUGH_THE_EDGE as u64)
    });
    let flows_kb = stack.resident_kb().saturating_sub(start_kb);
    figures.note("idle flows through edge and node", THROUGH_THE_EDGE, "");
    figures.note("memory for each", flows_kb * 1_000 / THROUGH_THE_EDGE as u64, "bytes");

    let mut direct = open(stack.slot().node(81, 1), AT_A_NODE);
    assert_eq!(direct.len(), AT_A_NODE);
    let at_node = ["load_balancer=\"shop\"", "ap-northeast-1a"];
    until("every connection is at the node", Duration::from_secs(10), || {
        stack.metric("perigee_alb_connections", &at_node) >= AT_A_NODE as f64
    });
    let direct_kb = stack.resident_kb().saturating_sub(start_kb + flows_kb);
    figures.note("idle connections at a node", AT_A_NODE, "");
    figures.note("memory for each at the node", direct_kb * 1_000 / AT_A_NODE as u64, "bytes");
    figures.note("memory with all of them", stack.resident_kb() / 1_000, "MB");

    // Meanwhile others are served, and those beyond the limit are refused and counted.
    let served = stack.load("Tokyo", &["--rate=100", "--for=2", "--keep", &stack.url(1)]).finish();
    assert_eq!(served.number("failed"), 0, "{}", served.failure_list());
    figures.note("requests served meanwhile", served.number("ok"), "");
    let mut beyond = open(stack.slot().accelerator(0), 150);
    let at_once = 150 - beyond.len();
    until("at least a hundred are refused", Duration::from_secs(5), || at_once + closed(&mut beyond) >= 100);
    let refused = stack.metric("perigee_edge_limit_hits_total", &["edge_flows"]);
    figures.note("refused beyond the limit, counted", refused, "");
    assert!(refused >= 100.0, "{refused} refusals counted");
    assert_eq!((closed(&mut flows), closed(&mut direct)), (0, 0), "idle connections were closed");
    assert!(stack.is_alive());
    // The kernel's buffers are not in it. An idle flow is three connections of one process.
    assert!(flows_kb * 1_000 / (THROUGH_THE_EDGE as u64) < 20_000, "{flows_kb} KB for the idle flows");
    assert!(direct_kb * 1_000 / (AT_A_NODE as u64) < 8_000, "{direct_kb} KB for the idle connections");
}
