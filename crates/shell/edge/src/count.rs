use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How many of something there are, for who waits until there is none.
#[derive(Debug, Default)]
pub(crate) struct Count {
    number: AtomicUsize,
    none: Notify,
}

impl Count {
    /// One more.
    pub(crate) fn enter(&self) {
        self.number.fetch_add(1, Ordering::AcqRel);
    }

    /// One less.
    pub(crate) fn leave(&self) {
        if self.number.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.none.notify_waiters();
        }
    }

    /// Waits until there is none.
    pub(crate) async fn until_none(&self) {
        loop {
            let mut none = std::pin::pin!(self.none.notified());
            none.as_mut().enable();
            if self.number.load(Ordering::Acquire) == 0 {
                return;
            }
            none.await;
        }
    }
}
