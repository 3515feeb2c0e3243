use std::future::Future;
use std::time::Duration;

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// The way everything ends: a signal that says "take nothing new" and a count of what still runs.
///
/// Clones share the signal and the count.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    draining: CancellationToken,
    tasks: TaskTracker,
}

/// Counts as running while it exists.
pub type Task = TaskTrackerToken;

impl Shutdown {
    /// Nothing runs and nothing ends yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `work` on the runtime and counts it until it is done.
    pub fn spawn<F>(&self, work: F)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(work);
    }

    /// Counts the caller as running until the token is dropped.
    pub fn task(&self) -> Task {
        self.tasks.token()
    }

    /// Says "take nothing new": listeners stop, connections end after their running request.
    pub fn begin(&self) {
        self.draining.cancel();
    }

    /// Whether [`Self::begin`] was called.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Waits for [`Self::begin`].
    pub fn draining(&self) -> WaitForCancellationFuture<'_> {
        self.draining.cancelled()
    }

    /// What still runs.
    pub fn running(&self) -> usize {
        self.tasks.len()
    }

    /// Begins and waits until nothing runs, at most `limit`. Gives how many were still running.
    pub async fn finish(&self, limit: Duration) -> usize {
        self.begin();
        self.tasks.close();
        let _ = tokio::time::timeout(limit, self.tasks.wait()).await;
        self.tasks.len()
    }
}
