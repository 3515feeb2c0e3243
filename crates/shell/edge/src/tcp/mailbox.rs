use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Wake;

use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::mpsc;

use super::Listener;

/// What a worker is told. An [`Ack`] is dropped when it is done, or when the worker is gone.
#[derive(Debug)]
pub(crate) enum Command {
    /// Accept from these too.
    Open(Vec<Listener>, Ack),
    /// Close these addresses and reset their flows.
    Close(Vec<std::net::SocketAddr>, Ack),
    /// Take nothing new; end when the last flow has.
    Drain,
}

/// Dropped when a command is done.
pub(crate) type Ack = mpsc::Sender<()>;

/// How a worker is told things: a list of commands, and an event that ends its waiting.
///
/// As a [`std::task::Waker`] it only wakes: the worker then looks at the faults of its hosts.
#[derive(Debug)]
pub(crate) struct Mailbox {
    commands: Mutex<Vec<Command>>,
    stopped: AtomicBool,
    event: OwnedFd,
}

impl Mailbox {
    /// An empty one. Errors: no file descriptor left.
    pub(crate) fn new() -> std::io::Result<Arc<Self>> {
        let event = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Arc::new(Self { commands: Mutex::default(), stopped: AtomicBool::new(false), event }))
    }

    /// Tells the worker.
    pub(crate) fn send(&self, command: Command) {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).push(command);
        self.ring();
    }

    /// Ends the worker at once, whatever it holds.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.ring();
    }

    /// Whether the worker is to end at once.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// What has come, oldest first; the event is over.
    pub(super) fn take(&self) -> Vec<Command> {
        // It may have been somebody else's ring that was read already.
        let _ = rustix::io::read(&self.event, &mut [0; 8]);
        std::mem::take(&mut *self.commands.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ring(&self) {
        // It fails only when it has been rung 2^64 times, and then it rings already.
        let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
    }
}

impl Wake for Mailbox {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

impl AsFd for Mailbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
