use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use super::*;

const PATIENCE: Duration = Duration::from_secs(5);

fn server(address: &str) -> DatagramSocket {
    DatagramSocket::bind(address.parse().unwrap()).expect("a port is free")
}

fn client(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Waits for `count` datagrams, answers each by `answer`, and says what was sent.
fn serve(
    socket: &DatagramSocket,
    batch: &mut DatagramBatch,
    count: usize,
    mut answer: impl FnMut(&[u8], SocketAddr, &mut [u8; MAX_ANSWER]) -> Option<usize>,
) -> Sent {
    let (_stop, stopped) = stop_signal().unwrap();
    let mut all = Sent::default();
    let mut received = 0;
    while received < count {
        match batch.receive(socket) {
            Ok(n) => received += n,
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                batch.wait(socket, &stopped).unwrap();
                continue;
            }
        }
        batch.answer_each(socket, &mut answer);
        let sent = batch.send(socket, PATIENCE);
        all = Sent { answers: all.answers + sent.answers, lost: all.lost + sent.lost };
    }
    all
}

fn echo(query: &[u8], _: SocketAddr, room: &mut [u8; MAX_ANSWER]) -> Option<usize> {
    room[..query.len()].copy_from_slice(query);
    Some(query.len())
}

/// Many clients send datagrams of several lengths; each gets its own back, each once, in whole.
fn every_client_gets_its_own(listen: &str, from: &str, segments: bool) {
    let socket = server(listen);
    let mut batch = DatagramBatch::new();
    if !segments {
        batch.without_segments();
    }
    let clients: Vec<UdpSocket> = (0..20).map(|_| client(from)).collect();
    let to: SocketAddr = match socket.local_addr() {
        SocketAddr::V4(v4) => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) => (std::net::Ipv6Addr::LOCALHOST, v6.port()).into(),
    };
    let mut expected: Vec<BTreeMap<Vec<u8>, u32>> = vec![BTreeMap::new(); clients.len()];
    for round in 0..30_usize {
        for (i, client) in clients.iter().enumerate() {
            // Most of one length, as real queries are; one octet, and the longest, too.
            let len = [40, 40, 40, 41, 1, MAX_ANSWER][(round + i) % 6];
            let mut datagram = vec![round as u8; len];
            datagram[0] = i as u8;
            client.send_to(&datagram, to).unwrap();
            *expected[i].entry(datagram).or_default() += 1;
        }
    }
    let sent = serve(&socket, &mut batch, 600, echo);
    assert_eq!(sent, Sent { answers: 600, lost: 0 });
    assert_eq!(batch.uses_segments(), segments, "the kernel refused segments");
    for (client, expected) in clients.iter().zip(&expected) {
        let mut got: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
        for _ in 0..30 {
            let mut buffer = [0; 2_000];
            let (len, server) = client.recv_from(&mut buffer).expect("every datagram is answered");
            assert_eq!(server, to, "an answer left from another address");
            *got.entry(buffer[..len].to_vec()).or_default() += 1;
        }
        assert_eq!(&got, expected);
    }
}

#[test]
fn every_client_gets_its_own_answers_in_segments() {
    every_client_gets_its_own("127.0.0.1:0", "127.0.0.1:0", true);
}

#[test]
fn every_client_gets_its_own_answers_one_by_one() {
    every_client_gets_its_own("127.0.0.1:0", "127.0.0.1:0", false);
}

#[test]
fn every_client_gets_its_own_answers_over_ipv6() {
    if UdpSocket::bind("[::1]:0").is_ok() {
        every_client_gets_its_own("[::1]:0", "[::1]:0", true);
        every_client_gets_its_own("[::]:0", "[::1]:0", true);
    }
}

#[test]
fn a_wildcard_socket_answers_from_the_address_that_was_asked() {
    for listen in ["0.0.0.0:0", "[::]:0"] {
        if UdpSocket::bind(listen).is_err() {
            continue;
        }
        let socket = server(listen);
        let mut batch = DatagramBatch::new();
        let client = client("127.0.0.1:0");
        let port = socket.local_addr().port();
        // Several to each, so that segments and packet information meet in one message.
        for _ in 0..3 {
            for last in [1, 77, 78] {
                client.send_to(&[last; 10], SocketAddr::from(([127, 0, 0, last], port))).unwrap();
            }
        }
        assert_eq!(serve(&socket, &mut batch, 9, echo), Sent { answers: 9, lost: 0 });
        for _ in 0..9 {
            let mut buffer = [0; 20];
            let (len, from) = client.recv_from(&mut buffer).unwrap();
            assert_eq!((len, from), (10, ([127, 0, 0, buffer[0]], port).into()), "listening on {listen}");
        }
    }
}

#[test]
fn sockets_of_one_address_share_its_clients() {
    let first = server("127.0.0.1:0");
    let second = DatagramSocket::bind(first.local_addr()).expect("the address is shared");
    let clients: Vec<UdpSocket> = (0..64).map(|_| client("127.0.0.1:0")).collect();
    for client in &clients {
        client.send_to(b"x", first.local_addr()).unwrap();
    }
    let mut batch = DatagramBatch::new();
    let of_first = batch.receive(&first).expect("the first gets some");
    let of_second = batch.receive(&second).expect("the second gets some");
    assert_eq!(of_first + of_second, 64);
}

#[test]
fn what_is_not_to_be_answered_or_cannot_be_is_left_out() {
    let socket = server("127.0.0.1:0");
    let mut batch = DatagramBatch::new();
    let client = client("127.0.0.1:0");
    for datagram in [&b"no"[..], b"yes", b"", b"too long"] {
        client.send_to(datagram, socket.local_addr()).unwrap();
    }
    let sent = serve(&socket, &mut batch, 4, |query, from, room| match query {
        b"no" => None,
        b"too long" => Some(MAX_ANSWER + 1),
        _ => echo(query, from, room),
    });
    assert_eq!(sent, Sent { answers: 1, lost: 0 });
    let mut buffer = [0; 20];
    assert_eq!(client.recv(&mut buffer).unwrap(), 3);
}

#[test]
fn a_client_that_is_gone_does_not_cost_the_others_their_answers() {
    let socket = server("127.0.0.1:0");
    let mut batch = DatagramBatch::new();
    let stays = client("127.0.0.1:0");
    for round in 0..20_u8 {
        let goes = client("127.0.0.1:0");
        goes.send_to(&[round], socket.local_addr()).unwrap();
        drop(goes);
        stays.send_to(&[round], socket.local_addr()).unwrap();
        assert_eq!(serve(&socket, &mut batch, 2, echo), Sent { answers: 2, lost: 0 });
        let mut buffer = [0; 20];
        assert_eq!(stays.recv(&mut buffer).unwrap(), 1);
        assert_eq!(buffer[0], round);
    }
}

#[test]
fn an_unreachable_client_is_counted_as_lost_and_the_rest_is_sent() {
    let socket = server("127.0.0.1:0");
    let mut batch = DatagramBatch::new();
    let client = client("127.0.0.1:0");
    // A group of three, the first of which goes astray: the group is refused as one, and then its first answer alone.
    for datagram in [&b"abc"[..], b"def", b"abcd"] {
        client.send_to(datagram, socket.local_addr()).unwrap();
    }
    let (_stop, stopped) = stop_signal().unwrap();
    while batch.receive(&socket).is_err() {
        batch.wait(&socket, &stopped).unwrap();
    }
    batch.answer_each(&socket, echo);
    // A socket of the loopback interface cannot reach a documentation address.
    batch.redirect_first(([192, 0, 2, 1], 53).into());
    let sent = batch.send(&socket, PATIENCE);
    assert_eq!(sent, Sent { answers: 1, lost: 2 });
    assert!(batch.uses_segments(), "a bad address is no reason to go without segments");
    let mut buffer = [0; 20];
    assert_eq!(client.recv(&mut buffer).unwrap(), 4);
}

#[test]
fn a_kernel_without_segments_is_noticed_and_gets_every_answer_one_by_one() {
    let socket = server("127.0.0.1:0");
    // UDP without checksums refuses segments with EINVAL, as an old kernel does.
    sys::set_option(std::os::fd::AsFd::as_fd(&socket), (nix::libc::SOL_SOCKET, nix::libc::SO_NO_CHECK, 1)).unwrap();
    let mut batch = DatagramBatch::new();
    let clients: Vec<UdpSocket> = (0..4).map(|_| client("127.0.0.1:0")).collect();
    for round in 0..5_u8 {
        for (i, client) in clients.iter().enumerate() {
            client.send_to(&[round, i as u8], socket.local_addr()).unwrap();
        }
    }
    assert_eq!(serve(&socket, &mut batch, 20, echo), Sent { answers: 20, lost: 0 });
    assert!(!batch.uses_segments());
    for (i, client) in clients.iter().enumerate() {
        let mut rounds: Vec<u8> = (0..5)
            .map(|_| {
                let mut buffer = [0; 20];
                assert_eq!(client.recv(&mut buffer).unwrap(), 2);
                assert_eq!(usize::from(buffer[1]), i);
                buffer[0]
            })
            .collect();
        rounds.sort_unstable();
        assert_eq!(rounds, [0, 1, 2, 3, 4]);
    }
}

#[test]
fn a_stop_wakes_a_thread_that_waits() {
    let socket = server("127.0.0.1:0");
    let (mut stop, stopped) = stop_signal().unwrap();
    let waiting = std::thread::spawn(move || {
        let batch = DatagramBatch::new();
        while !stopped.is_stopped() {
            assert!(!batch.wait(&socket, &stopped).unwrap(), "nothing was sent");
        }
    });
    stop.stop();
    waiting.join().unwrap();
}
