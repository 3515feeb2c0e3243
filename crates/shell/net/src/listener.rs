use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tracing::warn;

use crate::host::Obedience;
use crate::{Fault, Host, HostStream};

/// Connections the kernel completes before the program accepts them.
const BACKLOG: i32 = 4096;
/// How many connections of our own fill the queue of a blackholed listener: Linux drops SYNs once the queue holds
/// more than its limit, and the limit is set to zero.
const FILLERS: usize = 2;
/// Pause after a failed accept (no file descriptor left, for example).
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);
/// Pause between attempts to bind an address again after a crash.
const REBIND_BACKOFF: Duration = Duration::from_millis(20);

/// A listening socket of a simulated host.
///
/// - healthy: accepts;
/// - crashed: the socket is closed, so the kernel refuses connects; bound again when the host is mended;
/// - blackholed: the queue is shrunk to nothing and filled by connections of our own, so the kernel drops SYNs and a
///   connect hangs as it does when packets vanish.
#[derive(Debug)]
pub struct HostListener {
    host: Host,
    address: SocketAddr,
    socket: Option<TcpListener>,
    obedience: Obedience,
}

impl HostListener {
    pub(crate) async fn bind(host: Host, address: SocketAddr) -> io::Result<Self> {
        let socket = bind_tcp(address)?;
        let address = socket.local_addr()?;
        let obedience = host.obedience();
        Ok(Self { host, address, socket: Some(socket), obedience })
    }

    /// Where it listens; with port 0 asked for, the port it got.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The next connection. Waits through faults; safe to cancel. Accept errors are logged and outlived.
    pub async fn accept(&mut self) -> (HostStream, SocketAddr) {
        let mut faults = self.host.watch();
        loop {
            let fault = *faults.borrow_and_update();
            match fault {
                Fault::Crash => {
                    self.socket = None;
                    self.obedience.obeys(fault);
                    let _ = faults.changed().await;
                }
                Fault::Blackhole => {
                    let fillers = self.hang();
                    self.obedience.obeys(fault);
                    let _ = faults.changed().await;
                    drop(fillers);
                    self.unhang();
                }
                Fault::None | Fault::Error | Fault::Slow { .. } => {
                    if !self.bound().await {
                        continue;
                    }
                    self.obedience.obeys(fault);
                    let Some(socket) = &self.socket else { continue };
                    tokio::select! {
                        accepted = socket.accept() => match accepted {
                            Ok((stream, peer)) => return (HostStream::new(stream, self.host.clone()), peer),
                            Err(error) => {
                                warn!(host = self.host.name(), %error, "accept failed");
                                tokio::time::sleep(ACCEPT_BACKOFF).await;
                            }
                        },
                        _ = faults.changed() => {}
                    }
                }
            }
        }
    }

    /// A connection that the kernel has completed already, if there is one and the host is well: what a listener
    /// about to close still owes an answer.
    pub fn accept_pending(&mut self) -> Option<(HostStream, SocketAddr)> {
        if !self.host.fault().has_network() {
            return None;
        }
        let accepted = SockRef::from(self.socket.as_ref()?).accept().ok()?.0;
        accepted.set_nonblocking(true).ok()?;
        let stream = TcpStream::from_std(accepted.into()).ok()?;
        let peer = stream.peer_addr().ok()?;
        Some((HostStream::new(stream, self.host.clone()), peer))
    }

    async fn bound(&mut self) -> bool {
        if self.socket.is_none() {
            match bind_tcp(self.address) {
                Ok(socket) => self.socket = Some(socket),
                Err(error) => {
                    warn!(host = self.host.name(), address = %self.address, %error, "cannot listen again yet");
                    tokio::time::sleep(REBIND_BACKOFF).await;
                }
            }
        }
        self.socket.is_some()
    }

    fn hang(&self) -> Vec<Socket> {
        let Some(socket) = &self.socket else { return Vec::new() };
        if let Err(error) = SockRef::from(socket).listen(0) {
            warn!(host = self.host.name(), %error, "cannot shrink the accept queue");
        }
        let filler = || {
            let filler = Socket::new(Domain::for_address(self.address), Type::STREAM, Some(Protocol::TCP))?;
            filler.set_nonblocking(true)?;
            match filler.connect(&self.address.into()) {
                Err(error) if error.raw_os_error() != Some(115) => Err(error),
                Ok(()) | Err(_) => Ok(filler),
            }
        };
        (0..FILLERS).filter_map(|_| filler().ok()).collect()
    }

    fn unhang(&self) {
        if let Some(socket) = &self.socket
            && let Err(error) = SockRef::from(socket).listen(BACKLOG)
        {
            warn!(host = self.host.name(), %error, "cannot restore the accept queue");
        }
    }
}

/// Binds a TCP listener that may be bound again at once after its end.
///
/// Errors: those of `socket`, `bind` and `listen`.
pub fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Opens a plain TCP connection from `source`, or from wherever the kernel likes.
pub(crate) async fn open(source: Option<std::net::IpAddr>, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if let Some(source) = source {
        // The port is chosen at connect time, by the whole four-tuple: otherwise busy clients run out of ports.
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::IpBindAddressNoPort, &true)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    let stream = tokio::net::TcpSocket::from_std_stream(socket.into()).connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn started() -> (Host, SocketAddr, tokio::task::JoinHandle<()>) {
        let host = Host::new("h");
        let mut listener = host.listen(([127, 0, 0, 1], 0).into()).await.expect("a port is free");
        let address = listener.local_addr();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await;
                drop(stream);
            }
        });
        (host, address, task)
    }

    #[tokio::test]
    async fn a_crashed_host_refuses_connects_and_a_mended_one_accepts_them_again() {
        let (host, address, task) = started().await;
        TcpStream::connect(address).await.expect("a healthy host accepts");
        host.set_fault(Fault::Crash);
        host.settled().await;
        let refused = TcpStream::connect(address).await.map_err(|e| e.kind());
        assert_eq!(refused.err(), Some(io::ErrorKind::ConnectionRefused));
        host.set_fault(Fault::None);
        host.settled().await;
        TcpStream::connect(address).await.expect("a mended host accepts");
        task.abort();
    }

    #[tokio::test]
    async fn a_blackholed_host_leaves_connects_hanging_until_it_is_mended() {
        let (host, address, task) = started().await;
        host.set_fault(Fault::Blackhole);
        host.settled().await;
        let mut hanging = tokio::spawn(TcpStream::connect(address));
        let early = tokio::time::timeout(Duration::from_millis(100), &mut hanging).await;
        assert!(early.is_err(), "a connect to a blackhole came back: {early:?}");
        host.set_fault(Fault::None);
        // The kernel repeats the SYN after a second, and now it is answered.
        hanging.await.expect("the task ends").expect("the connect is done at last");
        task.abort();
    }
}
