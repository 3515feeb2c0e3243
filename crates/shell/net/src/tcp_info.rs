//! What the kernel counts of a TCP connection.

use std::io;
use std::mem::size_of_val;
use std::os::fd::{AsFd, AsRawFd};

use nix::libc;

/// Segments of a connection since it began, as the kernel counts them, those without payload and those sent again
/// included; both wrap round at 2^32 (RFC 4898, `tcpEStatsPerfSegsIn` and `tcpEStatsPerfSegsOut`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpSegments {
    /// From the peer.
    pub received: u32,
    /// To the peer.
    pub sent: u32,
}

/// Where `tcpi_segs_out` and `tcpi_segs_in` lie in the kernel's `struct tcp_info` (`linux/tcp.h`, since 4.2; a
/// structure of that interface only grows at its end).
const SEGS_OUT: std::ops::Range<usize> = 136..140;
const SEGS_IN: std::ops::Range<usize> = 140..144;

/// Asks the kernel how many segments a connection has received and sent: one call, no allocation. A connection that is
/// over tells its last figures as long as its socket is open.
///
/// Errors: the socket is not one of TCP (`ENOPROTOOPT` and others), or the kernel does not count segments
/// (`Unsupported`).
pub fn tcp_segments(socket: impl AsFd) -> io::Result<TcpSegments> {
    let mut info = [0_u8; SEGS_IN.end];
    let mut len = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the pointers are to a buffer of `len` bytes and to `len`, both alive and writable during the call; the
    // kernel writes at most `len` bytes and keeps neither pointer.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    if (len as usize) < info.len() {
        return Err(io::Error::from(io::ErrorKind::Unsupported));
    }
    let field = |at: std::ops::Range<usize>| info[at].try_into().map(u32::from_ne_bytes).unwrap_or_default();
    Ok(TcpSegments { received: field(SEGS_IN), sent: field(SEGS_OUT) })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;

    #[test]
    fn segments_are_counted_on_both_sides_of_a_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let before = tcp_segments(&server).unwrap();
        let mut byte = [0];
        for _ in 0..10 {
            client.write_all(b"x").unwrap();
            server.read_exact(&mut byte).unwrap();
            server.write_all(b"y").unwrap();
            client.read_exact(&mut byte).unwrap();
        }
        let after = tcp_segments(&server).unwrap();
        assert!(after.received - before.received >= 10 && after.sent - before.sent >= 10, "{before:?} {after:?}");
        assert!(tcp_segments(&client).unwrap().sent >= 10);
    }

    #[test]
    fn a_connection_that_was_reset_still_tells_its_figures() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        socket2::SockRef::from(&client).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(client);
        let mut byte = [0];
        assert!(server.read(&mut byte).is_err());
        assert!(tcp_segments(&server).unwrap().received >= 1);
    }

    #[test]
    fn a_socket_of_another_protocol_has_no_segments() {
        assert!(tcp_segments(UdpSocket::bind("127.0.0.1:0").unwrap()).is_err());
    }
}
