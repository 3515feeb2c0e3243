//! Where a worker keeps its flows.

/// Entries of one piece.
const PIECE: usize = 256;
const NONE: u32 = u32::MAX;

/// Values under small numbers that are used again, each with a generation that tells an entry from its predecessors.
///
/// It grows by pieces that never move and never shrinks: a worker keeps the room of its busiest hour.
#[derive(Debug)]
pub(super) struct Slab<T> {
    pieces: Vec<Box<[Entry<T>]>>,
    free: u32,
    len: usize,
}

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    value: Result<T, NextFree>,
}

#[derive(Clone, Copy, Debug)]
struct NextFree(u32);

impl<T> Slab<T> {
    /// An empty one.
    pub(super) const fn new() -> Self {
        Self { pieces: Vec::new(), free: NONE, len: 0 }
    }

    /// How many values there are.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// One above the greatest index ever used.
    pub(super) const fn bound(&self) -> u32 {
        (self.pieces.len() * PIECE) as u32
    }

    /// Where the next value will be and of which generation.
    pub(super) fn next(&mut self) -> (u32, u32) {
        if self.free == NONE {
            let first = self.bound();
            let last = first + PIECE as u32;
            let next = |index| if index + 1 == last { NONE } else { index + 1 };
            let entry = |index| Entry { generation: 0, value: Err(NextFree(next(index))) };
            self.pieces.push((first..last).map(entry).collect());
            self.free = first;
        }
        (self.free, self.entry(self.free).map_or(0, |entry| entry.generation))
    }

    /// Puts a value at the place that [`Self::next`] names.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        let (index, _) = self.next();
        if let Some(entry) = self.entry_mut(index)
            && let Err(NextFree(next)) = std::mem::replace(&mut entry.value, Ok(value))
        {
            self.free = next;
            self.len += 1;
        }
        index
    }

    /// The value at `index`.
    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.entry_mut(index)?.value.as_mut().ok()
    }

    /// The value at `index` if it is of that generation, of which the low 28 bits are compared.
    pub(super) fn get_of(&mut self, index: u32, generation: u32) -> Option<&mut T> {
        let entry = self.entry_mut(index)?;
        if entry.generation != generation {
            return None;
        }
        entry.value.as_mut().ok()
    }

    /// The generation of the entry at `index`.
    pub(super) fn generation(&self, index: u32) -> u32 {
        self.entry(index).map_or(0, |entry| entry.generation)
    }

    /// Takes the value at `index` out.
    pub(super) fn remove(&mut self, index: u32) -> Option<T> {
        let free = self.free;
        let entry = self.entry_mut(index)?;
        if entry.value.is_err() {
            return None;
        }
        let value = std::mem::replace(&mut entry.value, Err(NextFree(free)));
        // 28 bits fit into a token.
        entry.generation = (entry.generation + 1) & ((1 << 28) - 1);
        self.free = index;
        self.len -= 1;
        value.ok()
    }

    fn entry(&self, index: u32) -> Option<&Entry<T>> {
        self.pieces.get(index as usize / PIECE)?.get(index as usize % PIECE)
    }

    fn entry_mut(&mut self, index: u32) -> Option<&mut Entry<T>> {
        self.pieces.get_mut(index as usize / PIECE)?.get_mut(index as usize % PIECE)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_map_would(steps in proptest::collection::vec((any::<bool>(), 0u32..600), 1..2_000)) {
            let (mut slab, mut map) = (Slab::new(), BTreeMap::new());
            for (value, (insert, index)) in steps.into_iter().enumerate() {
                if insert {
                    let (at, generation) = slab.next();
                    prop_assert_eq!(slab.insert(value), at);
                    prop_assert!(map.insert(at, (generation, value)).is_none(), "a place is used twice");
                } else {
                    prop_assert_eq!(slab.remove(index), map.remove(&index).map(|(_, v)| v));
                }
                prop_assert_eq!(slab.len(), map.len());
            }
            for (at, (generation, value)) in map {
                prop_assert_eq!(slab.get_of(at, generation).copied(), Some(value));
                prop_assert_eq!(slab.get_of(at, generation + 1), None);
            }
        }
    }

    #[test]
    fn an_entry_used_again_is_of_another_generation() {
        let mut slab = Slab::new();
        let (at, first) = slab.next();
        slab.insert('a');
        slab.remove(at);
        let (again, second) = slab.next();
        slab.insert('b');
        assert_eq!(at, again);
        assert_eq!(slab.get_of(at, first), None);
        assert_eq!(slab.get_of(at, second), Some(&mut 'b'));
    }
}
