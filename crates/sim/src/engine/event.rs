use super::slab::{GENERATION_BITS, Key};

/// What an event is about; at equal times lower ones come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// The next step of the faults' timeline.
    Fault,
    /// A map is drawn.
    Map,
    /// A front tier's samples are due.
    Sample,
    /// A sample is at its node.
    SampleAt,
    /// A sample's answer is back.
    SampleDone,
    /// A node's checks are due.
    Probe,
    /// A check's answer is back.
    ProbeDone,
    /// A load's next request is due.
    Load,
    /// A flow is at its edge.
    Open,
    /// A SYN is at its node.
    Syn,
    /// The answer to a SYN is back.
    SynDone,
    /// A connection's own timer.
    ConnectTimer,
    /// A request is at its node.
    Arrive,
    /// A target has done a request's work.
    Finish,
    /// An answer is at its client.
    Answered,
    /// A client gives a request up, or is told that it failed.
    Fail,
    /// A session's next request is due.
    Next,
}

const KINDS: [Kind; 17] = [
    Kind::Fault,
    Kind::Map,
    Kind::Sample,
    Kind::SampleAt,
    Kind::SampleDone,
    Kind::Probe,
    Kind::ProbeDone,
    Kind::Load,
    Kind::Open,
    Kind::Syn,
    Kind::SynDone,
    Kind::ConnectTimer,
    Kind::Arrive,
    Kind::Finish,
    Kind::Answered,
    Kind::Fail,
    Kind::Next,
];

/// An event in 64 bits, whose order is the canonical order of events at equal times: kind (5 bits), place (32),
/// generation (19), detail (8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Event(u64);

impl Event {
    pub(super) const fn new(kind: Kind, key: Key) -> Self {
        Self::with(kind, key, 0)
    }

    pub(super) const fn of(kind: Kind, index: u32) -> Self {
        Self::new(kind, Key { index, generation: 0 })
    }

    pub(super) const fn with(kind: Kind, key: Key, detail: u8) -> Self {
        let place = (key.index as u64) << (GENERATION_BITS + 8);
        Self(((kind as u64) << 59) | place | ((key.generation as u64) << 8) | detail as u64)
    }

    pub(super) const fn kind(self) -> Kind {
        KINDS[(self.0 >> 59) as usize]
    }

    pub(super) const fn key(self) -> Key {
        Key {
            index: (self.0 >> (GENERATION_BITS + 8)) as u32,
            generation: ((self.0 >> 8) as u32) & ((1 << GENERATION_BITS) - 1),
        }
    }

    pub(super) const fn detail(self) -> u8 {
        self.0 as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_gives_back_what_was_put_in() {
        for (i, kind) in KINDS.into_iter().enumerate() {
            assert_eq!(kind as usize, i);
            for key in
                [Key { index: 0, generation: 0 }, Key { index: u32::MAX, generation: (1 << GENERATION_BITS) - 1 }]
            {
                let event = Event::with(kind, key, 0xa5);
                assert_eq!((event.kind(), event.key(), event.detail()), (kind, key, 0xa5));
            }
        }
    }
}
