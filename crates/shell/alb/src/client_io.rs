use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use perigee_net::HostStream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

/// How long a refused client may go on sending before the connection is closed in its face, and how much of that is
/// read (Perigee's choice): a close with unread bytes would be a reset, which can overtake the answer.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 8 * 1024 * 1024;

/// What a client connection's two halves, the parser below and the service above, tell each other.
#[derive(Debug)]
pub(crate) struct ClientConn {
    /// The client: the peer, or whom the PROXY header names.
    pub(crate) client: SocketAddr,
    /// The edge the connection came by, if one did and said so.
    pub(crate) edge: Option<std::sync::Arc<str>>,
    /// The listener's port in the configuration.
    pub(crate) listener_port: u16,
    /// The port the client connected to.
    pub(crate) local_port: u16,
    /// Cancelled when the listener or the node ends.
    pub(crate) closing: CancellationToken,
    /// A request has been read and its answer is not finished.
    pub(crate) serving: AtomicBool,
    /// An answer was handed down and none of it is written yet.
    pub(crate) answer_pending: AtomicBool,
    /// Requests so far.
    pub(crate) requests: AtomicU64,
}

impl ClientConn {
    pub(crate) const fn new(
        client: SocketAddr,
        edge: Option<std::sync::Arc<str>>,
        listener_port: u16,
        local_port: u16,
        closing: CancellationToken,
    ) -> Self {
        Self {
            client,
            edge,
            listener_port,
            local_port,
            closing,
            serving: AtomicBool::new(false),
            answer_pending: AtomicBool::new(false),
            requests: AtomicU64::new(0),
        }
    }
}

/// Which wait for the client took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// Nothing of a request had come: the connection just ends.
    Idle,
    /// A request head had begun: 408.
    Head,
}

/// A client's connection under the parser: watches the idle timeout, and keeps back the parser's own bare error
/// answers so that the node can answer in its own words.
///
/// Time is looked at only while something is awaited, and the timer is moved only when it goes off: a request costs no
/// timer operation.
#[derive(Debug)]
pub(crate) struct ClientIo {
    stream: HostStream,
    conn: std::sync::Arc<ClientConn>,
    idle: Duration,
    timer: Pin<Box<Sleep>>,
    last: Instant,
    head_since: Option<Instant>,
    expired: Option<Expired>,
    withheld: bool,
}

impl ClientIo {
    pub(crate) fn new(stream: HostStream, conn: std::sync::Arc<ClientConn>, idle: Duration) -> Self {
        let now = Instant::now();
        Self {
            stream,
            conn,
            idle,
            timer: Box::pin(tokio::time::sleep_until(now + idle)),
            last: now,
            head_since: None,
            expired: None,
            withheld: false,
        }
    }

    /// Which wait took too long, if one did.
    pub(crate) const fn expired(&self) -> Option<Expired> {
        self.expired
    }

    /// Whether the parser wanted to refuse a request.
    pub(crate) const fn withheld(&self) -> bool {
        self.withheld
    }

    /// Ends the connection, with `last_words` if any.
    pub(crate) async fn finish(mut self, last_words: Option<&[u8]>) {
        let close = async {
            if let Some(words) = last_words {
                self.stream.write_all(words).await?;
            }
            self.stream.shutdown().await?;
            let mut waste = [0; 4096];
            let mut wasted = 0;
            while last_words.is_some() && wasted < LINGER_BYTES {
                match self.stream.read(&mut waste).await? {
                    0 => break,
                    n => wasted += n,
                }
            }
            io::Result::Ok(())
        };
        // Whether the client hears it is the client's affair; the connection ends either way.
        let _ = tokio::time::timeout(LINGER, close).await;
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>, deadline: Instant) -> bool {
        if Instant::now() >= deadline {
            return true;
        }
        if self.timer.deadline() > deadline {
            self.timer.as_mut().reset(deadline);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return true;
            }
            self.timer.as_mut().reset(deadline);
        }
        false
    }

    fn is_parsers_refusal(&self, bytes: &[u8]) -> bool {
        !self.conn.serving.load(Ordering::Acquire)
            && bytes.len() < 256
            && bytes.starts_with(b"HTTP/1.")
            && bytes.get(8..10) == Some(b" 4")
            && bytes.windows(17).any(|w| w == b"connection: close")
    }

    fn wrote(&mut self, result: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Ok(n)) => {
                self.last = Instant::now();
                Poll::Ready(Ok(n))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending if self.poll_deadline(cx, self.last + self.idle) => {
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let serving = self.conn.serving.load(Ordering::Acquire);
        if serving {
            self.head_since = None;
        }
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(Ok(())) if buf.filled().len() > before => {
                let now = Instant::now();
                self.last = now;
                if !serving {
                    self.head_since.get_or_insert(now);
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending if serving => Poll::Pending,
            Poll::Pending => {
                // A head must be whole within an idle timeout of its first byte (Perigee's choice): a client that
                // sends a byte now and then would hold its place for ever.
                let deadline = self.head_since.unwrap_or(self.last) + self.idle;
                if self.poll_deadline(cx, deadline) {
                    self.expired = Some(if self.head_since.is_some() { Expired::Head } else { Expired::Idle });
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if !self.conn.answer_pending.swap(false, Ordering::AcqRel) && self.is_parsers_refusal(buf) {
            self.withheld = true;
            return Poll::Ready(Ok(buf.len()));
        }
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(result, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.conn.answer_pending.swap(false, Ordering::AcqRel)
            && let [only] = bufs
            && self.is_parsers_refusal(only)
        {
            self.withheld = true;
            return Poll::Ready(Ok(only.len()));
        }
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(result, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Nothing: the connection is closed by [`ClientIo::finish`], which may have something to say first.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
