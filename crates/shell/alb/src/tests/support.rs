//! A node on ephemeral ports, origins that count, and a client that sees every byte.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use perigee_health::TargetState;
use perigee_model::{LoadBalancerIndex, Snapshot, Target, ZoneName, fixtures};
use perigee_net::{Clock, Crossings, Host, Shutdown};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::{Common, Metrics, Node, NodeHandle};

pub(super) const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LB: LoadBalancerIndex = LoadBalancerIndex(0);
/// Nothing in these tests takes this long unless it is broken.
const AT_MOST: Duration = Duration::from_secs(20);

/// A target: answers `/check` by its health, `/hold` when let go, `/never` never, `/echo` with the body it gets and
/// everything else with its name and the headers it saw.
pub(super) struct Origin {
    pub(super) name: &'static str,
    pub(super) address: SocketAddr,
    pub(super) healthy: AtomicBool,
    pub(super) connections: AtomicUsize,
    pub(super) requests: AtomicUsize,
    pub(super) holding: AtomicUsize,
    pub(super) release: Semaphore,
}

impl Origin {
    pub(super) async fn start(name: &'static str) -> Arc<Self> {
        let listener = TcpListener::bind((LOCALHOST, 0)).await.expect("a port is free");
        let origin = Arc::new(Self {
            name,
            address: listener.local_addr().expect("it is bound"),
            healthy: AtomicBool::new(true),
            connections: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            holding: AtomicUsize::new(0),
            release: Semaphore::new(0),
        });
        let this = origin.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (this, counted) = (this.clone(), Arc::new(AtomicBool::new(false)));
                let service = service_fn(move |request| this.clone().answer(request, counted.clone()));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        origin
    }

    pub(super) fn target(&self) -> Target {
        target(self.address)
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        counted: Arc<AtomicBool>,
    ) -> Result<Response<BoxBody<Bytes, hyper::Error>>, Infallible> {
        let text = |text: String| Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed();
        if request.uri().path() == "/check" {
            let status = if self.healthy.load(Ordering::SeqCst) { 200 } else { 500 };
            let mut response = Response::new(text(String::new()));
            *response.status_mut() = hyper::StatusCode::from_u16(status).expect("a status");
            return Ok(response);
        }
        if !counted.swap(true, Ordering::SeqCst) {
            self.connections.fetch_add(1, Ordering::SeqCst);
        }
        self.requests.fetch_add(1, Ordering::SeqCst);
        match request.uri().path() {
            "/echo" => return Ok(Response::new(request.into_body().boxed())),
            "/never" => std::future::pending().await,
            "/hold" => {
                let holding = Holding::new(&self.holding);
                self.release.acquire().await.expect("it is never closed").forget();
                drop(holding);
            }
            _ => {}
        }
        let mut seen = format!("{} {} {}\n", self.name, request.method(), request.uri());
        for (name, value) in request.headers() {
            seen.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
        }
        Ok(Response::new(text(seen)))
    }
}

struct Holding<'a>(&'a AtomicUsize);

impl<'a> Holding<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(super) fn target(address: SocketAddr) -> Target {
    Target { address: address.ip(), port: address.port(), zone: ZoneName::new("ra") }
}

/// A snapshot whose first node listens on ephemeral ports and has the given targets.
pub(super) fn snapshot(targets: Vec<Target>) -> Snapshot {
    let mut snapshot = fixtures::snapshot(&["r"]);
    let lb = &mut snapshot.load_balancers[0];
    lb.nodes.truncate(1);
    lb.nodes[0].address = LOCALHOST;
    lb.nodes[0].status_port = 0;
    lb.listeners[0].port = 0;
    snapshot.target_groups[0].targets = targets;
    snapshot
}

/// A running node.
pub(super) struct Lab {
    pub(super) handle: NodeHandle,
    pub(super) host: Host,
    pub(super) shutdown: Shutdown,
    pub(super) metrics: Metrics,
    pub(super) address: SocketAddr,
}

impl Lab {
    pub(super) async fn start(snapshot: Snapshot) -> Self {
        let (host, shutdown, metrics) = (Host::new("node"), Shutdown::new(), Metrics::default());
        let common = Common {
            metrics: metrics.clone(),
            clock: Clock::new(),
            shutdown: shutdown.clone(),
            crossings: Crossings::default(),
        };
        let handle = Node::start(host.clone(), Arc::new(snapshot), LB, 0, common).await.expect("the node starts");
        let address = handle.addresses().await[&0];
        Self { handle, host, shutdown, metrics, address }
    }

    /// A node whose targets have all passed their first check.
    pub(super) async fn healthy(origins: &[&Arc<Origin>]) -> Self {
        let lab = Self::start(snapshot(origins.iter().map(|o| o.target()).collect())).await;
        lab.until_states(TargetState::Healthy).await;
        lab
    }

    pub(super) async fn until_states(&self, state: TargetState) {
        until("the targets' state", || self.handle.status().iter().all(|t| t.state == state)).await;
    }

    pub(super) async fn reload(&self, snapshot: Snapshot) {
        self.handle.set_snapshot(Arc::new(snapshot), LB, 0).await.expect("the snapshot is accepted");
    }

    pub(super) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// One request on a connection of its own.
    pub(super) async fn get(&self, path: &str) -> Answer {
        self.client().await.get(path).await
    }

    pub(super) fn figures(&self) -> String {
        let mut registry = prometheus_client::registry::Registry::default();
        self.metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("it is text");
        text
    }
}

/// Waits for a state that nothing announces.
pub(super) async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let wait = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(AT_MOST, wait).await.is_ok(), "{what} was not reached");
}

/// An answer as it came.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

/// A client without any cleverness.
pub(super) struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    pub(super) async fn connect(to: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(to).await.expect("the node listens"), unread: Vec::new() }
    }

    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // A node that has already refused may close while the client is still sending.
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    pub(super) async fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: app.test\r\n\r\n")).await;
        self.answer().await.expect("there is an answer")
    }

    /// The next answer, none if the connection ends before it is whole.
    pub(super) async fn answer(&mut self) -> Option<Answer> {
        let end = loop {
            match self.unread.windows(4).position(|w| w == b"\r\n\r\n") {
                Some(at) => break at,
                None => self.more().await?,
            }
        };
        let head = String::from_utf8_lossy(&self.unread[..end]).into_owned();
        self.unread.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: BTreeMap<String, String> = lines
            .filter_map(|l| l.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length: usize = headers.get("content-length").map_or(0, |l| l.parse().expect("a length"));
        while self.unread.len() < length {
            self.more().await?;
        }
        let body = String::from_utf8_lossy(&self.unread.drain(..length).collect::<Vec<_>>()).into_owned();
        Some(Answer { status, headers, body })
    }

    /// Everything up to the end of the connection.
    pub(super) async fn rest(&mut self) -> Vec<u8> {
        while self.more().await.is_some() {}
        std::mem::take(&mut self.unread)
    }

    async fn more(&mut self) -> Option<()> {
        let mut buffer = vec![0; 64 * 1024];
        let read = tokio::time::timeout(AT_MOST, self.stream.read(&mut buffer))
            .await
            .expect("the node neither answers nor closes");
        match read {
            Ok(0) | Err(_) => None,
            Ok(n) => {
                self.unread.extend_from_slice(&buffer[..n]);
                Some(())
            }
        }
    }
}
