//! DNS over HTTPS (RFC 8484), on HTTP/2 and HTTP/1.1.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use perigee_net::{Host, HostStream, Shutdown};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use crate::Transport;
use crate::conversation::{IDLE, MAX_QUERY, Parlour, REST, WRITE};
use crate::tls::{FAREWELL, shake_hands};

/// The protocols' names in the handshake, the preferred one first.
pub(crate) const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// Where queries are taken (RFC 8484 section 4.1.1 leaves the path to the server; all use this one).
const PATH: &str = "/dns-query";
const MEDIA_TYPE: &str = "application/dns-message";
/// Requests of one connection at once (Perigee's choice, as of QUIC's streams).
const MAX_STREAMS: u32 = 100;
/// Octets of a request's head: room for the longest query in a path, and as much again.
const MAX_HEAD: usize = 16_384;

/// Serves one connection's requests, until it is idle for too long or the server stops.
pub(crate) async fn talk(
    stream: HostStream,
    client: SocketAddr,
    parlour: Parlour,
    acceptor: TlsAcceptor,
) -> io::Result<()> {
    let Some(stream) = shake_hands(stream, &parlour, &acceptor).await? else { return Ok(()) };
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(PROTOCOLS[0]);
    let activity = Activity::default();
    let service = service_fn({
        let (parlour, activity) = (parlour.clone(), activity.clone());
        move |request| {
            let (parlour, busy) = (parlour.clone(), activity.begin());
            async move {
                let response = respond(request, client, &parlour).await;
                drop(busy);
                Ok::<_, Infallible>(response)
            }
        }
    });
    let io = TokioIo::new(stream);
    let ended = if is_http2 {
        let spawner = Spawner { host: parlour.host.clone(), shutdown: parlour.shutdown.clone() };
        let connection = hyper::server::conn::http2::Builder::new(spawner)
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEAD as u32)
            .serve_connection(io, service);
        drive(connection, &activity, &parlour).await
    } else {
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE)
            .max_buf_size(MAX_HEAD)
            .serve_connection(io, service);
        drive(connection, &activity, &parlour).await
    };
    ended.map_err(io::Error::other)
}

async fn respond<B>(request: Request<B>, client: SocketAddr, parlour: &Parlour) -> Response<Full<Bytes>>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let message = match query_of(request).await {
        Ok(message) => message,
        Err(refusal) => return refusal.response(parlour),
    };
    let Some(answer) = parlour.answer(&message, client, Transport::Https, None).await else {
        return Refusal::new(StatusCode::BAD_REQUEST, "this is no query").response(parlour);
    };
    let visibility = if answer.is_shared { "" } else { "private, " };
    let mut response = Response::new(Full::from(answer.bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    // Digits and these words are a header's value whatever the number.
    if let Ok(value) = HeaderValue::try_from(format!("{visibility}max-age={}", answer.lifetime_s)) {
        headers.insert(CACHE_CONTROL, value);
    }
    response
}

/// Why a request is no query.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    why: &'static str,
}

impl Refusal {
    const fn new(status: StatusCode, why: &'static str) -> Self {
        Self { status, why }
    }

    fn response(self, parlour: &Parlour) -> Response<Full<Bytes>> {
        parlour.responder.metrics().drop_for(match self.status {
            StatusCode::NOT_FOUND => "http_path",
            StatusCode::METHOD_NOT_ALLOWED => "http_method",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "http_media_type",
            StatusCode::PAYLOAD_TOO_LARGE => "oversized",
            StatusCode::REQUEST_TIMEOUT => "unfinished",
            _ => "http_bad_request",
        });
        let mut response = Response::new(Full::from(self.why));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST"));
        }
        response
    }
}

/// The message in a request: the body of a POST, or the parameter `dns` of a GET, in base64url without padding.
///
/// Source: RFC 8484 section 4.1, and `spec/dns.md` §8 for what is said to anything else.
async fn query_of<B>(request: Request<B>) -> Result<Bytes, Refusal>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if request.uri().path() != PATH {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "queries are taken at /dns-query"));
    }
    const TOO_LONG: Refusal = Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "a query has at most 4,096 octets");
    if request.method() == Method::GET {
        let parameters = request.uri().query().unwrap_or_default();
        let Some(text) = parameters.split('&').find_map(|parameter| parameter.strip_prefix("dns=")) else {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "the parameter dns is missing"));
        };
        if text.len() > BASE64URL_NOPAD.encode_len(MAX_QUERY.into()) {
            return Err(TOO_LONG);
        }
        let message = BASE64URL_NOPAD.decode(text.as_bytes());
        return message
            .map(Bytes::from)
            .map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "the parameter dns is no unpadded base64url"));
    }
    if request.method() != Method::POST {
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "queries come by GET or POST"));
    }
    let media_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if !media_type.eq_ignore_ascii_case(MEDIA_TYPE.as_bytes()) {
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a query is application/dns-message"));
    }
    let body = Limited::new(request.into_body(), MAX_QUERY.into());
    match timeout(REST, body.collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(TOO_LONG),
        Ok(Err(_)) => Err(Refusal::new(StatusCode::BAD_REQUEST, "the body could not be read")),
        Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
    }
}

/// What goes on on a connection.
#[derive(Clone, Debug)]
struct Activity {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// Requests that are being answered.
    running: u32,
    /// When the last one began or ended.
    last: Instant,
}

/// Counts as running while it exists.
struct Busy {
    activity: Activity,
}

impl Default for Activity {
    fn default() -> Self {
        Self { state: Arc::new(Mutex::new(State { running: 0, last: Instant::now() })) }
    }
}

impl Activity {
    fn begin(&self) -> Busy {
        self.change(1);
        Busy { activity: self.clone() }
    }

    fn change(&self, by: i32) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.running = state.running.saturating_add_signed(by);
        state.last = Instant::now();
    }

    /// Since when nothing runs; none while something does.
    fn idle_since(&self) -> Option<Instant> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.running == 0).then_some(state.last)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.activity.change(-1);
    }
}

/// A connection of either version, which can be told to end after its running requests.
trait Graceful: Future<Output = hyper::Result<()>> {
    fn close(self: Pin<&mut Self>);
}

impl<I, S> Graceful for hyper::server::conn::http1::Connection<I, S>
where
    S: hyper::service::HttpService<Incoming>,
    Self: Future<Output = hyper::Result<()>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S::ResBody: Body + 'static,
    <S::ResBody as Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn close(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, E> Graceful for hyper::server::conn::http2::Connection<I, S, E>
where
    S: hyper::service::HttpService<Incoming>,
    Self: Future<Output = hyper::Result<()>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S::ResBody: Body + 'static,
    <S::ResBody as Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    E: hyper::rt::bounds::Http2ServerConnExec<S::Future, S::ResBody>,
{
    fn close(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Runs a connection to its end, which comes early when it is idle or the server stops.
async fn drive(connection: impl Graceful, activity: &Activity, parlour: &Parlour) -> hyper::Result<()> {
    let mut connection = pin!(connection);
    loop {
        let idle = parlour.idle();
        let now = Instant::now();
        let until = activity.idle_since().unwrap_or(now) + idle;
        if until <= now {
            break;
        }
        tokio::select! {
            biased;
            ended = connection.as_mut() => return ended,
            () = parlour.shutdown.draining() => break,
            () = sleep_until(until) => {}
        }
    }
    connection.as_mut().close();
    // A client that has never said a word of HTTP does not take part in a farewell either.
    let patience = if activity.idle_since().is_some() { FAREWELL } else { WRITE };
    timeout(patience, connection).await.unwrap_or(Ok(()))
}

/// Runs the requests of an HTTP/2 connection as tasks that the server counts and the host's faults reach.
#[derive(Clone)]
struct Spawner {
    host: Host,
    shutdown: Shutdown,
}

impl<F> Executor<F> for Spawner
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, work: F) {
        let host = self.host.clone();
        self.shutdown.spawn(async move {
            let _ = host.run(work).await;
        });
    }
}
