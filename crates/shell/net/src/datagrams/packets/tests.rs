use std::net::UdpSocket;
use std::time::Duration;

use super::*;
use crate::datagrams::{ConnectedSocket, DatagramBatch, DatagramSocket, stop_signal};

fn plain() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

fn listening(coalesce: bool) -> DatagramSocket {
    let socket = DatagramSocket::bind_alone("127.0.0.1:0".parse().unwrap()).unwrap();
    assert!(!coalesce || socket.coalesce(), "every kernel since 5.0 has UDP_GRO");
    socket
}

/// Receives until `datagrams` are there, and passes each batch on to `to`.
fn pass_on(from: &DatagramSocket, socket: &impl AsFd, to: Option<SocketAddr>, datagrams: u64) -> Passed {
    let (mut batch, mut all) = (PacketBatch::new(), Passed::default());
    let waiter = DatagramBatch::new();
    let (_stop, stopped) = stop_signal().unwrap();
    let mut seen = 0;
    while seen < datagrams {
        match batch.receive(from, MAX_BATCH) {
            Ok(received) => {
                seen += (0..received).map(|packet| batch.datagrams(packet)).sum::<u64>();
                let passed = batch.forward(socket, to, 0..received);
                all.datagrams += passed.datagrams;
                all.octets += passed.octets;
                all.lost += passed.lost;
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                waiter.wait(from, &stopped).unwrap();
            }
        }
    }
    all
}

fn receive(socket: &UdpSocket, count: usize) -> Vec<Vec<u8>> {
    let mut buffer = vec![0; ROOM];
    let mut one = || socket.recv(&mut buffer).map(|len| buffer[..len].to_vec());
    (0..count).map(|_| one().expect("every datagram arrives")).collect()
}

/// Datagrams of these lengths, told apart by their first octet.
fn datagrams(lengths: &[usize]) -> Vec<Vec<u8>> {
    let of = |(i, len): (usize, &usize)| (0..*len).map(|at| (i + at) as u8).collect();
    lengths.iter().enumerate().map(of).collect()
}

#[test]
fn datagrams_of_all_lengths_arrive_as_they_were_in_their_order() {
    let lengths = [1_200, 1_200, 1_200, 700, 1_200, 0, 0, 1, 1, 60_000, 65_507, 9, 1_200, 1_201, 1_200];
    for coalesce in [false, true] {
        let (client, target, entry) = (plain(), plain(), listening(coalesce));
        let sent = datagrams(&lengths);
        for datagram in &sent {
            client.send_to(datagram, entry.local_addr()).unwrap();
        }
        let out = ConnectedSocket::open(None, target.local_addr().unwrap()).unwrap();
        let passed = pass_on(&entry, &out, None, lengths.len() as u64);
        let octets = lengths.iter().sum::<usize>() as u64;
        assert_eq!(passed, Passed { datagrams: lengths.len() as u64, octets, lost: 0, refused: false });
        assert_eq!(receive(&target, lengths.len()), sent);
    }
}

#[test]
fn what_the_kernel_gives_as_one_packet_leaves_as_the_datagrams_that_it_was() {
    let (target, entry) = (plain(), listening(true));
    // Sent as one, so received as one.
    let sender = ConnectedSocket::open(None, entry.local_addr()).unwrap();
    let mut sending = PacketBatch::new();
    let lengths = [1_000; 40];
    let (source, filled) = (plain(), listening(false));
    for datagram in datagrams(&lengths) {
        source.send_to(&datagram, filled.local_addr()).unwrap();
    }
    assert_eq!(sending.receive(&filled, MAX_BATCH).unwrap(), 40);
    assert_eq!(sending.forward(&sender, None, 0..40).datagrams, 40);
    let mut batch = PacketBatch::new();
    assert_eq!(batch.receive(&entry, MAX_BATCH).unwrap(), 1, "the kernel took them apart");
    assert_eq!((batch.datagrams(0), batch.source(0)), (40, sender.local_addr().ok()));
    let out = ConnectedSocket::open(None, target.local_addr().unwrap()).unwrap();
    assert_eq!(batch.forward(&out, None, [0]), Passed { datagrams: 40, octets: 40_000, lost: 0, refused: false });
    assert_eq!(receive(&target, 40), datagrams(&lengths));
}

#[test]
fn a_message_that_is_refused_as_one_leaves_one_by_one() {
    let (client, target, entry) = (plain(), plain(), listening(false));
    let lengths = [300, 300, 300, 20];
    for datagram in datagrams(&lengths) {
        client.send_to(&datagram, entry.local_addr()).unwrap();
    }
    let mut batch = PacketBatch::new();
    assert_eq!(batch.receive(&entry, MAX_BATCH).unwrap(), 4);
    let out = ConnectedSocket::open(None, target.local_addr().unwrap()).unwrap();
    batch.plan(Name::NONE, 0..4);
    assert_eq!(batch.messages.len(), 1, "three of a length and a shorter one are one message");
    let mut passed = Passed::default();
    batch.one_by_one(out.as_fd(), 0, &mut passed);
    assert_eq!(passed, Passed { datagrams: 4, octets: 920, lost: 0, refused: false });
    assert_eq!(receive(&target, 4), datagrams(&lengths));
}

#[test]
fn an_answer_leaves_from_the_address_that_was_asked() {
    let (client, entry, endpoint) = (plain(), listening(true), listening(false));
    client.connect(entry.local_addr()).unwrap();
    plain().send_to(b"answer", endpoint.local_addr()).unwrap();
    let passed = pass_on(&endpoint, &entry, client.local_addr().ok(), 1);
    assert_eq!((passed.datagrams, passed.octets), (1, 6));
    assert_eq!(receive(&client, 1), [b"answer"], "a connected socket hears its peer alone");
}

#[test]
fn a_closed_port_is_reported_as_refused_and_costs_only_what_went_there() {
    let (client, entry) = (plain(), listening(false));
    let closed = plain().local_addr().unwrap();
    let out = ConnectedSocket::open(None, closed).unwrap();
    let mut batch = PacketBatch::new();
    let mut refused = false;
    // On loopback ICMP is back before the next datagram leaves.
    for _ in 0..3 {
        client.send_to(b"x", entry.local_addr()).unwrap();
        assert_eq!(batch.receive(&entry, MAX_BATCH).unwrap(), 1);
        let passed = batch.forward(&out, None, [0]);
        assert_eq!((passed.datagrams, passed.lost), (1, 0));
        refused |= passed.refused;
    }
    assert!(refused);
    let error = batch.receive(&out, MAX_BATCH).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_socket_that_is_bound_alone_leaves_its_address_to_nobody() {
    let alone = listening(false);
    let address = alone.local_addr();
    assert_eq!(DatagramSocket::bind(address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    drop(alone);
    let _shared = DatagramSocket::bind(address).unwrap();
    assert_eq!(DatagramSocket::bind_alone(address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
}
