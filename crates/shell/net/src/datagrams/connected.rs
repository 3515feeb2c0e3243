use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, Socket, Type};

use super::sys;

/// A UDP socket with one peer: the second leg of a flow that is passed on.
///
/// The kernel gives it that peer's datagrams alone, and what ICMP says of those it has sent as errors. For
/// [`PacketBatch`](super::PacketBatch), which never waits; wait with an epoll.
#[derive(Debug)]
pub struct ConnectedSocket(Socket);

impl ConnectedSocket {
    /// A socket towards `to`, from `source` and any port of it, or from wherever the kernel likes.
    ///
    /// Errors: those of `socket`, `bind` and `connect`: no file descriptor left (`EMFILE`, `ENFILE`), no port left
    /// (`EAGAIN`, `EADDRINUSE`), an address that this machine does not have (`EADDRNOTAVAIL`), no route.
    pub fn open(source: Option<IpAddr>, to: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::UDP))?;
        if let Some(source) = source {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        socket.connect(&to.into())?;
        // Without it datagrams come one by one, and nothing else changes.
        let _ = sys::set_option(socket.as_fd(), sys::COALESCE);
        Ok(Self(socket))
    }

    /// Its own address. Errors: those of `getsockname`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()?.as_socket().ok_or_else(|| io::ErrorKind::Unsupported.into())
    }
}

impl AsFd for ConnectedSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
