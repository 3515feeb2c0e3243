//! The system calls of a flow, one function each, so that what a flow costs can be read here.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt as nix_sockopt};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, sockopt};
use rustix::pipe::{SpliceFlags, splice};

use super::token::Token;

/// What is asked of every connection, once: edge-triggered readiness, so that nothing is registered twice. `PRI` only
/// tells of urgent data, at whose mark reads end early.
const CONNECTION: EventFlags =
    EventFlags::IN.union(EventFlags::OUT).union(EventFlags::RDHUP).union(EventFlags::PRI).union(EventFlags::ET);

const NEW: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// Takes a connection that the kernel has completed, nonblocking, with its client. It has the listener's options.
///
/// Errors: those of `accept4`.
pub(super) fn accept(listener: BorrowedFd<'_>) -> Result<(OwnedFd, SocketAddr), Errno> {
    let (socket, peer) = net::acceptfrom_with(listener, NEW)?;
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok()).ok_or(Errno::AFNOSUPPORT)?;
    Ok((socket, peer))
}

/// Begins a connect, from `source` if given. Its readiness to be written says that it is done.
///
/// Errors: those of `socket`, `bind` and `connect`; a refusal that the kernel knows of at once is among them.
pub(super) fn connect(source: Option<IpAddr>, to: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = net::socket_with(family, SocketType::STREAM, NEW, None)?;
    if let Some(source) = source {
        // The port is chosen at connect time, by the whole four-tuple: otherwise busy clients run out of ports.
        setsockopt(&socket, nix_sockopt::IpBindAddressNoPort, &true).map_err(|e| Errno::from_raw_os_error(e as i32))?;
        net::bind(&socket, &SocketAddr::new(source, 0))?;
    }
    match net::connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error),
    }
}

/// Has a connection's readiness reported under `token`.
///
/// Errors: those of `epoll_ctl`, of which only a lack of memory can happen.
pub(super) fn watch(epoll: BorrowedFd<'_>, socket: &OwnedFd, token: Token) -> Result<(), Errno> {
    epoll::add(epoll, socket, EventData::new_u64(token.bits()), CONNECTION)
}

/// Reads at most a buffer; 0 is the end.
pub(super) fn read(from: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    retried(|| net::recv(from, &mut *buffer, RecvFlags::empty()).map(|(read, _)| read))
}

/// Writes as much as the kernel takes.
pub(super) fn write(to: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    retried(|| net::send(to, bytes, SendFlags::NOSIGNAL))
}

/// Moves bytes between a socket and a pipe without copying them. SIGPIPE is ignored, as in every Rust program.
pub(super) fn move_bytes(from: impl AsFd, to: impl AsFd, len: usize) -> Result<usize, Errno> {
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    retried(|| splice(from.as_fd(), None, to.as_fd(), None, len, flags))
}

/// Has small writes leave before earlier ones are acknowledged (`TCP_NODELAY`).
pub(super) fn send_at_once(socket: &OwnedFd) {
    // A socket that refuses is slower, not wrong.
    let _ = sockopt::set_tcp_nodelay(socket, true);
}

/// Passes an end on: nothing more will be written.
pub(super) fn end(socket: &OwnedFd) -> Result<(), Errno> {
    net::shutdown(socket, Shutdown::Write)
}

/// Closes by a reset.
pub(super) fn reset(socket: OwnedFd) {
    // A socket that refuses is closed the ordinary way; there is nobody to tell.
    let _ = sockopt::set_socket_linger(&socket, Some(Duration::ZERO));
}

/// What became of a connect.
pub(super) fn error_of(socket: &OwnedFd) -> Errno {
    match sockopt::socket_error(socket) {
        Ok(Err(error)) | Err(error) => error,
        Ok(Ok(())) => Errno::CONNRESET,
    }
}

/// Our end's address.
pub(super) fn local_addr(socket: &OwnedFd) -> Option<SocketAddr> {
    SocketAddr::try_from(net::getsockname(socket).ok()?).ok()
}

fn retried(mut call: impl FnMut() -> Result<usize, Errno>) -> Result<usize, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}
