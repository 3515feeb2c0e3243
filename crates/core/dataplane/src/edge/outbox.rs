use perigee_health::Evidence;

use super::Refusal;
use super::connection::ATTEMPTS_MAX;

/// Messages of one connection in its whole life at most: each attempt begins once, ends with evidence at most once,
/// and is used or abandoned at most once; and one refusal.
const MESSAGES_MAX: usize = 3 * ATTEMPTS_MAX + 1;

/// An [`Output`](super::Output) that the driver has not taken yet, with numbers for what the connection knows.
#[derive(Clone, Copy, Debug)]
pub(super) enum Message {
    Connect { attempt: u8 },
    Abandon { attempt: u8 },
    Use { attempt: u8 },
    Refuse(Refusal),
    Evidence { attempt: u8, evidence: Evidence },
}

/// What a connection has to say, first in, first out.
///
/// A connection lives shortly and says little, so a place is never used twice and nothing is allocated.
#[derive(Debug)]
pub(super) struct Outbox {
    messages: [Message; MESSAGES_MAX],
    written: u8,
    read: u8,
}

impl Default for Outbox {
    fn default() -> Self {
        Self { messages: [Message::Connect { attempt: 0 }; MESSAGES_MAX], written: 0, read: 0 }
    }
}

impl Outbox {
    /// Panics beyond [`MESSAGES_MAX`], which no connection reaches.
    pub(super) const fn push(&mut self, message: Message) {
        self.messages[self.written as usize] = message;
        self.written += 1;
    }

    pub(super) const fn pop(&mut self) -> Option<Message> {
        if self.read == self.written {
            return None;
        }
        let message = self.messages[self.read as usize];
        self.read += 1;
        Some(message)
    }
}
