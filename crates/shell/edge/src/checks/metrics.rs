use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use perigee_health::{ProbeFailure, View};
use perigee_model::{HealthCheckIndex, Snapshot};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabels {
    check: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    check: String,
    result: &'static str,
}

/// What DNS health checks count. Clones share the figures.
#[derive(Clone, Debug, Default)]
pub struct CheckMetrics {
    status: Family<CheckLabels, Gauge>,
    probes: Family<ResultLabels, Counter>,
    delayed: Counter,
    /// The checks that have figures.
    shown: Arc<Mutex<BTreeSet<String>>>,
}

impl CheckMetrics {
    /// Counters from zero, registered under `perigee_dns_health_check_`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let r = registry.sub_registry_with_prefix("perigee_dns_health_check");
        r.register("status", "1 for a check that counts as healthy, 0 otherwise", metrics.status.clone());
        r.register("probes", "Probes made, by result", metrics.probes.clone());
        r.register("delays", "Times that a probe was due while too many were under way", metrics.delayed.clone());
        metrics
    }

    /// Shows the verdicts of `health`, and forgets the figures of checks that are gone.
    pub(super) fn show(&self, snapshot: &Snapshot, health: &View) {
        let names = snapshot.dns.health_checks.iter().map(|check| check.name.clone());
        for (i, check) in names.clone().enumerate() {
            let is_healthy = health.check_is_healthy(HealthCheckIndex(i));
            self.status.get_or_create(&CheckLabels { check }).set(is_healthy.into());
        }
        let now = names.collect();
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for check in shown.difference(&now) {
            self.status.remove(&CheckLabels { check: check.clone() });
            for result in RESULTS {
                self.probes.remove(&ResultLabels { check: check.clone(), result });
            }
        }
        *shown = now;
    }

    /// Counts a probe's result, unless its check is gone meanwhile.
    pub(super) fn count(&self, check: &str, result: Result<(), ProbeFailure>) {
        let result = match result {
            Ok(()) => RESULTS[0],
            Err(ProbeFailure::ResponseCode { .. }) => RESULTS[1],
            Err(ProbeFailure::Timeout) => RESULTS[2],
            Err(ProbeFailure::Connection) => RESULTS[3],
            Err(ProbeFailure::NoMatch) => RESULTS[4],
            Err(ProbeFailure::Unresolved) => RESULTS[5],
            Err(ProbeFailure::Internal) => RESULTS[6],
        };
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.contains(check) {
            self.probes.get_or_create(&ResultLabels { check: check.to_owned(), result }).inc();
        }
    }

    pub(super) fn delayed(&self) {
        self.delayed.inc();
    }
}

/// What a probe may come to, in metrics.
const RESULTS: [&str; 7] = ["ok", "response_code", "timeout", "connection", "no_match", "unresolved", "internal"];
