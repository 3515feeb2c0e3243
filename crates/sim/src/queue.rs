//! The events to come, in the one order that every run of a scenario shares.

mod chunks;
#[cfg(test)]
mod tests;
mod wheel;

use perigee_model::Instant;

use wheel::{Wheel, below};

/// The front takes heaps of up to about this many events as they are: a short sort costs no more than one more move of
/// each. From 32 to 128 no difference could be measured.
const SMALL: usize = 128;

/// Beyond this many events the front gives its far ones back to the wheel, so that an insertion stays short.
const LONG: usize = 2 * SMALL;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry<T> {
    at: u64,
    event: T,
}

/// Events by time, for a simulation: nothing is ever put before what was last taken.
///
/// The order does not depend on the order of insertion:
///
/// - An earlier event is before a later one.
/// - Events of one time come in *rounds*. The first round is all those put in before the first of them was taken. What
///   is put in at the current time while a round is taken belongs to the next round, which begins when the present one
///   is used up. So an event that an event causes at once comes after everything that was already due.
/// - Within a round the event's own order decides. Two events that compare as equal should be equal in everything:
///   which of them is first is not said. [`Self::contrary`] helps to find those that are not.
///
/// The next events, sorted, are the *front*; it covers a range of times that begins at or before now. Later ones lie in
/// a radix heap and are moved at most a few times before the front takes them, some hundred at once. A put and a take
/// are O(1) but for that sorting, and nothing is allocated while no more events wait than ever before. At a million
/// waiting events this does many times the work of the standard library's binary heap (`cargo xtask bench sim`).
///
/// Source: Perigee's choice. The radix heap is that of Ahuja, Mehlhorn, Orlin and Tarjan ("Faster algorithms for the
/// shortest path problem", 1990), the sorted front that of the ladder queue (Tang, Goh and Thng, 2005).
#[derive(Clone, Debug)]
pub struct Queue<T> {
    /// Time of the event last taken.
    now: u64,
    /// All events from now to `front_ends`, except the next round; the least is last.
    front: Vec<Entry<T>>,
    /// The last time that the front covers: `base` and all bits below the digit of `level`.
    front_ends: u64,
    base: u64,
    level: usize,
    /// Put in at the current time since it became current, in no order.
    next_round: Vec<T>,
    wheel: Wheel<T>,
    contrary: bool,
}

impl<T: Copy + Ord> Queue<T> {
    /// An empty queue at [`Instant::START`].
    pub fn new() -> Self {
        Self {
            now: 0,
            front: Vec::new(),
            front_ends: 0,
            base: 0,
            level: 0,
            next_round: Vec::new(),
            wheel: Wheel::new(),
            contrary: false,
        }
    }

    /// An empty queue that hands events to its sort in the reverse order, and puts an event on the other side of those
    /// that compare as equal. A run with it must give the same trace as one with [`Self::new`]; if it does not, the
    /// order of insertion has had a say.
    pub fn contrary() -> Self {
        Self { contrary: true, ..Self::new() }
    }

    /// Events that wait.
    pub fn len(&self) -> usize {
        self.front.len() + self.next_round.len() + self.wheel.len()
    }

    /// Whether no event waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts in an event.
    ///
    /// An event before the time of the one last taken is a mistake of the caller: a debug build panics, a release
    /// build takes it as one of the current time. Panics also when about 2^32 events wait.
    #[inline]
    pub fn push(&mut self, at: Instant, event: T) {
        let at = at.as_nanos();
        debug_assert!(at >= self.now, "an event at {at} ns, but it is {} ns already", self.now);
        let entry = Entry { at, event };
        if at > self.front_ends {
            self.wheel.push(self.base, entry);
        } else if at > self.now {
            self.insert(entry);
        } else {
            self.next_round.push(event);
        }
    }

    /// The time of the event that [`Self::pop`] would give.
    pub fn next_time(&mut self) -> Option<Instant> {
        let next = if self.next_round.is_empty() {
            self.front.last().map(|entry| entry.at).or_else(|| self.wheel.least())
        } else {
            Some(self.now)
        };
        next.map(Instant::from_nanos)
    }

    /// Takes the next event. Its time is the current one from then on.
    #[inline]
    pub fn pop(&mut self) -> Option<(Instant, T)> {
        if !self.next_round.is_empty() && self.front.last().is_none_or(|entry| entry.at != self.now) {
            self.begin_round();
        }
        if self.front.is_empty() {
            self.refill();
        }
        let Entry { at, event } = self.front.pop()?;
        self.now = at;
        Some((Instant::from_nanos(at), event))
    }

    fn begin_round(&mut self) {
        if self.contrary {
            self.next_round.reverse();
        }
        self.next_round.sort_unstable_by(|a, b| b.cmp(a));
        self.front.extend(self.next_round.drain(..).map(|event| Entry { at: self.now, event }));
    }

    /// Fills the empty front with the wheel's first events.
    fn refill(&mut self) {
        let Some((base, level)) = self.wheel.take(SMALL, &mut self.front) else { return };
        self.cover(base, level);
        if self.contrary {
            self.front.reverse();
        }
        self.front.sort_unstable_by(|a, b| b.cmp(a));
    }

    fn insert(&mut self, entry: Entry<T>) {
        let place = if self.contrary {
            self.front.partition_point(|other| *other >= entry)
        } else {
            self.front.partition_point(|other| *other > entry)
        };
        self.front.insert(place, entry);
        if self.front.len() > LONG {
            self.split();
        }
    }

    /// Gives the later events of the front back to the wheel, by as many levels as it takes. Not below the level where
    /// the front covers only the current time: no event can be inserted there.
    #[cold]
    fn split(&mut self) {
        let mut level = self.level;
        let mut later = 0;
        while level > 0 && self.front.len() - later > SMALL {
            level -= 1;
            let ends = self.now | below(level);
            later = self.front.partition_point(|entry| entry.at > ends);
        }
        self.cover(self.now & !below(level), level);
        for entry in self.front.drain(..later) {
            self.wheel.push(self.base, entry);
        }
    }

    fn cover(&mut self, base: u64, level: usize) {
        self.base = base;
        self.front_ends = base | below(level);
        self.level = level;
    }

    /// How many events there is room for.
    #[cfg(test)]
    fn capacity(&self) -> [usize; 3] {
        [self.front.capacity(), self.next_round.capacity(), self.wheel.capacity()]
    }
}

impl<T: Copy + Ord> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}
