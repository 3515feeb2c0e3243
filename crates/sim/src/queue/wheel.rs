//! Far events: heaps by the first digit in which an event's time differs from now.

use super::Entry;
use super::chunks::{Chunks, Heap};

/// Bits of a digit. Wider digits move an event less often and scatter it over more memory; 8 was measured to be a
/// little faster than 6.
const BITS: u32 = 8;
const DIGITS: usize = 1 << BITS;
const LEVELS: usize = (u64::BITS / BITS) as usize;
const WORDS: usize = DIGITS / u64::BITS as usize;

/// The bits of a time that are below the digit of this level.
pub(super) const fn below(level: usize) -> u64 {
    (1 << (level as u32 * BITS)) - 1
}

/// The level of the highest digit in which two times differ, given by their exclusive or; it must not be 0.
const fn level_of(difference: u64) -> usize {
    (difference.ilog2() / BITS) as usize
}

/// Events later than the front: a radix heap (Ahuja, Mehlhorn, Orlin and Tarjan, 1990) with eight digits of eight bits,
/// the same thing as a hierarchy of timing wheels (Varghese and Lauck, 1987).
///
/// Each event lies at the level of the highest digit in which its time differs from the base, in the heap of that
/// digit. So all of a lower level is before all of a higher one, and within a level lower digits are first. The base
/// may move to any time below the least event without moving one.
#[derive(Clone, Debug)]
pub(super) struct Wheel<T> {
    chunks: Chunks<Entry<T>>,
    heaps: Box<[[Heap; DIGITS]; LEVELS]>,
    occupied: [[u64; WORDS]; LEVELS],
    occupied_levels: u8,
    len: usize,
    /// The time of the least event, 0 if not known; no event here is that early.
    least: u64,
}

impl<T: Copy + Ord> Wheel<T> {
    /// A wheel with no event.
    pub(super) fn new() -> Self {
        Self {
            chunks: Chunks::new(),
            heaps: Box::new([[Heap::default(); DIGITS]; LEVELS]),
            occupied: [[0; WORDS]; LEVELS],
            occupied_levels: 0,
            len: 0,
            least: 0,
        }
    }

    /// Events here.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Takes an event that is later than `base`, the same base for all calls between two [`Self::take`].
    #[inline]
    pub(super) fn push(&mut self, base: u64, entry: Entry<T>) {
        self.put(level_of(entry.at ^ base), entry);
        self.len += 1;
        self.least = self.least.min(entry.at);
    }

    /// The time of the least event. Looks through one heap, once after each [`Self::take`].
    pub(super) fn least(&mut self) -> Option<u64> {
        let (level, digit) = self.lowest()?;
        if self.least == 0 {
            let times = self.chunks.slices(self.heaps[level][digit]).flatten().map(|entry| entry.at);
            self.least = times.min().unwrap_or(0);
        }
        Some(self.least)
    }

    /// Moves the first events to `out`, which is empty, in no order: all those of the returned range of times, which
    /// begins at the new base. About `most` of them, or more if they are all of one time. None if the wheel is empty.
    pub(super) fn take(&mut self, most: usize, out: &mut Vec<Entry<T>>) -> Option<(u64, usize)> {
        loop {
            let (mut level, digit) = self.lowest()?;
            let heap = self.empty(level, digit);
            let one = self.chunks.last(heap).map_or(0, |places| self.chunks.entry(places.start).at);
            if !self.chunks.is_small(heap, most) {
                let differences = self.chunks.slices(heap).flatten().map(|entry| entry.at ^ one);
                match differences.fold(0, |all, difference| all | difference) {
                    0 => level = 0,
                    difference => {
                        self.spread(heap, level_of(difference));
                        continue;
                    }
                }
            }
            self.chunks.slices(heap).for_each(|slice| out.extend_from_slice(slice));
            self.chunks.release(heap);
            self.len -= out.len();
            self.least = 0;
            return Some((one & !below(level), level));
        }
    }

    /// Moves a heap's events to a level, each to its digit there. Each event goes down at most once per level.
    fn spread(&mut self, heap: Heap, level: usize) {
        let mut rest = heap;
        while let Some(places) = self.chunks.last(rest) {
            for place in places {
                self.put(level, self.chunks.entry(place));
            }
            rest = self.chunks.release_last(rest);
        }
    }

    #[inline]
    fn put(&mut self, level: usize, entry: Entry<T>) {
        let digit = (entry.at >> (level as u32 * BITS)) as usize % DIGITS;
        let heap = &mut self.heaps[level][digit];
        if heap.is_empty() {
            self.occupied[level][digit / 64] |= 1 << (digit % 64);
            self.occupied_levels |= 1 << level;
        }
        self.chunks.push(heap, entry);
    }

    /// Level and digit of the heap that holds the first events.
    fn lowest(&self) -> Option<(usize, usize)> {
        let level = self.occupied_levels.trailing_zeros() as usize;
        let words = self.occupied.get(level)?;
        let word = words.iter().position(|word| *word != 0)?;
        Some((level, word * 64 + words[word].trailing_zeros() as usize))
    }

    /// Takes a heap out of its place, which is empty then.
    fn empty(&mut self, level: usize, digit: usize) -> Heap {
        let words = &mut self.occupied[level];
        words[digit / 64] &= !(1 << (digit % 64));
        if *words == [0; WORDS] {
            self.occupied_levels &= !(1 << level);
        }
        std::mem::take(&mut self.heaps[level][digit])
    }

    /// How many events there is room for.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.chunks.capacity()
    }
}
