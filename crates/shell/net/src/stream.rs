use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::listener::open;
use crate::{Fault, Host};

/// A TCP connection of a simulated host: a plain one, except that it is reset rather than closed when its host has
/// crashed.
#[derive(Debug)]
pub struct HostStream {
    stream: TcpStream,
    host: Host,
}

impl HostStream {
    pub(crate) fn new(stream: TcpStream, host: Host) -> Self {
        // Small writes are answers somebody waits for. A socket that refuses the option still works.
        let _ = stream.set_nodelay(true);
        Self { stream, host }
    }

    /// The socket underneath, for options.
    pub const fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// The socket underneath, to split and move bytes by.
    pub const fn socket_mut(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Our end's address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }
}

impl Drop for HostStream {
    fn drop(&mut self) {
        if self.host.fault() == Fault::Crash {
            reset_on_drop(&self.stream);
        }
    }
}

/// Makes the coming close of `stream` a reset.
pub fn reset_on_drop(stream: &TcpStream) {
    // A socket that refuses is closed the ordinary way; there is nobody to tell.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Opens a connection as `host`, from `source` if given.
///
/// Errors: those of `connect`; `ConnectionAborted` if the host crashes meanwhile. A blackholed host hangs; time-outs
/// are the caller's.
pub async fn connect(host: &Host, source: Option<IpAddr>, to: SocketAddr) -> io::Result<HostStream> {
    match host.run(open(source, to)).await {
        Some(stream) => Ok(HostStream::new(stream?, host.clone())),
        None => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the connecting host has crashed")),
    }
}

impl AsyncRead for HostStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for HostStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
