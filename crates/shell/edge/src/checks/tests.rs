//! DNS health checks on real sockets, with intervals of a lab.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use perigee_health::{DnsCheckStatus, Forced, ProbeFailure};
use perigee_model::dns::{DnsCheckKind, DnsHealthCheck, EndpointCheck, EndpointProtocol};
use perigee_model::{HealthCheckIndex, Snapshot, fixtures};
use perigee_net::{Clock, Host, Names};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::*;
use crate::tests::atlas;

/// An HTTP server whose answer can be changed, and which counts what it was asked.
struct Server {
    address: SocketAddr,
    answer: watch::Sender<&'static str>,
    asked: Arc<AtomicUsize>,
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nI am ok";
const SICK: &str = "HTTP/1.1 503 Sick\r\nContent-Length: 0\r\n\r\n";
const CHANGED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nI am ill";

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (answer, asked) = (watch::Sender::new(OK), Arc::new(AtomicUsize::new(0)));
        let server = Self { address: listener.local_addr().unwrap(), answer, asked };
        let (answer, asked) = (server.answer.subscribe(), server.asked.clone());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                asked.fetch_add(1, Ordering::SeqCst);
                let answer = *answer.borrow();
                tokio::spawn(async move {
                    let _ = stream.read(&mut [0; 1024]).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.read(&mut [0; 1024]).await;
                });
            }
        });
        server
    }

    fn check(&self, name: &str, threshold: u8, checkers: u8) -> DnsHealthCheck {
        endpoint(name, self.address, EndpointProtocol::Http, None, threshold, checkers)
    }
}

fn endpoint(
    name: &str,
    address: SocketAddr,
    protocol: EndpointProtocol,
    search: Option<&str>,
    threshold: u8,
    checkers: u8,
) -> DnsHealthCheck {
    let endpoint = EndpointCheck {
        protocol,
        address: Some(address.ip()),
        domain_name: None,
        port: address.port(),
        path: "/".into(),
        search: search.map(str::to_owned),
        interval: Duration::from_millis(100),
        threshold,
        sni: true,
        checkers,
    };
    DnsHealthCheck { name: name.into(), kind: DnsCheckKind::Endpoint(endpoint), inverted: false, disabled: false }
}

/// A front tier whose checks are probed.
struct Lab {
    front: Arc<Front>,
    shutdown: Shutdown,
    registry: Registry,
    task: tokio::task::JoinHandle<()>,
}

impl Lab {
    fn start(checks: Vec<DnsHealthCheck>) -> Self {
        let snapshot = Arc::new(snapshot(checks));
        let front = Front::new(snapshot.clone(), atlas(&snapshot), None, Clock::new());
        let (shutdown, mut registry) = (Shutdown::new(), Registry::default());
        let metrics = CheckMetrics::register(&mut registry);
        let prober = DnsProber::new(Host::new("prober"), Names::of_the_system());
        let task = tokio::spawn(front.clone().run_checks(prober, metrics, shutdown.clone()));
        Self { front, shutdown, registry, task }
    }

    fn verdicts(&self) -> Vec<bool> {
        self.front.view().health.checks.clone()
    }

    async fn until(&self, reached: impl Fn(&Self) -> bool) {
        while !reached(self) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

fn snapshot(checks: Vec<DnsHealthCheck>) -> Snapshot {
    let mut snapshot = fixtures::snapshot(&["ap-northeast-1", "ap-northeast-2"]);
    snapshot.dns.health_checks = checks;
    snapshot
}

#[tokio::test]
async fn an_endpoint_that_turns_bad_is_seen_after_its_threshold_and_again_when_it_is_well() {
    let server = Server::start().await;
    let lab = Lab::start(vec![server.check("a", 3, 1)]);
    lab.until(|lab| lab.front.check_statuses()[0].undecided == 0).await;
    assert_eq!(lab.verdicts(), [true]);

    for (answer, verdict) in [(SICK, false), (OK, true)] {
        server.answer.send_replace(answer);
        let before = server.asked.load(Ordering::SeqCst);
        lab.until(|lab| lab.verdicts() == [verdict]).await;
        assert!(server.asked.load(Ordering::SeqCst) >= before + 3, "not before three in a row");
        let line = format!("perigee_dns_health_check_status{{check=\"a\"}} {}", u8::from(verdict));
        lab.until(|lab| lab.metrics().contains(&line)).await;
    }
    let failure = lab.front.check_statuses()[0].last_failure.unwrap().failure;
    assert_eq!(failure, ProbeFailure::ResponseCode { code: 503 });
    assert!(lab.metrics().contains("perigee_dns_health_check_probes_total{check=\"a\",result=\"response_code\"}"));
}

#[tokio::test]
async fn strings_connects_and_calculated_checks_are_judged_together() {
    let server = Server::start().await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let children = [1, 2, 3].map(HealthCheckIndex).to_vec();
    let most = DnsCheckKind::Calculated { threshold: 2, children };
    let lab = Lab::start(vec![
        DnsHealthCheck { name: "a-most".into(), kind: most, inverted: false, disabled: false },
        endpoint("b-string", server.address, EndpointProtocol::Http, Some("ok"), 1, 1),
        endpoint("c-open", server.address, EndpointProtocol::Tcp, None, 1, 1),
        endpoint("d-refused", nobody, EndpointProtocol::Tcp, None, 1, 1),
    ]);
    lab.until(|lab| lab.verdicts() == [true, true, true, false]).await;
    server.answer.send_replace(CHANGED);
    lab.until(|lab| lab.verdicts() == [false, false, true, false]).await;
    let failures: Vec<_> = lab.front.check_statuses().iter().map(|s| s.last_failure.map(|f| f.failure)).collect();
    assert_eq!(failures, [None, Some(ProbeFailure::NoMatch), None, Some(ProbeFailure::Connection)]);

    assert!(lab.front.force_check("d-refused", Some(Forced::Healthy)) && !lab.front.force_check("nobody", None));
    assert_eq!(lab.verdicts(), [true, false, true, true]);
}

#[tokio::test]
async fn five_probers_fail_a_check_only_together() {
    let server = Server::start().await;
    let lab = Lab::start(vec![server.check("a", 2, 5)]);
    let status = |lab: &Lab| -> DnsCheckStatus { lab.front.check_statuses().remove(0) };
    lab.until(|lab| status(lab).undecided == 0).await;
    for (answer, votes) in [(SICK, 0), (OK, 5)] {
        server.answer.send_replace(answer);
        lab.until(|lab| {
            let status = status(lab);
            assert_eq!((status.voters, status.healthy), (5, status.votes > 0), "one of five is enough: {status:?}");
            status.votes == votes
        })
        .await;
    }
}

#[tokio::test]
async fn a_reload_adds_and_removes_checks_and_their_figures() {
    let server = Server::start().await;
    let lab = Lab::start(vec![server.check("a", 1, 1)]);
    lab.until(|lab| lab.metrics().contains("probes_total{check=\"a\",result=\"ok\"}")).await;
    let next = Arc::new(snapshot(vec![server.check("b", 1, 1)]));
    lab.front.set_snapshot(next.clone(), lab.front.view().atlas.clone());
    lab.until(|lab| lab.metrics().contains("probes_total{check=\"b\",result=\"ok\"}")).await;
    assert!(!lab.metrics().contains("check=\"a\""), "{}", lab.metrics());
}

#[tokio::test]
async fn the_end_of_the_process_ends_the_probes_under_way() {
    // It accepts by its queue alone and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let lab = Lab::start(vec![endpoint("a", address, EndpointProtocol::Http, None, 1, 1)]);
    let (mut stream, _) = silent.accept().await.unwrap();
    let Lab { front, shutdown, task, .. } = lab;
    shutdown.begin();
    task.await.unwrap();
    let mut rest = Vec::new();
    // The connection ends although the probe had time left; a reset is an end, too.
    let _ = stream.read_to_end(&mut rest).await;
    assert_eq!(front.view().health.checks, [true], "an abandoned probe says nothing");
}
