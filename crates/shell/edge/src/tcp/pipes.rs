use std::os::fd::OwnedFd;

use prometheus_client::metrics::counter::Counter;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

/// Bytes that a pipe holds: the most that Linux gives without privileges (`fs.pipe-max-size`).
pub(super) const CAPACITY: usize = 1 << 20;
/// Pipes of a worker at once (Perigee's choice). A pipe that waits for a slow reader holds up to [`CAPACITY`] bytes of
/// the kernel's memory; flows beyond go on with the copying that needs none.
const MAX: usize = 128;
/// Empty pipes kept for the next flow; more are closed.
const KEPT: usize = 32;

/// A pipe between two sockets.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) reader: OwnedFd,
    pub(super) writer: OwnedFd,
}

/// The pipes of a worker: lent while bytes are in them.
#[derive(Debug)]
pub(super) struct Pipes {
    empty: Vec<Pipe>,
    lent: usize,
    /// Counts the times that none was left.
    refused: Counter,
}

impl Pipes {
    pub(super) const fn new(refused: Counter) -> Self {
        Self { empty: Vec::new(), lent: 0, refused }
    }

    /// An empty pipe. None: [`MAX`] are lent, or the system gives no more or no large ones.
    pub(super) fn take(&mut self) -> Option<Pipe> {
        if self.lent >= MAX {
            self.refused.inc();
            return None;
        }
        let pipe = self.empty.pop().or_else(|| {
            let made = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).ok();
            let large = made.filter(|(_, writer)| fcntl_setpipe_size(writer, CAPACITY).is_ok());
            if large.is_none() {
                self.refused.inc();
            }
            large.map(|(reader, writer)| Pipe { reader, writer })
        })?;
        self.lent += 1;
        Some(pipe)
    }

    /// Takes back a pipe that is empty.
    pub(super) fn give_back(&mut self, pipe: Pipe) {
        self.lent -= 1;
        if self.empty.len() < KEPT {
            self.empty.push(pipe);
        }
    }

    /// Closes a pipe that may hold bytes, which nobody wants any more.
    pub(super) fn discard(&mut self, pipe: Pipe) {
        self.lent -= 1;
        drop(pipe);
    }

    /// How many are lent.
    #[cfg(test)]
    pub(super) const fn lent(&self) -> usize {
        self.lent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_are_used_again_and_bounded() {
        let refused = Counter::default();
        let mut pipes = Pipes::new(refused.clone());
        let lent: Vec<Pipe> = std::iter::from_fn(|| pipes.take()).take(MAX + 1).collect();
        // Without privileges a user's pipes may be bounded below that.
        assert!(!lent.is_empty() && lent.len() <= MAX && refused.get() == 1, "{} pipes", lent.len());
        lent.into_iter().for_each(|pipe| pipes.give_back(pipe));
        assert_eq!((pipes.lent(), pipes.empty.len() <= KEPT), (0, true));
        let again = pipes.take().expect("there are some");
        pipes.discard(again);
        assert_eq!(pipes.lent(), 0);
    }
}
