use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use perigee_net::Shutdown;
use tokio::sync::mpsc;

/// The body of every answer.
pub(crate) type AnyBody = BoxBody<Bytes, Infallible>;

/// A body that is at hand whole.
pub(crate) fn full(bytes: impl Into<Bytes>) -> AnyBody {
    Full::new(bytes.into()).boxed()
}

/// No body at all.
pub(crate) fn empty() -> AnyBody {
    Empty::new().boxed()
}

/// `n` bytes, made as they are sent.
pub(crate) fn bytes(n: u64) -> AnyBody {
    Bulk { left: n }.boxed()
}

static CHUNK: [u8; 65_536] = [b'.'; 65_536];

struct Bulk {
    left: u64,
}

impl Body for Bulk {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let n = self.left.min(CHUNK.len() as u64);
        self.left -= n;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&CHUNK[..n as usize])))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Server-sent events (HTML standard, section 9.2), numbered from 1, one each `every`; a drain ends them early.
pub(crate) fn events(count: u64, every: Duration, shutdown: &Shutdown) -> AnyBody {
    let (sender, receiver) = mpsc::channel(1);
    let draining = shutdown.clone();
    shutdown.spawn(async move {
        for n in 1..=count {
            if n > 1 {
                tokio::select! {
                    () = tokio::time::sleep(every) => {}
                    () = draining.draining() => return,
                    () = sender.closed() => return,
                }
            }
            if sender.send(Bytes::from(format!("id: {n}\ndata: {{\"event\":{n},\"of\":{count}}}\n\n"))).await.is_err() {
                return;
            }
        }
    });
    Received(receiver).boxed()
}

struct Received(mpsc::Receiver<Bytes>);

impl Body for Received {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|bytes| bytes.map(|b| Ok(Frame::data(b))))
    }
}

/// Reads a request's body and forgets it. Gives false if it is longer than `limit` or breaks off.
pub(crate) async fn discard(mut body: Incoming, limit: u64) -> bool {
    let mut seen = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        seen += frame.data_ref().map_or(0, Bytes::len) as u64;
        if seen > limit {
            return false;
        }
    }
    true
}
