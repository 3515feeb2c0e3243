//! UDP through a whole stack: instances behind the accelerator, each a small echo of the test's own.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use perigee_tests::stack::{Setup, Stack, UDP_PORT};
use perigee_tests::wait::until;

/// Answers each datagram with who it is and whom it sees, as long as the test runs.
fn echo(address: IpAddr) {
    let socket = UdpSocket::bind((address, UDP_PORT)).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2_000];
        while let Ok((len, peer)) = socket.recv_from(&mut buffer) {
            let said = String::from_utf8_lossy(&buffer[..len]).into_owned();
            let _ = socket.send_to(format!("{address} saw {} say {said}", peer.ip()).as_bytes(), peer);
        }
    });
}

fn client(place: [u8; 4], to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((IpAddr::from(place), 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // It hears nobody but whom it asks.
    socket.connect(to).unwrap();
    socket
}

fn ask(client: &UdpSocket, text: &str) -> String {
    client.send(text.as_bytes()).unwrap();
    let mut buffer = [0; 2_000];
    let len = client.recv(&mut buffer).expect("the edge brings an answer");
    String::from_utf8_lossy(&buffer[..len]).into_owned()
}

#[test]
fn datagrams_reach_the_nearest_regions_instance_by_both_addresses_and_the_status_shows_their_flows() {
    let stack = Stack::with(&Setup { udp: true, ..Setup::default() });
    let (seoul, tokyo) = (stack.slot().instance(82), stack.slot().instance(81));
    echo(seoul);
    echo(tokyo);
    let mut clients = Vec::new();
    for which in 0..2 {
        let entry = SocketAddr::new(stack.slot().accelerator(which).ip(), UDP_PORT);
        for (place, instance) in [([127, 82, 200, 9], seoul), ([127, 81, 200, 9], tokyo)] {
            let client = client(place, entry);
            let seen = IpAddr::from(place);
            assert_eq!(ask(&client, "hello"), format!("{instance} saw {seen} say hello"));
            clients.push(client);
        }
    }
    let status = stack.status();
    assert_eq!(status["edge"]["active_udp_flows"], 4);
    assert_eq!(status["edge"]["listening_udp"].as_array().map(Vec::len), Some(2));
    assert_eq!(stack.metric("perigee_edge_udp_new_flows_total", &["region=\"ap-northeast-2\""]), 2.0);
    // HTTP by TCP is served beside it, and a zone that fails takes one of the two addresses along.
    assert_eq!(stack.client_in_seoul().unwrap().get("/").unwrap().status, 200);
    stack.kill("zone-a", "crash");
    until("the flows of the zone are forgotten", Duration::from_secs(10), || {
        stack.status()["edge"]["active_udp_flows"] == 2
    });
    assert_eq!(ask(&clients[2], "still here"), format!("{seoul} saw 127.82.200.9 say still here"));
}
