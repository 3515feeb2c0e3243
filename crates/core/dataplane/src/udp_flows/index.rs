use std::collections::HashMap;
use std::hash::BuildHasher;

use siphasher::sip::SipHasher13;

use super::UdpTuple;

/// Where in the slab the flow of which addresses is.
///
/// Looked up by key alone and never gone through, so its order is nobody's business.
#[derive(Debug)]
pub(super) struct Index(HashMap<UdpTuple, u32, Keyed>);

/// The table's own key: clients choose their addresses, and with a known hash they could choose such as collide.
#[derive(Clone, Debug)]
struct Keyed(u64, u64);

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

impl Index {
    pub(super) fn new(seed: u128) -> Self {
        Self(HashMap::with_hasher(Keyed(seed as u64, (seed >> 64) as u64)))
    }

    pub(super) fn get(&self, tuple: &UdpTuple) -> Option<u32> {
        self.0.get(tuple).copied()
    }

    pub(super) fn insert(&mut self, tuple: UdpTuple, place: u32) {
        self.0.insert(tuple, place);
    }

    pub(super) fn remove(&mut self, tuple: &UdpTuple) {
        self.0.remove(tuple);
    }
}
