use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use nix::libc;

use super::batch::MAX_BATCH;
use super::name::{Control, Name};
use super::sys::{Headers, Message};

/// Octets that a receive may give: any datagram, and as many as the kernel gives as one.
const ROOM: usize = 65_536;
/// From one buffer to the next, as for [`DatagramBatch`](super::DatagramBatch): one cache line more.
const STRIDE: usize = ROOM + 64;
/// Datagrams that leave as one message, at most: what every kernel with `UDP_SEGMENT` takes.
const MAX_SEGMENTS: usize = 64;
/// Octets of such a message: below what an IPv4 packet holds (65,507).
const MAX_SEGMENTED: usize = 65_000;

/// Datagrams to be passed on as they are: received together, sent together. Made once per thread, 4 MiB of which only
/// what is received is ever touched; nothing is allocated afterwards.
///
/// A *packet* is what one receive gives: a datagram, or several of one length that the kernel gives as one (`UDP_GRO`).
pub struct PacketBatch {
    headers: Headers,
    buffers: Box<[u8]>,
    names: Box<[Name]>,
    controls: Box<[Control]>,
    lens: Box<[usize]>,
    received: usize,
    parts: Vec<(usize, usize)>,
    messages: Vec<Message>,
    /// Of each message, its octets and the length of its datagrams.
    sizes: Vec<Size>,
    /// Room for the datagrams of a message that the kernel did not take as one.
    single: (Vec<(usize, usize)>, Vec<Message>),
}

/// Octets, and of how many each datagram is: datagrams sent as one are of one length, except for the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    octets: usize,
    each: usize,
}

impl Size {
    /// How many datagrams: one if there are no octets, for a datagram may be empty.
    const fn datagrams(self) -> usize {
        if self.each == 0 { 1 } else { self.octets.div_ceil(self.each) }
    }
}

/// What became of packets that were passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Datagrams that left.
    pub datagrams: u64,
    /// Octets of their payload.
    pub octets: u64,
    /// Datagrams that could not be sent: the buffer is full, there is no way, or they are too long for it.
    pub lost: u64,
    /// Whether ICMP has reported that nobody listens where an earlier datagram of the socket went to.
    pub refused: bool,
}

impl PacketBatch {
    /// An empty batch.
    #[allow(clippy::new_without_default, reason = "megabytes of addresses are taken on purpose")]
    pub fn new() -> Self {
        Self {
            headers: Headers::new(MAX_BATCH),
            buffers: vec![0; MAX_BATCH * STRIDE].into(),
            names: vec![Name::EMPTY; MAX_BATCH].into(),
            controls: vec![Control::EMPTY; MAX_BATCH].into(),
            lens: vec![0; MAX_BATCH].into(),
            received: 0,
            parts: Vec::with_capacity(MAX_BATCH),
            messages: Vec::with_capacity(MAX_BATCH),
            sizes: Vec::with_capacity(MAX_BATCH),
            single: (Vec::with_capacity(MAX_BATCH), Vec::with_capacity(MAX_BATCH)),
        }
    }

    /// Receives what waits at `socket` without waiting, `most` packets and never more than [`MAX_BATCH`], and forgets
    /// those before. Gives how many.
    ///
    /// Errors: those of `recvmmsg`. `WouldBlock`: nothing waits; `ConnectionRefused`: ICMP says that nobody listens at
    /// a connected socket's peer.
    pub fn receive(&mut self, socket: &impl AsFd, most: usize) -> io::Result<usize> {
        self.received = 0;
        let most = most.min(MAX_BATCH);
        self.received = self.headers.receive(
            socket.as_fd(),
            &mut self.buffers,
            (STRIDE, ROOM),
            &mut self.names[..most],
            &mut self.controls,
            &mut self.lens,
        )?;
        Ok(self.received)
    }

    /// Who sent the packet at `position`; none if the kernel did not say.
    pub fn source(&self, position: usize) -> Option<SocketAddr> {
        self.names[..self.received].get(position)?.address()
    }

    /// How many datagrams the packet at `position` is.
    pub fn datagrams(&self, position: usize) -> u64 {
        if position < self.received { self.size(position).datagrams() as u64 } else { 0 }
    }

    /// Sends the packets at `positions`, in this order and without waiting, to `to`, or to the peer of a connected
    /// socket. Positions beyond what was received are passed over.
    ///
    /// Datagrams of one length, one behind the other, leave as one message (`UDP_SEGMENT`), and one by one where that
    /// is refused. What does not fit into the socket's buffer is lost.
    pub fn forward(
        &mut self,
        socket: &impl AsFd,
        to: Option<SocketAddr>,
        positions: impl IntoIterator<Item = usize>,
    ) -> Passed {
        self.plan(to.map_or(Name::NONE, Name::of), positions);
        let mut passed = Passed::default();
        let mut next = 0;
        // An error of an earlier datagram is reported once in the place of this one.
        let mut repeats = self.messages.len() + 2;
        while next < self.messages.len() {
            match self.headers.send(socket.as_fd(), &self.messages[next..], &self.parts, &self.buffers) {
                Ok(count) => {
                    let count = count.max(1);
                    for size in &self.sizes[next..next + count] {
                        passed.sent(*size);
                    }
                    next += count;
                }
                Err(error) => match verdict(&error, self.messages[next].control.len > 0) {
                    Verdict::Again { refused } if repeats > 0 => {
                        passed.refused |= refused;
                        repeats -= 1;
                    }
                    Verdict::OneByOne => {
                        self.one_by_one(socket.as_fd(), next, &mut passed);
                        next += 1;
                    }
                    Verdict::Full => {
                        passed.lost += self.sizes[next..].iter().map(|size| size.datagrams() as u64).sum::<u64>();
                        break;
                    }
                    Verdict::Again { .. } | Verdict::Lost => {
                        passed.lost += self.sizes[next].datagrams() as u64;
                        next += 1;
                    }
                },
            }
        }
        passed
    }

    fn size(&self, position: usize) -> Size {
        let octets = self.lens[position];
        Size { octets, each: self.controls[position].segment().map_or(octets, usize::from) }
    }

    /// Makes the messages: a packet of several datagrams is one already, and packets of one length become one.
    fn plan(&mut self, name: Name, positions: impl IntoIterator<Item = usize>) {
        self.parts.clear();
        self.messages.clear();
        self.sizes.clear();
        // Whether the last message may grow: a shorter datagram can only be its last.
        let mut grows = false;
        for position in positions {
            if position >= self.received || self.parts.len() == MAX_BATCH {
                continue;
            }
            let size = self.size(position);
            let is_one = size.datagrams() == 1;
            self.parts.push((position * STRIDE, size.octets));
            if let (true, Some(message), Some(total)) =
                (grows && is_one, self.messages.last_mut(), self.sizes.last_mut())
                && (1..=total.each).contains(&size.octets)
                && message.parts < MAX_SEGMENTS
                && total.octets + size.octets <= MAX_SEGMENTED
            {
                message.parts += 1;
                total.octets += size.octets;
                grows = size.octets == total.each;
                continue;
            }
            self.messages.push(Message { name, control: Control::EMPTY, first_part: self.parts.len() - 1, parts: 1 });
            self.sizes.push(size);
            grows = is_one && size.octets > 0;
        }
        for (message, size) in self.messages.iter_mut().zip(&self.sizes) {
            if let (2.., Ok(each)) = (size.datagrams(), u16::try_from(size.each)) {
                message.control.put_segment(each);
            }
        }
    }

    /// Sends the datagrams of the message at `at` each by itself.
    fn one_by_one(&mut self, socket: BorrowedFd<'_>, at: usize, passed: &mut Passed) {
        let Message { name, first_part, parts, .. } = self.messages[at];
        let each = self.sizes[at].each.max(1);
        let (single_parts, single) = &mut self.single;
        for (offset, len) in &self.parts[first_part..first_part + parts] {
            let mut rest = (*offset..offset + len).step_by(each).map(|from| (from, each.min(offset + len - from)));
            loop {
                single_parts.clear();
                single_parts.extend(rest.by_ref().take(MAX_BATCH));
                if single_parts.is_empty() {
                    break;
                }
                single.clear();
                let message = |first_part| Message { name, control: Control::EMPTY, first_part, parts: 1 };
                single.extend((0..single_parts.len()).map(message));
                let mut next = 0;
                let mut repeats = single.len() + 2;
                while next < single.len() {
                    match self.headers.send(socket, &single[next..], single_parts, &self.buffers) {
                        Ok(count) => {
                            let count = count.max(1);
                            for (_, octets) in &single_parts[next..next + count] {
                                passed.sent(Size { octets: *octets, each: *octets });
                            }
                            next += count;
                        }
                        Err(error) => match verdict(&error, false) {
                            Verdict::Again { refused } if repeats > 0 => {
                                passed.refused |= refused;
                                repeats -= 1;
                            }
                            Verdict::Again { .. } | Verdict::Full | Verdict::Lost | Verdict::OneByOne => {
                                passed.lost += 1;
                                next += 1;
                            }
                        },
                    }
                }
            }
        }
    }
}

impl Passed {
    const fn sent(&mut self, size: Size) {
        self.datagrams += size.datagrams() as u64;
        self.octets += size.octets as u64;
    }
}

/// What to do about a message that the kernel did not take.
enum Verdict {
    Again { refused: bool },
    OneByOne,
    Full,
    Lost,
}

fn verdict(error: &io::Error, segmented: bool) -> Verdict {
    match error.raw_os_error() {
        Some(libc::EINTR) => Verdict::Again { refused: false },
        Some(libc::ECONNREFUSED) => Verdict::Again { refused: true },
        Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => Verdict::Full,
        Some(libc::EINVAL | libc::EIO | libc::EMSGSIZE | libc::EOPNOTSUPP | libc::ENOPROTOOPT) if segmented => {
            Verdict::OneByOne
        }
        _ => Verdict::Lost,
    }
}

#[cfg(test)]
mod tests;
