use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use tracing::debug;

use super::sys;

/// Room for datagrams that wait, octets, which the kernel doubles: some 2,700, with which an overloaded worker is behind
/// by some ten milliseconds (Perigee's choice). With the usual 208 KiB a burst of 500 queries was not held; with 4 MiB
/// the answers to twice the load that can be borne came a tenth of a second late, when nobody waits for them any more.
const BUFFER: usize = 1 << 20;

/// A UDP socket that shares its address with others of the same kind, so that each worker has its own.
///
/// The kernel spreads clients over the sockets of one address. It never blocks; wait with
/// [`DatagramBatch::wait`](super::DatagramBatch::wait).
#[derive(Debug)]
pub struct DatagramSocket {
    socket: Socket,
    address: SocketAddr,
    wildcard: bool,
}

impl DatagramSocket {
    /// Binds `address`.
    ///
    /// Any process of the same user may bind it as well, so hold something exclusive beside it, such as the TCP
    /// listener of the same port. Bound to the unspecified address, it answers from the address that was asked. What
    /// ICMP says of the path's MTU is not believed, since a forged word would fragment the answers, and none is
    /// fragmented on its way (`spec/dns.md` §5.5; RFC 9715 section 3.1); none is longer than 1,232 octets.
    ///
    /// Errors: those of `socket` and `bind`. Options that a system refuses are gone without.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        Self::bound(address, true)
    }

    /// Binds `address` for this socket alone.
    ///
    /// Errors: as [`Self::bind`]; `AddrInUse` if anybody has it.
    pub fn bind_alone(address: SocketAddr) -> io::Result<Self> {
        Self::bound(address, false)
    }

    fn bound(address: SocketAddr, shared: bool) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        // Any port must be one that nobody has, and the kernel takes one that may be shared for free.
        let any_port = shared && address.port() == 0;
        if shared && !any_port {
            socket.set_reuse_port(true)?;
        }
        socket.set_nonblocking(true)?;
        // The first is above the system's limit for those who may.
        let room = setsockopt(&socket, sockopt::RcvBufForce, &BUFFER);
        let room = room.map_err(io::Error::from).or_else(|_| socket.set_recv_buffer_size(BUFFER));
        let room = room.and_then(|()| socket.set_send_buffer_size(BUFFER));
        let wildcard = address.ip().is_unspecified();
        let options = if address.is_ipv4() {
            [
                (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE),
                (libc::IPPROTO_IP, libc::IP_PKTINFO, 1),
            ]
        } else {
            let mtu = (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE);
            [mtu, (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)]
        };
        let path = sys::set_option(socket.as_fd(), options[0]);
        if let Err(error) = room.and(path) {
            debug!(%address, %error, "a UDP socket goes without an option");
        }
        if wildcard {
            sys::set_option(socket.as_fd(), options[1])?;
        }
        socket.bind(&address.into())?;
        if any_port {
            socket.set_reuse_port(true)?;
        }
        let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::Unsupported)?;
        Ok(Self { socket, address, wildcard })
    }

    /// Receives datagrams that came one behind the other as one, where the kernel can: for [`PacketBatch`] alone, which
    /// takes them apart again. True if it does.
    ///
    /// [`PacketBatch`]: super::PacketBatch
    pub fn coalesce(&self) -> bool {
        sys::set_option(self.socket.as_fd(), sys::COALESCE).is_ok()
    }

    /// Where it is bound; with port 0 asked for, the port it got.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Another handle of the same socket, for code that reads one datagram at a time.
    ///
    /// Errors: no file descriptor left.
    pub fn plain(&self) -> io::Result<UdpSocket> {
        self.socket.try_clone().map(Into::into)
    }

    /// Whether datagrams bring the address that they were sent to.
    pub(super) const fn wildcard(&self) -> bool {
        self.wildcard
    }
}

impl AsFd for DatagramSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
