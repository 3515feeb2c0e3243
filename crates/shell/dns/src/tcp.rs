use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use perigee_net::{HostListener, HostStream};
use tracing::debug;

use crate::Transport;
use crate::clients::Clients;
use crate::conversation::{Parlour, converse};

/// Accepts connections until the server is told to stop, and has each of them served by `talk`.
///
/// As many at once as the gate lets through, and of one client as many as `clients` does; others are closed and counted.
/// A crash of the host ends them all, a blackhole holds them still.
pub(crate) async fn serve<F, Fut>(mut listener: HostListener, clients: Arc<Clients>, parlour: Parlour, talk: F)
where
    F: Fn(HostStream, SocketAddr, Parlour) -> Fut,
    Fut: Future<Output = io::Result<()>> + Send + 'static,
{
    loop {
        let (stream, client) = tokio::select! {
            () = parlour.shutdown.draining() => return,
            accepted = listener.accept() => accepted,
        };
        let Some(pass) = parlour.connections.enter() else { continue };
        let Some(of_client) = clients.enter(client.ip()) else {
            parlour.responder.metrics().tcp_refused_client.inc();
            continue;
        };
        let host = parlour.host.clone();
        let talking = talk(stream, client, parlour.clone());
        parlour.shutdown.spawn(async move {
            let ended = host.run(talking).await;
            if let Some(Err(error)) = ended {
                debug!(%client, %error, "a connection failed");
            }
            drop((pass, of_client));
        });
    }
}

/// DNS over a plain connection (RFC 7766).
pub(crate) async fn talk(mut stream: HostStream, client: SocketAddr, parlour: Parlour) -> io::Result<()> {
    converse(&mut stream, client, Transport::Tcp, &parlour).await
}
