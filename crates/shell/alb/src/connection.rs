use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use perigee_net::proxy_protocol::{self, Header};
use perigee_net::{HostListener, HostStream, Pass};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::answer::raw;
use crate::client_io::{ClientConn, ClientIo};
use crate::node::Shared;
use crate::refuse::{last_words, parser_head_max};
use crate::service::serve;

/// How long a connection that is already there when the node ends may take to send its first request (Perigee's
/// choice: it was opened in good faith).
const FIRST_REQUEST_GRACE: Duration = Duration::from_secs(1);

/// How long a closed listener still takes what the kernel has completed (Perigee's choice).
const QUEUE_GRACE: Duration = Duration::from_millis(50);

/// Takes connections of one listener until it is closed; those the kernel has completed by then are still served.
pub(crate) async fn accept(
    node: Arc<Shared>,
    mut listener: HostListener,
    listener_port: u16,
    closing: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => Some(accepted),
            () = closing.cancelled() => None,
        };
        match accepted {
            Some((stream, peer)) => admit(&node, stream, peer, listener_port, &closing),
            None => break,
        }
    }
    // Whoever is in the kernel's queue by now thinks to be connected: closing the socket would reset them.
    let until = tokio::time::Instant::now() + QUEUE_GRACE;
    while let Ok((stream, peer)) = tokio::time::timeout_at(until, listener.accept()).await {
        admit(&node, stream, peer, listener_port, &closing);
    }
}

fn admit(node: &Arc<Shared>, stream: HostStream, peer: SocketAddr, listener_port: u16, closing: &CancellationToken) {
    let Some(pass) = node.gate.enter() else { return };
    let host = node.host.clone();
    let work = boxed(connection(node.clone(), stream, peer, listener_port, closing.clone(), pass));
    node.shutdown.spawn(async move { host.run(work).await });
}

/// Moves a future to the heap outside the future that awaits it, which would otherwise hold room for it as well: idle
/// connections are to be small.
fn boxed<F: Future + Send + 'static>(future: F) -> Pin<Box<F>> {
    Box::pin(future)
}

async fn connection(
    node: Arc<Shared>,
    mut stream: HostStream,
    peer: SocketAddr,
    listener_port: u16,
    closing: CancellationToken,
    pass: Pass,
) {
    let counted = Counted::new(&node);
    let config = node.config_full();
    let (mut client, mut edge): (_, Option<Arc<str>>) = (peer, None);
    if is_trusted(&config.trusted_proxies, peer.ip()) {
        match proxy_protocol::read(&mut stream).await {
            Ok(Header::Proxied { source, edge: named, .. }) => (client, edge) = (source, named.map(Into::into)),
            Ok(Header::Local) => {}
            Err(error) => {
                debug!(%peer, %error, "a trusted proxy sent no valid PROXY header");
                return;
            }
        }
    }
    // A connection that sends nothing costs no parser and no buffer. Peeking and not `readable`, which may come true
    // without a byte.
    let first_byte = async {
        let mut byte = [0; 1];
        tokio::select! {
            ready = stream.socket().peek(&mut byte) => ready.is_ok(),
            () = closing.cancelled() => {
                let mut byte = [0; 1];
                matches!(tokio::time::timeout(FIRST_REQUEST_GRACE, stream.socket().peek(&mut byte)).await, Ok(Ok(_)))
            }
        }
    };
    if !matches!(tokio::time::timeout(config.idle_timeout, first_byte).await, Ok(true)) {
        return;
    }
    let local = stream.local_addr();
    let edge = edge.or_else(|| node.crossings.edge(peer, *local.as_ref().ok()?));
    let local_port = local.map_or(listener_port, |a| a.port());
    let conn = Arc::new(ClientConn::new(client, edge, listener_port, local_port, closing));
    start_speaking(node, stream, conn).await;
    drop((pass, counted));
}

/// [`speak`], on the heap: a connection that never says anything does not hold the room for it.
fn start_speaking(node: Arc<Shared>, stream: HostStream, conn: Arc<ClientConn>) -> Pin<Box<impl Future<Output = ()>>> {
    boxed(speak(node, stream, conn))
}

/// Speaks HTTP/1.1 with a client until either side ends it.
async fn speak(node: Arc<Shared>, stream: HostStream, conn: Arc<ClientConn>) {
    let config = node.config_full();
    let io = ClientIo::new(stream, conn.clone(), config.idle_timeout);
    let service = service_fn({
        let (node, conn) = (node.clone(), conn.clone());
        move |request| serve(node.clone(), conn.clone(), request)
    });
    let mut http = http1::Builder::new()
        .max_buf_size(parser_head_max(&config.limits).max(8_192))
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(io), service);

    let age = tokio::time::sleep(config.client_keep_alive);
    tokio::pin!(age);
    let grace = tokio::time::sleep(Duration::ZERO);
    tokio::pin!(grace);
    let (mut told, mut in_grace) = (false, false);
    let result = loop {
        let end = tokio::select! {
            biased;
            result = &mut http => break result,
            () = conn.closing.cancelled(), if !told && !in_grace => {
                in_grace = conn.requests.load(Ordering::Relaxed) == 0;
                grace.as_mut().reset(tokio::time::Instant::now() + FIRST_REQUEST_GRACE);
                !in_grace
            }
            () = &mut grace, if in_grace => { in_grace = false; true }
            () = &mut age, if !told => true,
        };
        if end && !told {
            told = true;
            Pin::new(&mut http).graceful_shutdown();
        }
    };
    let parts = http.into_parts();
    let io = parts.io.into_inner();
    let words = last_words(&io, result.as_ref().err(), &parts.read_buf).map(|refused| {
        node.metrics().own_answer(refused.status);
        if let Some(limit) = refused.limit {
            node.metrics().limit(limit).inc();
        }
        raw(refused.status)
    });
    if let Err(error) = result {
        debug!(client = %conn.client, %error, "a client connection broke off");
    }
    io.finish(words.as_deref()).await;
}

fn is_trusted(proxies: &[IpNet], peer: IpAddr) -> bool {
    proxies.iter().any(|net| net.contains(&peer))
}

/// Counts a connection while it exists.
struct Counted(prometheus_client::metrics::gauge::Gauge);

impl Counted {
    fn new(node: &Shared) -> Self {
        let gauge = node.metrics().connections.clone();
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
