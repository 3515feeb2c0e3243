use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderMap};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::address;
use crate::destination::Destination;
use crate::drive::Clock;
use crate::pool::{Connection, Pool};
use crate::wire::Wire;
use crate::{FailureKind, Phase};

/// Bytes of a body that are looked at for who answered; the rest is read and forgotten.
const MAX_BODY_LOOKED_AT: usize = 65_536;
/// Characters of a region's, target's or edge's name that are kept.
const MAX_NAME: usize = 64;

/// Who answered, as far as the answer tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) region: Option<String>,
    pub(crate) target: Option<String>,
    pub(crate) edge: Option<String>,
}

/// How a request ended.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// A whole answer below 400.
    Ok(Who),
    /// Anything else.
    Failed { kind: FailureKind, phase: Phase, error: String, region: Option<String> },
}

/// Everything about one request that is over; times since the start of the run.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) due: Duration,
    pub(crate) started: Duration,
    pub(crate) finished: Duration,
    /// The wait for the TCP connection, done or not; zero on a kept one.
    pub(crate) connect: Duration,
    /// Whether the request travelled on a connection opened for it.
    pub(crate) new_connection: bool,
    /// Connections opened.
    pub(crate) opened: u32,
    /// Kept connections found closed before use.
    pub(crate) reopened: u32,
    pub(crate) verdict: Verdict,
}

/// How far a request has come; outlives the attempt that a timeout cuts short.
struct Progress {
    phase: Phase,
    fresh: bool,
    opened: u32,
    reopened: u32,
    connect: Duration,
    connecting_since: Option<Instant>,
    wire: Option<Wire>,
}

/// What stopped a request.
enum Broken {
    Resolve(String),
    Io(io::Error),
    Http(hyper::Error),
}

/// The client of one run.
pub(crate) struct Client {
    destination: Destination,
    source: Option<IpAddr>,
    timeout: Duration,
    pool: Pool,
    clock: Clock,
}

impl Client {
    pub(crate) fn new(
        destination: Destination,
        source: Option<IpAddr>,
        timeout: Duration,
        keep: usize,
        clock: Clock,
    ) -> Self {
        Self { destination, source, timeout, pool: Pool::new(keep), clock }
    }

    /// Makes the request that was due at `due`, on a kept connection or a new one.
    pub(crate) async fn request(self: Arc<Self>, due: Duration, keep: bool) -> Outcome {
        let started = self.clock.elapsed();
        let mut p = Progress {
            phase: Phase::Resolve,
            fresh: !keep,
            opened: 0,
            reopened: 0,
            connect: Duration::ZERO,
            connecting_since: None,
            wire: None,
        };
        let deadline = self.clock.at(started + self.timeout);
        let ended = timeout_at(deadline, self.attempt(keep, &mut p)).await;
        if let Some(since) = p.connecting_since {
            p.connect = since.elapsed();
        }
        let verdict = match ended {
            Ok(Ok((status, who))) if status.as_u16() < 400 => Verdict::Ok(who),
            Ok(Ok((status, who))) => Verdict::Failed {
                kind: FailureKind::Status,
                phase: Phase::Done,
                error: status.to_string(),
                region: who.region,
            },
            Ok(Err(broken)) => p.failed(broken.kind(), broken.text()),
            Err(_) => p.failed(None, format!("timed out after {} ms", self.timeout.as_millis())),
        };
        Outcome {
            due,
            started,
            finished: self.clock.elapsed(),
            connect: p.connect,
            new_connection: p.fresh,
            opened: p.opened,
            reopened: p.reopened,
            verdict,
        }
    }

    async fn attempt(&self, keep: bool, p: &mut Progress) -> Result<(StatusCode, Who), Broken> {
        let idle = if keep { self.pool.take() } else { None };
        if let Some(mut kept) = idle {
            p.fresh = false;
            p.phase = Phase::Response;
            if kept.wire.is_quiet() && kept.sender.ready().await.is_ok() {
                p.wire = Some(kept.wire.clone());
                match kept.sender.try_send_request(self.ask(keep)).await {
                    Ok(response) => return self.finish(kept, response, keep, p).await,
                    // Not a byte was sent: the close was seen between the check and the request.
                    Err(e) if e.message().is_some() => {}
                    Err(e) => return Err(Broken::Http(e.into_error())),
                }
            }
            p.reopened += 1;
        }
        let mut new = self.open(p).await?;
        p.phase = Phase::Response;
        let response = new.sender.send_request(self.ask(keep)).await.map_err(Broken::Http)?;
        self.finish(new, response, keep, p).await
    }

    async fn open(&self, p: &mut Progress) -> Result<Connection, Broken> {
        p.fresh = true;
        p.wire = None;
        p.phase = Phase::Resolve;
        let addresses = self.destination.addresses(self.timeout).await.map_err(Broken::Resolve)?;
        p.phase = Phase::Connect;
        p.connecting_since = Some(Instant::now());
        let mut last = io::Error::other("no address");
        let mut stream = None;
        // One address after the other, as clients without Happy Eyeballs do within one family.
        for to in addresses {
            match address::connect(to, self.source).await {
                Ok(s) => {
                    stream = Some(s);
                    break;
                }
                Err(e) => last = e,
            }
        }
        p.connect = p.connecting_since.take().map(|s| s.elapsed()).unwrap_or_default();
        let Some(stream) = stream else { return Err(Broken::Io(last)) };
        p.opened += 1;
        let wire = Wire::new(stream);
        p.wire = Some(wire.clone());
        let io = TokioIo::new(wire.clone());
        let (sender, connection) = http1::Builder::new().handshake(io).await.map_err(Broken::Http)?;
        // Its error is told to the request as well, where it is counted.
        tokio::spawn(connection);
        Ok(Connection { sender, wire })
    }

    fn ask(&self, keep: bool) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.destination.path.clone();
        let headers = request.headers_mut();
        if let Ok(host) = self.destination.host.parse() {
            headers.insert(HOST, host);
        }
        if !keep {
            headers.insert(CONNECTION, hyper::header::HeaderValue::from_static("close"));
        }
        request
    }

    async fn finish(
        &self,
        connection: Connection,
        response: Response<Incoming>,
        keep: bool,
        p: &mut Progress,
    ) -> Result<(StatusCode, Who), Broken> {
        p.phase = Phase::Body;
        let (head, mut body) = response.into_parts();
        let mut who = who_by_headers(&head.headers);
        let look = who.region.is_none();
        let mut seen = Vec::new();
        while let Some(frame) = body.frame().await {
            let data = frame.map_err(Broken::Http)?.into_data().unwrap_or_default();
            if look && seen.len() + data.len() <= MAX_BODY_LOOKED_AT {
                seen.extend_from_slice(&data);
            }
        }
        if look {
            who = who_by_body(&seen, who);
        }
        if keep {
            self.pool.put(connection);
        }
        Ok((head.status, who))
    }
}

impl Progress {
    /// A failure; which kind depends on the connection unless `kind` is known.
    fn failed(&self, kind: Option<FailureKind>, error: String) -> Verdict {
        let answered = self.wire.as_ref().is_some_and(|w| w.received() > 0);
        let by_connection = if self.fresh && !answered { FailureKind::NewConnection } else { FailureKind::InFlight };
        Verdict::Failed { kind: kind.unwrap_or(by_connection), phase: self.phase, error, region: None }
    }
}

impl Broken {
    fn kind(&self) -> Option<FailureKind> {
        matches!(self, Self::Io(e) if address::is_local(e)).then_some(FailureKind::Local)
    }

    fn text(&self) -> String {
        match self {
            Self::Resolve(e) => e.clone(),
            Self::Io(e) => e.to_string(),
            Self::Http(e) => {
                let mut text = e.to_string();
                let mut cause = e.source();
                while let Some(c) = cause {
                    text = format!("{text}: {c}");
                    cause = c.source();
                }
                text
            }
        }
    }
}

fn who_by_headers(headers: &HeaderMap) -> Who {
    let get = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(shortened);
    Who { region: get("x-perigee-region"), target: get("x-perigee-target"), edge: get("x-perigee-edge") }
}

fn who_by_body(body: &[u8], by_headers: Who) -> Who {
    let Ok(Value::Object(json)) = serde_json::from_slice(body) else { return by_headers };
    let get = |name: &str| json.get(name).and_then(Value::as_str).map(shortened);
    Who {
        region: get("region"),
        target: by_headers.target.or_else(|| get("target")),
        edge: by_headers.edge.or_else(|| get("edge")),
    }
}

fn shortened(name: &str) -> String {
    name.chars().take(MAX_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_tells_who_answered_when_the_headers_do_not() {
        let body = br#"{"target":"t1","region":"ap-northeast-2","edge":null}"#;
        let who = who_by_body(body, Who { target: Some("by-header".into()), ..Who::default() });
        let expected = Who { region: Some("ap-northeast-2".into()), target: Some("by-header".into()), edge: None };
        assert_eq!(who, expected);
        assert_eq!(who_by_body(b"hello", Who::default()), Who::default());
    }

    #[test]
    fn a_name_of_any_length_is_kept_short() {
        let mut headers = HeaderMap::new();
        headers.insert("x-perigee-region", "r".repeat(5_000).parse().unwrap());
        assert_eq!(who_by_headers(&headers).region.map(|r| r.len()), Some(MAX_NAME));
    }

    #[tokio::test]
    async fn a_close_that_no_task_has_seen_yet_is_no_failure() {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (close, may_close) = std::sync::mpsc::channel();
        let (closed, is_closed) = std::sync::mpsc::channel();
        let server = std::thread::spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().unwrap();
                assert!(stream.read(&mut [0; 4_096]).unwrap() > 0, "no request came");
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
                may_close.recv().unwrap();
                drop(stream);
                closed.send(()).unwrap();
            }
        });
        let destination = Destination::of(&crate::LoadPlan::new(url)).await.unwrap();
        let client = Arc::new(Client::new(destination, None, Duration::from_secs(5), 1, Clock::start()));
        let first = Arc::clone(&client).request(Duration::ZERO, true).await;
        assert!(matches!(first.verdict, Verdict::Ok(_)) && first.new_connection, "{first:?}");
        for _ in 0..100 {
            // hyper's task finds its connection idle.
            tokio::task::yield_now().await;
        }
        // Blocks the runtime's only thread: the connection closes and no task can see it.
        close.send(()).unwrap();
        is_closed.recv().unwrap();
        let second = Arc::clone(&client).request(Duration::ZERO, true).await;
        assert!(matches!(second.verdict, Verdict::Ok(_)), "{second:?}");
        assert_eq!((second.reopened, second.opened, second.new_connection), (1, 1, true));
        close.send(()).unwrap();
        server.join().unwrap();
    }
}
