//! Probes against small servers on loopback sockets.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::Fault;

/// Limits that a test can wait for; the order between them is that of the real ones.
const SHORT: Limits = Limits {
    resolve: Duration::from_millis(400),
    connect: Duration::from_millis(400),
    status: Duration::from_millis(200),
    body: Duration::from_millis(200),
    tcp_connect: Duration::from_millis(1_000),
};
/// Limits that no healthy server on loopback meets.
const LONG: Limits = LIMITS;

fn prober(limits: Limits) -> DnsProber {
    DnsProber { host: Host::new("prober"), names: Names::of_the_system(), limits }
}

fn endpoint(protocol: EndpointProtocol, address: SocketAddr) -> EndpointCheck {
    EndpointCheck {
        protocol,
        address: Some(address.ip()),
        domain_name: None,
        port: address.port(),
        path: "/health?deep=1".into(),
        search: None,
        interval: Duration::from_secs(10),
        threshold: 3,
        sni: true,
        checkers: 1,
    }
}

/// Reads a request's head and gives it.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Sends `answer` and keeps the connection until the other end closes it.
async fn answer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), answer: &[u8]) -> io::Result<()> {
    stream.write_all(answer).await?;
    stream.flush().await?;
    let _ = stream.read_u8().await;
    Ok(())
}

/// A server that says `bytes` to every request, and then keeps the connection open. Gives the heads it was sent, too.
async fn serve(bytes: impl Into<Vec<u8>>) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, bytes) = (listener.local_addr().unwrap(), bytes.into());
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = heads.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (bytes, kept) = (bytes.clone(), kept.clone());
            tokio::spawn(async move {
                let head = head(&mut stream).await?;
                kept.lock().unwrap().push(head);
                answer(&mut stream, &bytes).await
            });
        }
    });
    (address, heads)
}

fn body(length: usize, content: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{content}")
}

/// An address where nothing listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// An address whose host swallows every packet.
async fn blackhole() -> SocketAddr {
    let host = Host::new("blackhole");
    let mut listener = host.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr();
    tokio::spawn(async move { listener.accept().await });
    host.set_fault(Fault::Blackhole);
    host.settled().await;
    address
}

#[tokio::test]
async fn a_status_from_200_to_399_passes_and_a_redirect_is_not_followed() {
    for (status, result) in [
        (200, Ok(())),
        (204, Ok(())),
        (301, Ok(())),
        (399, Ok(())),
        (400, Err(ProbeFailure::ResponseCode { code: 400 })),
        (503, Err(ProbeFailure::ResponseCode { code: 503 })),
    ] {
        let (address, heads) =
            serve(format!("HTTP/1.1 {status} So\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")).await;
        let probed = prober(LONG).probe(&endpoint(EndpointProtocol::Http, address)).await;
        assert_eq!(probed, result, "{status}");
        assert_eq!(heads.lock().unwrap().len(), 1, "one request, whatever is answered");
    }
}

#[tokio::test]
async fn an_interim_answer_is_not_the_answer() {
    let (address, _) = serve("HTTP/1.1 103 Early Hints\r\n\r\n").await;
    let probed = prober(SHORT).probe(&endpoint(EndpointProtocol::Http, address)).await;
    assert_eq!(probed, Err(ProbeFailure::Timeout), "nothing follows it");
}

#[tokio::test]
async fn the_request_names_the_host_and_asks_for_the_path() {
    let (address, heads) = serve(body(0, "")).await;
    let named = EndpointCheck { domain_name: Some("shop.test".into()), ..endpoint(EndpointProtocol::Http, address) };
    for check in [named, endpoint(EndpointProtocol::Http, address)] {
        assert_eq!(prober(LONG).probe(&check).await, Ok(()));
    }
    let heads = heads.lock().unwrap();
    assert!(heads.iter().all(|head| head.starts_with("GET /health?deep=1 HTTP/1.1\r\n")));
    assert!(heads[0].contains(&format!("host: shop.test:{}\r\n", address.port())), "{}", heads[0]);
    assert!(heads[1].contains(&format!("host: {address}\r\n")), "{}", heads[1]);
}

#[tokio::test]
async fn the_string_must_lie_wholly_in_the_first_5120_bytes() {
    let at = |offset: usize| body(20_000, &format!("{}needle{}", "x".repeat(offset), "y".repeat(20_000 - 6 - offset)));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nnee\r\n3\r\ndle\r\n0\r\n\r\n".to_owned();
    let bytes: String = "a nneedle".chars().map(|c| format!("1\r\n{c}\r\n")).collect();
    let single = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{bytes}0\r\n\r\n");
    for (what, bytes, result) in [
        ("in single bytes", single, Ok(())),
        ("at the start", at(0), Ok(())),
        ("at the very end of the window", at(5_114), Ok(())),
        ("across the end of the window", at(5_115), Err(ProbeFailure::NoMatch)),
        ("behind it", at(6_000), Err(ProbeFailure::NoMatch)),
        ("another case", body(6, "Needle"), Err(ProbeFailure::NoMatch)),
        ("in pieces", chunked, Ok(())),
        ("an empty body", body(0, ""), Err(ProbeFailure::NoMatch)),
        ("with a status that fails", "HTTP/1.1 500 No\r\nContent-Length: 6\r\n\r\nneedle".into(), {
            Err(ProbeFailure::ResponseCode { code: 500 })
        }),
    ] {
        let (address, _) = serve(bytes).await;
        let check = EndpointCheck { search: Some("needle".into()), ..endpoint(EndpointProtocol::Http, address) };
        assert_eq!(prober(LONG).probe(&check).await, result, "{what}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_late_unless_nobody_reads_it() {
    let (address, _) = serve(body(10, "nee")).await;
    let check = endpoint(EndpointProtocol::Http, address);
    assert_eq!(prober(LONG).probe(&check).await, Ok(()), "without a search the status is enough");
    let check = EndpointCheck { search: Some("needle".into()), ..check };
    assert_eq!(prober(SHORT).probe(&check).await, Err(ProbeFailure::Timeout));
}

#[tokio::test]
async fn silence_is_late_and_nonsense_is_a_failed_connection() {
    let (silent, _) = serve("").await;
    assert_eq!(
        prober(SHORT).probe(&endpoint(EndpointProtocol::Http, silent)).await,
        Err(ProbeFailure::Timeout),
        "connected, then nothing"
    );
    let (nonsense, _) = serve("SSH-2.0-OpenSSH\r\n\r\n").await;
    let check = endpoint(EndpointProtocol::Http, nonsense);
    assert_eq!(prober(LONG).probe(&check).await, Err(ProbeFailure::Connection));
    let (endless, _) = serve(format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(64 * 1024))).await;
    let check = endpoint(EndpointProtocol::Http, endless);
    assert_eq!(prober(LONG).probe(&check).await, Err(ProbeFailure::Connection), "a head beyond all bounds");
}

#[tokio::test]
async fn a_refused_connect_fails_and_a_swallowed_one_is_late() {
    let dark = blackhole().await;
    for protocol in [EndpointProtocol::Tcp, EndpointProtocol::Http, EndpointProtocol::Https] {
        let refused = prober(LONG).probe(&endpoint(protocol, nobody().await)).await;
        assert_eq!(refused, Err(ProbeFailure::Connection), "{protocol:?}");
        let swallowed = prober(SHORT).probe(&endpoint(protocol, dark)).await;
        assert_eq!(swallowed, Err(ProbeFailure::Timeout), "{protocol:?}");
    }
    let (open, _) = serve("").await;
    assert_eq!(prober(LONG).probe(&endpoint(EndpointProtocol::Tcp, open)).await, Ok(()), "a connect is enough");
}

#[tokio::test]
async fn a_prober_that_has_crashed_blames_itself() {
    let (address, _) = serve(body(0, "")).await;
    let prober = prober(LONG);
    prober.host.set_fault(Fault::Crash);
    let check = endpoint(EndpointProtocol::Http, address);
    assert_eq!(prober.probe(&check).await, Err(ProbeFailure::Internal));
}

/// Gives a certificate to some greetings only, and keeps the names it was asked for.
#[derive(Debug)]
struct Picky {
    certificate: Arc<CertifiedKey>,
    serves_names: bool,
    asked: Mutex<Vec<Option<String>>>,
}

impl ResolvesServerCert for Picky {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_owned);
        let serves = self.serves_names || name.is_none();
        self.asked.lock().unwrap().push(name);
        serves.then(|| self.certificate.clone())
    }
}

/// An HTTPS server with a certificate that nobody signed, of a name that nobody asks for.
async fn serve_tls(serves_names: bool, bytes: String) -> (SocketAddr, Arc<Picky>) {
    let made = rcgen::generate_simple_self_signed(vec!["somebody.else".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let key = ring::sign::any_supported_type(&key).unwrap();
    let certificate = Arc::new(CertifiedKey::new(vec![made.cert.der().clone()], key));
    let picky = Arc::new(Picky { certificate, serves_names, asked: Mutex::default() });
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(picky.clone());
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, bytes) = (acceptor.clone(), bytes.clone());
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await?;
                head(&mut stream).await?;
                answer(&mut stream, bytes.as_bytes()).await
            });
        }
    });
    (address, picky)
}

#[tokio::test]
async fn any_certificate_will_do_and_the_greeting_names_the_host_if_it_may() {
    let (address, server) = serve_tls(true, body(2, "ok")).await;
    let check = endpoint(EndpointProtocol::Https, address);
    let named = EndpointCheck { domain_name: Some("shop.test".into()), search: Some("ok".into()), ..check.clone() };
    for check in [named.clone(), EndpointCheck { sni: false, ..named }, check] {
        assert_eq!(prober(LONG).probe(&check).await, Ok(()));
    }
    assert_eq!(*server.asked.lock().unwrap(), [Some("shop.test".to_owned()), None, None]);
}

#[tokio::test]
async fn a_greeting_refused_for_its_name_is_tried_once_more_without() {
    let (address, server) = serve_tls(false, body(2, "ok")).await;
    let check = EndpointCheck { domain_name: Some("shop.test".into()), ..endpoint(EndpointProtocol::Https, address) };
    assert_eq!(prober(LONG).probe(&check).await, Ok(()));
    assert_eq!(*server.asked.lock().unwrap(), [Some("shop.test".to_owned()), None]);
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_fails_and_a_silent_one_is_late() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        answer(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await
    });
    let check = endpoint(EndpointProtocol::Https, plain);
    assert_eq!(prober(LONG).probe(&check).await, Err(ProbeFailure::Connection));
    // This one waits for the end of a request's head and never sees it in a greeting.
    let (silent, _) = serve("").await;
    let check = endpoint(EndpointProtocol::Https, silent);
    assert_eq!(prober(SHORT).probe(&check).await, Err(ProbeFailure::Timeout));
}

/// A DNS server that has the address 127.0.0.1 for every name; gives how many questions of which type it was asked.
async fn serve_names(address_for_all: Option<[u8; 4]>) -> (SocketAddr, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = socket.local_addr().unwrap();
    let (of_a, others) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (of_a.clone(), others.clone());
    tokio::spawn(async move {
        let mut query = [0; 512];
        loop {
            let (_, client) = socket.recv_from(&mut query).await.unwrap();
            let mut end = 12;
            while query[end] != 0 {
                end += usize::from(query[end]) + 1;
            }
            let kind = u16::from_be_bytes([query[end + 1], query[end + 2]]);
            let counter = if kind == 1 { &counts.0 } else { &counts.1 };
            counter.fetch_add(1, Ordering::SeqCst);
            let mut reply = query[..end + 5].to_vec();
            let count = u8::from(address_for_all.is_some());
            reply[2..12].copy_from_slice(&[0x84, 0, 0, 1, 0, count, 0, 0, 0, 0]);
            if let Some(address) = address_for_all {
                reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0x0e, 0x10, 0, 4]);
                reply.extend(address);
            }
            socket.send_to(&reply, client).await.unwrap();
        }
    });
    (server, of_a, others)
}

#[tokio::test]
async fn a_name_is_asked_for_its_ipv4_address_before_every_probe() {
    let (address, heads) = serve(body(0, "")).await;
    let (server, of_a, others) = serve_names(Some([127, 0, 0, 1])).await;
    let prober = DnsProber { names: Names::from_server(server), ..prober(LONG) };
    let check = EndpointCheck {
        address: None,
        domain_name: Some("shop.example.com".into()),
        ..endpoint(EndpointProtocol::Http, address)
    };
    for _ in 0..3 {
        assert_eq!(prober.probe(&check).await, Ok(()));
    }
    assert_eq!((of_a.load(Ordering::SeqCst), others.load(Ordering::SeqCst)), (3, 0), "A each time, nothing else");
    assert!(heads.lock().unwrap()[0].contains("host: shop.example.com:"));
}

#[tokio::test]
async fn a_name_without_an_address_fails_and_so_does_one_that_nobody_answers_for() {
    let (empty, ..) = serve_names(None).await;
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let check = EndpointCheck {
        address: None,
        domain_name: Some("shop.example.com".into()),
        ..endpoint(EndpointProtocol::Tcp, nobody().await)
    };
    for server in [empty, silent.local_addr().unwrap()] {
        let prober = DnsProber { names: Names::from_server(server), ..prober(SHORT) };
        assert_eq!(prober.probe(&check).await, Err(ProbeFailure::Unresolved));
    }
}

#[test]
fn the_limits_are_those_of_the_specification() {
    let seconds = [LIMITS.connect, LIMITS.status, LIMITS.body, LIMITS.tcp_connect].map(|limit| limit.as_secs());
    assert_eq!(seconds, [4, 2, 2, 10]);
}
