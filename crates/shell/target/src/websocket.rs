use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use perigee_net::{Host, Shutdown};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

use crate::answer::error;
use crate::body::{AnyBody, empty};

/// Longest message; a longer one ends the connection (RFC 6455 section 10.4).
const MAX_MESSAGE: usize = 1 << 20;
/// A connection without a message for this long is closed. Perigee's choice: above an ALB's idle timeout of 60 s, so
/// that the balancer's own is what users see.
const IDLE: Duration = Duration::from_secs(300);

/// Answers 101 and echoes from then on, or says what the request lacks.
pub(crate) fn upgrade(request: &mut Request<Incoming>, host: &Host, shutdown: &Shutdown) -> Response<AnyBody> {
    let key = match key(request.method(), request.headers()) {
        Ok(key) => key,
        Err(reason) => {
            let mut refusal = error(StatusCode::UPGRADE_REQUIRED, reason);
            let headers = refusal.headers_mut();
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(HeaderName::from_static("sec-websocket-version"), HeaderValue::from_static("13"));
            return refusal;
        }
    };
    let upgraded = hyper::upgrade::on(request);
    let (host, draining) = (host.clone(), shutdown.clone());
    shutdown.spawn(async move {
        let work = async {
            if let Ok(io) = upgraded.await {
                echo(io, &draining).await;
            }
        };
        host.run(work).await;
    });
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(HeaderName::from_static("sec-websocket-accept"), key);
    response
}

/// The accept key of a valid opening handshake (RFC 6455 section 4.2.1).
fn key(method: &Method, headers: &HeaderMap) -> Result<HeaderValue, &'static str> {
    let has = |name: &HeaderName, token: &str| {
        let values = headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
        values.flat_map(|v| v.split(',')).any(|t| t.trim().eq_ignore_ascii_case(token))
    };
    if method != Method::GET || !has(&UPGRADE, "websocket") || !has(&CONNECTION, "upgrade") {
        return Err("/ws is a WebSocket: GET with Upgrade: websocket");
    }
    if !has(&HeaderName::from_static("sec-websocket-version"), "13") {
        return Err("/ws speaks WebSocket version 13");
    }
    let key = headers.get("sec-websocket-key").ok_or("Sec-WebSocket-Key is missing")?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).map_err(|_| "Sec-WebSocket-Key is unusable")
}

async fn echo(io: Upgraded, shutdown: &Shutdown) {
    let config = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(io), Role::Server, Some(config)).await;
    loop {
        let message = tokio::select! {
            message = tokio::time::timeout(IDLE, socket.next()) => message,
            () = shutdown.draining() => break,
        };
        match message {
            Ok(Some(Ok(message @ (Message::Text(_) | Message::Binary(_))))) => {
                if socket.send(message).await.is_err() {
                    return;
                }
            }
            // Pings are answered and closes confirmed by the library while it is read.
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(_)) | None) => return,
            Err(_) => break,
        }
    }
    // The peer learns that the server goes away (1001); a peer that does not listen is dropped all the same.
    let frame = CloseFrame { code: CloseCode::Away, reason: "going away".into() };
    let _ = tokio::time::timeout(Duration::from_secs(1), socket.close(Some(frame))).await;
}
