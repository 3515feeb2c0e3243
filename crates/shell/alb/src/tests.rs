mod faults;
mod reload;
mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;
use perigee_health::{NodeReport, TargetState};
use perigee_net::proxy_protocol;
use tokio::net::{TcpListener, TcpStream};

use support::{Client, LOCALHOST, Lab, Origin, snapshot, target, until};

#[tokio::test]
async fn targets_take_turns_and_their_connections_are_kept() {
    let (a, b) = (Origin::start("a").await, Origin::start("b").await);
    let lab = Lab::healthy(&[&a, &b]).await;
    let mut client = lab.client().await;
    let mut names = String::new();
    for _ in 0..6 {
        let answer = client.get("/").await;
        assert_eq!(answer.status, 200);
        names.push_str(&answer.body[..1]);
        // Until the exchange is over the connection cannot be used again.
        let kept = names.len().min(2);
        until("the connection is kept", || lab.handle.shared().pool.open_idle() == kept).await;
    }
    assert_eq!(names, "ababab");
    assert_eq!((a.connections.load(Ordering::SeqCst), b.connections.load(Ordering::SeqCst)), (1, 1));
    assert!(lab.figures().contains("status=\"2xx\"} 6"), "{}", lab.figures());
}

#[tokio::test]
async fn targets_that_fail_their_checks_get_nothing_until_all_do() {
    let (a, b) = (Origin::start("a").await, Origin::start("b").await);
    b.healthy.store(false, Ordering::SeqCst);
    let lab = Lab::start(snapshot(vec![a.target(), b.target()])).await;
    until("a is healthy", || lab.handle.status()[0].state == TargetState::Healthy).await;
    for _ in 0..4 {
        assert_eq!(&lab.get("/").await.body[..1], "a");
    }

    let (c, d) = (Origin::start("c").await, Origin::start("d").await);
    c.healthy.store(false, Ordering::SeqCst);
    d.healthy.store(false, Ordering::SeqCst);
    let lab = Lab::start(snapshot(vec![c.target(), d.target()])).await;
    let mut names = vec![lab.get("/").await.body[..1].to_owned(), lab.get("/").await.body[..1].to_owned()];
    names.sort_unstable();
    assert_eq!(names, ["c", "d"]);
    assert!(lab.figures().contains("alb_unhealthy_routing_requests_total"), "{}", lab.figures());
}

#[tokio::test]
async fn a_request_arrives_with_what_the_balancer_adds_and_without_what_is_not_the_targets() {
    let a = Origin::start("a").await;
    let lab = Lab::healthy(&[&a]).await;
    let mut client = lab.client().await;
    client
        .send(
            "GET /x/../y?q=%41 HTTP/1.1\r\nHost: App.Test\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n\
             Connection: x-private\r\nX-Private: 1\r\nUpgrade: websocket\r\n\r\n",
        )
        .await;
    let seen = client.answer().await.expect("an answer").body;
    let port = lab.address.port();
    for line in [
        "a GET /x/../y?q=%41\n",
        &format!("host: app.test:{port}\n"),
        "x-forwarded-for: 9.9.9.9, 127.0.0.1\n",
        "x-forwarded-proto: http\n",
        &format!("x-forwarded-port: {port}\n"),
        "x-amzn-trace-id: Root=1-",
    ] {
        assert!(seen.contains(line), "{line:?} is missing in {seen}");
    }
    assert!(!seen.contains("x-private") && !seen.contains("upgrade"), "{seen}");
    client.send(format!("GET http://user@other.test:{port}/z HTTP/1.1\r\nHost: app.test\r\n\r\n")).await;
    let seen = client.answer().await.expect("an answer").body;
    assert!(seen.contains("a GET /z\n") && seen.contains(&format!("host: other.test:{port}\n")), "{seen}");
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    let seen = client.answer().await.expect("an answer").body;
    assert!(seen.contains(&format!("host: shop.r.elb.perigee.test:{port}\n")), "{seen}");
}

#[tokio::test]
async fn what_is_not_a_proper_request_is_refused_in_the_balancers_own_words() {
    let a = Origin::start("a").await;
    let lab = Lab::healthy(&[&a]).await;
    let head = |fields: &str| format!("GET / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n\r\n");
    for (bytes, status) in [
        ("\x16\x03\x01\x02garbage\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        (head(&format!("X-Big: {}", "b".repeat(1 << 20))), 400),
        (head(&format!("X-Big: {}", "b".repeat(17_000))), 400),
        (format!("GET /{} HTTP/1.1\r\nHost: a.test\r\n\r\n", "u".repeat(17_000)), 414),
        (format!("GET /{} HTTP/1.1\r\nHost: a.test\r\n\r\n", "u".repeat(1 << 20)), 414),
        (head("Transfer-Encoding: gzip"), 501),
        (head("Content-Length: 1\r\nContent-Length: 2"), 400),
        (head(&format!("X-Forwarded-For: {}", vec!["1.1.1.1"; 31].join(","))), 463),
        ("TRACE / HTTP/1.1\r\nHost: a.test\r\n\r\n".to_owned(), 405),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505),
    ] {
        let mut client = lab.client().await;
        client.send(&bytes).await;
        let start = &bytes[..bytes.len().min(60)];
        let answer = client.answer().await.unwrap_or_else(|| panic!("no answer to {start:?}"));
        assert_eq!(answer.status, status, "{start:?}");
        assert_eq!(answer.headers["server"], "awselb/2.0");
        assert!(answer.headers.contains_key("date") && answer.body.contains(&format!("<h1>{status} ")));
        if matches!(status, 400 | 414 | 501 | 505) {
            assert!(client.rest().await.is_empty(), "{start:?} must close the connection");
        }
    }
    assert_eq!(a.requests.load(Ordering::SeqCst), 0);
    let figures = lab.figures();
    for limit in ["request_line_bytes", "request_header_bytes", "request_head_bytes"] {
        assert!(figures.contains(&format!("limit=\"{limit}\"")), "{limit} was not counted: {figures}");
    }
}

#[tokio::test]
async fn a_refusal_after_a_good_request_on_the_same_connection_is_in_the_balancers_words_too() {
    let a = Origin::start("a").await;
    let lab = Lab::healthy(&[&a]).await;
    let mut client = lab.client().await;
    assert_eq!(client.get("/").await.status, 200);
    client.send("garbage\r\n\r\n").await;
    let answer = client.answer().await.expect("an answer");
    assert_eq!((answer.status, answer.headers["server"].as_str()), (400, "awselb/2.0"));
    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn half_a_head_gets_408_and_a_silent_client_nothing() {
    let a = Origin::start("a").await;
    let mut config = snapshot(vec![a.target()]);
    config.load_balancers[0].idle_timeout = Duration::from_millis(200);
    let lab = Lab::start(config).await;
    let mut half = lab.client().await;
    half.send("GET / HTT").await;
    assert_eq!(half.answer().await.expect("an answer").status, 408);
    assert!(lab.client().await.rest().await.is_empty());
    let mut idle = lab.client().await;
    assert_eq!(idle.get("/").await.status, 200);
    assert!(idle.rest().await.is_empty());
}

#[tokio::test]
async fn a_target_that_refuses_is_502_one_that_is_silent_504_and_a_client_that_stalls_408() {
    let closed = TcpListener::bind((LOCALHOST, 0)).await.expect("a port is free");
    let nobody = closed.local_addr().expect("it is bound");
    drop(closed);
    let lab = Lab::start(snapshot(vec![target(nobody)])).await;
    let answer = lab.get("/").await;
    assert_eq!((answer.status, answer.headers["server"].as_str()), (502, "awselb/2.0"));
    assert!(lab.figures().contains("alb_target_connection_errors_total"));

    let a = Origin::start("a").await;
    let mut config = snapshot(vec![a.target()]);
    config.load_balancers[0].idle_timeout = Duration::from_millis(200);
    let lab = Lab::start(config).await;
    assert_eq!(lab.get("/never").await.status, 504);
    let mut stalls = lab.client().await;
    stalls.send("POST /echo2 HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc").await;
    let first = stalls.answer().await.expect("an answer");
    // The origin answers without waiting for the body, which the client never finishes.
    assert_eq!(first.status, 200);
    let mut stalls = lab.client().await;
    stalls.send("POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc").await;
    assert_eq!(stalls.answer().await.expect("an answer").status, 408);
    let empty = Lab::start(snapshot(Vec::new())).await;
    assert_eq!(empty.get("/").await.status, 503);
    until("all are over", || lab.handle.status()[0].in_flight == 0).await;
}

#[tokio::test]
async fn a_kept_connection_that_the_target_closed_is_replaced_without_the_client_noticing() {
    let listener = TcpListener::bind((LOCALHOST, 0)).await.expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                // Says nothing of closing, and closes.
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            });
        }
    });
    let lab = Lab::start(snapshot(vec![target(address)])).await;
    let mut client = lab.client().await;
    for _ in 0..10 {
        assert_eq!(client.get("/").await.status, 200);
        until("the close has arrived", || lab.handle.shared().pool.open_idle() == 0).await;
    }
}

#[tokio::test]
async fn large_bodies_stream_both_ways_whatever_their_framing() {
    let a = Origin::start("a").await;
    let lab = Lab::healthy(&[&a]).await;
    let stream = TcpStream::connect(lab.address).await.expect("the node listens");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a connection");
    tokio::spawn(connection);
    let body: bytes::Bytes = (0..8_000_000_u32).map(|i| i.to_le_bytes()[i as usize % 4]).collect::<Vec<u8>>().into();
    for chunked in [false, true] {
        let mut request = Request::post("/echo").header("host", "a.test");
        if chunked {
            request = request.header("transfer-encoding", "chunked");
        }
        let request = request.body(Full::new(body.clone())).expect("a request");
        let response = sender.send_request(request).await.expect("an answer");
        assert_eq!(response.headers().contains_key("content-length"), !chunked);
        let echoed = response.into_body().collect().await.expect("a whole body").to_bytes();
        assert!(echoed == body, "chunked {chunked}: {} bytes came back", echoed.len());
        sender.ready().await.expect("the connection is kept");
    }
}

#[tokio::test]
async fn a_client_that_expects_100_gets_it_from_the_balancer_and_the_target_does_not_see_it() {
    let a = Origin::start("a").await;
    let lab = Lab::healthy(&[&a]).await;
    let mut client = lab.client().await;
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").await;
    assert_eq!(client.answer().await.expect("an interim answer").status, 100);
    client.send("hello").await;
    let answer = client.answer().await.expect("an answer");
    assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));
}

#[tokio::test]
async fn a_client_that_leaves_early_frees_its_target() {
    let a = Origin::start("a").await;
    let lab = Lab::healthy(&[&a]).await;
    let mut client = lab.client().await;
    client.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n").await;
    until("the target has it", || a.holding.load(Ordering::SeqCst) == 1).await;
    assert_eq!(lab.handle.status()[0].in_flight, 1);
    drop(client);
    until("the target is free", || a.holding.load(Ordering::SeqCst) == 0).await;
    until("it is counted", || lab.handle.status()[0].in_flight == 0).await;
    assert!(lab.figures().contains("code=\"460\"} 1"), "{}", lab.figures());
}

#[tokio::test]
async fn only_a_trusted_proxy_names_the_client_and_it_must() {
    let a = Origin::start("a").await;
    let mut config = snapshot(vec![a.target()]);
    config.settings.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    let lab = Lab::start(config).await;
    let mut proxy = lab.client().await;
    proxy.send(proxy_protocol::encode(([203, 0, 113, 7], 4711).into(), lab.address, "ICN")).await;
    let seen = proxy.get("/").await.body;
    assert!(seen.contains("x-forwarded-for: 203.0.113.7\n") && seen.contains("x-perigee-edge: ICN\n"), "{seen}");
    let mut without = lab.client().await;
    without.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(without.answer().await.is_none(), "a trusted proxy must open with the header");

    let lab = Lab::start(snapshot(vec![a.target()])).await;
    let mut liar = lab.client().await;
    liar.send(proxy_protocol::encode(([203, 0, 113, 7], 4711).into(), lab.address, "ICN")).await;
    liar.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(liar.answer().await.expect("an answer").status, 400);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_at_once_and_counted() {
    let a = Origin::start("a").await;
    let mut config = snapshot(vec![a.target()]);
    config.settings.limits.node_connections = 2;
    let lab = Lab::start(config).await;
    let (mut first, mut second) = (lab.client().await, lab.client().await);
    assert_eq!((first.get("/").await.status, second.get("/").await.status), (200, 200));
    assert!(lab.client().await.rest().await.is_empty());
    assert!(lab.figures().contains("limit=\"node_connections\"} 1"), "{}", lab.figures());
    drop(first);
    until("there is room again", || lab.handle.connections() == 1).await;
    assert_eq!(lab.get("/").await.status, 200);
}

#[tokio::test]
async fn the_status_port_tells_what_the_node_knows() {
    let a = Origin::start("a").await;
    let lab = Lab::healthy(&[&a]).await;
    let status = lab.handle.status_address().await.expect("it listens");
    let mut client = Client::connect(status).await;
    let report: NodeReport = serde_json::from_str(&client.get("/v1/report").await.body).expect("a report");
    assert_eq!(report, lab.handle.report());
    assert!(report.in_service());
    assert_eq!(client.get("/healthz").await.status, 200);
    assert!(client.get("/v1/targets").await.body.contains("\"state\":\"healthy\""));
    assert_eq!(client.get("/other").await.status, 404);
}
