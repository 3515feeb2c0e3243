//! Instances and elastic IPs on real sockets, with intervals of a lab.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use perigee_health::HealthState;
use perigee_model::{
    AcceleratorIndex, AllocationId, ClientIp, ElasticIp, ElasticIpIndex, EndpointTarget, PortOverride, PortRange,
    Snapshot, fixtures,
};
use perigee_net::{Clock, Crossings, Fault, Host, Names};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::*;
use crate::tests::{atlas, block, free_port};
use crate::{Metrics, PopHosts, Proxy};

/// A stack of two regions with one server each and no load balancer; Seoul is the second.
struct Lab {
    front: Arc<Front>,
    proxy: Arc<Proxy>,
    shutdown: Shutdown,
    servers: Vec<Host>,
    entry: SocketAddr,
    registry: Registry,
}

impl Lab {
    async fn start(change: impl FnOnce(&mut Snapshot)) -> Self {
        let [a, b] = block();
        let mut snapshot = fixtures::snapshot(&["ap-northeast-1", "ap-northeast-2"]);
        fixtures::add_instances(&mut snapshot);
        let entry = IpAddr::from([127, a, b, 200]);
        let port = free_port(entry).await;
        snapshot.accelerators[0].addresses = vec![entry, [127, a, b, 201].into()];
        let listener = &mut snapshot.accelerators[0].listeners[0];
        listener.port_ranges = vec![PortRange { from_port: port, to_port: port }];
        for group in &mut listener.endpoint_groups {
            group.endpoints.remove(0);
            group.health_check.port = port;
            group.health_check.interval = Duration::from_millis(100);
        }
        snapshot.settings.timing.recovery_hold = Duration::from_millis(50);
        let mut servers = Vec::new();
        for (region, instance) in snapshot.instances.iter_mut().enumerate() {
            instance.address = [127, a, b, 20 + region as u8].into();
            let host = Host::new(format!("instance {}", instance.address));
            serve(&host, SocketAddr::new(instance.address, port)).await;
            servers.push(host);
        }
        change(&mut snapshot);
        let snapshot = Arc::new(snapshot);
        let (clock, shutdown, mut registry) = (Clock::new(), Shutdown::new(), Registry::default());
        let front = Front::new(snapshot.clone(), atlas(&snapshot), None, clock);
        let prober = DnsProber::new(Host::new("prober"), Names::of_the_system());
        let probes = EndpointMetrics::register(&mut registry);
        tokio::spawn(front.clone().run_endpoints(prober, probes, shutdown.clone()));
        let (crossings, pops) = (Crossings::default(), Arc::new(PopHosts::default()));
        let metrics = Metrics::register(&mut registry);
        let proxy = Proxy::start(front.clone(), pops, crossings, metrics, clock, shutdown.clone()).await.unwrap();
        let lab = Self { front, proxy, shutdown, servers, entry: SocketAddr::new(entry, port), registry };
        lab.until(|lab| lab.states() == [HealthState::Healthy; 2]).await;
        lab
    }

    fn states(&self) -> Vec<HealthState> {
        let view = self.front.view();
        view.health.probed.listener(AcceleratorIndex(0), 0).iter().map(|group| group.state(0)).collect()
    }

    async fn until(&self, reached: impl Fn(&Self) -> bool) {
        while !reached(self) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// What the server says that a new flow of a client in Seoul reaches: its own address, the address it sees, and the
    /// first line it was sent.
    async fn ask(&self) -> String {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 82, 200, 9], 0).into()).unwrap();
        exchange(socket.connect(self.entry).await.unwrap()).await
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

async fn exchange(mut client: TcpStream) -> String {
    client.write_all(b"hello\n").await.unwrap();
    let mut answer = vec![0; 256];
    let n = client.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..n]).into_owned()
}

/// Answers the first line of every connection with the server's address, the client's, and the line.
async fn serve(host: &Host, address: SocketAddr) {
    let mut listener = host.listen(address).await.unwrap();
    let host = host.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, peer) = listener.accept().await;
            let host = host.clone();
            tokio::spawn(async move {
                let answer = async {
                    let mut line = vec![0; 256];
                    let n = stream.read(&mut line).await.unwrap_or(0);
                    let line = String::from_utf8_lossy(&line[..n]).into_owned();
                    let text = format!("{} saw {} say {line}", address.ip(), peer.ip());
                    let _ = stream.write_all(text.as_bytes()).await;
                };
                host.run(answer).await;
            });
        }
    });
}

#[tokio::test]
async fn an_instance_gets_the_clients_bytes_from_the_clients_address_and_nothing_before() {
    let lab = Lab::start(|_| {}).await;
    let seoul = lab.front.view().snapshot.instances[1].address;
    assert_eq!(lab.ask().await, format!("{seoul} saw 127.82.200.9 say hello\n"));
    assert!(lab.metrics().contains("perigee_edge_endpoint_probes_total{result=\"ok\"}"));
}

#[tokio::test]
async fn an_instance_gets_no_header_where_load_balancers_would() {
    let lab = Lab::start(|snapshot| snapshot.settings.client_ip = ClientIp::ProxyV2).await;
    let answer = lab.ask().await;
    assert!(answer.ends_with("say hello\n") && !answer.contains("127.82.200.9"), "{answer}");
}

#[tokio::test]
async fn an_elastic_ip_never_sees_the_client() {
    let lab = Lab::start(|snapshot| {
        let instance = snapshot.instances[1].clone();
        let id = AllocationId::new("eipalloc-00000001");
        snapshot.elastic_ips.push(ElasticIp { id, region: instance.region, address: instance.address });
        let endpoint = &mut snapshot.accelerators[0].listeners[0].endpoint_groups[1].endpoints[0];
        endpoint.target = EndpointTarget::ElasticIp(ElasticIpIndex(0));
        endpoint.client_ip_preservation = false;
    })
    .await;
    let seoul = lab.front.view().snapshot.instances[1].address;
    let answer = lab.ask().await;
    assert!(answer.starts_with(&format!("{seoul} saw ")) && answer.ends_with("say hello\n"), "{answer}");
    assert!(!answer.contains("127.82.200.9"), "{answer}");
}

#[tokio::test]
async fn a_dead_instances_clients_are_served_elsewhere_at_once_and_come_back() {
    let lab = Lab::start(|_| {}).await;
    let [tokyo, seoul] = [0, 1].map(|i| lab.front.view().snapshot.instances[i].address);
    lab.servers[1].set_fault(Fault::Crash);
    lab.servers[1].settled().await;
    assert!(lab.ask().await.starts_with(&format!("{tokyo} saw ")), "the same connection moved on");
    assert_eq!(lab.states()[1], HealthState::Unhealthy, "one refused connect was enough");
    lab.servers[1].set_fault(Fault::None);
    lab.servers[1].settled().await;
    lab.until(|lab| lab.states()[1] == HealthState::Healthy).await;
    assert!(lab.ask().await.starts_with(&format!("{seoul} saw ")));
}

#[tokio::test]
async fn probes_alone_find_a_dead_instance() {
    let lab = Lab::start(|_| {}).await;
    lab.servers[1].set_fault(Fault::Crash);
    lab.until(|lab| lab.states()[1] == HealthState::Unhealthy).await;
    assert!(lab.metrics().contains("perigee_edge_endpoint_probes_total{result=\"connection\"}"));
}

#[tokio::test]
async fn an_ipv6_client_reaches_the_ipv6_address_and_is_reset_where_there_is_none() {
    let here = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    let server = free_port(here.ip()).await;
    serve(&Host::new("instance"), SocketAddr::new(here.ip(), server)).await;
    for has_ipv6 in [true, false] {
        let lab = Lab::start(|snapshot| {
            snapshot.accelerators[0].addresses.push(here.ip());
            let listener = &mut snapshot.accelerators[0].listeners[0];
            let listener_port = listener.port_ranges[0].from_port;
            for group in &mut listener.endpoint_groups {
                group.port_overrides = vec![PortOverride { listener_port, endpoint_port: server }];
            }
            if has_ipv6 {
                snapshot.instances[1].ipv6 = Some(Ipv6Addr::LOCALHOST);
            }
        })
        .await;
        let client = TcpStream::connect((here.ip(), lab.entry.port())).await;
        if has_ipv6 {
            assert!(exchange(client.unwrap()).await.starts_with("::1 saw ::1 say hello"));
        } else {
            // The connect may tell of the reset already, which follows its completion at once.
            let is_reset = match client {
                Ok(mut client) => client.read(&mut [0]).await.is_err(),
                Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
            };
            assert!(is_reset, "the client was not reset");
            let refused = "perigee_edge_refused_flows_total{reason=\"no_ipv6_endpoint\"} 1";
            lab.until(|lab| lab.metrics().contains(refused)).await;
        }
        lab.shutdown.begin();
        lab.proxy.listeners_closed().await;
    }
}
