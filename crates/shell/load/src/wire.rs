use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection that two parties hold: hyper reads and writes it, the client asks whether it is still open and
/// whether a byte of the answer has come. hyper alone would tell neither in time.
#[derive(Clone, Debug)]
pub(crate) struct Wire(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stream: TcpStream,
    received: AtomicU64,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self(Arc::new(Inner { stream, received: AtomicU64::new(0) }))
    }

    /// Bytes that came from the peer so far.
    pub(crate) fn received(&self) -> u64 {
        self.0.received.load(Ordering::Acquire)
    }

    /// Whether an idle connection can carry another request: nothing has come, neither an end nor a reset nor bytes
    /// that nobody asked for. Asks the kernel, so a close that no task has seen yet counts.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut byte = [std::mem::MaybeUninit::uninit(); 1];
        matches!(SockRef::from(&self.0.stream).peek(&mut byte), Err(e) if e.kind() == io::ErrorKind::WouldBlock)
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.stream.poll_read_ready(cx))?;
            match self.0.stream.try_read(buf.initialize_unfilled()) {
                Ok(n) => {
                    buf.advance(n);
                    self.0.received.fetch_add(n as u64, Ordering::AcqRel);
                    return Poll::Ready(Ok(()));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.stream.poll_write_ready(cx))?;
            match self.0.stream.try_write(buf) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&self.0.stream).shutdown(Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Wire, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Wire::new(client), listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn a_wire_carries_bytes_both_ways_and_counts_what_came() {
        let (mut wire, mut peer) = pair().await;
        wire.write_all(b"ping").await.unwrap();
        let mut four = [0; 4];
        peer.read_exact(&mut four).await.unwrap();
        peer.write_all(b"pong").await.unwrap();
        assert_eq!(wire.received(), 0);
        wire.read_exact(&mut four).await.unwrap();
        assert_eq!((&four, wire.received()), (b"pong", 4));
        wire.shutdown().await.unwrap();
        assert_eq!(peer.read(&mut four).await.unwrap(), 0, "a shutdown is the peer's end of stream");
    }

    #[tokio::test]
    async fn a_wire_is_quiet_until_an_end_a_reset_or_a_byte_comes() {
        for how in ["end", "reset", "byte"] {
            let (wire, mut peer) = pair().await;
            assert!(wire.is_quiet(), "{how}");
            match how {
                "byte" => peer.write_all(b"!").await.unwrap(),
                "reset" => {
                    SockRef::from(&peer).set_linger(Some(std::time::Duration::ZERO)).unwrap();
                    drop(peer);
                }
                _ => drop(peer),
            }
            std::future::poll_fn(|cx| wire.0.stream.poll_read_ready(cx)).await.unwrap();
            assert!(!wire.is_quiet(), "{how}");
        }
    }
}
