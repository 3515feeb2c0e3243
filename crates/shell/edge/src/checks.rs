mod metrics;

use std::collections::HashMap;
use std::sync::Arc;

use perigee_health::{DnsProbe, ProbeFailure};
use perigee_net::{DnsProber, Shutdown};
use tokio::task::{Id, JoinSet};

use crate::Front;
pub use metrics::CheckMetrics;

/// Most probes of DNS health checks at once (Perigee's choice: half of a usual limit on open files). The others wait,
/// those that are due longest first, and are counted.
const PROBES_MAX: usize = 512;

impl Front {
    /// Probes for the DNS health checks until the shutdown begins; probes under way end with it.
    ///
    /// For the process that answers DNS: where nobody probes, checks stay as they are when new.
    pub async fn run_checks(self: Arc<Self>, prober: DnsProber, metrics: CheckMetrics, shutdown: Shutdown) {
        let mut running = Running::default();
        let mut shown = None;
        loop {
            let view = self.view();
            if shown.as_ref().is_none_or(|shown| !Arc::ptr_eq(shown, &view)) {
                metrics.show(&view.snapshot, &view.health);
                shown = Some(view);
            }
            let now = self.clock.now();
            while running.has_room()
                && let Some(probe) = self.with(|edge| edge.poll_dns_probe(now))
            {
                running.begin(&prober, probe);
            }
            let next = self.with(|edge| edge.poll_dns_timeout());
            let has_room = running.has_room();
            if !has_room && next.is_some_and(|due| due <= now) {
                metrics.delayed();
            }
            let timer = async {
                match next.filter(|_| has_room) {
                    Some(at) => tokio::time::sleep_until(self.clock.deadline(at)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shutdown.draining() => return,
                () = self.checks_changed.notified() => {}
                Some((probe, result)) = running.ended() => {
                    metrics.count(&probe.check, result);
                    let now = self.clock.now();
                    self.with(|edge| edge.dns_probed(&probe, result, now));
                }
                () = timer => {}
            }
        }
    }
}

/// The probes under way; dropping it ends them.
#[derive(Default)]
struct Running {
    tasks: JoinSet<Result<(), ProbeFailure>>,
    asked: HashMap<Id, DnsProbe>,
}

impl Running {
    fn has_room(&self) -> bool {
        self.tasks.len() < PROBES_MAX
    }

    fn begin(&mut self, prober: &DnsProber, probe: DnsProbe) {
        let (prober, endpoint) = (prober.clone(), probe.endpoint.clone());
        let task = self.tasks.spawn(async move { prober.probe(&endpoint).await });
        self.asked.insert(task.id(), probe);
    }

    /// The next probe to end, with its result. None while there is none. Safe to cancel.
    async fn ended(&mut self) -> Option<(DnsProbe, Result<(), ProbeFailure>)> {
        let (id, result) = match self.tasks.join_next_with_id().await? {
            Ok((id, result)) => (id, result),
            // A probe that panicked is our own fault; its prober must not wait for it for ever.
            Err(error) => (error.id(), Err(ProbeFailure::Internal)),
        };
        Some((self.asked.remove(&id)?, result))
    }
}

#[cfg(test)]
mod tests;
