use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use perigee_net::{Host, HostListener, Shutdown};
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::debug;

use crate::App;
use crate::answer::answer;

/// Bytes of a request head; a longer one is answered with 431. Twice what a load balancer lets through (65,536),
/// because it adds fields.
const MAX_HEAD: usize = 131_072;
/// Header fields of a request.
const MAX_FIELDS: usize = 256;
/// A request head must be complete by then, and an idle connection send one. 75 s: above an ALB's idle timeout of
/// 60 s, as the ALB guide ("HTTP 502: Bad gateway") asks of targets, so that the balancer closes first.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// Accepts on `listener` until `shutdown` begins. Connections are tasks of `shutdown`: they finish the running request
/// and close; [`Shutdown::finish`] waits for them.
///
/// `host` is the machine that the listener belongs to; its faults are obeyed by every connection.
pub async fn serve(mut listener: HostListener, host: Host, app: Arc<App>, shutdown: Shutdown) {
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.draining() => return,
        };
        let Some(pass) = app.connections.enter() else {
            debug!(target = app.identity.target, %peer, "connection refused: too many are open");
            continue;
        };
        let (host, app, draining) = (host.clone(), Arc::clone(&app), shutdown.clone());
        shutdown.spawn(async move {
            let _pass = pass;
            serve_connection(stream, peer, host, app, draining).await;
        });
    }
}

/// Serves one connection to its end, as `host` would; `io` may be anything that carries bytes.
pub async fn serve_connection<S>(io: S, peer: SocketAddr, host: Host, app: Arc<App>, shutdown: Shutdown)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let (app, host, shutdown) = (Arc::clone(&app), host.clone(), shutdown.clone());
        async move { Ok::<_, Infallible>(answer(request, peer.ip(), &app, &host, &shutdown).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_headers(MAX_FIELDS).max_buf_size(MAX_HEAD);
    let work = async {
        let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service).with_upgrades());
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = shutdown.draining() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            debug!(target = app.identity.target, %peer, %error, "connection ended early");
        }
    };
    host.run(work).await;
}
