use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use perigee_dataplane::TargetId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::body::ClientBody;

/// How long a connection may take to become ready for its next request before it is given up.
const READY_WITHIN: Duration = Duration::from_secs(1);

/// A node's kept connections, by registration of the target.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    targets: Mutex<BTreeMap<TargetId, Arc<TargetPool>>>,
}

/// The kept connections to one target; the most recently used one is taken first, so that the surplus grows old and is
/// closed.
#[derive(Debug)]
pub(crate) struct TargetPool {
    pub(crate) address: SocketAddr,
    /// Cancelled when the target's deregistration delay is over: everything that still runs there is cut.
    pub(crate) cut: CancellationToken,
    draining: AtomicBool,
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    sender: SendRequest<ClientBody>,
    since: Instant,
}

impl Pool {
    /// The connections to a target that requests go to.
    pub(crate) fn target(&self, id: TargetId, address: SocketAddr) -> Arc<TargetPool> {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = targets.entry(id).or_insert_with(|| {
            Arc::new(TargetPool {
                address,
                cut: CancellationToken::new(),
                draining: AtomicBool::new(false),
                idle: Mutex::new(Vec::new()),
            })
        });
        // A target that gets requests again is no longer draining.
        pool.draining.store(false, Ordering::Relaxed);
        pool.clone()
    }

    /// Closes a deregistered target's idle connections and keeps no more.
    pub(crate) fn drain(&self, id: TargetId) {
        if let Some(pool) = self.targets.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            pool.draining.store(true, Ordering::Relaxed);
            pool.lock().clear();
        }
    }

    /// Cuts everything that still runs at a target.
    pub(crate) fn cut(&self, id: TargetId) {
        if let Some(pool) = self.targets.lock().unwrap_or_else(PoisonError::into_inner).remove(&id) {
            pool.draining.store(true, Ordering::Relaxed);
            pool.cut.cancel();
            pool.lock().clear();
        }
    }

    /// Closes what has been idle for `idle_timeout`.
    pub(crate) fn expire(&self, idle_timeout: Duration) {
        for pool in self.targets.lock().unwrap_or_else(PoisonError::into_inner).values() {
            pool.lock().retain(|idle| idle.since.elapsed() < idle_timeout && !idle.sender.is_closed());
        }
    }

    /// Idle connections that are still open.
    #[cfg(test)]
    pub(crate) fn open_idle(&self) -> usize {
        let targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        targets.values().map(|pool| pool.lock().iter().filter(|i| !i.sender.is_closed()).count()).sum()
    }

    /// Closes every idle connection: the node's machine was down, or the node ends.
    pub(crate) fn clear(&self) {
        for pool in self.targets.lock().unwrap_or_else(PoisonError::into_inner).values() {
            pool.lock().clear();
        }
    }
}

impl TargetPool {
    /// A kept connection that is still open, if there is one.
    pub(crate) fn take(&self) -> Option<SendRequest<ClientBody>> {
        let mut idle = self.lock();
        while let Some(kept) = idle.pop() {
            if !kept.sender.is_closed() {
                return Some(kept.sender);
            }
        }
        None
    }

    /// Keeps a connection whose exchange is over, unless `max` are kept already; waits for it to become ready first.
    pub(crate) fn put(self: &Arc<Self>, mut sender: SendRequest<ClientBody>, max: usize) {
        if sender.is_closed() {
            return;
        }
        if sender.is_ready() {
            self.keep(sender, max);
            return;
        }
        let pool = self.clone();
        tokio::spawn(async move {
            if matches!(tokio::time::timeout(READY_WITHIN, sender.ready()).await, Ok(Ok(()))) {
                pool.keep(sender, max);
            }
        });
    }

    fn keep(&self, sender: SendRequest<ClientBody>, max: usize) {
        let mut idle = self.lock();
        if idle.len() < max && !self.draining.load(Ordering::Relaxed) {
            idle.push(Idle { sender, since: Instant::now() });
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
