//! A map by name for one that is asked at random: what a lookup waits for is memory, and here it waits twice.

use std::hash::Hasher;

/// Octets of a name that stand in its record; longer names stand elsewhere, for one wait more.
const INLINE: usize = 23;

/// An empty place. No record has this position: a table of so many would not fit any memory.
const FREE: u32 = u32::MAX;

/// Names with what is known of each, made once and then only asked (Perigee's choice: open addressing over records that
/// hold their keys; the standard map keeps a key that is not of fixed size behind a pointer).
#[derive(Debug)]
pub(super) struct NameTable<T> {
    /// Twice as many as records or more, a power of two. At a place: the upper half of a hash and a record's position.
    places: Box<[(u32, u32)]>,
    records: Vec<Record<T>>,
    /// The names that are longer than [`INLINE`], one behind the other.
    long: Vec<u8>,
}

/// With 40 octets of `T` a line of the cache.
#[derive(Debug)]
#[repr(align(64))]
struct Record<T> {
    len: u8,
    /// The name, or in its first eight octets where it begins among the long ones.
    name: [u8; INLINE],
    value: T,
}

impl<T> NameTable<T> {
    /// The table of `names`, of which a later one stands for an earlier one that is equal. Names are at most 255 octets
    /// long.
    pub(super) fn new(names: Vec<(Box<[u8]>, T)>) -> Self {
        let places = (names.len() * 2).next_power_of_two().max(2);
        let mut table =
            Self { places: vec![(0, FREE); places].into(), records: Vec::with_capacity(names.len()), long: Vec::new() };
        for (name, value) in names {
            table.insert(&name, value);
        }
        table
    }

    fn insert(&mut self, name: &[u8], value: T) {
        let hash = hash_of(name);
        match self.search(hash, name) {
            Ok(position) => self.records[position].value = value,
            Err(place) => {
                self.places[place] = ((hash >> 32) as u32, self.records.len() as u32);
                let mut short = [0; INLINE];
                if let Some(room) = short.get_mut(..name.len()) {
                    room.copy_from_slice(name);
                } else {
                    short[..8].copy_from_slice(&(self.long.len() as u64).to_ne_bytes());
                    self.long.extend_from_slice(name);
                }
                self.records.push(Record { len: name.len() as u8, name: short, value });
            }
        }
    }

    /// What is known of `name`.
    pub(super) fn get(&self, name: &[u8]) -> Option<&T> {
        self.search(hash_of(name), name).ok().map(|position| &self.records[position].value)
    }

    /// Reads what [`Self::get`] will read first, without waiting for it: asked for all names of a batch, one after the
    /// other, the waits for memory are one.
    pub(super) fn touch(&self, name: &[u8]) {
        let place = self.places[hash_of(name) as usize & (self.places.len() - 1)];
        let record = self.records.get(place.1 as usize).map_or(0, |record| record.len);
        std::hint::black_box(record);
    }

    /// Whether it is so large that most of it is not in a core's own caches (Perigee's choice: 512 KiB).
    pub(super) const fn is_large(&self) -> bool {
        self.places.len() * 8 + self.records.len() * size_of::<Record<T>>() > 512 << 10
    }

    /// The record's position, or the free place at which the search ended.
    fn search(&self, hash: u64, name: &[u8]) -> Result<usize, usize> {
        let mask = self.places.len() - 1;
        let mut place = hash as usize & mask;
        loop {
            let (tag, position) = self.places[place];
            if position == FREE {
                return Err(place);
            }
            if tag == (hash >> 32) as u32 && self.name(&self.records[position as usize]) == name {
                return Ok(position as usize);
            }
            place = (place + 1) & mask;
        }
    }

    fn name<'a>(&'a self, record: &'a Record<T>) -> &'a [u8] {
        let len = usize::from(record.len);
        record.name.get(..len).unwrap_or_else(|| {
            let mut at = [0; 8];
            at.copy_from_slice(&record.name[..8]);
            let at = u64::from_ne_bytes(at) as usize;
            &self.long[at..at + len]
        })
    }
}

/// Spreads a name, eight octets at a time. The names in the table are the operator's own, so nobody chooses which of
/// them collide.
fn hash_of(name: &[u8]) -> u64 {
    let mut hasher = NameHasher(name.len() as u64);
    hasher.write(name);
    hasher.finish()
}

struct NameHasher(u64);

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut add = |word: [u8; 8]| {
            self.0 = (self.0.rotate_left(23) ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        };
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            add(word.try_into().unwrap_or_default());
        }
        let mut rest = [0; 8];
        rest[..words.remainder().len()].copy_from_slice(words.remainder());
        add(rest);
    }

    fn finish(&self) -> u64 {
        // Places come from the low bits; multiplying fills the high ones.
        self.0 ^ (self.0 >> 32)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_with_what_a_name_needs_is_one_line_of_the_cache() {
        assert_eq!(size_of::<Record<super::super::names::Entry>>(), 64);
    }

    #[test]
    fn an_empty_table_knows_nothing() {
        assert_eq!(NameTable::<u8>::new(Vec::new()).get(b""), None);
    }

    proptest! {
        #[test]
        fn it_answers_as_the_standard_map(
            names in proptest::collection::vec(proptest::collection::vec(0_u8..3, 0..40), 0..200),
            others in proptest::collection::vec(proptest::collection::vec(0_u8..3, 0..40), 0..50),
        ) {
            let numbered: Vec<(Box<[u8]>, usize)> =
                names.iter().enumerate().map(|(i, name)| (name.clone().into(), i)).collect();
            let model: HashMap<_, _> = numbered.iter().cloned().collect();
            let table = NameTable::new(numbered);
            for name in names.iter().chain(&others) {
                prop_assert_eq!(table.get(name), model.get(&name[..]));
            }
        }
    }
}
