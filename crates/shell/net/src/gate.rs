use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use prometheus_client::metrics::counter::Counter;

/// A limit on how many of something exist at once, with a counter of refusals.
#[derive(Clone, Debug)]
pub struct Gate {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    limit: AtomicU32,
    inside: AtomicU32,
    refused: Counter,
}

/// The right to exist; dropping it makes room for another.
#[derive(Debug)]
pub struct Pass {
    inner: Arc<Inner>,
}

impl Gate {
    /// A gate that lets `limit` through at once and counts what it refuses in `refused`.
    pub fn new(limit: u32, refused: Counter) -> Self {
        Self { inner: Arc::new(Inner { limit: AtomicU32::new(limit), inside: AtomicU32::new(0), refused }) }
    }

    /// A pass, or none and one more refusal counted when the gate is full.
    pub fn enter(&self) -> Option<Pass> {
        let limit = self.inner.limit.load(Ordering::Relaxed);
        let entered = self
            .inner
            .inside
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |inside| (inside < limit).then_some(inside + 1));
        if entered.is_ok() {
            Some(Pass { inner: self.inner.clone() })
        } else {
            self.inner.refused.inc();
            None
        }
    }

    /// How many are inside.
    pub fn inside(&self) -> u32 {
        self.inner.inside.load(Ordering::Relaxed)
    }

    /// How many may be inside.
    pub fn limit(&self) -> u32 {
        self.inner.limit.load(Ordering::Relaxed)
    }

    /// Changes the limit; who is inside stays.
    pub fn set_limit(&self, limit: u32) {
        self.inner.limit.store(limit, Ordering::Relaxed);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.inner.inside.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_gate_refuses_and_counts_until_somebody_leaves() {
        let refused = Counter::default();
        let gate = Gate::new(2, refused.clone());
        let first = gate.enter();
        let second = gate.enter();
        assert!(first.is_some() && second.is_some());
        assert!(gate.enter().is_none());
        assert_eq!(refused.get(), 1);
        drop(first);
        assert!(gate.enter().is_some());
    }
}
