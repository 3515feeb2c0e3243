use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::libc;

use super::batch::{MAX_ANSWER, MAX_BATCH};
use super::name::{Control, Local, Name};
use super::sys::{self, Headers, Message};

/// Places of the table that finds answers of one group; twice the answers, so that a search is short.
const PLACES: usize = 2 * MAX_BATCH;
/// Octets of the payload that is cut into segments: below what an IPv4 packet holds (65,507).
const MAX_SEGMENTED: usize = 65_000;

/// What became of the answers of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// How many left.
    pub answers: usize,
    /// How many could not be sent: the peer is unreachable, or the socket's buffer stayed full.
    pub lost: usize,
}

/// An answer: where it lies, whom it goes to, and the next of its group.
#[derive(Clone, Copy, Debug)]
struct Answer {
    offset: usize,
    len: usize,
    name: Name,
    local: Local,
    /// Position of the next answer to the same client of the same length; [`NONE`] for the last.
    next: u8,
    /// In the first of a group, position of its last.
    last: u8,
    /// Whether another one leads its group.
    follows: bool,
}

const NONE: u8 = u8::MAX;

/// Answers in their order of arrival, and the messages made of them.
pub(super) struct Outgoing {
    pub(super) segments: bool,
    octets: Box<[u8]>,
    used: usize,
    answers: Vec<Answer>,
    /// By hash of client and length, the first answer of the group.
    groups: [u8; PLACES],
    /// The answers' octets, those of a message one behind the other.
    parts: Vec<(usize, usize)>,
    messages: Vec<Message>,
}

impl Outgoing {
    pub(super) fn new() -> Self {
        Self {
            segments: true,
            octets: vec![0; MAX_BATCH * MAX_ANSWER].into(),
            used: 0,
            answers: Vec::with_capacity(MAX_BATCH),
            groups: [NONE; PLACES],
            parts: Vec::with_capacity(MAX_BATCH),
            messages: Vec::with_capacity(MAX_BATCH),
        }
    }

    pub(super) fn clear(&mut self) {
        self.used = 0;
        self.answers.clear();
        self.groups.fill(NONE);
    }

    pub(super) fn push(
        &mut self,
        name: &Name,
        local: Local,
        write: impl FnOnce(&mut [u8; MAX_ANSWER]) -> Option<usize>,
    ) {
        let Some(room) = self.octets.get_mut(self.used..).and_then(|rest| rest.first_chunk_mut()) else { return };
        let Some(len) = write(room).filter(|len| (1..=MAX_ANSWER).contains(len)) else { return };
        let position = self.answers.len() as u8;
        let mut answer =
            Answer { offset: self.used, len, name: *name, local, next: NONE, last: position, follows: false };
        if self.segments {
            answer.follows = self.join(&answer, position);
        }
        self.used += len;
        self.answers.push(answer);
    }

    /// Hangs the answer at `position` on the end of its group, or makes it the first of one. Whether it follows another.
    fn join(&mut self, answer: &Answer, position: u8) -> bool {
        let mut place = (answer.name.hash() ^ answer.len as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 57;
        loop {
            let head = self.groups[place as usize];
            let Some(first) = self.answers.get(usize::from(head)).copied() else {
                self.groups[place as usize] = position;
                return false;
            };
            if first.len == answer.len && first.name == answer.name && first.local == answer.local {
                self.answers[usize::from(first.last)].next = position;
                self.answers[usize::from(head)].last = position;
                return true;
            }
            // There are more places than answers, so a free one is found.
            place = (place + 1) % PLACES as u64;
        }
    }

    pub(super) fn send(&mut self, socket: BorrowedFd<'_>, headers: &mut Headers, patience: Duration) -> Sent {
        let mut sent = Sent::default();
        self.plan();
        let mut next = 0;
        let mut waited = false;
        let mut repeats = 0;
        // A group was refused; whether because it is one, its first answer alone will show.
        let mut suspect = false;
        while next < self.messages.len() {
            // The messages count their parts from the first of all, so the parts stay whole.
            match headers.send(socket, &self.messages[next..], &self.parts, &self.octets) {
                Ok(count) => {
                    let left = self.messages[next..next + count].iter();
                    sent.answers += left.map(|message| message.parts).sum::<usize>();
                    next += count.max(1);
                    waited = false;
                    self.segments &= !suspect;
                    suspect = false;
                }
                Err(error) => match self.verdict(&error, next, waited) {
                    Verdict::Again if repeats < MAX_BATCH => repeats += 1,
                    Verdict::Wait => {
                        waited = true;
                        // A failure to wait shows itself in the next attempt.
                        let _ = sys::wait(socket, None, true, Some(patience));
                    }
                    Verdict::OneByOne => {
                        self.split(next);
                        next = 0;
                        suspect = true;
                    }
                    Verdict::Again | Verdict::Lost => {
                        sent.lost += self.messages[next].parts;
                        next += 1;
                        suspect = false;
                    }
                },
            }
        }
        sent
    }

    /// Makes the messages: one of each group, or several where it is too long for one.
    fn plan(&mut self) {
        self.parts.clear();
        self.messages.clear();
        for first in &self.answers {
            if first.follows {
                continue;
            }
            let most = (MAX_SEGMENTED / first.len).max(1);
            let mut member = Some(first);
            while let Some(answer) = member {
                let mut control = Control::EMPTY;
                control.put_local(first.local);
                let mut message = Message { name: first.name, control, first_part: self.parts.len(), parts: 0 };
                while let Some(answer) = member.filter(|_| message.parts < most) {
                    self.parts.push((answer.offset, answer.len));
                    message.parts += 1;
                    member = self.answers.get(usize::from(answer.next));
                }
                if message.parts > 1 {
                    message.control.put_segment(answer.len as u16);
                }
                self.messages.push(message);
            }
        }
    }

    /// Makes a message of each part from the message at `from` on.
    fn split(&mut self, from: usize) {
        let mut single = Vec::with_capacity(MAX_BATCH);
        for message in &self.messages[from..] {
            for part in message.first_part..message.first_part + message.parts {
                let local = message.control.local();
                let mut control = Control::EMPTY;
                control.put_local(local);
                single.push(Message { name: message.name, control, first_part: part, parts: 1 });
            }
        }
        self.messages = single;
    }

    #[cfg(test)]
    pub(super) fn redirect_first(&mut self, to: std::net::SocketAddr) {
        if let (Some(first), std::net::SocketAddr::V4(to)) = (self.answers.first_mut(), to) {
            first.name.bytes[2..4].copy_from_slice(&to.port().to_be_bytes());
            first.name.bytes[4..8].copy_from_slice(&to.ip().octets());
        }
    }

    fn verdict(&self, error: &io::Error, at: usize, waited: bool) -> Verdict {
        let grouped = self.messages[at].parts > 1;
        match error.raw_os_error() {
            Some(libc::EINTR) => Verdict::Again,
            // The error of an earlier answer, which the kernel reports once in the place of this one.
            Some(libc::ECONNREFUSED) => Verdict::Again,
            Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) if !waited => Verdict::Wait,
            Some(libc::EINVAL | libc::EIO | libc::EMSGSIZE | libc::EOPNOTSUPP | libc::ENOPROTOOPT) if grouped => {
                Verdict::OneByOne
            }
            _ => Verdict::Lost,
        }
    }
}

/// What to do about a message that the kernel did not take.
enum Verdict {
    Again,
    Wait,
    OneByOne,
    Lost,
}
