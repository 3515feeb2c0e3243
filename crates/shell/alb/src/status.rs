use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use perigee_net::{Fault, HostListener, HostStream};
use tokio_util::sync::CancellationToken;

use crate::node::Shared;

/// The status port's clients are other parts of the system: they are quick or they are wrong.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
const BUFFER: usize = 16 * 1024;

/// Answers questions about the node's own view until it is closed: `/v1/report` (what the front tier samples),
/// `/v1/targets` and `/healthz`. The host's faults hold here too, since it is the host that would answer.
pub(crate) async fn accept(node: Arc<Shared>, mut listener: HostListener, closing: CancellationToken) {
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closing.cancelled() => return,
        };
        let Some(pass) = node.status_gate.enter() else { continue };
        let (node, closing) = (node.clone(), closing.clone());
        tokio::spawn(async move {
            let work = tokio::time::timeout(CONNECTION_TIMEOUT, speak(&node, stream, &closing));
            node.host.run(work).await;
            drop(pass);
        });
    }
}

async fn speak(node: &Arc<Shared>, stream: HostStream, closing: &CancellationToken) {
    let service = service_fn(|request| answer(node, request));
    let mut http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    let mut told = false;
    loop {
        tokio::select! {
            // A peer that breaks off hurts only itself.
            _ = &mut http => return,
            () = closing.cancelled(), if !told => {
                told = true;
                std::pin::Pin::new(&mut http).graceful_shutdown();
            }
        }
    }
}

async fn answer(node: &Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    match node.host.fault() {
        Fault::Error => return Ok(text(StatusCode::INTERNAL_SERVER_ERROR, "the host is broken\n")),
        fault @ Fault::Slow { .. } => tokio::time::sleep(fault.delay()).await,
        Fault::None | Fault::Crash | Fault::Blackhole => {}
    }
    Ok(match (request.method(), request.uri().path()) {
        (&Method::GET, "/healthz") => text(StatusCode::OK, "ok\n"),
        (&Method::GET, "/v1/report") => {
            let report = node.core().balancer.report();
            json(serde_json::to_vec(&report))
        }
        (&Method::GET, "/v1/targets") => {
            let targets = node.core().balancer.targets();
            json(serde_json::to_vec(&targets))
        }
        (&Method::GET, _) => text(StatusCode::NOT_FOUND, "there are /v1/report, /v1/targets and /healthz\n"),
        _ => text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n"),
    })
}

fn json(body: serde_json::Result<Vec<u8>>) -> Response<Full<Bytes>> {
    match body {
        Ok(body) => respond(StatusCode::OK, "application/json", body.into()),
        Err(error) => respond(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string().into()),
    }
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    respond(status, "text/plain", Bytes::from_static(body.as_bytes()))
}

fn respond(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
