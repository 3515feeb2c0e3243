//! Custom routing through real sockets: each port of the accelerator is one server of the subnet.

use std::net::Ipv4Addr;

use perigee_model::{
    CustomRoutingEndpoint, DestinationConfiguration, Protocols, TrafficRule, TrafficScope, TrafficState,
};

use super::*;

/// The first port of the accelerator `game`: it leads to the fifth address of the subnet.
const FIRST: u16 = 20_000;

/// The port of every destination.
const PORT: u16 = 7_000;

/// A stack with the accelerator `game` beside the other one: ports from [`FIRST`] on lead to 127.a.b.68 to .78, of which
/// the first two are servers. Allowed are the first three; on the third nobody listens.
struct Game {
    lab: Lab,
    addresses: [Ipv4Addr; 2],
    servers: [Host; 2],
}

impl Game {
    async fn start() -> Self {
        let mut addresses = [Ipv4Addr::LOCALHOST; 2];
        let lab = Lab::start(|snapshot| {
            let IpAddr::V4(entry) = snapshot.accelerators[0].addresses[0] else { panic!("an IPv4 block") };
            let [_, a, b, _] = entry.octets();
            addresses = [Ipv4Addr::new(127, a, b, 210), Ipv4Addr::new(127, a, b, 211)];
            let destinations = DestinationConfiguration {
                port_range: PortRange { from_port: PORT, to_port: PORT },
                protocols: Protocols { tcp: true, udp: false },
            };
            let ports = PortRange { from_port: FIRST, to_port: FIRST + 15 };
            let cidr = format!("127.{a}.{b}.64/28").parse().expect("a subnet");
            fixtures::add_custom_routing(snapshot, addresses, cidr, ports, destinations);
            let allowed = [68, 69, 70].map(|last| Ipv4Addr::new(127, a, b, last));
            endpoint(snapshot).traffic.push(rule(TrafficState::Allow, &allowed));
        })
        .await;
        let [_, a, b, _] = addresses[0].octets();
        let servers = [68, 69].map(|last| Host::new(format!("server {last}")));
        for (server, last) in servers.iter().zip([68, 69]) {
            serve_flows(server, SocketAddr::new([127, a, b, last].into(), PORT)).await;
        }
        Self { lab, addresses, servers }
    }

    /// A client at a place of its own.
    async fn client(&self, address: Ipv4Addr, port: u16) -> TcpStream {
        self.connect(address, port).await.expect("the edge accepts")
    }

    async fn connect(&self, address: Ipv4Addr, port: u16) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 81, 200, 9], 0).into()).expect("an address in Tokyo");
        socket.connect((address, port).into()).await
    }

    /// Whether a client is reset. Its connect may tell already: the kernel completes it, and the reset follows at once.
    async fn is_reset(&self, address: Ipv4Addr, port: u16) -> bool {
        match self.connect(address, port).await {
            Ok(mut client) => client.read(&mut [0]).await.is_err(),
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }

    async fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        let mut next = Snapshot::clone(&self.lab.front.view().snapshot);
        next.generation += 1;
        change(&mut next);
        self.lab.apply(next).await;
    }
}

fn endpoint(snapshot: &mut Snapshot) -> &mut CustomRoutingEndpoint {
    &mut snapshot.custom_routing_accelerators[0].listeners[0].endpoint_groups[0].endpoints[0]
}

fn rule(state: TrafficState, addresses: &[Ipv4Addr]) -> TrafficRule {
    TrafficRule { state, scope: TrafficScope::Destinations { addresses: addresses.to_vec(), ports: vec![] } }
}

#[tokio::test]
async fn each_port_of_either_address_leads_to_its_server_which_sees_the_client() {
    let game = Game::start().await;
    for address in game.addresses {
        for (port, last) in [(FIRST, 68), (FIRST + 1, 69)] {
            let answer = exchange(&mut game.client(address, port).await).await;
            let [_, a, b, _] = address.octets();
            assert_eq!(answer, format!("127.{a}.{b}.{last} saw 127.81.200.9 say hello\n"));
        }
    }
    let metrics = game.lab.metrics();
    let line = "perigee_edge_new_flows_total{accelerator=\"game\",pop=\"NRT\",region=\"ap-northeast-2\"} 4";
    assert!(metrics.contains(line), "{metrics}");
    assert!(game.lab.ask().await.contains("hello"), "the standard accelerator beside it");
}

#[tokio::test]
async fn a_denied_or_unmapped_port_ends_without_an_answer_and_a_dead_destination_in_a_reset() {
    let game = Game::start().await;
    let mut byte = [0];
    // 71 is denied; ports 11 and on lead nowhere.
    for port in [FIRST + 3, FIRST + 11] {
        let mut client = game.client(game.addresses[0], port).await;
        assert_eq!(client.read(&mut byte).await.expect("no reset"), 0, "port {port}");
    }
    assert!(game.lab.metrics().contains("perigee_edge_refused_flows_total{reason=\"denied\"} 2"));
    let dead = game.is_reset(game.addresses[0], FIRST + 2).await;
    assert!(dead, "nobody listens there, and there is nobody else to turn to");
    game.servers[0].set_fault(Fault::Crash);
    assert!(game.is_reset(game.addresses[1], FIRST).await, "no other server takes its flows");
    assert!(exchange(&mut game.client(game.addresses[1], FIRST + 1).await).await.contains("hello"));
}

#[tokio::test]
async fn a_reload_that_denies_or_takes_a_subnet_out_is_for_new_flows_alone() {
    let game = Game::start().await;
    let mut client = game.client(game.addresses[0], FIRST).await;
    exchange(&mut client).await;
    let [_, a, b, _] = game.addresses[0].octets();
    game.change(|next| endpoint(next).traffic.push(rule(TrafficState::Deny, &[[127, a, b, 68].into()]))).await;
    let mut byte = [0];
    let mut late = game.client(game.addresses[0], FIRST).await;
    assert_eq!(late.read(&mut byte).await.expect("no reset"), 0);
    assert!(exchange(&mut client).await.contains("hello"), "an established flow was cut");
    game.change(|next| {
        next.custom_routing_accelerators[0].listeners[0].endpoint_groups[0].endpoints.clear();
        next.subnets.clear();
    })
    .await;
    let mut late = game.client(game.addresses[0], FIRST + 1).await;
    assert_eq!(late.read(&mut byte).await.expect("no reset"), 0);
    assert!(exchange(&mut client).await.contains("hello"), "its flows stay until they end");
    game.change(|next| next.custom_routing_accelerators[0].enabled = false).await;
    assert!(client.read(&mut byte).await.is_err(), "the flow outlived its accelerator");
}
