use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::{fmt, io};

use tokio::sync::watch;

use crate::{Fault, HostListener};

/// A simulated machine: a name and a fault that all its sockets and requests obey.
///
/// Hosts exist so that a region inside one process can die as a region of machines does. Clones are the same host.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    fault: watch::Sender<Fault>,
    /// What each listener has come to obey.
    obeyed: watch::Sender<BTreeMap<u64, Fault>>,
    next_listener: AtomicU64,
    /// Threads that have no task to wait in.
    wakers: Mutex<Vec<Waker>>,
}

/// The word of a listener, or of whoever else acts as the host, on which fault it obeys; withdrawn when dropped.
#[derive(Debug)]
pub struct Obedience {
    host: Host,
    listener: u64,
}

impl Obedience {
    /// Says that `fault` is obeyed now.
    pub fn obeys(&self, fault: Fault) {
        self.host.inner.obeyed.send_if_modified(|all| all.insert(self.listener, fault) != Some(fault));
    }
}

impl Drop for Obedience {
    fn drop(&mut self) {
        self.host.inner.obeyed.send_if_modified(|all| all.remove(&self.listener).is_some());
    }
}

impl Host {
    /// A healthy host.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            inner: Arc::new(Inner {
                name: name.into(),
                fault: watch::Sender::new(Fault::None),
                obeyed: watch::Sender::new(BTreeMap::new()),
                next_listener: AtomicU64::new(0),
                wakers: Mutex::default(),
            }),
        }
    }

    /// What it is called in logs.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// What is wrong with it now.
    pub fn fault(&self) -> Fault {
        *self.inner.fault.borrow()
    }

    /// Breaks or mends it. Established connections notice at their next step, listeners at once.
    pub fn set_fault(&self, fault: Fault) {
        if self.inner.fault.send_if_modified(|f| std::mem::replace(f, fault) != fault) {
            let wakers = self.inner.wakers.lock().unwrap_or_else(PoisonError::into_inner);
            wakers.iter().for_each(Waker::wake_by_ref);
        }
    }

    /// Wakes `waker` after every change of the fault from now on, for a thread that looks at [`Self::fault`] then.
    pub fn wake_on_change(&self, waker: &Waker) {
        let mut wakers = self.inner.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }

    /// Waits until every listener of the host obeys its present fault, so that a connect made from now on meets it.
    pub async fn settled(&self) {
        let mut obeyed = self.inner.obeyed.subscribe();
        // The sender lives in the host itself, so the wait cannot fail.
        let _ = obeyed.wait_for(|all| all.values().all(|fault| *fault == self.fault())).await;
    }

    /// Another who acts as this host and whom [`Self::settled`] waits for. It obeys no fault so far.
    pub fn obedience(&self) -> Obedience {
        let listener = self.inner.next_listener.fetch_add(1, Ordering::Relaxed);
        let obedience = Obedience { host: self.clone(), listener };
        obedience.obeys(Fault::None);
        obedience
    }

    /// Follows its faults.
    pub fn watch(&self) -> watch::Receiver<Fault> {
        self.inner.fault.subscribe()
    }

    /// Runs `work` as this host would: a crash drops it (and gives none), a blackhole stops it until the host is
    /// mended.
    ///
    /// Everything a host does with sockets belongs in here: connections, probes, requests of its own.
    pub async fn run<F: Future>(&self, work: F) -> Option<F::Output> {
        let mut work = pin!(work);
        let mut faults = self.watch();
        loop {
            let fault = *faults.borrow_and_update();
            if fault == Fault::Crash {
                return None;
            }
            let mut changed = pin!(faults.changed());
            let done = poll_fn(|cx| {
                if fault.has_network()
                    && let Poll::Ready(output) = work.as_mut().poll(cx)
                {
                    return Poll::Ready(Some(output));
                }
                changed.as_mut().poll(cx).map(|_| None)
            })
            .await;
            if done.is_some() {
                return done;
            }
        }
    }

    /// Listens on `address` as this host: refusing, hanging and answering as its fault says.
    ///
    /// Errors: the address cannot be bound.
    pub async fn listen(&self, address: SocketAddr) -> io::Result<HostListener> {
        HostListener::bind(self.clone(), address).await
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("name", &self.inner.name).field("fault", &self.fault()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_woken_by_each_change_and_by_nothing_else() {
        struct Count(AtomicU64);
        impl std::task::Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let (host, count) = (Host::new("h"), Arc::new(Count(AtomicU64::new(0))));
        let waker = Waker::from(count.clone());
        host.wake_on_change(&waker);
        host.wake_on_change(&waker);
        for fault in [Fault::Crash, Fault::Crash, Fault::None] {
            host.set_fault(fault);
        }
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_crash_ends_the_work_and_a_blackhole_only_stops_it() {
        let host = Host::new("h");
        let (send, receive) = tokio::sync::oneshot::channel::<u8>();
        let work = tokio::spawn({
            let host = host.clone();
            async move { host.run(receive).await }
        });
        host.set_fault(Fault::Blackhole);
        send.send(7).expect("the work still waits");
        tokio::task::yield_now().await;
        assert!(!work.is_finished(), "a blackholed host must not see the message");
        host.set_fault(Fault::None);
        assert_eq!(work.await.expect("the work ends"), Some(Ok(7)));

        host.set_fault(Fault::Crash);
        assert_eq!(host.run(std::future::ready(1)).await, None);
    }
}
