//! The server on real sockets: both transports, a resolver as client, and the faults of its host.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use hickory_resolver::Resolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use perigee_dns::{Config, Metrics, Server};
use perigee_model::Limits;
use perigee_net::{Fault, Host, Shutdown};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::support::{A, Query, SEOUL, SEOUL_NODES, TOKYO_NODES, World, addresses, query};

/// Longer than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Running {
    pub world: World,
    pub server: Server,
    pub host: Host,
    pub shutdown: Shutdown,
    pub registry: Registry,
    pub address: SocketAddr,
}

impl Running {
    pub async fn start(limits: Limits) -> Self {
        Self::with(World::new(), |config| config.limits = limits).await
    }

    pub async fn with(world: World, change: impl FnOnce(&mut Config)) -> Self {
        let host = Host::new("dns");
        let shutdown = Shutdown::new();
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let listen = vec![([127, 0, 0, 1], 0).into()];
        let mut config =
            Config { listen, tls: None, query_log: None, host: host.clone(), limits: Limits::default(), workers: 2 };
        change(&mut config);
        let server = Server::start(config, world.view.clone(), metrics, &shutdown).await.unwrap();
        let address = server.local_addrs()[0];
        Self { world, server, host, shutdown, registry, address }
    }

    pub fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }

    /// A client's socket in Seoul.
    pub async fn datagrams(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.82.200.9:0").await.unwrap();
        socket.connect(self.address).await.unwrap();
        socket
    }
}

pub async fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut answer = [0; 2_000];
    let len = tokio::time::timeout(PATIENCE, socket.recv(&mut answer)).await.expect("in time").unwrap();
    answer[..len].to_vec()
}

pub async fn over_udp(socket: &UdpSocket, question: &Query) -> Vec<u8> {
    socket.send(&question.bytes()).await.unwrap();
    receive(socket).await
}

pub async fn write_framed(stream: &mut TcpStream, message: &[u8]) {
    let framed = [&(message.len() as u16).to_be_bytes(), message].concat();
    stream.write_all(&framed).await.unwrap();
}

pub async fn read_framed(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let read = async {
        let len = stream.read_u16().await?;
        let mut answer = vec![0; len.into()];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    };
    tokio::time::timeout(PATIENCE, read).await.expect("in time")
}

#[tokio::test]
async fn udp_and_tcp_say_the_same() {
    let running = Running::start(Limits::default()).await;
    let socket = running.datagrams().await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    for question in [
        query("app.perigee.test", A).subnet([133, 1, 2, 0], 24),
        query("app.perigee.test", 28).edns(&[]),
        query("ns1.perigee.test", A),
        query("perigee.test", 6),
        query("nothing.perigee.test", A).subnet([133, 1, 2, 0], 24),
        query("example.com", A).edns(&[]),
        query("app.perigee.test", A).edns(&[(8, &[0, 3, 0, 0])]),
        Query { counts: [0; 4], question: vec![], ..query("", A) },
    ] {
        let datagram = over_udp(&socket, &question).await;
        write_framed(&mut stream, &question.bytes()).await;
        let framed = read_framed(&mut stream).await.unwrap();
        let (mut a, mut b) = (Message::from_vec(&datagram).unwrap(), Message::from_vec(&framed).unwrap());
        for message in [&mut a, &mut b] {
            message.answers.sort_by_key(|r| r.data.to_string());
        }
        assert_eq!(a, b);
        assert_eq!(datagram.len(), framed.len());
    }
}

#[tokio::test]
async fn pipelined_queries_on_one_connection_are_all_answered() {
    let running = Running::start(Limits::default()).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let message = query("shop.accelerator.perigee.test", A).bytes();
    let framed = [&(message.len() as u16).to_be_bytes()[..], &message].concat();
    stream.write_all(&framed.repeat(20)).await.unwrap();
    for _ in 0..20 {
        assert_eq!(addresses(&Message::from_vec(&read_framed(&mut stream).await.unwrap()).unwrap()).len(), 2);
    }
}

#[tokio::test]
async fn a_resolver_follows_the_published_health() {
    let mut running = Running::start(Limits::default()).await;
    let resolver = |tcp: bool| {
        let mut connection = if tcp { ConnectionConfig::tcp() } else { ConnectionConfig::udp() };
        connection.port = running.address.port();
        let server = NameServerConfig::new(running.address.ip(), true, vec![connection]);
        let config = ResolverConfig::from_parts(None, vec![], vec![server]);
        let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
        let options = builder.options_mut();
        options.cache_size = 0;
        options.case_randomization = true;
        builder.build().unwrap()
    };
    let look_up = async |tcp: bool| {
        let found = resolver(tcp).lookup("app.perigee.test.", RecordType::A).await.unwrap();
        let mut found: Vec<String> = found.answers().iter().map(|r| r.data.to_string()).collect();
        found.sort();
        found
    };
    for tcp in [false, true] {
        assert_eq!(look_up(tcp).await, SEOUL_NODES, "the resolver's place is the operator's own: Seoul");
    }
    let missing = resolver(false).lookup("nothing.perigee.test.", RecordType::A).await.unwrap_err();
    assert!(missing.is_nx_domain(), "{missing}");
    let nodata = resolver(false).lookup("app.perigee.test.", RecordType::AAAA).await.unwrap_err();
    assert!(nodata.is_no_records_found() && !nodata.is_nx_domain(), "{nodata}");
    running.world.kill(SEOUL, true);
    let resolver = resolver(false);
    let found = resolver.lookup("app.perigee.test.", RecordType::A).await.unwrap();
    let mut found: Vec<String> = found.answers().iter().map(|r| r.data.to_string()).collect();
    found.sort();
    assert_eq!(found, TOKYO_NODES);
}

#[tokio::test]
async fn a_crashed_host_is_refused_and_a_mended_one_answers_again() {
    let running = Running::start(Limits::default()).await;
    let question = query("app.perigee.test", A);
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    write_framed(&mut stream, &question.bytes()).await;
    read_framed(&mut stream).await.unwrap();
    running.host.set_fault(Fault::Crash);
    assert!(read_framed(&mut stream).await.is_err(), "the connection is reset");
    let socket = running.datagrams().await;
    let refused = async {
        loop {
            let _ = socket.send(&question.bytes()).await;
            let mut answer = [0; 512];
            if let Ok(Err(error)) = tokio::time::timeout(Duration::from_millis(100), socket.recv(&mut answer)).await {
                return error.kind();
            }
        }
    };
    let refused = tokio::time::timeout(PATIENCE, refused).await.expect("in time");
    assert_eq!(refused, std::io::ErrorKind::ConnectionRefused);
    running.host.set_fault(Fault::None);
    let answered = async {
        loop {
            let _ = socket.send(&question.bytes()).await;
            let mut answer = [0; 512];
            if let Ok(Ok(len)) = tokio::time::timeout(Duration::from_millis(100), socket.recv(&mut answer)).await {
                return Message::from_vec(&answer[..len]).unwrap();
            }
        }
    };
    let answer = tokio::time::timeout(PATIENCE, answered).await.expect("in time");
    assert_eq!(addresses(&answer), SEOUL_NODES);
}

#[tokio::test]
async fn a_blackholed_host_swallows_queries_and_a_failing_one_says_servfail() {
    let running = Running::start(Limits::default()).await;
    let question = query("app.perigee.test", A);
    let socket = running.datagrams().await;
    running.host.set_fault(Fault::Error);
    let answer = Message::from_vec(&over_udp(&socket, &question).await).unwrap();
    assert_eq!(answer.metadata.response_code, hickory_proto::op::ResponseCode::ServFail);
    running.host.set_fault(Fault::Blackhole);
    socket.send(&question.bytes()).await.unwrap();
    let nothing = tokio::time::timeout(Duration::from_millis(300), socket.recv(&mut [0; 512])).await;
    assert!(nothing.is_err(), "a blackhole neither answers nor refuses");
    running.host.set_fault(Fault::Slow { delay_ms: 50 });
    let began = std::time::Instant::now();
    let answer = Message::from_vec(&over_udp(&socket, &question).await).unwrap();
    assert_eq!(addresses(&answer), SEOUL_NODES);
    assert!(began.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn the_end_closes_idle_connections_and_leaves_nothing_running() {
    let running = Running::start(Limits::default()).await;
    let question = query("app.perigee.test", A);
    let socket = running.datagrams().await;
    over_udp(&socket, &question).await;
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    write_framed(&mut idle, &question.bytes()).await;
    read_framed(&mut idle).await.unwrap();
    assert_eq!(running.shutdown.finish(PATIENCE).await, 0);
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0, "closed, not reset");
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn an_address_in_use_is_an_error() {
    let running = Running::start(Limits::default()).await;
    let listen = vec![running.address];
    let host = Host::new("second");
    let config = Config { listen, tls: None, query_log: None, host, limits: Limits::default(), workers: 1 };
    let view = Arc::clone(&running.world.view);
    let second = Server::start(config, view, Metrics::default(), &Shutdown::new()).await;
    assert_eq!(second.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
}
