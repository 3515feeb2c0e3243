use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Greatest answer read.
const ANSWER_MAX: usize = 16 * 1024 * 1024;
/// The whole exchange must be done by then; a kill waits for its listeners.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why a running process could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nothing answers there.
    #[error("no Perigee answers on {address}: {source}; start one with `perigee up`, or name it with --admin")]
    Unreachable {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// It refused; its words.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// What came back was no answer of an admin API.
    #[error("{address} does not speak Perigee's admin API: {message}")]
    Protocol {
        /// Where.
        address: SocketAddr,
        /// What was wrong.
        message: String,
    },
}

/// Asks the admin API at `address`: `GET` without a body, `POST` with one.
///
/// Errors: as [`AskError`] names them.
pub async fn ask(address: SocketAddr, path: &str, body: Option<&Value>) -> Result<Value, AskError> {
    let protocol = |message: String| AskError::Protocol { address, message };
    match tokio::time::timeout(TIMEOUT, exchange(address, path, body)).await {
        Ok(result) => result,
        Err(_) => Err(protocol(format!("no answer within {} s", TIMEOUT.as_secs()))),
    }
}

async fn exchange(address: SocketAddr, path: &str, body: Option<&Value>) -> Result<Value, AskError> {
    let protocol = |message: String| AskError::Protocol { address, message };
    let stream = TcpStream::connect(address).await.map_err(|source| AskError::Unreachable { address, source })?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| protocol(e.to_string()))?;
    // Ends with the sender.
    tokio::spawn(connection);
    let request = Request::builder()
        .method(if body.is_some() { Method::POST } else { Method::GET })
        .uri(path)
        .header(HOST, address.to_string())
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body.map(Value::to_string).unwrap_or_default())))
        .map_err(|e| protocol(e.to_string()))?;
    let response = sender.send_request(request).await.map_err(|e| protocol(e.to_string()))?;
    let status = response.status().as_u16();
    let bytes =
        Limited::new(response.into_body(), ANSWER_MAX).collect().await.map_err(|e| protocol(e.to_string()))?.to_bytes();
    let value: Value = serde_json::from_slice(&bytes).map_err(|e| protocol(e.to_string()))?;
    if status == 200 {
        return Ok(value);
    }
    let message = value.get("error").and_then(Value::as_str).map_or_else(|| value.to_string(), str::to_owned);
    Err(AskError::Refused { status, message })
}
