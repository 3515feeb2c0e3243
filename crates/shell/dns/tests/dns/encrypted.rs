//! TLS, HTTPS and QUIC, by clients that trust the server's own authority.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use perigee_dns::{CertificateSource, TlsConfig};
use perigee_model::Limits;
use perigee_net::Fault;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, ConnectionError, Endpoint};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::sockets::{PATIENCE, Running};
use crate::support::{A, Query, SEOUL_NODES, World, addresses, decode, options_of, query};

async fn started() -> Running {
    started_with(World::new(), Limits::default()).await
}

async fn started_with(world: World, limits: Limits) -> Running {
    let any: Vec<SocketAddr> = vec![([127, 0, 0, 1], 0).into()];
    let certificate = CertificateSource::LocalAuthority { directory: None, names: vec!["dns.test".into()] };
    let tls = TlsConfig { dot: any.clone(), doh: any.clone(), doq: any, certificate };
    Running::with(world, |config| {
        config.tls = Some(tls);
        config.limits = limits;
    })
    .await
}

fn client_config(running: &Running, protocols: &[&[u8]]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let authority = running.server.authority().expect("a local authority");
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config
}

async fn tls(running: &Running, to: SocketAddr, protocols: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
    let connector = TlsConnector::from(Arc::new(client_config(running, protocols)));
    let stream = TcpStream::connect(to).await?;
    tokio::time::timeout(PATIENCE, connector.connect(ServerName::try_from("dns.test").unwrap(), stream)).await.unwrap()
}

async fn dot(running: &Running) -> TlsStream<TcpStream> {
    tls(running, running.server.tls_addrs().dot[0], &[b"dot"]).await.unwrap()
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), message: &[u8]) {
    stream.write_all(&framed(message)).await.unwrap();
    stream.flush().await.unwrap();
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let read = async {
        let len = stream.read_u16().await?;
        let mut answer = vec![0; len.into()];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    };
    tokio::time::timeout(PATIENCE, read).await.expect("in time")
}

#[tokio::test]
async fn a_conversation_under_tls_is_pipelined_padded_and_announces_its_idle_time() {
    let running = started().await;
    let mut stream = dot(&running).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"dot"[..]));
    let plain = query("app.perigee.test", A);
    let asking = plain.clone().edns(&[(11, &[]), (12, &[0; 20])]);
    for question in [&plain, &asking, &plain] {
        write(&mut stream, &question.bytes()).await;
    }
    assert_eq!(addresses(&decode(&read(&mut stream).await.unwrap())), SEOUL_NODES);
    let padded = read(&mut stream).await.unwrap();
    assert_eq!((padded.len(), addresses(&decode(&padded))), (468, SEOUL_NODES.map(String::from).to_vec()));
    let keepalive = options_of(&padded).unwrap().into_iter().find(|(code, _)| *code == 11);
    assert_eq!(keepalive, Some((11, vec![0, 100])), "ten seconds in tenths");
    assert_eq!(addresses(&decode(&read(&mut stream).await.unwrap())), SEOUL_NODES);
    assert!(running.metrics().contains("transport=\"tls\",kind=\"latency\",rcode=\"NOERROR\"} 3"));
}

#[tokio::test]
async fn queries_before_the_clients_end_of_sending_are_answered() {
    let running = started().await;
    let message = query("app.perigee.test", A).bytes();
    let mut under_tls = dot(&running).await;
    let mut plain = TcpStream::connect(running.address).await.unwrap();
    for _ in 0..5 {
        write(&mut under_tls, &message).await;
        write(&mut plain, &message).await;
    }
    under_tls.shutdown().await.unwrap();
    plain.shutdown().await.unwrap();
    for _ in 0..5 {
        assert_eq!(addresses(&decode(&read(&mut under_tls).await.unwrap())), SEOUL_NODES);
        assert_eq!(addresses(&decode(&read(&mut plain).await.unwrap())), SEOUL_NODES);
    }
    assert_eq!(under_tls.read(&mut [0; 1]).await.unwrap(), 0, "and then the end, in good order");
    assert_eq!(plain.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn another_protocol_or_an_untrusted_name_ends_in_the_handshake() {
    let running = started().await;
    let to = running.server.tls_addrs().dot[0];
    assert!(tls(&running, to, &[b"h2"]).await.is_err());
    assert!(tls(&running, to, &[]).await.is_ok(), "a client may name none");
    let connector = TlsConnector::from(Arc::new(client_config(&running, &[b"dot"])));
    let stream = TcpStream::connect(to).await.unwrap();
    assert!(connector.connect(ServerName::try_from("other.test").unwrap(), stream).await.is_err());
    let mut garbage = TcpStream::connect(to).await.unwrap();
    garbage.write_all(&framed(&query("app.perigee.test", A).bytes())).await.unwrap();
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, garbage.read_to_end(&mut rest)).await.expect("closed");
    assert!(running.metrics().contains("perigee_dns_dropped_total{reason=\"handshake\"}"), "{}", running.metrics());
}

/// What a request over HTTP got.
struct Reply {
    status: StatusCode,
    cache: String,
    media_type: String,
    body: Vec<u8>,
}

async fn http(running: &Running, version: &[u8], request: Request<Full<Bytes>>) -> Reply {
    let to = running.server.tls_addrs().doh[0];
    let stream = tls(running, to, &[version]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(version));
    let io = TokioIo::new(stream);
    let response = if version == b"h2" {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    } else {
        let (mut sender, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    };
    let header = |name| response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let (status, cache, media_type) = (response.status(), header("cache-control"), header("content-type"));
    let body = response.into_body().collect().await.unwrap().to_bytes().to_vec();
    Reply { status, cache, media_type, body }
}

fn post(message: &[u8]) -> Request<Full<Bytes>> {
    Request::post("https://dns.test/dns-query")
        .header("content-type", "application/dns-message")
        .body(Full::from(message.to_vec()))
        .unwrap()
}

fn get(parameters: &str) -> Request<Full<Bytes>> {
    Request::get(format!("https://dns.test/dns-query{parameters}")).body(Full::default()).unwrap()
}

const VERSIONS: [&[u8]; 2] = [b"h2", b"http/1.1"];

#[tokio::test]
async fn http_answers_get_and_post_alike_with_200_whatever_the_code() {
    let running = started().await;
    for (question, code, cache) in [
        (query("app.perigee.test", A), 0, "private, max-age=30"),
        (query("shop.accelerator.perigee.test", A), 0, "max-age=300"),
        (query("nothing.perigee.test", A), 3, "max-age=30"),
        (query("perigee.test", 6), 0, "max-age=30"),
        (query("example.com", A), 5, "max-age=0"),
        (query("app.perigee.test", A).subnet([133, 1, 2, 0], 24), 0, "private, max-age=30"),
        (query("app.perigee.test", A).edns(&[(8, &[0, 3, 0, 0])]), 1, "private, max-age=0"),
    ] {
        let message = question.bytes();
        for version in VERSIONS {
            let encoded = BASE64URL_NOPAD.encode(&message);
            for request in [post(&message), get(&format!("?dns={encoded}")), get(&format!("?x=1&dns={encoded}&y"))] {
                let reply = http(&running, version, request).await;
                assert_eq!(reply.status, StatusCode::OK);
                assert_eq!(reply.media_type, "application/dns-message");
                assert_eq!(reply.body[3] & 0x0f, code, "{cache}");
                assert_eq!(reply.cache, cache, "code {code}");
            }
        }
    }
}

#[tokio::test]
async fn http_requests_that_are_no_queries_are_refused_each_in_its_way() {
    let running = started().await;
    let good = query("app.perigee.test", A).bytes();
    let request = |method: Method, path: &str, media_type: &str, body: &[u8]| {
        let request = Request::builder().method(method).uri(format!("https://dns.test{path}"));
        request.header("content-type", media_type).body(Full::from(body.to_vec())).unwrap()
    };
    let dns = "application/dns-message";
    let encoded = BASE64URL_NOPAD.encode(&good);
    let too_long = format!("/dns-query?dns={}", "A".repeat(5_600));
    let mut response = good.clone();
    response[2] |= 0x80;
    for version in VERSIONS {
        for (request, status, reason) in [
            (request(Method::POST, "/", dns, &good), 404, "http_path"),
            (request(Method::GET, &format!("/resolve?dns={encoded}"), dns, &[]), 404, "http_path"),
            (request(Method::PUT, "/dns-query", dns, &good), 405, "http_method"),
            (request(Method::DELETE, "/dns-query", dns, &[]), 405, "http_method"),
            (request(Method::POST, "/dns-query", "application/json", &good), 415, "http_media_type"),
            (request(Method::POST, "/dns-query", dns, &[0; 4_097]), 413, "oversized"),
            (request(Method::GET, &too_long, dns, &[]), 413, "oversized"),
            (request(Method::GET, "/dns-query", dns, &[]), 400, "http_bad_request"),
            (request(Method::GET, "/dns-query?dns=AAA%3D", dns, &[]), 400, "http_bad_request"),
            (request(Method::GET, "/dns-query?dns=AAA=", dns, &[]), 400, "http_bad_request"),
            (request(Method::GET, "/dns-query?dns=AA+_", dns, &[]), 400, "http_bad_request"),
            (request(Method::POST, "/dns-query", dns, &[0; 11]), 400, "http_bad_request"),
            (request(Method::POST, "/dns-query", dns, &response), 400, "http_bad_request"),
        ] {
            let what = format!("{} {}", request.method(), request.uri().path());
            let reply = http(&running, version, request).await;
            assert_eq!(reply.status, status, "{what}");
            assert_eq!(reply.media_type, "text/plain", "{what}");
            assert!(running.metrics().contains(&format!("reason=\"{reason}\"")), "{what}");
        }
    }
}

#[tokio::test]
async fn many_http_requests_share_a_connection() {
    let running = started().await;
    let to = running.server.tls_addrs().doh[0];
    let io = TokioIo::new(tls(&running, to, &[b"h2"]).await.unwrap());
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let message = query("app.perigee.test", A).edns(&[(12, &[])]).bytes();
    let requests: Vec<_> = (0..50)
        .map(|_| {
            let (mut sender, request) = (sender.clone(), post(&message));
            tokio::spawn(async move { sender.send_request(request).await.unwrap().collect().await.unwrap().to_bytes() })
        })
        .collect();
    for request in requests {
        let body = request.await.unwrap();
        assert_eq!((body.len(), addresses(&decode(&body))), (468, SEOUL_NODES.map(String::from).to_vec()));
    }
    assert_eq!(running.shutdown.finish(PATIENCE).await, 0, "an idle connection does not hold the end up");
}

async fn quic(running: &Running) -> (Endpoint, Result<Connection, ConnectionError>) {
    let mut endpoint = Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
    let crypto = QuicClientConfig::try_from(client_config(running, &[b"doq"])).unwrap();
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(crypto)));
    let connecting = endpoint.connect(running.server.tls_addrs().doq[0], "dns.test").unwrap();
    let connection = tokio::time::timeout(PATIENCE, connecting).await.expect("in time");
    (endpoint, connection)
}

/// The query with the identifier that QUIC wants.
fn id_0(question: &Query) -> Vec<u8> {
    let mut bytes = question.bytes();
    bytes[..2].fill(0);
    bytes
}

async fn over_quic(connection: &Connection, stream: &[u8]) -> Option<Vec<u8>> {
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(stream).await.unwrap();
    send.finish().unwrap();
    let answer = tokio::time::timeout(PATIENCE, receive.read_to_end(70_000)).await.expect("in time").ok()?;
    let (len, answer) = answer.split_first_chunk::<2>().unwrap();
    assert_eq!(usize::from(u16::from_be_bytes(*len)), answer.len());
    Some(answer.to_vec())
}

#[tokio::test]
async fn each_quic_stream_answers_its_query() {
    let running = started_with(
        World::with(|snapshot| {
            let node = snapshot.load_balancers[1].nodes[0].clone();
            snapshot.load_balancers[1].nodes = (0..200_u8)
                .map(|i| perigee_model::LoadBalancerNode { address: [127, 0, 9, i].into(), ..node.clone() })
                .collect();
        }),
        Limits::default(),
    )
    .await;
    let (_endpoint, connection) = quic(&running).await;
    let connection = connection.unwrap();
    let padded = id_0(&query("ns1.perigee.test", A).edns(&[(12, &[])]));
    let asking: Vec<_> = (0..50)
        .map(|_| {
            let (connection, stream) = (connection.clone(), framed(&padded));
            tokio::spawn(async move { over_quic(&connection, &stream).await.unwrap() })
        })
        .collect();
    for answer in asking {
        assert_eq!(answer.await.unwrap().len(), 468);
    }
    let big = id_0(&query("shop.ap-northeast-2.elb.perigee.test", A));
    let answer = over_quic(&connection, &framed(&big)).await.unwrap();
    let message = decode(&answer);
    assert!(answer.len() > 3_000 && !message.metadata.truncation);
    assert_eq!((message.answers.len(), message.metadata.id), (200, 0));
    assert_eq!(running.shutdown.finish(PATIENCE).await, 0);
    let closed = tokio::time::timeout(PATIENCE, connection.closed()).await.unwrap();
    assert!(
        matches!(&closed, ConnectionError::ApplicationClosed(close) if close.error_code == 0_u32.into()),
        "{closed}"
    );
}

#[tokio::test]
async fn what_breaks_the_quic_protocol_closes_the_connection_with_its_code() {
    let running = started().await;
    let good = id_0(&query("app.perigee.test", A));
    let mut response = good.clone();
    response[2] |= 0x80;
    for (what, stream) in [
        ("an identifier", framed(&query("app.perigee.test", A).bytes())),
        ("a keepalive option", framed(&id_0(&query("app.perigee.test", A).edns(&[(11, &[])])))),
        ("two queries", framed(&good).repeat(2)),
        ("half a query", framed(&good)[..20].to_vec()),
        ("nothing", vec![]),
        ("a response", framed(&response)),
    ] {
        let (_endpoint, connection) = quic(&running).await;
        let connection = connection.unwrap();
        assert_eq!(over_quic(&connection, &stream).await, None, "{what}");
        let closed = tokio::time::timeout(PATIENCE, connection.closed()).await.unwrap();
        assert!(
            matches!(&closed, ConnectionError::ApplicationClosed(close) if close.error_code == 2_u32.into()),
            "{what}: {closed}"
        );
    }
    assert!(
        running.metrics().contains("perigee_dns_dropped_total{reason=\"doq_protocol\"} 6"),
        "{}",
        running.metrics()
    );
    let (_endpoint, connection) = quic(&running).await;
    let connection = connection.unwrap();
    let long = [&[0x13, 0x88][..], &[0; 5_000]].concat();
    assert_eq!(over_quic(&connection, &long).await, None, "longer than a query may be: that stream alone ends");
    assert!(over_quic(&connection, &framed(&good)).await.is_some());
}

#[tokio::test]
async fn connections_beyond_the_limit_are_refused_and_counted_on_every_transport() {
    let running = started_with(World::new(), Limits { dns_tcp_connections: 2, ..Limits::default() }).await;
    let held = (dot(&running).await, dot(&running).await);
    assert!(tls(&running, running.server.tls_addrs().doh[0], &[b"h2"]).await.is_err());
    assert!(running.metrics().contains("perigee_dns_tcp_connections_refused_total 1"), "{}", running.metrics());
    let one = quic(&running).await;
    let two = quic(&running).await;
    assert!(one.1.is_ok() && two.1.is_ok(), "QUIC has as many of its own");
    let (_endpoint, refused) = quic(&running).await;
    assert!(refused.is_err());
    assert!(running.metrics().contains("perigee_dns_quic_connections_refused_total 1"), "{}", running.metrics());
    drop(held);
}

#[tokio::test]
async fn a_failing_host_says_servfail_and_a_crashed_one_resets_on_every_transport() {
    let running = started().await;
    let question = query("app.perigee.test", A);
    let mut stream = dot(&running).await;
    let (_endpoint, connection) = quic(&running).await;
    let connection = connection.unwrap();
    write(&mut stream, &question.bytes()).await;
    read(&mut stream).await.unwrap();
    running.host.set_fault(Fault::Error);
    write(&mut stream, &question.bytes()).await;
    assert_eq!(read(&mut stream).await.unwrap()[3] & 0x0f, 2);
    assert_eq!(over_quic(&connection, &framed(&id_0(&question))).await.unwrap()[3] & 0x0f, 2);
    assert_eq!(http(&running, b"h2", post(&question.bytes())).await.body[3] & 0x0f, 2);
    running.host.set_fault(Fault::Crash);
    running.host.settled().await;
    assert!(read(&mut stream).await.is_err());
    assert!(tls(&running, running.server.tls_addrs().dot[0], &[b"dot"]).await.is_err());
    running.host.set_fault(Fault::None);
    running.host.settled().await;
    let mut stream = dot(&running).await;
    write(&mut stream, &question.bytes()).await;
    assert_eq!(addresses(&decode(&read(&mut stream).await.unwrap())), SEOUL_NODES);
    let (_endpoint, connection) = quic(&running).await;
    assert!(over_quic(&connection.unwrap(), &framed(&id_0(&question))).await.is_some());
}

#[tokio::test]
async fn a_blackholed_host_swallows_quic_packets_and_answers_them_when_mended() {
    let running = started().await;
    let (_endpoint, connection) = quic(&running).await;
    let connection = connection.unwrap();
    let stream = framed(&id_0(&query("app.perigee.test", A)));
    over_quic(&connection, &stream).await.unwrap();
    running.host.set_fault(Fault::Blackhole);
    let hanging = tokio::spawn({
        let (connection, stream) = (connection.clone(), stream.clone());
        async move { over_quic(&connection, &stream).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!hanging.is_finished());
    running.host.set_fault(Fault::None);
    assert!(hanging.await.unwrap().is_some(), "the client has sent it again");
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_good_order_sooner_when_none_are_left() {
    let running = started_with(World::new(), Limits { dns_tcp_connections: 1, ..Limits::default() }).await;
    let message = query("app.perigee.test", A).edns(&[(11, &[])]).bytes();
    let addresses = running.server.tls_addrs().clone();
    let mut plain = TcpStream::connect(running.address).await.unwrap();
    write(&mut plain, &message).await;
    let options = options_of(&read(&mut plain).await.unwrap()).unwrap();
    assert_eq!(options, [(11, vec![0, 10])], "one second, as the only connection is taken");
    let ended = tokio::time::timeout(PATIENCE, plain.read(&mut [0; 1])).await.expect("closed").unwrap();
    assert_eq!(ended, 0);
    // The pass of the last connection comes back when its task ends, a moment after its last octet.
    let next = async |to: SocketAddr, protocol: &[u8]| loop {
        match tls(&running, to, &[protocol]).await {
            Ok(stream) => break stream,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    for (to, protocol) in [(addresses.dot[0], &b"dot"[..]), (addresses.doh[0], b"http/1.1")] {
        let mut stream = next(to, protocol).await;
        let mut rest = Vec::new();
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("closed").expect("in good order");
    }
    let stream = TokioIo::new(next(addresses.doh[0], b"h2").await);
    let (_sender, connection) = http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), stream).await.unwrap();
    tokio::time::timeout(PATIENCE, connection).await.expect("closed").expect("in good order");
}
