mod metrics;

use std::sync::Arc;

use perigee_net::{DnsProber, Shutdown};

use crate::Front;
use crate::probing::Probing;
pub use metrics::CheckMetrics;

impl Front {
    /// Probes for the DNS health checks until the shutdown begins; probes under way end with it.
    ///
    /// For the process that answers DNS: where nobody probes, checks stay as they are when new.
    pub async fn run_checks(self: Arc<Self>, prober: DnsProber, metrics: CheckMetrics, shutdown: Shutdown) {
        let mut running = Probing::default();
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
                let endpoint = probe.endpoint.clone();
                running.begin(&prober, endpoint, probe);
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

#[cfg(test)]
mod tests;
