use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use perigee_health::ProbeFailure;
use perigee_model::ProbeProtocol;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use crate::{Host, connect, unverified};

/// Greatest body a probe or sample reads.
const BODY_MAX: usize = 256 * 1024;

/// What to probe.
#[derive(Clone, Debug)]
pub struct ProbeTarget {
    /// What to speak.
    pub protocol: ProbeProtocol,
    /// Where.
    pub address: SocketAddr,
    /// Path and query of an HTTP probe.
    pub path: String,
    /// `User-Agent` of an HTTP probe.
    pub user_agent: &'static str,
    /// Everything must be done by then.
    pub timeout: Duration,
}

/// Probes once, on a connection of its own, as `host` and from `source` if given.
///
/// Gives the HTTP status, or none for a TCP probe that connected. Redirects are not followed and certificates not
/// verified. Errors: what [`ProbeFailure`] names, except that the status is the caller's to judge.
///
/// Source: ALB guide, "Health checks for your target groups".
pub async fn probe(
    host: &Host,
    source: Option<std::net::IpAddr>,
    target: &ProbeTarget,
) -> Result<Option<u16>, ProbeFailure> {
    let work = async {
        let stream = connect(host, source, target.address).await.map_err(failure_of)?;
        match target.protocol {
            ProbeProtocol::Tcp => Ok(None),
            ProbeProtocol::Http => Ok(Some(get(stream, target).await?.0.as_u16())),
            ProbeProtocol::Https => {
                let name = ServerName::IpAddress(target.address.ip().into());
                let stream = tls().connect(name, stream).await.map_err(failure_of)?;
                Ok(Some(get(stream, target).await?.0.as_u16()))
            }
        }
    };
    within(host, target.timeout, work).await
}

/// Asks for a document over HTTP, on a connection of its own, as `host`.
///
/// Gives status and body (at most 256 KiB). Errors: as [`probe`].
pub async fn fetch(host: &Host, target: &ProbeTarget) -> Result<(u16, Bytes), ProbeFailure> {
    let work = async {
        let stream = connect(host, None, target.address).await.map_err(failure_of)?;
        let (status, body) = get(stream, target).await?;
        Ok((status.as_u16(), body))
    };
    within(host, target.timeout, work).await
}

async fn within<T>(
    host: &Host,
    limit: Duration,
    work: impl Future<Output = Result<T, ProbeFailure>>,
) -> Result<T, ProbeFailure> {
    match tokio::time::timeout(limit, host.run(work)).await {
        Ok(Some(result)) => result,
        Ok(None) => Err(ProbeFailure::Internal),
        Err(_) => Err(ProbeFailure::Timeout),
    }
}

async fn get<S>(stream: S, target: &ProbeTarget) -> Result<(StatusCode, Bytes), ProbeFailure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(BODY_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| ProbeFailure::Connection)?;
    let request = Request::get(&target.path)
        .header(HOST, host_header(target))
        .header(USER_AGENT, target.user_agent)
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| ProbeFailure::Internal)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|_| ProbeFailure::Connection)?;
        let status = response.status();
        let body =
            Limited::new(response.into_body(), BODY_MAX).collect().await.map_err(|_| ProbeFailure::Connection)?;
        Ok((status, body.to_bytes()))
    };
    alongside(connection, exchange).await
}

/// Runs an exchange and the connection that carries it until the exchange is done. The connection is polled here and
/// dropped with the exchange: no task outlives the probe.
pub(crate) async fn alongside<T>(connection: impl Future, exchange: impl Future<Output = T>) -> T {
    tokio::pin!(exchange);
    tokio::pin!(connection);
    let mut connected = true;
    loop {
        tokio::select! {
            biased;
            done = &mut exchange => return done,
            _ = &mut connection, if connected => connected = false,
        }
    }
}

/// `<ip>`, with `:port` unless it is the protocol's own.
fn host_header(target: &ProbeTarget) -> String {
    let default = match target.protocol {
        ProbeProtocol::Https => 443,
        ProbeProtocol::Http | ProbeProtocol::Tcp => 80,
    };
    match target.address {
        a if a.port() != default => a.to_string(),
        SocketAddr::V4(a) => a.ip().to_string(),
        SocketAddr::V6(a) => format!("[{}]", a.ip()),
    }
}

pub(crate) fn failure_of(error: io::Error) -> ProbeFailure {
    match error.kind() {
        io::ErrorKind::TimedOut => ProbeFailure::Timeout,
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => ProbeFailure::Internal,
        _ if matches!(error.raw_os_error(), Some(23 | 24)) => ProbeFailure::Internal,
        _ => ProbeFailure::Connection,
    }
}

fn tls() -> TlsConnector {
    use std::sync::OnceLock;
    static CONNECTOR: OnceLock<TlsConnector> = OnceLock::new();
    CONNECTOR.get_or_init(|| TlsConnector::from(Arc::new(unverified::client_config()))).clone()
}
