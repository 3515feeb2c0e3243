use std::collections::HashMap;
use std::sync::Arc;

use perigee_health::ProbeFailure;
use perigee_model::dns::EndpointCheck;
use perigee_net::DnsProber;
use tokio::task::{Id, JoinSet};

/// Most probes of one kind at once (Perigee's choice: half of a usual limit on open files). The others wait, those that
/// are due longest first, and are counted.
const PROBES_MAX: usize = 512;

/// Probes under way, each with what it was made for; dropping it ends them.
pub(crate) struct Probing<P> {
    tasks: JoinSet<Result<(), ProbeFailure>>,
    asked: HashMap<Id, P>,
}

impl<P> Default for Probing<P> {
    fn default() -> Self {
        Self { tasks: JoinSet::new(), asked: HashMap::new() }
    }
}

impl<P> Probing<P> {
    pub(crate) fn has_room(&self) -> bool {
        self.tasks.len() < PROBES_MAX
    }

    pub(crate) fn begin(&mut self, prober: &DnsProber, endpoint: Arc<EndpointCheck>, probe: P) {
        let prober = prober.clone();
        let task = self.tasks.spawn(async move { prober.probe(&endpoint).await });
        self.asked.insert(task.id(), probe);
    }

    /// The next probe to end, with its result. None while there is none. Safe to cancel.
    pub(crate) async fn ended(&mut self) -> Option<(P, Result<(), ProbeFailure>)> {
        let (id, result) = match self.tasks.join_next_with_id().await? {
            Ok((id, result)) => (id, result),
            // A probe that panicked is our own fault; its prober must not wait for it for ever.
            Err(error) => (error.id(), Err(ProbeFailure::Internal)),
        };
        Some((self.asked.remove(&id)?, result))
    }
}
