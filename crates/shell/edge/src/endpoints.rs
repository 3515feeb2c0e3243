use std::sync::Arc;

use perigee_health::ProbeFailure;
use perigee_net::{DnsProber, Shutdown};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::Front;
use crate::probing::Probing;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProbeLabels {
    result: &'static str,
}

/// What the probes of instances and elastic IPs count. Clones share the figures.
#[derive(Clone, Debug, Default)]
pub struct EndpointMetrics {
    probes: Family<ProbeLabels, Counter>,
    delayed: Counter,
}

impl EndpointMetrics {
    /// Counters from zero, registered under `perigee_edge_endpoint_`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let r = registry.sub_registry_with_prefix("perigee_edge_endpoint");
        r.register("probes", "Probes of instances and elastic IPs, by result", metrics.probes.clone());
        r.register("probe_delays", "Times that a probe was due while too many were under way", metrics.delayed.clone());
        metrics
    }

    fn count(&self, result: Result<(), ProbeFailure>) {
        let result = match result {
            Ok(()) => "ok",
            Err(ProbeFailure::ResponseCode { .. }) => "response_code",
            Err(ProbeFailure::Timeout) => "timeout",
            Err(ProbeFailure::Connection) => "connection",
            Err(ProbeFailure::NoMatch) => "no_match",
            Err(ProbeFailure::Unresolved) => "unresolved",
            Err(ProbeFailure::Internal) => "internal",
        };
        self.probes.get_or_create(&ProbeLabels { result }).inc();
    }
}

impl Front {
    /// Probes the endpoints that are no load balancers until the shutdown begins; probes under way end with it.
    ///
    /// For the process that carries flows: where nobody probes, these endpoints stay as they are when new.
    pub async fn run_endpoints(self: Arc<Self>, prober: DnsProber, metrics: EndpointMetrics, shutdown: Shutdown) {
        let mut running = Probing::default();
        loop {
            let now = self.clock.now();
            self.with(|edge| edge.handle_endpoint_timeout(now));
            while running.has_room()
                && let Some(probe) = self.with(|edge| edge.poll_endpoint_probe(now))
            {
                let endpoint = probe.endpoint.clone();
                running.begin(&prober, endpoint, probe);
            }
            let has_room = running.has_room();
            let next = self.with(|edge| edge.poll_endpoint_timeout());
            if !has_room && next.is_some_and(|due| due <= now) {
                metrics.delayed.inc();
            }
            let timer = async {
                match next.filter(|_| has_room) {
                    Some(at) => tokio::time::sleep_until(self.clock.deadline(at)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shutdown.draining() => return,
                () = self.endpoints_changed.notified() => {}
                Some((probe, result)) = running.ended() => {
                    metrics.count(result);
                    let now = self.clock.now();
                    self.with(|edge| edge.endpoint_probed(&probe, result, now));
                }
                () = timer => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
