//! What a client may hold or send, and what happens beyond.

use hickory_proto::op::Message;
use perigee_model::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::sockets::{Running, over_udp, read_framed, write_framed};
use crate::support::{A, query};

async fn answered(stream: &mut TcpStream) -> bool {
    write_framed(stream, &query("app.perigee.test", A).bytes()).await;
    read_framed(stream).await.is_ok()
}

async fn connect_from(running: &Running, client: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(client.parse().unwrap()).unwrap();
    socket.connect(running.address).await.unwrap()
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_counted_until_one_ends() {
    let running = Running::start(Limits { dns_tcp_connections: 3, ..Limits::default() }).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = connect_from(&running, "127.0.0.1:0").await;
        assert!(answered(&mut stream).await);
        held.push(stream);
    }
    let mut fourth = connect_from(&running, "127.0.0.1:0").await;
    assert_eq!(fourth.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert!(running.metrics().contains("perigee_dns_tcp_connections_refused_total 1"), "{}", running.metrics());
    running.server.set_limits(&Limits { dns_tcp_connections: 4, ..Limits::default() });
    assert!(answered(&mut connect_from(&running, "127.0.0.1:0").await).await, "a new limit holds at once");
}

#[tokio::test]
async fn one_client_cannot_hold_all_connections() {
    let running = Running::start(Limits::default()).await;
    let mut held = Vec::new();
    for _ in 0..20 {
        let mut stream = connect_from(&running, "127.82.200.9:0").await;
        assert!(answered(&mut stream).await);
        held.push(stream);
    }
    let mut one_more = connect_from(&running, "127.82.200.9:0").await;
    assert_eq!(one_more.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert!(running.metrics().contains("perigee_dns_tcp_client_connections_refused_total 1"));
    assert!(answered(&mut connect_from(&running, "127.81.200.9:0").await).await, "another client is not held to it");
}

#[tokio::test]
async fn a_query_longer_than_any_closes_its_connection() {
    let running = Running::start(Limits::default()).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(&[0xff, 0xff]).await.unwrap();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert!(running.metrics().contains("perigee_dns_dropped_total{reason=\"oversized\"} 1"), "{}", running.metrics());
}

#[tokio::test]
async fn garbage_on_the_sockets_leaves_the_server_answering() {
    let running = Running::start(Limits::default()).await;
    let socket = running.datagrams().await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0, "an HTTP request is a query of 18,245 octets");
    for garbage in [&[][..], &[0xff; 3], &[0xff; 1_400], b"GET / HTTP/1.1\r\n\r\n"] {
        socket.send(garbage).await.unwrap();
    }
    // The longer pieces of garbage are refused first; what counts is that the query is answered after them.
    let mut answer = Message::from_vec(&over_udp(&socket, &query("app.perigee.test", A)).await).unwrap();
    while answer.metadata.id != 0xbeef {
        let mut bytes = [0; 2_000];
        let len = socket.recv(&mut bytes).await.unwrap();
        answer = Message::from_vec(&bytes[..len]).unwrap();
    }
    assert_eq!(answer.answers.len(), 2);
}
