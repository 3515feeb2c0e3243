//! A UDP edge before two regions of two nodes each.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use perigee_health::{Forced, GroupReport, NodeReport};
use perigee_model::{PortRange, Snapshot, TransportProtocol, fixtures};
use perigee_net::{Clock, Shutdown};
use prometheus_client::registry::Registry;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use crate::tests::atlas;
use crate::udp::{UdpMetrics, UdpProxy};
use crate::{Front, Metrics, PopHosts};

pub(super) const TOKYO: usize = 0;
pub(super) const SEOUL: usize = 1;
/// The listener's port unless a test says otherwise; every test has addresses of its own.
pub(super) const PORT: u16 = 4_000;

const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Lab {
    pub(super) front: Arc<Front>,
    pub(super) udp: Arc<UdpProxy>,
    pub(super) pops: Arc<PopHosts>,
    pub(super) shutdown: Shutdown,
    /// The two static addresses.
    pub(super) entries: [SocketAddr; 2],
    /// By region, the addresses of its nodes.
    pub(super) nodes: [[IpAddr; 2]; 2],
    registry: Registry,
    pub(super) edge: Metrics,
    echoes: Mutex<Vec<(IpAddr, JoinHandle<()>)>>,
    heard: Arc<AtomicU64>,
}

impl Lab {
    pub(super) async fn start(workers: usize, change: impl FnOnce(&mut Snapshot)) -> Self {
        // Tests are processes of their own.
        let pid = std::process::id();
        let [a, b] = [100 + (pid / 250 % 100) as u8, (pid % 250) as u8];
        let entries = [200, 201].map(|host| SocketAddr::new([127, a, b, host].into(), PORT));
        let nodes = [1, 11].map(|first| [[127, a, b, first].into(), [127, a, b, first + 1].into()]);
        let mut snapshot = fixtures::snapshot(&["ap-northeast-1", "ap-northeast-2"]);
        let accelerator = &mut snapshot.accelerators[0];
        accelerator.addresses = entries.map(|entry| entry.ip()).to_vec();
        accelerator.listeners[0].protocol = TransportProtocol::Udp;
        accelerator.listeners[0].port_ranges = vec![PortRange { from_port: PORT, to_port: PORT }];
        for (lb, addresses) in snapshot.load_balancers.iter_mut().zip(nodes) {
            for (node, address) in lb.nodes.iter_mut().zip(addresses) {
                node.address = address;
            }
        }
        change(&mut snapshot);
        let snapshot = Arc::new(snapshot);
        let (clock, shutdown, mut registry) = (Clock::new(), Shutdown::new(), Registry::default());
        let front = Front::new(snapshot.clone(), atlas(&snapshot), None, clock);
        front.with(|edge| {
            let group = GroupReport { name: "web".into(), healthy: 2, initial: 0, registered: 2, passes_dns: true };
            let report = NodeReport { target_groups: vec![group] };
            let now = clock.now();
            while let Some(sample) = edge.poll_sample(now) {
                edge.sampled(&sample, Ok(report.clone()), now);
            }
            // Probes are spread; one interval on, everybody has had one.
            let spread = now + Duration::from_millis(100);
            while let Some(at) = edge.poll_endpoint_timeout().filter(|at| *at <= spread) {
                edge.handle_endpoint_timeout(at);
                while let Some(probe) = edge.poll_endpoint_probe(at) {
                    edge.endpoint_probed(&probe, Ok(()), at);
                }
            }
        });
        let pops = Arc::new(PopHosts::default());
        let edge = Metrics::register(&mut registry);
        let metrics = UdpMetrics::register(&mut registry, &edge);
        let workers = NonZeroUsize::new(workers);
        let udp = UdpProxy::start(front.clone(), pops.clone(), metrics, clock, shutdown.clone(), workers).await;
        let udp = udp.expect("it listens");
        let (echoes, heard) = (Mutex::default(), Arc::default());
        let lab = Self { front, udp, pops, shutdown, entries, nodes, registry, edge, echoes, heard };
        for node in nodes.into_iter().flatten() {
            lab.echo(SocketAddr::new(node, PORT));
        }
        lab
    }

    /// Answers each datagram at `address` with the address, the sender's, and the datagram.
    pub(super) fn echo(&self, address: SocketAddr) {
        let Ok(socket) = std::net::UdpSocket::bind(address) else { return };
        socket.set_nonblocking(true).expect("it can");
        let socket = UdpSocket::from_std(socket).expect("a runtime");
        let heard = self.heard.clone();
        let task = tokio::spawn(async move {
            let mut buffer = vec![0; 65_536];
            while let Ok((len, peer)) = socket.recv_from(&mut buffer).await {
                heard.fetch_add(1, Ordering::Relaxed);
                let mut answer = format!("{} saw {} say ", address.ip(), peer.ip()).into_bytes();
                answer.extend_from_slice(&buffer[..len]);
                let _ = socket.send_to(&answer, peer).await;
            }
        });
        self.echoes.lock().expect("no panic").push((address.ip(), task));
    }

    /// Closes the ports of a region's nodes.
    pub(super) async fn close(&self, region: usize) {
        let mut echoes = std::mem::take(&mut *self.echoes.lock().expect("no panic"));
        for (_, task) in echoes.extract_if(.., |(node, _)| self.nodes[region].contains(node)) {
            task.abort();
            assert!(task.await.expect_err("it was told to end").is_cancelled());
        }
        self.echoes.lock().expect("no panic").extend(echoes);
    }

    /// Datagrams that have reached an endpoint.
    pub(super) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    pub(super) fn force_unhealthy(&self, region: usize) {
        let snapshot = self.front.view().snapshot.clone();
        let lb = &snapshot.load_balancers[region];
        self.front.force(&snapshot.region(lb.region).code, &lb.name, Some(Forced::Unhealthy));
    }

    /// A client in Seoul, of the first address.
    pub(super) async fn client(&self) -> Client {
        Client::of([127, 82, 200, 9], self.entries[0]).await
    }

    pub(super) fn region_of(&self, answer: &str) -> usize {
        let node: IpAddr = answer.split(' ').next().and_then(|text| text.parse().ok()).expect("an answer");
        self.nodes.iter().position(|nodes| nodes.contains(&node)).expect("a node's")
    }

    pub(super) async fn apply(&self, next: Snapshot) {
        self.try_apply(next).await.expect("every address is free");
    }

    pub(super) async fn try_apply(&self, mut next: Snapshot) -> std::io::Result<()> {
        next.generation += 1;
        let (next, atlas) = (Arc::new(next), self.front.view().atlas.clone());
        self.front.set_snapshot(next.clone(), atlas);
        self.udp.set_snapshot(&next).await
    }

    pub(super) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("metrics are text");
        text
    }

    /// Waits for a state.
    pub(super) async fn until(&self, reached: impl Fn(&Self) -> bool) {
        let wait = async {
            while !reached(self) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("never reached: {:?}\n{}", self.udp.status(), self.metrics());
        }
    }
}

/// A client that hears only whom it asks.
pub(super) struct Client {
    socket: UdpSocket,
    pub(super) address: SocketAddr,
}

impl Client {
    pub(super) async fn of(address: [u8; 4], entry: SocketAddr) -> Self {
        let socket = UdpSocket::bind(SocketAddr::new(address.into(), 0)).await.expect("a port is free");
        socket.connect(entry).await.expect("it has an address");
        let address = socket.local_addr().expect("it is bound");
        Self { socket, address }
    }

    pub(super) async fn send(&self, text: &str) {
        self.socket.send(text.as_bytes()).await.expect("sent");
    }

    pub(super) async fn receive(&self) -> String {
        let mut buffer = vec![0; 65_536];
        let received = tokio::time::timeout(PATIENCE, self.socket.recv(&mut buffer)).await;
        let len = received.expect("an answer in time").expect("an answer");
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    }

    pub(super) async fn ask(&self, text: &str) -> String {
        self.send(text).await;
        self.receive().await
    }
}
