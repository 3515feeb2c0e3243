use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use perigee_net::Fault;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

/// Connections the kernel completes before the program accepts them.
const BACKLOG: i32 = 4096;
/// A classic BPF program that takes no packet: `ret 0`.
const DROP_ALL: [SockFilter; 1] = [SockFilter::new(0x06, 0, 0, 0)];

/// A listening socket of one worker.
///
/// Its address belongs to a network zone and does as the zone's fault says:
///
/// - healthy: the kernel completes connects;
/// - crashed: it listens no more, so the kernel refuses;
/// - blackholed: a filter drops every packet to it, so connects hang.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Socket,
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// The network zone's number.
    pub(super) zone: usize,
    /// Connections accepted at once; it follows what is found.
    pub(super) budget: u16,
    /// Turns in a row that used it up.
    pub(super) full_turns: u8,
    /// Whether the worker's epoll has it.
    pub(super) is_watched: bool,
    fault: Fault,
}

/// Binds an address for `count` workers: the kernel spreads clients over the sockets.
///
/// The first socket is bound as one that shares with nobody, so that a second process finds the address taken; only
/// then does it agree to share.
///
/// Errors: those of `socket`, `bind` and `listen`.
pub(crate) fn sockets_of(address: SocketAddr, zone: usize, count: usize) -> io::Result<Vec<Listener>> {
    let open = |is_first: bool| {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // Accepted connections inherit it.
        socket.set_tcp_nodelay(true)?;
        socket.set_reuse_port(!is_first)?;
        socket.bind(&address.into())?;
        socket.set_reuse_port(count > 1)?;
        socket.listen(BACKLOG)?;
        Ok(Listener { socket, address, zone, budget: 1, full_turns: 0, is_watched: false, fault: Fault::None })
    };
    (0..count.max(1)).map(|n| open(n == 0)).collect()
}

impl Listener {
    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it can be accepted from now.
    pub(super) const fn is_open(&self) -> bool {
        self.fault.has_network()
    }

    /// Obeys a fault.
    ///
    /// Errors: somebody else listens there by now, or the kernel has no memory; call again.
    pub(super) fn obey(&mut self, fault: Fault) -> io::Result<()> {
        if self.fault == fault {
            return Ok(());
        }
        match self.fault {
            Fault::Crash => self.socket.listen(BACKLOG)?,
            Fault::Blackhole => self.socket.detach_filter()?,
            Fault::None | Fault::Error | Fault::Slow { .. } => {}
        }
        self.fault = Fault::None;
        match fault {
            Fault::Crash => self.socket.shutdown(std::net::Shutdown::Both)?,
            Fault::Blackhole => self.socket.attach_filter(&DROP_ALL)?,
            Fault::None | Fault::Error | Fault::Slow { .. } => {}
        }
        self.fault = fault;
        Ok(())
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    fn free() -> SocketAddr {
        let probe = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        probe.local_addr().expect("it is bound")
    }

    #[test]
    fn workers_share_an_address_that_nobody_else_can_take() {
        let address = free();
        let sockets = sockets_of(address, 0, 3).expect("bound");
        assert_eq!(sockets.len(), 3);
        let taken = sockets_of(address, 0, 3).map_err(|e| e.kind());
        assert_eq!(taken.err(), Some(io::ErrorKind::AddrInUse));
        drop(sockets);
        assert!(sockets_of(address, 0, 3).is_ok(), "free again");
    }

    #[test]
    fn a_crashed_address_refuses_and_comes_back() {
        let address = free();
        let mut sockets = sockets_of(address, 0, 2).expect("bound");
        for _ in 0..2 {
            sockets.iter_mut().for_each(|s| s.obey(Fault::Crash).expect("crashed"));
            let refused = TcpStream::connect(address).map_err(|e| e.kind());
            assert_eq!(refused.err(), Some(io::ErrorKind::ConnectionRefused));
            sockets.iter_mut().for_each(|s| s.obey(Fault::None).expect("mended"));
            for _ in 0..8 {
                TcpStream::connect(address).expect("it listens again");
            }
        }
    }

    #[test]
    fn a_blackholed_address_says_nothing_and_comes_back() {
        let address = free();
        let mut sockets = sockets_of(address, 0, 2).expect("bound");
        sockets.iter_mut().for_each(|s| s.obey(Fault::Blackhole).expect("blackholed"));
        let silent = TcpStream::connect_timeout(&address, Duration::from_millis(100)).map_err(|e| e.kind());
        assert_eq!(silent.err(), Some(io::ErrorKind::TimedOut));
        sockets.iter_mut().for_each(|s| s.obey(Fault::Crash).expect("crashed"));
        assert!(TcpStream::connect(address).is_err());
        sockets.iter_mut().for_each(|s| s.obey(Fault::None).expect("mended"));
        TcpStream::connect(address).expect("it listens again");
    }
}
