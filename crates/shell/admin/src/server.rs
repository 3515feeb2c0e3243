use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use perigee_net::{Gate, Host, HostStream, Shutdown};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tracing::debug;

use crate::Control;
use crate::api::answer;

/// A client that does not finish its request head by then is dropped.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Greatest request head.
const HEAD_MAX: usize = 16 * 1024;

/// The admin API's listener.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
}

impl Admin {
    /// Listens on `address` with at most `connections` connections at once and answers out of `control` and
    /// `registry` until the shutdown begins.
    ///
    /// Errors: the address cannot be bound; the error names it.
    pub async fn start(
        address: SocketAddr,
        connections: u32,
        control: Arc<dyn Control>,
        mut registry: Registry,
        shutdown: Shutdown,
    ) -> io::Result<Self> {
        let host = Host::new("admin");
        let mut listener = host.listen(address).await.map_err(|error| {
            io::Error::new(error.kind(), format!("the admin API cannot listen on {address}: {error}"))
        })?;
        let address = listener.local_addr();
        let refused = Counter::default();
        registry.register(
            "perigee_admin_limit_hits",
            "Connections refused because admin_connections was reached",
            refused.clone(),
        );
        let gate = Gate::new(connections, refused);
        let registry = Arc::new(registry);
        tokio::spawn(async move {
            loop {
                let (stream, _) = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = shutdown.draining() => return,
                };
                let Some(pass) = gate.enter() else { continue };
                let (control, registry, shutdown) = (control.clone(), registry.clone(), shutdown.clone());
                // Not counted by the shutdown: nobody's request is lost with it.
                tokio::spawn(async move {
                    let _pass = pass;
                    serve(stream, &control, &registry, &shutdown).await;
                });
            }
        });
        Ok(Self { address })
    }

    /// Where it listens.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

async fn serve(stream: HostStream, control: &Arc<dyn Control>, registry: &Arc<Registry>, shutdown: &Shutdown) {
    let service = service_fn(|request| async move { Ok::<_, Infallible>(answer(request, &**control, registry).await) });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_MAX)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.draining() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "admin connection ended early");
    }
}
