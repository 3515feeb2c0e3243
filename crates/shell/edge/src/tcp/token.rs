//! What epoll gives back with an event.

/// Whom an event is about: 32 bits of index, 4 of role, 28 of generation.
///
/// The generation makes an event that was on its way when its flow ended nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token(u64);

/// Which socket of a flow: the client's, or that of an attempt, which later is the endpoint's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Client,
    /// The attempt's number, 0 to 13.
    Attempt(u8),
}

/// A token, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// The mailbox has something.
    Mailbox,
    /// The listener of this index.
    Listener(u32),
    /// A flow's socket.
    Flow { index: u32, generation: u32, role: Role },
}

const OTHER: u64 = 15;
const GENERATION: u32 = (1 << 28) - 1;

impl Token {
    /// The mailbox's.
    pub(super) const MAILBOX: Self = Self(OTHER << 32 | u32::MAX as u64);

    /// A listener's.
    pub(super) const fn listener(index: u32) -> Self {
        Self(OTHER << 32 | index as u64)
    }

    /// A flow's socket's; of the generation the low 28 bits count.
    pub(super) const fn flow(index: u32, generation: u32, role: Role) -> Self {
        let role = match role {
            Role::Client => 0,
            Role::Attempt(number) => 1 + number as u64,
        };
        Self(((generation & GENERATION) as u64) << 36 | role << 32 | index as u64)
    }

    /// A token as epoll gave it back.
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// What epoll is to give back.
    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    /// Reads it.
    pub(super) const fn subject(self) -> Subject {
        let (index, role) = (self.0 as u32, self.0 >> 32 & 15);
        let generation = (self.0 >> 36) as u32;
        match role {
            OTHER if index == u32::MAX => Subject::Mailbox,
            OTHER => Subject::Listener(index),
            0 => Subject::Flow { index, generation, role: Role::Client },
            attempt => Subject::Flow { index, generation, role: Role::Attempt(attempt as u8 - 1) },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_token_says_what_it_was_made_of(index: u32, generation in 0..=GENERATION, attempt in 0u8..14) {
            for role in [Role::Client, Role::Attempt(attempt)] {
                let token = Token::from_bits(Token::flow(index, generation, role).bits());
                prop_assert_eq!(token.subject(), Subject::Flow { index, generation, role });
            }
        }
    }

    #[test]
    fn the_mailbox_and_the_listeners_are_no_flows() {
        assert_eq!(Token::MAILBOX.subject(), Subject::Mailbox);
        assert_eq!(Token::listener(7).subject(), Subject::Listener(7));
    }
}
