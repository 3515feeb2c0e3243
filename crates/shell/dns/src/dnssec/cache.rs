use std::collections::VecDeque;
use std::collections::hash_map::{HashMap, RandomState};
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::signature::Signature;

/// Parts with a lock of their own, so that threads seldom meet. Perigee's choice.
const SHARDS: usize = 16;
/// Octets that an entry takes beside its key and its signature: two pointers, the entry, the tables' slack. Measured
/// generously, so that the bound holds.
const OVERHEAD: usize = 160;

/// How much a [`SignatureCache`] may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct CacheLimits {
    pub(super) entries: usize,
    /// Octets, with what the tables themselves take.
    pub(super) bytes: usize,
}

impl Default for CacheLimits {
    /// Perigee's choice: far more than the sets of a large configuration, and no more than a small machine can spare.
    fn default() -> Self {
        Self { entries: 65_536, bytes: 32 << 20 }
    }
}

/// What the signature cache counts. Clones count into the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct CacheMetrics {
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) evicted: Counter,
    /// Answers that became SERVFAIL because they could not be signed.
    pub(crate) failures: Counter,
}

impl CacheMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("signature_cache_hits", "Signatures taken from the cache", self.hits.clone());
        registry.register("signature_cache_misses", "Signatures made with a key", self.misses.clone());
        registry.register("signature_cache_evicted", "Signatures thrown out of the full cache", self.evicted.clone());
        registry.register(
            "signing_failures",
            "Answers replaced by SERVFAIL because the zone's keys could not sign them",
            self.failures.clone(),
        );
    }
}

/// Signatures by key and signed bytes, bounded in number and size.
///
/// The whole of the signed bytes is the key, not a hash of them: two sets never share a signature by accident or
/// intent. What nobody asked for again goes first (second chance in order of arrival), so a flood of absent names
/// passes through without driving out what clients really ask for.
#[derive(Debug)]
pub(super) struct SignatureCache {
    hash: RandomState,
    shards: Box<[Mutex<Shard>]>,
    /// Of each shard.
    limits: CacheLimits,
    pub(super) metrics: CacheMetrics,
}

#[derive(Debug, Default)]
struct Shard {
    entries: HashMap<Arc<[u8]>, Entry>,
    order: VecDeque<Arc<[u8]>>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    signature: Arc<Signature>,
    used: bool,
}

impl SignatureCache {
    pub(super) fn new(limits: CacheLimits, metrics: CacheMetrics) -> Self {
        let limits = CacheLimits { entries: limits.entries.div_ceil(SHARDS), bytes: limits.bytes / SHARDS };
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { hash: RandomState::new(), shards, limits, metrics }
    }

    /// The signature of `key` if it may be given out at `now`, seconds since 1970 modulo 2^32.
    pub(super) fn get(&self, key: &[u8], now: u32) -> Option<Arc<Signature>> {
        let mut shard = self.shard(key).lock().unwrap_or_else(PoisonError::into_inner);
        let entry = shard.entries.get_mut(key).filter(|entry| entry.signature.is_fresh(now));
        let Some(entry) = entry else {
            self.metrics.misses.inc();
            return None;
        };
        entry.used = true;
        self.metrics.hits.inc();
        Some(entry.signature.clone())
    }

    /// Keeps `signature`, in place of an older one.
    pub(super) fn insert(&self, key: &[u8], signature: Arc<Signature>) {
        let size = size(key, &signature);
        if size > self.limits.bytes {
            return;
        }
        let mut shard = self.shard(key).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = shard.entries.get_mut(key) {
            // A key's signatures all have one length, so the sum stays right.
            entry.signature = signature;
            return;
        }
        while shard.entries.len() >= self.limits.entries || shard.bytes + size > self.limits.bytes {
            if !shard.evict() {
                return;
            }
            self.metrics.evicted.inc();
        }
        let key: Arc<[u8]> = key.into();
        shard.order.push_back(key.clone());
        shard.entries.insert(key, Entry { signature, used: false });
        shard.bytes += size;
    }

    fn shard(&self, key: &[u8]) -> &Mutex<Shard> {
        &self.shards[self.hash.hash_one(key) as usize % SHARDS]
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> (usize, usize) {
        let shards = self.shards.iter().map(|shard| shard.lock().unwrap());
        shards.fold((0, 0), |(entries, bytes), shard| (entries + shard.entries.len(), bytes + shard.bytes))
    }
}

impl Shard {
    /// Throws one out; false if there is none.
    fn evict(&mut self) -> bool {
        // A round at most: it takes the marks, so the second visit of the first key ends it.
        while let Some(key) = self.order.pop_front() {
            match self.entries.get_mut(&key) {
                Some(entry) if entry.used => {
                    entry.used = false;
                    self.order.push_back(key);
                }
                Some(entry) => {
                    self.bytes -= size(&key, &entry.signature);
                    self.entries.remove(&key);
                    return true;
                }
                None => {}
            }
        }
        false
    }
}

fn size(key: &[u8], signature: &Signature) -> usize {
    key.len() + signature.len() + OVERHEAD
}
