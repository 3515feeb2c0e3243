//! The application as a client sees it: over a loopback socket, one request at a time.

#![allow(clippy::unwrap_used, reason = "a helper of a test that panics fails the test")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use perigee_net::{Fault, Host, Shutdown};
use perigee_target::{App, Identity, serve};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

struct Stack {
    address: SocketAddr,
    host: Host,
    app: Arc<App>,
    shutdown: Shutdown,
}

async fn stack() -> Stack {
    let (host, shutdown) = (Host::new("t1"), Shutdown::new());
    let listener = host.listen(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr();
    let identity = Identity { target: "t1".into(), zone: "ap-northeast-2a".into(), region: "ap-northeast-2".into() };
    let app = Arc::new(App::new(identity));
    shutdown.spawn(serve(listener, host.clone(), Arc::clone(&app), shutdown.clone()));
    Stack { address, host, app, shutdown }
}

type Answer = (StatusCode, HeaderMap, Bytes);

async fn send(to: SocketAddr, request: hyper::http::request::Builder, body: Bytes) -> Answer {
    let io = TokioIo::new(TcpStream::connect(to).await.unwrap());
    let (mut sender, connection) = http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let request: Request<Full<Bytes>> = request.header("host", "app.perigee.test").body(Full::new(body)).unwrap();
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    (head.status, head.headers, body.collect().await.unwrap().to_bytes())
}

async fn get(to: SocketAddr, path: &str) -> Answer {
    send(to, Request::get(path), Bytes::new()).await
}

#[tokio::test]
async fn every_path_answers_as_its_row_says() {
    let s = stack().await;
    for (path, status, body) in [
        ("/check", 200, "this is t1 /check"),
        ("/slow?ms=0", 200, r#""target":"t1""#),
        ("/slow?ms=60001", 400, "ms takes 0 to 60000"),
        ("/slow?ms=soon", 400, "ms takes 0 to 60000"),
        ("/status/200", 200, r#"{"status":200}"#),
        ("/status/418", 418, r#"{"status":418}"#),
        ("/status/503", 503, r#"{"status":503}"#),
        ("/status/204", 204, ""),
        ("/status/100", 400, "200 to 599"),
        ("/status/600", 400, "200 to 599"),
        ("/status/ok", 400, "200 to 599"),
        ("/bytes/0", 200, ""),
        ("/bytes/5", 200, "....."),
        ("/bytes/1073741825", 400, "0 to 1073741824"),
        ("/bytes/-1", 400, "0 to 1073741824"),
        ("/events?count=2&ms=10", 200, "id: 2\ndata: {\"event\":2,\"of\":2}\n\n"),
        ("/events?count=1001", 400, "count takes 1 to 1000"),
        ("/events?ms=9", 400, "ms takes 10 to 60000"),
        ("/ws", 426, "Upgrade: websocket"),
        ("/grpc", 501, "not built yet"),
        ("/grpc/health", 501, "not built yet"),
        ("/nowhere", 404, "no such path"),
        ("/status", 404, "no such path"),
        ("//", 404, "no such path"),
    ] {
        let (got, headers, text) = get(s.address, path).await;
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert_eq!(got.as_u16(), status, "{path}: {text}");
        assert!(text.contains(body), "{path}: {text}");
        assert_eq!(headers["x-perigee-target"], "t1", "{path}");
        assert_eq!(headers["x-perigee-zone"], "ap-northeast-2a", "{path}");
        assert_eq!(headers["x-perigee-region"], "ap-northeast-2", "{path}");
    }
}

#[tokio::test]
async fn the_root_tells_what_reached_the_application() {
    let s = stack().await;
    let request = Request::post("/?a=b")
        .header("x-forwarded-for", "127.81.200.9, 10.0.0.1")
        .header("x-perigee-edge", "NRT")
        .header("x-twice", "1")
        .header("x-twice", "2");
    // The root takes any method; the path with its query is told as it came.
    let (status, headers, body) = send(s.address, request, Bytes::from_static(b"some body")).await;
    let json: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status.as_u16(), &headers["x-perigee-edge"]), (200, &"NRT".parse().unwrap()));
    let mut keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["client", "edge", "headers", "method", "path", "region", "requests", "target", "zone"]);
    assert_eq!(json["client"], "127.81.200.9");
    assert_eq!(json["edge"], "NRT");
    assert_eq!(json["method"], "POST");
    assert_eq!(json["path"], "/?a=b");
    assert_eq!(json["headers"]["x-twice"], "1, 2");
    assert_eq!(json["requests"], 1);

    get(s.address, "/check").await;
    let (_, headers, body) = get(s.address, "/").await;
    let json: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(json["requests"], 2, "checks do not count");
    assert_eq!((&json["client"], &json["edge"]), (&Value::from("127.0.0.1"), &Value::Null));
    assert!(!headers.contains_key("x-perigee-edge"));
    assert_eq!(s.app.requests(), 2);
}

#[tokio::test]
async fn bytes_come_with_their_length() {
    let s = stack().await;
    let (_, headers, body) = get(s.address, "/bytes/1000000").await;
    assert_eq!((body.len(), &headers["content-length"]), (1_000_000, &"1000000".parse().unwrap()));
    let (status, headers, body) = send(s.address, Request::head("/bytes/7"), Bytes::new()).await;
    assert_eq!((status.as_u16(), body.len(), &headers["content-length"]), (200, 0, &"7".parse().unwrap()));
}

#[tokio::test]
async fn what_is_too_long_is_refused() {
    let s = stack().await;
    let (status, ..) = send(s.address, Request::post("/"), Bytes::from(vec![b'x'; 17 << 20])).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    for head in [
        format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(1 << 20)),
        format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(1_000)),
    ] {
        let mut stream = TcpStream::connect(s.address).await.unwrap();
        let (mut read, mut write) = stream.split();
        let mut answer = vec![0; 12];
        // The server may close while the rest of the head is still being written.
        let (_, answered) = tokio::join!(write.write_all(head.as_bytes()), read.read_exact(&mut answer));
        answered.unwrap();
        assert_eq!(answer, b"HTTP/1.1 431");
    }
}

#[tokio::test]
async fn garbage_is_refused_and_the_next_client_served() {
    let s = stack().await;
    let mut stream = TcpStream::connect(s.address).await.unwrap();
    stream.write_all(b"\x16\x03\x01 what is this\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(get(s.address, "/check").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_host_with_an_error_answers_500_to_everything() {
    let s = stack().await;
    s.host.set_fault(Fault::Error);
    for path in ["/check", "/", "/bytes/5", "/ws"] {
        let (status, headers, _) = get(s.address, path).await;
        assert_eq!((status.as_u16(), &headers["x-perigee-target"]), (500, &"t1".parse().unwrap()), "{path}");
    }
    s.host.set_fault(Fault::None);
    assert_eq!(get(s.address, "/check").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_slow_host_answers_late() {
    let s = stack().await;
    s.host.set_fault(Fault::Slow { delay_ms: 300 });
    let start = std::time::Instant::now();
    assert_eq!(get(s.address, "/check").await.0, StatusCode::OK);
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_crash_resets_established_connections() {
    let s = stack().await;
    let mut stream = TcpStream::connect(s.address).await.unwrap();
    stream.write_all(b"GET /slow?ms=60000 HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    while s.app.requests() == 0 {
        tokio::task::yield_now().await;
    }
    s.host.set_fault(Fault::Crash);
    let error = stream.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_drain_finishes_running_requests_and_closes_idle_connections() {
    let s = stack().await;
    let mut idle = TcpStream::connect(s.address).await.unwrap();
    idle.write_all(b"GET /check HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"/check") {
        seen.push(idle.read_u8().await.unwrap());
    }
    let running = tokio::spawn(get(s.address, "/slow?ms=400"));
    while s.app.requests() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(s.shutdown.finish(Duration::from_secs(10)).await, 0, "everything ended in time");
    let (status, headers, _) = running.await.unwrap();
    assert_eq!((status, &headers["connection"]), (StatusCode::OK, &"close".parse().unwrap()));
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0, "the idle connection was closed, not reset");
    let refused = TcpStream::connect(s.address).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_drain_ends_events_and_websockets() {
    let s = stack().await;
    let events = tokio::spawn(get(s.address, "/events?count=1000&ms=60000"));
    let mut socket = websocket(s.address).await;
    socket.send(Message::text("here")).await.unwrap();
    socket.next().await.unwrap().unwrap();
    while s.app.requests() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(s.shutdown.finish(Duration::from_secs(10)).await, 0, "nothing outlives the drain");
    let (status, _, body) = events.await.unwrap();
    assert_eq!((status, body.starts_with(b"id: 1\n")), (StatusCode::OK, true));
    let close = socket.next().await.unwrap().unwrap();
    assert!(matches!(&close, Message::Close(Some(frame)) if u16::from(frame.code) == 1001), "{close:?}");
}

async fn websocket(to: SocketAddr) -> WebSocketStream<TcpStream> {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let ask = "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    // The accept key of the example in RFC 6455 section 1.3.
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    WebSocketStream::from_raw_socket(stream, Role::Client, None).await
}

#[tokio::test]
async fn a_websocket_echoes_text_and_bytes_and_closes() {
    let s = stack().await;
    let mut socket = websocket(s.address).await;
    for message in [Message::text("hello"), Message::binary(vec![0, 255]), Message::text("x".repeat(1 << 20))] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    socket.close(None).await.unwrap();
    assert!(matches!(socket.next().await, Some(Ok(Message::Close(_)))));
    assert!(socket.next().await.is_none());
}

#[tokio::test]
async fn a_websocket_message_beyond_the_limit_ends_the_connection() {
    let s = stack().await;
    let mut socket = websocket(s.address).await;
    let _ = socket.send(Message::binary(vec![0; (1 << 20) + 1])).await;
    let end = socket.next().await;
    assert!(!matches!(end, Some(Ok(Message::Binary(_)))), "the long message came back");
}
