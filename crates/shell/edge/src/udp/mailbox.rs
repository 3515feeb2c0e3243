use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};
use perigee_net::DatagramSocket;
use tokio::sync::oneshot;

/// What a worker is told when the configuration changes.
#[derive(Debug)]
pub(super) struct Command {
    /// Sockets to listen on, each with the number of its network zone.
    pub(super) opened: Vec<(DatagramSocket, usize)>,
    /// Addresses to close, ascending.
    pub(super) closed: Arc<[SocketAddr]>,
    /// Flows the worker may hold.
    pub(super) flows: u32,
    /// After how much silence a flow is over.
    pub(super) idle: Duration,
    /// Told when all of that is done.
    pub(super) done: oneshot::Sender<()>,
}

/// Where commands for a worker are put; dropping it ends the worker.
#[derive(Debug)]
pub(super) struct Mailbox {
    sender: Option<Sender<Command>>,
    bell: Arc<EventFd>,
}

/// The worker's side: readable when there is something to read or the mailbox is gone.
#[derive(Debug)]
pub(super) struct Post {
    receiver: Receiver<Command>,
    bell: Arc<EventFd>,
}

/// A mailbox and its reader.
///
/// Errors: no file descriptor left.
pub(super) fn mailbox() -> io::Result<(Mailbox, Post)> {
    let bell = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?);
    let (sender, receiver) = channel();
    Ok((Mailbox { sender: Some(sender), bell: bell.clone() }, Post { receiver, bell }))
}

impl Mailbox {
    /// Puts a command in; that of a worker that has ended is dropped.
    pub(super) fn send(&self, command: Command) {
        let _ = self.sender.as_ref().map(|sender| sender.send(command));
        self.ring();
    }

    fn ring(&self) {
        // Fails only when it has been rung 2^64 times and nobody came.
        let _ = self.bell.write(1);
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.sender = None;
        self.ring();
    }
}

impl Post {
    /// The next command, none if there is none now. Errors: there will be none any more.
    pub(super) fn next(&self) -> Result<Option<Command>, ()> {
        match self.receiver.try_recv() {
            Ok(command) => Ok(Some(command)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(()),
        }
    }

    /// Stops being readable until the mailbox is next used; call before [`Self::next`].
    pub(super) fn heard(&self) {
        // Nothing to read is as good.
        let _ = self.bell.read();
    }
}

impl AsFd for Post {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
