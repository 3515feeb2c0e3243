use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;

use super::super::backlog::Backlog;
use super::super::pipes::{CAPACITY, Pipe};
use super::super::socket;
use super::{Pool, Side};

/// Bytes that one direction moves before it is other flows' turn (Perigee's choice: four times what a pipe holds).
const SHARE: usize = 4 * CAPACITY;
/// A turn that moved less than this through a pipe goes back to copying, which costs half the calls.
const SMALL: usize = 16 * 1024;

/// One direction.
#[derive(Debug)]
pub(super) struct Half {
    held: Held,
    /// Bytes taken from the source.
    pub(super) moved: u64,
    /// The source may have something to read.
    readable: bool,
    /// The source has announced its end: what can be read is all there is.
    hung_up: bool,
    /// Everything was read.
    finished: bool,
    /// The end was passed on.
    pub(super) is_ended: bool,
    /// The destination may take something.
    writable: bool,
    /// Reads filled the buffer: bytes go through a pipe.
    bulk: bool,
    /// Urgent data was seen, whose mark ends reads early: a short read says nothing.
    urgent: bool,
    /// The source is broken. What it sent before is in the kernel still.
    failed: bool,
    /// The destination was written to.
    pub(super) has_written: bool,
    /// The destination sends small writes at once.
    is_prompt: bool,
}

/// Bytes that were taken and not given.
#[derive(Debug)]
enum Held {
    Nothing,
    Bytes(Backlog),
    Pipe(Pipe, u32),
}

/// Why a direction stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Nothing to read or no room to write.
    Kernel,
    /// Its share of the turn is used up.
    Share,
}

/// Which end of a direction broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Source,
    Destination,
}

impl Broken {
    pub(super) const fn of(self, source: Side, destination: Side) -> Side {
        match self {
            Self::Source => source,
            Self::Destination => destination,
        }
    }
}

impl Half {
    /// Nothing moved yet; `is_prompt` if the destination has `TCP_NODELAY` already.
    pub(super) const fn new(is_prompt: bool) -> Self {
        Self {
            held: Held::Nothing,
            moved: 0,
            readable: false,
            hung_up: false,
            finished: false,
            is_ended: false,
            writable: true,
            bulk: false,
            urgent: false,
            failed: false,
            has_written: false,
            is_prompt,
        }
    }

    /// Before each write: small writes are answers somebody waits for. The first leaves at once by itself, for nothing is
    /// unacknowledged, so that a flow of one request costs no call for it.
    fn hurry(&mut self, to: &OwnedFd) {
        if self.has_written && !self.is_prompt {
            socket::send_at_once(to);
            self.is_prompt = true;
        }
        self.has_written = true;
    }

    pub(super) fn note_source(&mut self, flags: EventFlags) {
        let ended = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        self.readable |= flags.intersects(EventFlags::IN | ended);
        self.hung_up |= flags.contains(EventFlags::RDHUP);
        self.urgent |= flags.contains(EventFlags::PRI);
        self.failed |= flags.contains(EventFlags::ERR);
    }

    pub(super) fn note_destination(&mut self, flags: EventFlags) {
        self.writable |= flags.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR);
    }

    /// Everything was read and written.
    pub(super) const fn is_drained(&self) -> bool {
        self.finished && matches!(self.held, Held::Nothing)
    }

    /// Whether bytes go through a pipe.
    #[cfg(test)]
    pub(super) const fn is_bulk(&self) -> bool {
        self.bulk
    }

    pub(super) fn pump(&mut self, from: &OwnedFd, to: &OwnedFd, pool: &mut Pool) -> Result<Stop, Broken> {
        let begun = self.moved;
        loop {
            if !self.flush(to, pool)? {
                // Nobody will read what a broken source sent, and nothing more will be told of it.
                return if self.failed { Err(Broken::Source) } else { Ok(Stop::Kernel) };
            }
            if self.finished {
                return if self.failed { Err(Broken::Source) } else { Ok(Stop::Kernel) };
            }
            let moved = (self.moved - begun) as usize;
            if !self.readable {
                self.bulk &= moved == 0 || moved >= SMALL;
                return Ok(Stop::Kernel);
            }
            if moved >= SHARE {
                return Ok(Stop::Share);
            }
            let pipe = if self.bulk { pool.pipes.take() } else { None };
            match pipe {
                Some(pipe) => self.fill(pipe, from, pool)?,
                None => self.copy(from, to, pool)?,
            }
        }
    }

    /// Writes what is held. False: the destination is full.
    fn flush(&mut self, to: &OwnedFd, pool: &mut Pool) -> Result<bool, Broken> {
        loop {
            let left = match &self.held {
                Held::Nothing => return Ok(true),
                Held::Bytes(backlog) => backlog.bytes().len(),
                Held::Pipe(_, left) => *left as usize,
            };
            if left == 0 {
                self.release_empty(pool);
                return Ok(true);
            }
            if !self.writable {
                return Ok(false);
            }
            self.hurry(to);
            let written = match &mut self.held {
                Held::Bytes(backlog) => {
                    socket::write(to.as_fd(), backlog.bytes()).inspect(|written| backlog.written(*written))
                }
                Held::Pipe(pipe, left) => {
                    let written = socket::move_bytes(&pipe.reader, to, *left as usize);
                    written.inspect(|written| *left -= *written as u32)
                }
                Held::Nothing => Ok(0),
            };
            match written {
                // A write that fell short has filled the destination, and the kernel tells when there is room.
                Ok(written) if written < left => self.writable = matches!(self.held, Held::Pipe(..)) && written > 0,
                Ok(_) => {}
                Err(Errno::AGAIN) => self.writable = false,
                Err(_) => return Err(Broken::Destination),
            }
        }
    }

    /// Moves what the source has into a pipe.
    fn fill(&mut self, pipe: Pipe, from: &OwnedFd, pool: &mut Pool) -> Result<(), Broken> {
        match socket::move_bytes(from, &pipe.writer, CAPACITY) {
            Ok(0) => {
                pool.pipes.give_back(pipe);
                self.finished = true;
            }
            Ok(read) => {
                self.moved += read as u64;
                self.held = Held::Pipe(pipe, read as u32);
            }
            Err(Errno::AGAIN) => {
                pool.pipes.give_back(pipe);
                self.readable = false;
            }
            Err(_) => {
                pool.pipes.give_back(pipe);
                return Err(Broken::Source);
            }
        }
        Ok(())
    }

    /// Reads once and writes it.
    fn copy(&mut self, from: &OwnedFd, to: &OwnedFd, pool: &mut Pool) -> Result<(), Broken> {
        let room = pool.backlogs.chunk();
        let buffer = &mut pool.scratch[..room];
        let read = match socket::read(from.as_fd(), buffer) {
            Ok(read) => read,
            Err(Errno::AGAIN) => {
                self.readable = false;
                return Ok(());
            }
            Err(_) => return Err(Broken::Source),
        };
        self.moved += read as u64;
        if read < room && !self.urgent {
            self.readable = false;
            self.finished = self.hung_up;
        }
        self.finished |= read == 0;
        self.bulk = read == room;
        let bytes = &buffer[..read];
        let written = if self.writable && read > 0 {
            self.hurry(to);
            match socket::write(to.as_fd(), bytes) {
                Ok(written) => written,
                Err(Errno::AGAIN) => 0,
                Err(_) => return Err(Broken::Destination),
            }
        } else {
            0
        };
        if written < read {
            self.writable = false;
            self.held = Held::Bytes(pool.backlogs.keep(&bytes[written..]));
        }
        Ok(())
    }

    fn release_empty(&mut self, pool: &mut Pool) {
        match std::mem::replace(&mut self.held, Held::Nothing) {
            Held::Nothing => {}
            Held::Bytes(backlog) => pool.backlogs.give_back(backlog),
            Held::Pipe(pipe, _) => pool.pipes.give_back(pipe),
        }
    }

    pub(super) fn release(&mut self, pool: &mut Pool) {
        if let Held::Pipe(_, 1..) = self.held {
            if let Held::Pipe(pipe, _) = std::mem::replace(&mut self.held, Held::Nothing) {
                pool.pipes.discard(pipe);
            }
        } else {
            self.release_empty(pool);
        }
    }
}
