//! Heaps of entries without order, all in one block of memory.

/// Entries per chunk. 32 of 16 bytes are eight cache lines: long enough to be read in order, short enough that a
/// thousand half-empty chunks do not matter.
const CHUNK: usize = 32;

/// No chunk is free.
const NONE: u32 = u32::MAX;

/// Where a heap ends: one past its last entry. 0 is the empty heap; a multiple of the chunk's length is a heap whose
/// last chunk is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Heap(u32);

impl Heap {
    /// Whether nothing is in it.
    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    const fn last_chunk(self) -> usize {
        (self.0 as usize - 1) / CHUNK
    }
}

/// Owner of all heaps: chunks of entries, each with the heap's end before it was begun.
///
/// A chunk that has been read goes to the next heap that needs one, while it is still in the cache. So the memory is
/// that of the most entries there have ever been at once, whichever heaps they were in, and nothing is allocated below
/// that. A vector per heap would keep the largest size each has ever had, and grow all of them one by one.
#[derive(Clone, Debug)]
pub(super) struct Chunks<T> {
    entries: Vec<T>,
    before: Vec<u32>,
    free: u32,
}

impl<T: Copy> Chunks<T> {
    /// No heap yet.
    pub(super) const fn new() -> Self {
        Self { entries: Vec::new(), before: Vec::new(), free: NONE }
    }

    /// Adds an entry. Panics when there are more than 2^32 entries.
    #[inline]
    pub(super) fn push(&mut self, heap: &mut Heap, entry: T) {
        let at = if (heap.0 as usize).is_multiple_of(CHUNK) { self.begin(*heap, entry) } else { heap.0 };
        self.entries[at as usize] = entry;
        heap.0 = at + 1;
    }

    /// A chunk after the full ones of `heap`; the place of its first entry.
    fn begin(&mut self, heap: Heap, filler: T) -> u32 {
        if self.free == NONE {
            self.grow(filler);
        }
        let chunk = self.free as usize;
        self.free = std::mem::replace(&mut self.before[chunk], heap.0);
        (chunk * CHUNK) as u32
    }

    /// One more free chunk. What is in it is never read before it is written; `filler` is only there to be something.
    #[cold]
    fn grow(&mut self, filler: T) {
        let length = self.entries.len() + CHUNK;
        assert!(u32::try_from(length).is_ok(), "a queue holds at most 2^32 events");
        self.entries.resize(length, filler);
        self.free = self.before.len() as u32;
        self.before.push(NONE);
    }

    /// Whether the heap holds no more than about `most` entries, to within one chunk.
    pub(super) fn is_small(&self, heap: Heap, most: usize) -> bool {
        let mut rest = heap;
        for _ in 0..most / CHUNK {
            if rest.is_empty() {
                return true;
            }
            rest = self.rest(rest);
        }
        rest.is_empty()
    }

    /// The entries, a chunk at a time, the last chunk first.
    pub(super) fn slices(&self, heap: Heap) -> impl Iterator<Item = &[T]> {
        let mut rest = heap;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let slice = &self.entries[rest.last_chunk() * CHUNK..rest.0 as usize];
            rest = self.rest(rest);
            Some(slice)
        })
    }

    /// Takes the last chunk from the heap: the places of its entries. They stay readable until it is released.
    pub(super) fn last(&self, heap: Heap) -> Option<std::ops::Range<usize>> {
        (!heap.is_empty()).then(|| heap.last_chunk() * CHUNK..heap.0 as usize)
    }

    /// The entry at this place, one of those that [`Self::last`] named.
    #[inline]
    pub(super) fn entry(&self, place: usize) -> T {
        self.entries[place]
    }

    /// Gives the last chunk back for other heaps; the heap without it. The heap must not be empty.
    pub(super) fn release_last(&mut self, heap: Heap) -> Heap {
        let rest = self.rest(heap);
        let chunk = heap.last_chunk();
        self.before[chunk] = self.free;
        self.free = chunk as u32;
        rest
    }

    /// Gives all of a heap's chunks back.
    pub(super) fn release(&mut self, heap: Heap) {
        let mut rest = heap;
        while !rest.is_empty() {
            rest = self.release_last(rest);
        }
    }

    fn rest(&self, heap: Heap) -> Heap {
        Heap(self.before[heap.last_chunk()])
    }

    /// How many entries there is room for.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.entries.capacity()
    }
}
