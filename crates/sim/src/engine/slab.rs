/// Values at numbered places that are used again, each use with a generation of its own, so that an event for an
/// earlier tenant is known as stale. The lowest bits of the generation are kept: it wraps after 2^19 uses of a place.
#[derive(Clone, Debug)]
pub(super) struct Slab<T> {
    places: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
}

/// A place and the generation of its use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) index: u32,
    pub(super) generation: u32,
}

/// Bits of a generation.
pub(super) const GENERATION_BITS: u32 = 19;
const GENERATION_MASK: u32 = (1 << GENERATION_BITS) - 1;

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub(super) fn insert(&mut self, value: T) -> Key {
        if let Some(index) = self.free.pop() {
            let place = &mut self.places[index as usize];
            place.1 = Some(value);
            return Key { index, generation: place.0 };
        }
        self.places.push((0, Some(value)));
        Key { index: (self.places.len() - 1) as u32, generation: 0 }
    }

    /// The value, none for a stale key.
    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let place = self.places.get_mut(key.index as usize)?;
        if place.0 == key.generation { place.1.as_mut() } else { None }
    }

    /// The value at a place in use; panics on an empty one, which is a bug of the engine.
    pub(super) fn at(&mut self, index: u32) -> &mut T {
        match &mut self.places[index as usize].1 {
            Some(value) => value,
            None => unreachable!("place {index} is empty"),
        }
    }

    /// The key under which a place in use is known now.
    pub(super) fn key(&self, index: u32) -> Key {
        Key { index, generation: self.places[index as usize].0 }
    }

    /// Makes every key of the place stale and gives the new one; the value stays.
    pub(super) fn renew(&mut self, index: u32) -> Key {
        let place = &mut self.places[index as usize];
        place.0 = (place.0 + 1) & GENERATION_MASK;
        Key { index, generation: place.0 }
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<T> {
        let place = &mut self.places[index as usize];
        place.0 = (place.0 + 1) & GENERATION_MASK;
        let value = place.1.take();
        if value.is_some() {
            self.free.push(index);
        }
        value
    }

    /// The places in use.
    pub(super) fn indices(&self) -> impl Iterator<Item = u32> + '_ {
        self.places.iter().enumerate().filter(|(_, (_, v))| v.is_some()).map(|(i, _)| i as u32)
    }
}
