//! Opens flows, sees what they cost, sends a few octets each way over every one, and looks again.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use perigee_bench::{Edge, Endpoint, Finding, Group, Process, binary, conclude, own_network, raise_file_limit};
use perigee_tests::http::connect;
use socket2::{Domain, Protocol, Socket, Type};

/// Flows that are opened and closed beforehand: what the first ones need for all is there then.
const WARM: usize = 100;
/// Flows per client: a client has about 28,000 ports for one destination.
const PER_CLIENT: usize = 5_000;
/// Flows that may be under way to the endpoint, fewer than a queue of the kernel holds.
const UNDER_WAY: usize = 1_000;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Open files beside those of the flows.
const SPARE_FILES: u64 = 2_000;
/// Bytes of user memory per flow, from the issue of the edge.
const BYTES_MAX: f64 = 4_096.0;

/// The endpoint: takes connections and holds them.
struct Holder {
    taken: Arc<Mutex<Vec<TcpStream>>>,
    count: Arc<AtomicUsize>,
}

impl Holder {
    fn start(address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(4_096).unwrap();
        let listener = TcpListener::from(socket);
        let (taken, count) = (Arc::<Mutex<Vec<TcpStream>>>::default(), Arc::new(AtomicUsize::new(0)));
        let holder = Self { taken: taken.clone(), count: count.clone() };
        // It ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap_or_else(|e| panic!("the endpoint cannot take a connection: {e}"));
                taken.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
                count.fetch_add(1, Ordering::Release);
            }
        });
        holder
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Sends back the octets that it gets on `expected` connections, and gives these. A connection that ends without
    /// any was a probe, or was abandoned for another before it was used.
    fn echo(&self, expected: usize) -> Vec<TcpStream> {
        let end = Instant::now() + PATIENCE;
        let mut used = Vec::with_capacity(expected);
        while used.len() < expected {
            assert!(Instant::now() < end, "{} of {expected} flows reach the endpoint", used.len());
            let mut taken = std::mem::take(&mut *self.taken.lock().unwrap_or_else(PoisonError::into_inner));
            taken.retain_mut(|stream| {
                let mut octets = [0; 4];
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.read_exact(&mut octets).and_then(|()| stream.write_all(&octets)).is_ok()
            });
            used.append(&mut taken);
        }
        used
    }
}

/// Opens flows and waits until the endpoint has them.
fn open(to: SocketAddr, count: usize, holder: &Holder) -> Vec<TcpStream> {
    let (before, began) = (holder.count(), Instant::now());
    let mut flows = Vec::with_capacity(count);
    let wait_for = |missing: &dyn Fn() -> bool, what: &str| {
        let end = Instant::now() + PATIENCE;
        while missing() {
            assert!(Instant::now() < end, "{what}: the endpoint has {} connections", holder.count() - before);
            sleep(Duration::from_millis(1));
        }
    };
    for n in 0..count {
        let client = Ipv4Addr::new(127, 82, 200, u8::try_from(1 + n / PER_CLIENT).unwrap());
        let flow = connect(to, Some(client.into()), PATIENCE);
        flows.push(flow.unwrap_or_else(|e| panic!("flow {n} of {count} cannot be opened: {e}")));
        wait_for(&|| n + 1 > holder.count() - before + UNDER_WAY, "flows are not joined");
    }
    wait_for(&|| holder.count() - before < count, "flows are not joined");
    eprintln!("# {count} flows opened in {:.1} s", began.elapsed().as_secs_f64());
    flows
}

/// Sends a number of its own over every flow and expects it back: each is joined, to an endpoint of its own.
fn exchange(flows: &mut [TcpStream], holder: &Holder) -> Vec<TcpStream> {
    for (n, flow) in flows.iter_mut().enumerate() {
        flow.write_all(&(n as u32).to_be_bytes()).unwrap_or_else(|e| panic!("flow {n} is broken: {e}"));
    }
    let held = holder.echo(flows.len());
    for (n, flow) in flows.iter_mut().enumerate() {
        let mut octets = [0; 4];
        flow.read_exact(&mut octets).unwrap_or_else(|e| panic!("flow {n} is broken: {e}"));
        assert_eq!(u32::from_be_bytes(octets), n as u32, "a flow got another one's octets");
    }
    held
}

/// Resident memory once it stands still.
fn settled_kib(process: &Process) -> u64 {
    let mut last = process.resident_kib();
    for _ in 0..20 {
        sleep(Duration::from_millis(250));
        let now = process.resident_kib();
        if now == last {
            break;
        }
        last = now;
    }
    last
}

pub fn main() -> ExitCode {
    let mut given = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let asked: usize = match (given.next().as_deref(), given.next()) {
        (None, _) => 100_000,
        (Some("--flows"), Some(flows)) => flows.parse().unwrap(),
        (Some(unknown), _) => panic!("unknown argument {unknown}"),
    };
    assert!((1_000..=1_000_000).contains(&asked), "--flows has to be 1000 to 1000000");
    match own_network() {
        Ok(()) => eprintln!("# in a network namespace of its own"),
        Err(error) => eprintln!("# in the host's network: {error}"),
    }
    // Both ends of every flow are here, and two sockets of it in the edge.
    let limit = raise_file_limit(2 * asked as u64 + SPARE_FILES).unwrap();
    let flows = asked.min(usize::try_from(limit.saturating_sub(SPARE_FILES) / 2).unwrap());
    assert!(flows >= 1_000, "the system allows a process {limit} open files, which is too few");
    if flows < asked {
        eprintln!("# the system allows a process {limit} open files: {flows} flows and not {asked}");
    }

    let folder = std::env::temp_dir().join(format!("perigee-bench-idle-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let address = Ipv4Addr::new(127, 7, 2, 1);
    let edge = Edge {
        folder: folder.clone(),
        addresses: [Ipv4Addr::new(127, 7, 2, 3), Ipv4Addr::new(127, 7, 2, 4)],
        port: 18_280,
        admin: ([127, 7, 2, 3], 7_070).into(),
        flows: u32::try_from(flows).unwrap() + 2_000,
        // The endpoint has one address: only as many clients' addresses have ports for so many connections to it.
        preserve_clients: true,
        groups: vec![Group { region: "ap-northeast-2", dial: 100, endpoints: vec![Endpoint { address, weight: 128 }] }],
    };
    let holder = Holder::start((address, edge.port).into());
    let mut process = edge.start(binary().to_str().unwrap(), None).unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(edge.address()).is_err() {
        assert!(process.ended().is_none() && Instant::now() < end, "no edge: {}", process.last_words(20));
        sleep(Duration::from_millis(50));
    }
    let mut warm = open(edge.address(), WARM, &holder);
    let held = exchange(&mut warm, &holder);
    drop((warm, held));
    sleep(Duration::from_secs(1));
    let before = settled_kib(&process);
    let mut clients = open(edge.address(), flows, &holder);
    let idle = settled_kib(&process);
    let held = exchange(&mut clients, &holder);
    let used = settled_kib(&process);
    let files = process.open_files();
    eprintln!("# resident KiB: {before} before, {idle} with idle flows, {used} once each has been used");
    drop((clients, held));
    let _ = fs::remove_dir_all(&folder);
    let per_flow = |now: u64| now.saturating_sub(before) as f64 * 1_024.0 / flows as f64;
    conclude(&[
        Finding::new(format!("idle flows, of {asked} asked for"), flows as f64, ""),
        Finding::new("memory of the edge per flow that has sent nothing", per_flow(idle), "bytes").at_most(BYTES_MAX),
        Finding::new("memory of the edge per flow that is idle again", per_flow(used), "bytes").at_most(BYTES_MAX),
        Finding::new("open files of the edge per flow", files as f64 / flows as f64, ""),
    ])
}
