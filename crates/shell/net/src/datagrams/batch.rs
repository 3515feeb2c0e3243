use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use super::name::{Control, Local, Name};
use super::outgoing::{Outgoing, Sent};
use super::sys::{self, Headers};
use super::{DatagramSocket, StopReceiver};

/// Datagrams received with one call (Perigee's choice; more brings nothing measurable).
pub const MAX_BATCH: usize = 64;
/// Octets of a datagram that are read; what is longer is cut.
pub const MAX_QUERY: usize = 4_096;
/// Octets that an answer may have.
pub const MAX_ANSWER: usize = 1_232;
/// From one buffer to the next: one cache line more than a power of two, or all beginnings would share a few lines of
/// the cache.
const STRIDE: usize = MAX_QUERY + 64;

/// Datagrams received together, and their answers. Made once per thread; nothing is allocated afterwards.
pub struct DatagramBatch {
    headers: Headers,
    buffers: Box<[u8]>,
    names: Box<[Name]>,
    controls: Box<[Control]>,
    lens: Box<[usize]>,
    received: usize,
    outgoing: Outgoing,
}

impl DatagramBatch {
    /// An empty batch.
    #[allow(clippy::new_without_default, reason = "half a megabyte is allocated on purpose")]
    pub fn new() -> Self {
        Self {
            headers: Headers::new(MAX_BATCH),
            buffers: vec![0; MAX_BATCH * STRIDE].into(),
            names: vec![Name::EMPTY; MAX_BATCH].into(),
            controls: vec![Control::EMPTY; MAX_BATCH].into(),
            lens: vec![0; MAX_BATCH].into(),
            received: 0,
            outgoing: Outgoing::new(),
        }
    }

    /// Waits until `socket` has something, or `stop` is given. False if it woke up for another reason.
    ///
    /// Errors: those of `poll`.
    pub fn wait(&self, socket: &DatagramSocket, stop: &StopReceiver) -> io::Result<bool> {
        sys::wait(socket.as_fd(), Some(stop.as_fd()), false, None)
    }

    /// Receives what waits at `socket`, at most [`MAX_BATCH`] datagrams, and forgets the batch before. Gives how many.
    ///
    /// Errors: those of `recvmmsg`; `WouldBlock` if nothing waits.
    pub fn receive(&mut self, socket: &DatagramSocket) -> io::Result<usize> {
        self.received = 0;
        let controls = if socket.wildcard() { &mut self.controls[..] } else { &mut [] };
        let room = (STRIDE, MAX_QUERY);
        let (names, lens) = (&mut self.names, &mut self.lens);
        self.received = self.headers.receive(socket.as_fd(), &mut self.buffers, room, names, controls, lens)?;
        Ok(self.received)
    }

    /// The datagrams received.
    pub fn received(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.received).map(|i| &self.buffers[i * STRIDE..i * STRIDE + self.lens[i]])
    }

    /// Asks `answer` for the answer to each datagram received, to be written to the beginning of the octets it is
    /// given; it says how many, or none for no answer.
    pub fn answer_each(
        &mut self,
        socket: &DatagramSocket,
        mut answer: impl FnMut(&[u8], SocketAddr, &mut [u8; MAX_ANSWER]) -> Option<usize>,
    ) {
        self.outgoing.clear();
        for i in 0..self.received {
            let Some(client) = self.names[i].address() else { continue };
            let query = &self.buffers[i * STRIDE..i * STRIDE + self.lens[i]];
            let local = if socket.wildcard() { self.controls[i].local() } else { Local::Bound };
            self.outgoing.push(&self.names[i], local, |room| answer(query, client, room));
        }
    }

    /// In place of answers, `count` datagrams of our own to `to`, each written by `write` as an answer would be: what a
    /// client sends.
    pub fn compose(
        &mut self,
        to: SocketAddr,
        count: usize,
        mut write: impl FnMut(&mut [u8; MAX_ANSWER]) -> Option<usize>,
    ) {
        self.outgoing.clear();
        let name = Name::of(to);
        for _ in 0..count.min(MAX_BATCH) {
            self.outgoing.push(&name, Local::Bound, &mut write);
        }
    }

    /// The datagrams received and who sent them, for somebody else to answer; the batch is empty then.
    pub fn take(&mut self) -> impl Iterator<Item = (Vec<u8>, SocketAddr)> {
        let received = std::mem::take(&mut self.received);
        let of = |i: usize| (self.buffers[i * STRIDE..i * STRIDE + self.lens[i]].to_vec(), self.names[i].address());
        (0..received).map(of).filter_map(|(datagram, client)| client.map(|client| (datagram, client)))
    }

    /// Sends the answers. What a full socket buffer holds up is waited for, `patience` at most; then it is dropped.
    pub fn send(&mut self, socket: &DatagramSocket, patience: Duration) -> Sent {
        self.outgoing.send(socket.as_fd(), &mut self.headers, patience)
    }

    /// From now on answers are sent one by one, as a kernel without `UDP_SEGMENT` needs it.
    pub fn without_segments(&mut self) {
        self.outgoing.segments = false;
    }

    /// Whether answers of one size to one client leave together.
    pub const fn uses_segments(&self) -> bool {
        self.outgoing.segments
    }

    /// Sends the first answer somewhere else.
    #[cfg(test)]
    pub(super) fn redirect_first(&mut self, to: SocketAddr) {
        self.outgoing.redirect_first(to);
    }
}
