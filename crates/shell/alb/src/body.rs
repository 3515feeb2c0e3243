use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::SendRequest;
use tokio::time::{Instant, Sleep};

use crate::client_io::ClientConn;
use crate::exchange::Lease;
use crate::pool::TargetPool;

/// How far a client's body has come, for whoever waits for the target's answer meanwhile.
#[derive(Debug)]
pub(crate) struct Progress {
    start: Instant,
    last_ns: AtomicU64,
    waiting: AtomicBool,
    failed: AtomicBool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            last_ns: AtomicU64::new(0),
            waiting: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        }
    }

    /// When the body last moved.
    pub(crate) fn last(&self) -> Instant {
        self.start + Duration::from_nanos(self.last_ns.load(Ordering::Acquire))
    }

    /// Whether it is the client that is waited for.
    pub(crate) fn waits_for_client(&self) -> bool {
        self.waiting.load(Ordering::Acquire)
    }

    /// Whether the client broke off or sent a malformed body.
    pub(crate) fn client_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    fn moved(&self) {
        let since = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.last_ns.store(since, Ordering::Release);
        self.waiting.store(false, Ordering::Release);
    }
}

/// A timer that starts when something is first awaited and again after each step.
#[derive(Debug)]
struct Patience {
    idle: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl Patience {
    const fn new(idle: Duration) -> Self {
        Self { idle, timer: None, waiting: false }
    }

    const fn step(&mut self) {
        self.waiting = false;
    }

    /// Whether the wait that is going on has lasted too long.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> bool {
        let until = Instant::now() + self.idle;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        if !self.waiting {
            self.waiting = true;
            timer.as_mut().reset(until);
        }
        timer.as_mut().poll(cx).is_ready()
    }
}

/// A client's body on its way to the target.
#[derive(Debug)]
pub(crate) struct ClientBody {
    incoming: Incoming,
    progress: Option<Arc<Progress>>,
    patience: Patience,
}

impl ClientBody {
    pub(crate) const fn new(incoming: Incoming, progress: Option<Arc<Progress>>, idle: Duration) -> Self {
        Self { incoming, progress, patience: Patience::new(idle) }
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        let Some(progress) = self.progress.clone() else { return polled.map_err(io::Error::other) };
        match polled {
            Poll::Ready(Some(Err(error))) => {
                progress.failed.store(true, Ordering::Release);
                Poll::Ready(Some(Err(io::Error::other(error))))
            }
            Poll::Ready(frame) => {
                progress.moved();
                self.patience.step();
                Poll::Ready(frame.map(|f| f.map_err(io::Error::other)))
            }
            Poll::Pending => {
                progress.waiting.store(true, Ordering::Release);
                if self.patience.poll_over(cx) {
                    return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// A target's body on its way to the client. When it ends, the connection it came on is kept for the next request.
#[derive(Debug)]
pub(crate) struct TargetBody {
    incoming: Incoming,
    sender: Option<SendRequest<ClientBody>>,
    pool: Arc<TargetPool>,
    keep: usize,
    ended: bool,
    patience: Patience,
    // Handed back when the body is gone: until then the request runs.
    _lease: Lease,
}

impl TargetBody {
    pub(crate) const fn new(
        incoming: Incoming,
        sender: SendRequest<ClientBody>,
        pool: Arc<TargetPool>,
        keep: usize,
        idle: Duration,
        lease: Lease,
    ) -> Self {
        Self { incoming, sender: Some(sender), pool, keep, ended: false, patience: Patience::new(idle), _lease: lease }
    }
}

impl Drop for TargetBody {
    fn drop(&mut self) {
        let ended = self.ended || self.incoming.is_end_stream();
        if let Some(sender) = self.sender.take().filter(|_| ended) {
            self.pool.put(sender, self.keep);
        }
    }
}

/// The body of any answer; while it exists, the request is being served.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    kind: Kind,
    conn: Arc<ClientConn>,
}

#[derive(Debug)]
enum Kind {
    Own(Full<Bytes>),
    Target(Box<TargetBody>),
}

impl AnswerBody {
    pub(crate) const fn own(body: Full<Bytes>, conn: Arc<ClientConn>) -> Self {
        Self { kind: Kind::Own(body), conn }
    }

    pub(crate) fn target(body: TargetBody, conn: Arc<ClientConn>) -> Self {
        Self { kind: Kind::Target(Box::new(body)), conn }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.conn.serving.store(false, Ordering::Release);
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let body = match &mut self.kind {
            Kind::Own(body) => return Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Kind::Target(body) => body,
        };
        match Pin::new(&mut body.incoming).poll_frame(cx) {
            Poll::Ready(frame) => {
                body.ended |= frame.is_none();
                body.patience.step();
                Poll::Ready(frame.map(|f| f.map_err(io::Error::other)))
            }
            Poll::Pending if body.patience.poll_over(cx) => Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into()))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Own(body) => body.is_end_stream(),
            Kind::Target(body) => body.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Own(body) => body.size_hint(),
            Kind::Target(body) => body.incoming.size_hint(),
        }
    }
}
