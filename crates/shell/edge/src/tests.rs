//! The proxy on real sockets: nodes are small servers on loopback addresses of their own.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use perigee_geo::{Atlas, Database, Overlay, Tables, shipped};
use perigee_health::{GroupReport, NodeReport};
use perigee_model::{Behaviour, ClientIp, EdgeTiming, PortRange, Snapshot, fixtures};
use perigee_net::{Clock, Crossings, Fault, Host, Shutdown, proxy_protocol};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::{Front, Metrics, PopHosts, Proxy};

/// A stack of two regions with one small server per node; Seoul is the second.
struct Lab {
    front: Arc<Front>,
    proxy: Arc<Proxy>,
    shutdown: Shutdown,
    nodes: Vec<Host>,
    entry: SocketAddr,
    registry: Registry,
    crossings: Crossings,
    pops: Arc<PopHosts>,
}

pub(crate) fn atlas(snapshot: &Snapshot) -> Arc<Atlas> {
    static DATA: OnceLock<(Arc<Database>, Tables, Overlay)> = OnceLock::new();
    let (database, tables, overlay) = DATA.get_or_init(|| {
        let tables = Tables::parse(shipped::REGIONS, shipped::REGION_RTT, shipped::EDGES).expect("shipped tables");
        let overlay = Overlay::parse(shipped::OVERLAY).expect("shipped overlay");
        (Arc::new(Database::load(shipped::CITY).expect("shipped database")), tables, overlay)
    });
    let regions: Vec<_> = snapshot.regions.iter().map(|r| (r.code.clone(), r.location)).collect();
    Arc::new(Atlas::build(database, tables, overlay, &regions, "Seoul").expect("an atlas"))
}

/// A block of loopback addresses that no other test of this run uses: tests of one binary may be processes of their
/// own, so the block comes from the process number as well.
pub(crate) fn block() -> [u8; 2] {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let pid = std::process::id();
    [
        128 + u8::try_from(pid % 100).unwrap_or(0),
        (u8::try_from(pid / 100 % 25).unwrap_or(0) * 10) + NEXT.fetch_add(1, Ordering::Relaxed),
    ]
}

pub(crate) async fn free_port(address: IpAddr) -> u16 {
    let listener = TcpListener::bind((address, 0)).await.expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

impl Lab {
    async fn start(change: impl FnOnce(&mut Snapshot)) -> Self {
        let [a, b] = block();
        let mut snapshot = fixtures::snapshot(&["ap-northeast-1", "ap-northeast-2"]);
        let entry = IpAddr::from([127, a, b, 200]);
        snapshot.accelerators[0].addresses = vec![entry, [127, a, b, 201].into()];
        let port = free_port(entry).await;
        snapshot.accelerators[0].listeners[0].port_ranges = vec![PortRange { from_port: port, to_port: port }];
        let mut nodes = Vec::new();
        for (region, lb) in snapshot.load_balancers.iter_mut().enumerate() {
            for (i, node) in lb.nodes.iter_mut().enumerate() {
                node.address = [127, a, b, u8::try_from(region * 10 + i + 1).expect("few nodes")].into();
                let host = Host::new(format!("node {}", node.address));
                node.status_port = serve_status(&host, node.address).await;
                serve_flows(&host, SocketAddr::new(node.address, port)).await;
                nodes.push(host);
            }
        }
        change(&mut snapshot);
        let snapshot = Arc::new(snapshot);
        let (clock, shutdown, mut registry) = (Clock::new(), Shutdown::new(), Registry::default());
        let front = Front::new(snapshot.clone(), atlas(&snapshot), None, clock);
        tokio::spawn(front.clone().run(Host::new("front"), shutdown.clone()));
        let (crossings, pops) = (Crossings::default(), Arc::new(PopHosts::default()));
        let metrics = Metrics::register(&mut registry);
        let proxy = Proxy::start(front.clone(), pops.clone(), crossings.clone(), metrics, clock, shutdown.clone())
            .await
            .expect("it listens");
        let lab =
            Self { front, proxy, shutdown, nodes, entry: SocketAddr::new(entry, port), registry, crossings, pops };
        lab.until(|lab| lab.front.view().health.load_balancers.iter().all(|h| h.is_healthy())).await;
        lab
    }

    /// Waits for a state of the front tier.
    async fn until(&self, reached: impl Fn(&Self) -> bool) {
        while !reached(self) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn client(&self) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 82, 200, 9], 0).into()).expect("an address in Seoul");
        socket.connect(self.entry).await.expect("the edge accepts")
    }

    /// Sends a line and gives the answer: the node's address and what it saw.
    async fn ask(&self) -> String {
        let mut client = self.client().await;
        exchange(&mut client).await
    }

    async fn apply(&self, next: Snapshot) {
        let (next, atlas) = (Arc::new(next), self.front.view().atlas.clone());
        self.front.set_snapshot(next.clone(), atlas);
        self.proxy.set_snapshot(&next).await.expect("the new port is free");
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("metrics are text");
        text
    }

    fn region(&self, region: usize, fault: Fault) {
        self.nodes[region * 2..region * 2 + 2].iter().for_each(|n| n.set_fault(fault));
    }
}

async fn exchange(client: &mut TcpStream) -> String {
    client.write_all(b"hello\n").await.expect("sent");
    let mut answer = vec![0; 256];
    let n = client.read(&mut answer).await.expect("an answer or an end");
    String::from_utf8_lossy(&answer[..n]).into_owned()
}

/// Answers samples: everything is healthy.
async fn serve_status(host: &Host, address: IpAddr) -> u16 {
    let group = GroupReport { name: "web".into(), healthy: 2, initial: 0, registered: 2, passes_dns: true };
    let body = serde_json::to_string(&NodeReport { target_groups: vec![group] }).expect("a report is JSON");
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    let mut listener = host.listen(SocketAddr::new(address, 0)).await.expect("a port is free");
    let port = listener.local_addr().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await;
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    port
}

/// Answers each chunk with its own address, the peer's, and the chunk; reads a PROXY header as a node does, and answers
/// with it as well. When its host is slow it is stuck: the kernel accepts, and nobody reads.
async fn serve_flows(host: &Host, address: SocketAddr) {
    let mut listener = host.listen(address).await.expect("the node's port is free");
    let host = host.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, peer) = listener.accept().await;
            let host = host.clone();
            tokio::spawn(async move {
                if matches!(host.fault(), Fault::Slow { .. }) {
                    std::future::pending::<()>().await;
                }
                let echo = async {
                    let mut chunk = [0; 128];
                    let mut header = String::new();
                    if matches!(stream.socket().peek(&mut chunk[..1]).await, Ok(1)) && chunk[0] == b'\r' {
                        header = format!("{:?} ", proxy_protocol::read(&mut stream).await);
                    }
                    while let Ok(n @ 1..) = stream.read(&mut chunk).await {
                        let seen = String::from_utf8_lossy(&chunk[..n]).into_owned();
                        let answer = format!("{} {header}saw {} say {seen}", address.ip(), peer.ip());
                        if stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                };
                host.run(echo).await;
            });
        }
    });
}

fn is_seoul(answer: &str) -> bool {
    let node: Vec<&str> = answer.split(' ').next().unwrap_or_default().split('.').collect();
    matches!(node.last(), Some(&"11" | &"12"))
}

#[tokio::test]
async fn the_node_sees_the_clients_own_address_and_the_edges_name_is_on_the_register() {
    let lab = Lab::start(|_| {}).await;
    let mut client = lab.client().await;
    let answer = exchange(&mut client).await;
    assert!(is_seoul(&answer) && answer.contains("saw 127.82.200.9 say hello"), "{answer}");
    assert!(format!("{:?}", lab.crossings).contains("ICN"));
    drop(client);
    lab.until(|lab| lab.proxy.status().active_flows == 0).await;
    assert!(!format!("{:?}", lab.crossings).contains("ICN"));
}

#[tokio::test]
async fn with_proxy_v2_the_header_comes_first_and_names_client_and_edge() {
    let lab = Lab::start(|s| s.settings.client_ip = ClientIp::ProxyV2).await;
    let answer = lab.ask().await;
    assert!(answer.contains("source: 127.82.200.9:") && answer.contains("ICN"), "{answer:?}");
}

#[tokio::test]
async fn a_stuck_node_whose_kernel_still_accepts_costs_the_client_nothing_in_fast() {
    let lab = Lab::start(|s| s.settings.client_ip = ClientIp::ProxyV2).await;
    lab.region(1, Fault::Slow { delay_ms: 60_000 });
    let answer = lab.ask().await;
    assert!(!is_seoul(&answer) && answer.ends_with("say hello\n"), "{answer}");
}

#[tokio::test]
async fn in_aws_nobody_is_asked_to_confirm_and_the_client_waits_for_a_stuck_node() {
    let lab = Lab::start(|s| {
        s.settings.client_ip = ClientIp::ProxyV2;
        s.settings.behaviour = Behaviour::Aws;
        s.settings.timing = EdgeTiming::of(Behaviour::Aws);
    })
    .await;
    assert!(lab.ask().await.ends_with("say hello\n"), "no stray byte of a confirmation");
    lab.region(1, Fault::Slow { delay_ms: 60_000 });
    let waited = tokio::time::timeout(Duration::from_millis(500), lab.ask()).await;
    assert!(waited.is_err(), "{waited:?}");
}

#[tokio::test]
async fn a_crashed_region_costs_the_client_nothing_in_fast() {
    let lab = Lab::start(|_| {}).await;
    lab.region(1, Fault::Crash);
    for _ in 0..20 {
        let answer = lab.ask().await;
        assert!(!is_seoul(&answer) && answer.contains("say hello"), "{answer}");
    }
    let metrics = lab.metrics();
    assert!(!metrics.contains("perigee_edge_attempts_moved_on_total 0"), "{metrics}");
}

#[tokio::test]
async fn in_aws_a_refused_connect_resets_the_client() {
    let lab = Lab::start(|s| {
        s.settings.behaviour = Behaviour::Aws;
        s.settings.timing = EdgeTiming::of(Behaviour::Aws);
    })
    .await;
    lab.region(1, Fault::Crash);
    lab.nodes[2].settled().await;
    lab.nodes[3].settled().await;
    let mut client = lab.client().await;
    let mut byte = [0];
    let end = client.read(&mut byte).await;
    assert_eq!(end.map_err(|e| e.kind()), Err(std::io::ErrorKind::ConnectionReset));
    assert!(lab.metrics().contains("perigee_edge_refused_flows_total{reason=\"refused\"} 1"));
}

#[tokio::test]
async fn an_established_flow_stays_where_it_is_when_its_region_comes_back() {
    let lab = Lab::start(|_| {}).await;
    lab.region(1, Fault::Crash);
    let mut client = lab.client().await;
    assert!(!is_seoul(&exchange(&mut client).await));
    lab.region(1, Fault::None);
    lab.until(|lab| lab.front.view().health.load_balancers[1].is_healthy()).await;
    assert!(is_seoul(&lab.ask().await), "new flows come home");
    assert!(!is_seoul(&exchange(&mut client).await), "the old one stays");
}

#[tokio::test]
async fn a_full_edge_resets_who_comes_next_and_counts_it() {
    let lab = Lab::start(|s| s.settings.limits.edge_flows = 1).await;
    let mut first = lab.client().await;
    exchange(&mut first).await;
    let mut second = lab.client().await;
    let mut byte = [0];
    assert!(second.read(&mut byte).await.is_err(), "the second client was let in");
    assert!(lab.metrics().contains("perigee_edge_limit_hits_total{limit=\"edge_flows\"} 1"));
    drop(first);
    lab.until(|lab| lab.proxy.status().active_flows == 0).await;
    assert!(lab.ask().await.contains("hello"));
}

#[tokio::test]
async fn draining_takes_nothing_new_and_lets_a_flow_finish() {
    let lab = Lab::start(|_| {}).await;
    let mut client = lab.client().await;
    exchange(&mut client).await;
    lab.shutdown.begin();
    lab.proxy.listeners_closed().await;
    lab.proxy.connected().await;
    assert!(TcpStream::connect(lab.entry).await.is_err(), "a draining edge accepted");
    assert!(exchange(&mut client).await.contains("hello"));
    drop(client);
    assert_eq!(lab.shutdown.finish(Duration::from_secs(10)).await, 0);
}

#[tokio::test]
async fn a_reload_keeps_the_flows_of_listeners_that_stay_and_resets_those_of_a_removed_port() {
    let lab = Lab::start(|_| {}).await;
    let mut client = lab.client().await;
    exchange(&mut client).await;
    let view = lab.front.view();
    let mut next = Snapshot::clone(&view.snapshot);
    next.generation += 1;
    let port = free_port(lab.entry.ip()).await;
    let range = |port| PortRange { from_port: port, to_port: port };
    next.accelerators[0].listeners[0].port_ranges.push(range(port));
    lab.apply(next.clone()).await;
    assert!(exchange(&mut client).await.contains("hello"), "a flow was cut by an addition");
    next.generation += 1;
    next.accelerators[0].listeners[0].port_ranges = vec![range(port)];
    lab.apply(next).await;
    assert!(lab.proxy.status().listening.iter().all(|a| a.port() == port));
    let mut byte = [0];
    assert!(client.read(&mut byte).await.is_err(), "the flow outlived its port");
}

#[tokio::test]
async fn disabling_an_accelerator_resets_its_flows_and_refuses_new_ones() {
    let lab = Lab::start(|_| {}).await;
    let mut client = lab.client().await;
    exchange(&mut client).await;
    let mut next = Snapshot::clone(&lab.front.view().snapshot);
    next.generation += 1;
    next.accelerators[0].enabled = false;
    lab.apply(next).await;
    let mut byte = [0];
    assert!(client.read(&mut byte).await.is_err(), "the flow outlived its accelerator");
    lab.until(|lab| lab.proxy.status().listening.is_empty()).await;
    assert!(TcpStream::connect(lab.entry).await.is_err());
}

#[tokio::test]
async fn a_dead_pops_flows_are_reset_and_its_clients_taken_by_the_next() {
    let lab = Lab::start(|_| {}).await;
    let mut client = lab.client().await;
    exchange(&mut client).await;
    let icn = lab.front.view().atlas.find_pop("ICN").expect("ICN");
    lab.front.set_pop(icn, false);
    lab.pops.get(icn).set_fault(Fault::Crash);
    let mut byte = [0];
    assert!(client.read(&mut byte).await.is_err(), "the flow outlived its edge");
    assert!(lab.ask().await.contains("hello"));
    assert!(lab.metrics().contains("pop=\"ICN\""));
}
