//! The client against servers that behave, and against servers that misbehave in one exact way each.

#![allow(clippy::unwrap_used, reason = "a helper of a test that panics fails the test")]

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use perigee_load::{Connections, FailureKind, LoadError, LoadPlan, Phase, Second, Summary, run};
use perigee_net::{Fault, Host, Shutdown, reset_on_drop};
use perigee_target::{App, Identity, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nx-perigee-region: r1\r\ncontent-length: 2\r\n\r\nok";

async fn target() -> (SocketAddr, Host, Arc<App>) {
    let host = Host::new("t1");
    let listener = host.listen(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr();
    let app = Arc::new(App::new(Identity {
        target: "t1".into(),
        zone: "ap-northeast-2a".into(),
        region: "ap-northeast-2".into(),
    }));
    tokio::spawn(serve(listener, host.clone(), Arc::clone(&app), Shutdown::new()));
    (address, host, app)
}

/// A server that does `each` with every connection.
async fn server<F, Fut>(each: F) -> SocketAddr
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(each(stream));
        }
    });
    address
}

/// Reads one request head; false at the end of the stream.
async fn head(stream: &mut TcpStream) -> bool {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => seen.push(byte),
            Err(_) => return false,
        }
    }
    true
}

fn plan(to: SocketAddr, rate: f64, ms: u64, connections: Connections) -> LoadPlan {
    let duration = Duration::from_millis(ms);
    LoadPlan { rate, duration, connections, ..LoadPlan::new(format!("http://{to}/")) }
}

async fn load(plan: LoadPlan) -> Summary {
    let summary = run(plan, CancellationToken::new(), |_| {}).await.unwrap();
    assert_eq!(summary.requests, summary.ok + summary.failed + summary.shed, "{summary:#?}");
    assert_eq!(summary.seconds.iter().map(|s| s.ok).sum::<u64>(), summary.ok);
    assert_eq!(summary.seconds.iter().map(|s| s.sent + s.shed).sum::<u64>(), summary.requests);
    summary
}

fn all_failed(s: &Summary, kind: FailureKind, phase: Phase) {
    assert_eq!(s.failed_by_kind, BTreeMap::from([(kind, s.requests)]), "{:?}", s.failures);
    assert!(s.failures.iter().all(|f| f.kind == kind && f.phase == phase), "{:?}", s.failures);
}

#[tokio::test]
async fn every_arrival_of_the_schedule_is_made_and_answered() {
    let (address, _host, app) = target().await;
    let s = load(plan(address, 300.0, 1_000, Connections::Mixed)).await;
    assert_eq!((s.requests, s.ok, s.failed, s.reopened), (300, 300, 0, 0), "{:?}", s.failures);
    assert_eq!(app.requests(), 300);
    assert_eq!(s.regions["ap-northeast-2"].answers, 300);
    assert_eq!(s.targets["t1"].answers, 300);
    assert!(s.edges.is_empty());
    assert_eq!(s.new_connection_latency.count, s.connections_opened, "each opened connection carried one as new");
    assert!((150..300).contains(&s.connections_opened), "half are new, the kept ones are shared: {s}");
    assert_eq!(s.latency.count, 300);
}

#[tokio::test]
async fn kept_connections_are_shared() {
    let (address, _host, _app) = target().await;
    let s = load(plan(address, 100.0, 1_000, Connections::Keep)).await;
    assert_eq!((s.ok, s.reopened), (100, 0));
    assert!(s.connections_opened < 50, "{s}");
}

#[tokio::test]
async fn a_refused_connect_is_a_failure_of_a_new_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let s = load(plan(address, 50.0, 400, Connections::Mixed)).await;
    all_failed(&s, FailureKind::NewConnection, Phase::Connect);
    assert_eq!((s.requests, s.connections_opened, s.longest_gap_ms), (20, 0, s.duration_ms));
}

#[tokio::test]
async fn a_reset_before_the_answer_is_a_failure_of_a_new_connection() {
    let address = server(|mut stream| async move {
        head(&mut stream).await;
        reset_on_drop(&stream);
    })
    .await;
    let s = load(plan(address, 50.0, 400, Connections::Mixed)).await;
    all_failed(&s, FailureKind::NewConnection, Phase::Response);
}

#[tokio::test]
async fn silence_on_a_new_connection_is_its_failure_after_the_timeout() {
    let address = server(|mut stream| async move { while head(&mut stream).await {} }).await;
    let timeout = Duration::from_millis(200);
    let s = load(LoadPlan { timeout, ..plan(address, 50.0, 200, Connections::Mixed) }).await;
    all_failed(&s, FailureKind::NewConnection, Phase::Response);
    assert!(s.failures.iter().all(|f| f.took_ms >= 200 && f.error == "timed out after 200 ms"), "{:?}", s.failures);
}

#[tokio::test]
async fn an_answer_that_breaks_off_was_in_flight() {
    let address = server(|mut stream| async move {
        head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this").await;
    })
    .await;
    let s = load(plan(address, 50.0, 400, Connections::New)).await;
    all_failed(&s, FailureKind::InFlight, Phase::Body);
}

#[tokio::test]
async fn a_kept_connection_reset_under_a_request_was_in_flight() {
    let address = server(|mut stream| async move {
        head(&mut stream).await;
        let _ = stream.write_all(ANSWER).await;
        if head(&mut stream).await {
            reset_on_drop(&stream);
        }
    })
    .await;
    let s = load(plan(address, 25.0, 800, Connections::Keep)).await;
    assert!(s.ok > 0 && s.failed > 0, "{s}");
    assert_eq!(s.failed_by_kind, BTreeMap::from([(FailureKind::InFlight, s.failed)]), "{:?}", s.failures);
    assert!(s.failures.iter().all(|f| f.phase == Phase::Response));
    assert_eq!(s.reopened, 0, "the connection was open when the request was sent");
}

#[tokio::test]
async fn a_kept_connection_closed_while_idle_is_reopened_and_no_failure() {
    for reset in [false, true] {
        let address = server(move |mut stream| async move {
            head(&mut stream).await;
            let _ = stream.write_all(ANSWER).await;
            if reset {
                // The answer must be read before the reset overtakes it.
                tokio::time::sleep(Duration::from_millis(10)).await;
                reset_on_drop(&stream);
            }
        })
        .await;
        let s = load(plan(address, 20.0, 800, Connections::Keep)).await;
        assert_eq!((s.requests, s.ok, s.failed), (16, 16, 0), "reset {reset}: {:?}", s.failures);
        assert_eq!((s.connections_opened, s.reopened), (16, 15), "reset {reset}: all but the first were kept ones");
        assert_eq!(s.regions["r1"].answers, 16);
    }
}

#[tokio::test]
async fn an_error_status_is_a_failure_that_names_who_answered() {
    let (address, _host, _app) = target().await;
    let plan = LoadPlan { url: format!("http://{address}/status/503"), ..plan(address, 50.0, 400, Connections::Mixed) };
    let s = load(plan).await;
    all_failed(&s, FailureKind::Status, Phase::Done);
    assert_eq!(s.failures[0].error, "503 Service Unavailable");
    assert_eq!(s.failures[0].region.as_deref(), Some("ap-northeast-2"));
}

#[tokio::test]
async fn a_stall_counts_in_full_and_arrivals_go_on() {
    let (address, host, _app) = target().await;
    host.set_fault(Fault::Slow { delay_ms: 500 });
    let s = load(plan(address, 100.0, 500, Connections::Mixed)).await;
    assert_eq!((s.requests, s.ok), (50, 50), "{:?}", s.failures);
    assert!(s.latency.p50_ms >= 499.0, "{s}");
    assert_eq!(s.connections_opened, 50, "no connection was free again before the last arrival");
}

#[tokio::test]
async fn requests_beyond_the_limit_in_flight_are_shed_and_counted() {
    let (address, host, _app) = target().await;
    host.set_fault(Fault::Slow { delay_ms: 1_000 });
    let s = load(LoadPlan { max_in_flight: 10, ..plan(address, 100.0, 500, Connections::Mixed) }).await;
    assert_eq!((s.requests, s.ok, s.shed), (50, 10, 40));
}

#[tokio::test]
async fn a_crash_is_seen_as_it_was_and_so_is_the_return() {
    let (address, host, _app) = target().await;
    let plan = plan(address, 200.0, 3_000, Connections::Mixed);
    let mut rows: Vec<Second> = Vec::new();
    let s = run(plan, CancellationToken::new(), |second| {
        match second.second {
            1 => host.set_fault(Fault::Crash),
            2 => host.set_fault(Fault::None),
            _ => {}
        }
        rows.push(second.clone());
    })
    .await
    .unwrap();
    assert_eq!(s.requests, 600);
    assert_eq!(rows, s.seconds);
    assert_eq!(rows[0].failed, 0, "{:?}", s.failures.first());
    assert!(rows[1].failed > 0 && rows[2].ok > 0, "{s}");
    assert!(s.failures.iter().all(|f| matches!(f.kind, FailureKind::NewConnection | FailureKind::InFlight)));
    assert!(s.failures.iter().all(|f| f.at_unix_ms - s.started_unix_ms == f.at_ms), "two stamps of one moment");
    assert!(s.longest_gap_ms > 500, "{s}");
    assert!(s.reopened > 0, "the idle kept connections died with the target: {s}");
}

#[tokio::test]
async fn a_stop_ends_the_run_with_what_it_has() {
    let (address, _host, _app) = target().await;
    let stop = CancellationToken::new();
    let canceller = stop.clone();
    let s = run(plan(address, 50.0, 3_600_000, Connections::Mixed), stop, move |_| canceller.cancel()).await.unwrap();
    assert!(s.requests >= 40 && s.requests < 1_000 && s.ok == s.requests, "{s}");
}

#[tokio::test]
async fn a_load_comes_from_the_address_of_its_place() {
    let (seen, mut peers) = tokio::sync::mpsc::unbounded_channel();
    let address = server(move |mut stream| {
        let seen = seen.clone();
        async move {
            seen.send(stream.peer_addr().unwrap().ip()).unwrap();
            head(&mut stream).await;
            let _ = stream.write_all(ANSWER).await;
        }
    })
    .await;
    let source_ip = Some("127.81.200.9".parse().unwrap());
    let s = load(LoadPlan { source_ip, ..plan(address, 20.0, 500, Connections::New) }).await;
    assert_eq!(s.ok, 10);
    for _ in 0..10 {
        assert_eq!(peers.try_recv().ok(), source_ip);
    }
}

#[tokio::test]
async fn a_plan_that_cannot_start_says_why() {
    let good = LoadPlan::new("http://127.0.0.1:9/");
    let foreign = LoadPlan { source_ip: Some("192.0.2.1".parse().unwrap()), ..good.clone() };
    let family = LoadPlan { source_ip: Some("::1".parse().unwrap()), ..good.clone() };
    for (plan, text) in [
        (foreign, "cannot send from 192.0.2.1"),
        (family, "one is IPv4, the other IPv6"),
        (LoadPlan { rate: -1.0, ..good.clone() }, "rate is -1"),
        (LoadPlan { url: "https://127.0.0.1/".into(), ..good }, "https is not built yet"),
    ] {
        let error: LoadError = run(plan, CancellationToken::new(), |_| {}).await.unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
}
