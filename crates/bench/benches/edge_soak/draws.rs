//! Random numbers of one purpose, from the run's seed.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

pub struct Draws(Xoshiro256PlusPlus);

impl Draws {
    /// The same numbers for the same seed and purpose.
    pub fn new(seed: u64, purpose: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed ^ purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    pub fn any(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// `from` to `to`, both included; the bias of the division does not matter here.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.any() % (to - from + 1)
    }

    /// One of `items`, which are not none.
    pub fn one<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.between(0, items.len() as u64 - 1) as usize]
    }
}
