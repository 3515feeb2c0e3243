//! When each flow of a worker wants to be looked at again.

use perigee_model::Instant;

/// How exact a time is: never early, at most so much late (Perigee's choice; the shortest time is a stagger of 200 ms).
const TICK_NS: u64 = 8_000_000;
/// Slots of a ring.
const SLOTS: u64 = 256;
const NONE: u32 = u32::MAX;

/// One time per number, in two rings of slots: the near ring has a slot per tick for the next 2 seconds, the far ring
/// one per 2 seconds for the next 8 minutes, whose entries go over to the near ring when their slot comes; what is
/// later still goes round once more. A slot is a list through the entries themselves, so setting, moving and
/// cancelling are a few writes, whatever the number of flows.
///
/// Source: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", 1987, scheme 7.
#[derive(Debug)]
pub(super) struct Timers {
    heads: Box<[u32]>,
    /// A bit per slot that holds something.
    filled: [u64; 8],
    links: Vec<Link>,
    /// The tick that has been handled.
    now: u64,
    armed: usize,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    /// The tick it is due at.
    due: u64,
    previous: u32,
    next: u32,
    /// Its slot: near ones first, then far ones; [`NONE`] if it is not set.
    slot: u32,
}

impl Timers {
    /// None set, at `now`.
    pub(super) fn new(now: Instant) -> Self {
        let heads = vec![NONE; 2 * SLOTS as usize].into();
        Self { heads, filled: [0; 8], links: Vec::new(), now: now.as_nanos() / TICK_NS, armed: 0 }
    }

    /// Sets or moves the time of `id`. A time that is past is the next tick after the last [`Self::advance`].
    pub(super) fn set(&mut self, id: u32, at: Instant) {
        self.cancel(id);
        if self.links.len() <= id as usize {
            self.links.resize(id as usize + 1, Link { due: 0, previous: NONE, next: NONE, slot: NONE });
        }
        self.armed += 1;
        self.links[id as usize].due = at.as_nanos().div_ceil(TICK_NS).max(self.now + 1);
        self.place(id);
    }

    /// Withdraws the time of `id`, if it has one.
    pub(super) fn cancel(&mut self, id: u32) {
        if self.links.get(id as usize).is_some_and(|link| link.slot != NONE) {
            self.unlink(id);
            self.armed -= 1;
        }
    }

    /// Moves to `now` and puts the numbers whose time has come into `due`, each once; their times are withdrawn.
    pub(super) fn advance(&mut self, now: Instant, due: &mut Vec<u32>) {
        let target = now.as_nanos() / TICK_NS;
        while self.now < target {
            if self.armed == 0 {
                self.now = target;
                return;
            }
            self.now += 1;
            if self.now.is_multiple_of(SLOTS) {
                self.cascade();
            }
            let slot = (self.now % SLOTS) as u32;
            while self.heads[slot as usize] != NONE {
                let id = self.heads[slot as usize];
                self.unlink(id);
                self.armed -= 1;
                due.push(id);
            }
        }
    }

    /// When [`Self::advance`] has something to do next. It may be only to move entries.
    pub(super) fn next(&self) -> Option<Instant> {
        if self.armed == 0 {
            return None;
        }
        let near = (1..SLOTS).map(|n| self.now + n).find(|tick| self.is_filled((tick % SLOTS) as u32));
        let block = self.now / SLOTS;
        let far = (1..SLOTS).map(|n| block + n).find(|b| self.is_filled((SLOTS + b % SLOTS) as u32));
        let tick = near.into_iter().chain(far.map(|block| block * SLOTS)).min()?;
        Some(Instant::from_nanos(tick * TICK_NS))
    }

    /// Puts an entry into the slot of its time.
    fn place(&mut self, id: u32) {
        let due = self.links[id as usize].due;
        let slot = if due - self.now < SLOTS {
            due % SLOTS
        } else {
            SLOTS + (due / SLOTS).min(self.now / SLOTS + SLOTS - 1) % SLOTS
        };
        self.link(id, slot as u32);
    }

    /// Moves what is due in the present block of ticks from the far ring to the near one.
    fn cascade(&mut self) {
        let block = self.now / SLOTS;
        let slot = (SLOTS + block % SLOTS) as usize;
        let mut id = self.heads[slot];
        while id != NONE {
            let Link { due, next, .. } = self.links[id as usize];
            self.unlink(id);
            if due / SLOTS == block {
                self.link(id, (due % SLOTS) as u32);
            } else {
                self.place(id);
            }
            id = next;
        }
    }

    fn link(&mut self, id: u32, slot: u32) {
        let next = std::mem::replace(&mut self.heads[slot as usize], id);
        let link = &mut self.links[id as usize];
        (link.previous, link.next, link.slot) = (NONE, next, slot);
        if next != NONE {
            self.links[next as usize].previous = id;
        }
        self.filled[slot as usize / 64] |= 1 << (slot % 64);
    }

    fn unlink(&mut self, id: u32) {
        let link = &mut self.links[id as usize];
        let Link { previous, next, slot, .. } = *link;
        link.slot = NONE;
        if next != NONE {
            self.links[next as usize].previous = previous;
        }
        if previous == NONE {
            self.heads[slot as usize] = next;
        } else {
            self.links[previous as usize].next = next;
        }
        if self.heads[slot as usize] == NONE {
            self.filled[slot as usize / 64] &= !(1 << (slot % 64));
        }
    }

    const fn is_filled(&self, slot: u32) -> bool {
        self.filled[slot as usize / 64] >> (slot % 64) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const LATE: Duration = Duration::from_nanos(TICK_NS);

    #[derive(Clone, Debug)]
    enum Step {
        Set(u32, u64),
        Cancel(u32),
        Pass(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let far = prop_oneof![0u64..50, 0u64..3_000, 0u64..1_500_000];
        prop_oneof![
            4 => (0u32..40, far).prop_map(|(id, ms)| Step::Set(id, ms)),
            1 => (0u32..40).prop_map(Step::Cancel),
            3 => prop_oneof![0u64..20, 0u64..3_000, 0u64..700_000].prop_map(Step::Pass),
        ]
    }

    proptest! {
        #[test]
        fn nobody_is_called_early_late_or_twice(begin in 0u64..10_000_000, steps in proptest::collection::vec(step(), 1..80)) {
            let at = |ms: u64| Instant::START + Duration::from_millis(ms);
            let mut now = begin;
            let (mut timers, mut expected) = (Timers::new(at(now)), BTreeMap::<u32, u64>::new());
            for step in steps {
                match step {
                    Step::Set(id, ms) => {
                        timers.set(id, at(now + ms));
                        expected.insert(id, now + ms);
                    }
                    Step::Cancel(id) => {
                        timers.cancel(id);
                        expected.remove(&id);
                    }
                    Step::Pass(ms) => now += ms,
                }
                let mut due = Vec::new();
                timers.advance(at(now), &mut due);
                for id in due {
                    let time = expected.remove(&id);
                    prop_assert!(time.is_some_and(|time| time <= now), "{id} early or twice: {time:?} at {now}");
                }
                for (id, time) in &expected {
                    prop_assert!(at(*time) + LATE > at(now), "{id} is late: {time} at {now}");
                }
                let next = timers.next();
                prop_assert_eq!(next.is_some(), !expected.is_empty());
                let first = expected.values().min();
                prop_assert!(next.is_none_or(|next| next > at(now)), "{next:?} is past");
                prop_assert!(next.zip(first).is_none_or(|(next, first)| next <= at(*first) + LATE));
            }
        }
    }
}
