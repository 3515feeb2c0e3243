use std::collections::HashMap;
use std::hash::BuildHasher;

use perigee_steering::Flow;
use siphasher::sip::SipHasher13;

/// Where in the slab the flow of which addresses is.
///
/// Looked up by key alone and never gone through, so its order is nobody's business.
#[derive(Debug)]
pub(super) struct Index(HashMap<Flow, u32, Keyed>);

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

    pub(super) fn get(&self, flow: &Flow) -> Option<u32> {
        self.0.get(flow).copied()
    }

    pub(super) fn insert(&mut self, flow: Flow, place: u32) {
        self.0.insert(flow, place);
    }

    pub(super) fn remove(&mut self, flow: &Flow) {
        self.0.remove(flow);
    }
}
