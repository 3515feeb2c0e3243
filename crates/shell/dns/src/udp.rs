//! Datagrams: where they come from and go to, as the host's fault says.
//!
//! Each address has one socket per worker, and each socket a lane: a task that runs a plain thread as long as the host
//! is well ([`worker`]), and answers one datagram at a time while it is not, for what then happens takes time.

#[cfg(target_os = "linux")]
mod worker;

use std::io;
use std::net::{SocketAddr, UdpSocket as StdUdpSocket};
use std::sync::Arc;
use std::time::Duration;

#[cfg(target_os = "linux")]
use perigee_net::DatagramSocket;
use perigee_net::{Fault, Gate, Host, Shutdown};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tracing::{debug, warn};

use crate::Responder;
use crate::arrival::Limit;
use crate::rate_limit::RateLimiter;

/// Octets of a query that are read; what is longer is no query that we know (Perigee's choice).
const MAX_QUERY: usize = 4_096;
/// Answers that a slow host holds back at once; queries beyond are dropped and counted.
const MAX_LATE: u32 = 10_000;
/// Datagrams answered after the server was told to stop: those that had arrived.
const MAX_LAST: usize = 1_024;
/// Pause after a socket error, and between attempts to bind again after a crash.
const BACKOFF: Duration = Duration::from_millis(20);

/// One socket of an address, and who answers there.
pub(crate) struct Lane {
    pub(crate) address: SocketAddr,
    /// Tells the lanes of a server apart.
    pub(crate) number: usize,
    pub(crate) host: Host,
    pub(crate) responder: Arc<Responder>,
    #[cfg(target_os = "linux")]
    pub(crate) shared: Arc<crate::fast::Shared>,
    pub(crate) shutdown: Shutdown,
}

/// A socket of a lane.
#[cfg(target_os = "linux")]
pub(crate) type Socket = DatagramSocket;
/// A socket of a lane.
#[cfg(not(target_os = "linux"))]
pub(crate) type Socket = StdUdpSocket;

/// Binds `address` for one lane. Errors: those of `bind`.
pub(crate) fn bind(address: SocketAddr) -> io::Result<Socket> {
    #[cfg(target_os = "linux")]
    return DatagramSocket::bind(address);
    #[cfg(not(target_os = "linux"))]
    {
        let socket = StdUdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
}

impl Lane {
    /// Answers datagrams until the server is told to stop.
    ///
    /// A crashed host's port is closed, so that clients are refused; a blackholed one's reads and says nothing.
    pub(crate) async fn serve(self, socket: Socket) {
        let late = Gate::new(MAX_LATE, self.responder.metrics().late_refused.clone());
        let mut limiter = self.responder.limiter();
        let mut socket = Some(socket);
        let mut faults = self.host.watch();
        while !self.shutdown.is_draining() {
            let fault = *faults.borrow_and_update();
            if fault == Fault::Crash {
                socket = None;
            }
            let Some(open) = socket.take() else {
                socket = tokio::select! {
                    () = self.shutdown.draining() => return,
                    () = mended(&mut faults) => self.bind_again().await,
                };
                continue;
            };
            #[cfg(target_os = "linux")]
            if fault == Fault::None {
                socket = self.with_a_thread(open, &mut faults, &mut limiter, &late).await;
                continue;
            }
            socket = self.one_by_one(open, fault, &mut faults, &mut limiter, &late).await;
        }
    }

    /// Lets a thread answer until something changes. Gives the socket back, unless the thread failed.
    #[cfg(target_os = "linux")]
    async fn with_a_thread(
        &self,
        socket: Socket,
        faults: &mut watch::Receiver<Fault>,
        limiter: &mut RateLimiter,
        late: &Gate,
    ) -> Option<Socket> {
        let mut running = match worker::start(self, socket) {
            Ok(running) => running,
            Err(error) => {
                warn!(address = %self.address, %error, "a thread for datagrams cannot be started yet");
                tokio::time::sleep(BACKOFF).await;
                return None;
            }
        };
        tokio::select! {
            () = self.shutdown.draining() => {}
            _ = faults.changed() => {}
            () = running.ended() => {}
        }
        let (socket, left) = running.stop().await?;
        let fault = self.host.fault();
        if let Ok(plain) = plain(&socket) {
            for (query, client) in left {
                self.handle(&plain, &query, client, fault, limiter, late).await;
            }
        }
        Some(socket)
    }

    /// Answers datagrams one at a time until the fault changes or the server is told to stop; gives the socket back.
    async fn one_by_one(
        &self,
        socket: Socket,
        fault: Fault,
        faults: &mut watch::Receiver<Fault>,
        limiter: &mut RateLimiter,
        late: &Gate,
    ) -> Option<Socket> {
        let Ok(open) = plain(&socket) else {
            tokio::time::sleep(BACKOFF).await;
            return Some(socket);
        };
        let mut query = [0; MAX_QUERY];
        loop {
            tokio::select! {
                () = self.shutdown.draining() => {
                    if fault.has_network() {
                        self.answer_the_last(&open, &mut query, limiter);
                    }
                    return Some(socket);
                }
                _ = faults.changed() => return Some(socket),
                received = open.recv_from(&mut query) => match received {
                    Ok((len, client)) => self.handle(&open, &query[..len], client, fault, limiter, late).await,
                    Err(error) => {
                        // An earlier answer that was refused shows up here, so this is no reason to stop.
                        debug!(%error, "receiving a datagram failed");
                        tokio::time::sleep(BACKOFF).await;
                    }
                }
            }
        }
    }

    async fn handle(
        &self,
        socket: &Arc<UdpSocket>,
        query: &[u8],
        client: SocketAddr,
        fault: Fault,
        limiter: &mut RateLimiter,
        late: &Gate,
    ) {
        // Nothing answers at port 0; a datagram from there is forged.
        if client.port() == 0 {
            self.responder.metrics().drop_for("port_0");
            return;
        }
        let answer = match fault {
            Fault::Crash | Fault::Blackhole => None,
            Fault::None | Fault::Slow { .. } | Fault::Error => {
                self.responder.answer_datagram(query, client, fault == Fault::Error, Limit::By(limiter))
            }
        };
        let Some(answer) = answer else { return };
        if fault.delay().is_zero() {
            send(socket, &answer, client).await;
        } else if let Some(pass) = late.enter() {
            let socket = socket.clone();
            let draining = self.shutdown.clone();
            self.shutdown.spawn(async move {
                tokio::select! {
                    () = draining.draining() => {}
                    () = tokio::time::sleep(fault.delay()) => {}
                }
                send(&socket, &answer, client).await;
                drop(pass);
            });
        }
    }

    fn answer_the_last(&self, socket: &UdpSocket, query: &mut [u8], limiter: &mut RateLimiter) {
        for _ in 0..MAX_LAST {
            let Ok((len, client)) = socket.try_recv_from(query) else { return };
            if let Some(answer) = self.responder.answer_datagram(&query[..len], client, false, Limit::By(limiter)) {
                let _ = socket.try_send_to(&answer, client);
            }
        }
    }

    async fn bind_again(&self) -> Option<Socket> {
        match bind(self.address) {
            Ok(socket) => Some(socket),
            Err(error) => {
                warn!(address = %self.address, %error, "cannot receive datagrams again yet");
                tokio::time::sleep(BACKOFF).await;
                None
            }
        }
    }
}

/// The socket for the runtime, beside the lane's own handle. Errors: no file descriptor left.
fn plain(socket: &Socket) -> io::Result<Arc<UdpSocket>> {
    #[cfg(target_os = "linux")]
    let plain: StdUdpSocket = socket.plain()?;
    #[cfg(not(target_os = "linux"))]
    let plain: StdUdpSocket = socket.try_clone()?;
    UdpSocket::from_std(plain).map(Arc::new)
}

async fn send(socket: &UdpSocket, answer: &[u8], client: SocketAddr) {
    if let Err(error) = socket.send_to(answer, client).await {
        debug!(%client, %error, "an answer could not be sent");
    }
}

/// Waits until the host has left its crash.
async fn mended(faults: &mut watch::Receiver<Fault>) {
    // An error means that the host is gone for good; the shutdown beside this ends the wait then.
    if faults.wait_for(|fault| *fault != Fault::Crash).await.is_err() {
        std::future::pending::<()>().await;
    }
}
