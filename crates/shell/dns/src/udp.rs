use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use perigee_net::{Fault, Gate, Host, Shutdown};
use tokio::net::UdpSocket;
use tracing::{debug, warn};

use crate::Responder;
use crate::rate_limit::RateLimiter;

/// Octets of a query that are read; what is longer is no query that we know (Perigee's choice).
const MAX_QUERY: usize = 4_096;
/// Answers that a slow host holds back at once; queries beyond are dropped and counted.
const MAX_LATE: u32 = 10_000;
/// Datagrams answered after the server was told to stop: those that had arrived.
const MAX_LAST: usize = 1_024;
/// Pause after a socket error, and between attempts to bind again after a crash.
const BACKOFF: Duration = Duration::from_millis(20);

/// Answers datagrams until the server is told to stop.
///
/// A crashed host's port is closed, so that clients are refused; a blackholed one's reads and says nothing.
pub(crate) async fn serve(
    socket: UdpSocket,
    address: SocketAddr,
    host: Host,
    responder: Arc<Responder>,
    shutdown: Shutdown,
) {
    let late = Gate::new(MAX_LATE, responder.metrics().late_refused.clone());
    let mut socket = Some(Arc::new(socket));
    let mut faults = host.watch();
    let mut query = [0; MAX_QUERY];
    let mut limiter = responder.limiter();
    loop {
        let fault = *faults.borrow_and_update();
        if fault == Fault::Crash {
            socket = None;
        }
        let Some(open) = socket.clone() else {
            socket = tokio::select! {
                () = shutdown.draining() => return,
                () = mended(&mut faults) => bind(address).await,
            };
            continue;
        };
        tokio::select! {
            () = shutdown.draining() => {
                if fault.has_network() {
                    answer_the_last(&open, &mut query, &responder, &mut limiter);
                }
                return;
            }
            _ = faults.changed() => {}
            received = open.recv_from(&mut query) => match received {
                Ok((len, client)) => {
                    let query = &query[..len];
                    handle(&open, query, client, fault, &responder, &mut limiter, &late, &shutdown).await;
                }
                Err(error) => {
                    // An earlier answer that was refused shows up here, so this is no reason to stop.
                    debug!(%error, "receiving a datagram failed");
                    tokio::time::sleep(BACKOFF).await;
                }
            }
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "a datagram and all that it may need")]
async fn handle(
    socket: &Arc<UdpSocket>,
    query: &[u8],
    client: SocketAddr,
    fault: Fault,
    responder: &Responder,
    limiter: &mut RateLimiter,
    late: &Gate,
    shutdown: &Shutdown,
) {
    // Nothing answers at port 0; a datagram from there is forged.
    if client.port() == 0 {
        responder.metrics().drop_for("port_0");
        return;
    }
    let answer = match fault {
        Fault::Crash | Fault::Blackhole => None,
        Fault::None | Fault::Slow { .. } | Fault::Error => {
            responder.answer_datagram(query, client, fault == Fault::Error, limiter)
        }
    };
    let Some(answer) = answer else { return };
    if fault.delay().is_zero() {
        send(socket, &answer, client).await;
    } else if let Some(pass) = late.enter() {
        let socket = socket.clone();
        let draining = shutdown.clone();
        shutdown.spawn(async move {
            tokio::select! {
                () = draining.draining() => {}
                () = tokio::time::sleep(fault.delay()) => {}
            }
            send(&socket, &answer, client).await;
            drop(pass);
        });
    }
}

async fn send(socket: &UdpSocket, answer: &[u8], client: SocketAddr) {
    if let Err(error) = socket.send_to(answer, client).await {
        debug!(%client, %error, "an answer could not be sent");
    }
}

fn answer_the_last(socket: &UdpSocket, query: &mut [u8], responder: &Responder, limiter: &mut RateLimiter) {
    for _ in 0..MAX_LAST {
        let Ok((len, client)) = socket.try_recv_from(query) else { return };
        if let Some(answer) = responder.answer_datagram(&query[..len], client, false, limiter) {
            let _ = socket.try_send_to(&answer, client);
        }
    }
}

/// Waits until the host has left its crash.
async fn mended(faults: &mut tokio::sync::watch::Receiver<Fault>) {
    // An error means that the host is gone for good; the shutdown beside this ends the wait then.
    if faults.wait_for(|fault| *fault != Fault::Crash).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn bind(address: SocketAddr) -> Option<Arc<UdpSocket>> {
    match UdpSocket::bind(address).await {
        Ok(socket) => Some(Arc::new(socket)),
        Err(error) => {
            warn!(%address, %error, "cannot receive datagrams again yet");
            tokio::time::sleep(BACKOFF).await;
            None
        }
    }
}
