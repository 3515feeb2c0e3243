use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    /// None once the worker is gone: what is sent then is dropped, and who waits for it goes on.
    commands: Mutex<Option<Vec<Command>>>,
    stopped: AtomicBool,
    event: OwnedFd,
}

impl Mailbox {
    /// An empty one. Errors: no file descriptor left.
    pub(crate) fn new() -> std::io::Result<Arc<Self>> {
        let event = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Arc::new(Self { commands: Mutex::new(Some(Vec::new())), stopped: AtomicBool::new(false), event }))
    }

    /// Tells the worker.
    pub(crate) fn send(&self, command: Command) {
        if let Some(commands) = &mut *self.lock() {
            commands.push(command);
        }
        self.ring();
    }

    /// Nobody reads it any more.
    pub(super) fn close(&self) {
        *self.lock() = None;
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
        self.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Command>>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_for_a_worker_that_is_gone_goes_on() {
        let mailbox = Mailbox::new().expect("an event");
        let (done, mut all_done) = mpsc::channel(1);
        mailbox.send(Command::Open(Vec::new(), done.clone()));
        mailbox.close();
        mailbox.send(Command::Close(Vec::new(), done));
        assert_eq!(all_done.recv().await, None);
        assert!(mailbox.take().is_empty());
    }
}
