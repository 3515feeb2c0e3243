use std::collections::VecDeque;

use perigee_dataplane::EdgeView;
use perigee_health::HealthState;
use perigee_model::{AcceleratorIndex, Instant};
use serde::Serialize;
use tracing::{info, warn};

/// Changes kept for `status` (Perigee's choice).
const KEPT: usize = 256;

/// A load balancer's health changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthEvent {
    /// Milliseconds since the start of the process.
    pub at_ms: u64,
    /// Its region.
    pub region: String,
    /// Its name.
    pub load_balancer: String,
    /// What counted before.
    pub from: HealthState,
    /// What counts now.
    pub to: HealthState,
}

/// The latest changes, oldest first; the oldest is forgotten beyond 256.
#[derive(Debug, Default)]
pub(crate) struct Events(VecDeque<HealthEvent>);

impl Events {
    /// Finds what changed between two views of one generation, logs and keeps it.
    pub(crate) fn compare(&mut self, before: &EdgeView, after: &EdgeView, now: Instant) {
        if before.snapshot.generation != after.snapshot.generation {
            return;
        }
        let pairs = before.health.load_balancers.iter().zip(&after.health.load_balancers);
        for (lb, (from, to)) in after.snapshot.load_balancers.iter().zip(pairs) {
            if from.effective() == to.effective() {
                continue;
            }
            let event = HealthEvent {
                at_ms: now.as_nanos() / 1_000_000,
                region: after.snapshot.region(lb.region).code.to_string(),
                load_balancer: lb.name.to_string(),
                from: from.effective(),
                to: to.effective(),
            };
            let failure = to.nodes.iter().find_map(|n| n.failure).map(|f| f.to_string());
            let failure = failure.as_deref().unwrap_or("-");
            let (region, name) = (&event.region, &event.load_balancer);
            if event.to == HealthState::Unhealthy {
                warn!(region, load_balancer = name, failure, "load balancer is unhealthy: new flows go elsewhere");
            } else {
                info!(region, load_balancer = name, state = ?event.to, "load balancer's health changed");
            }
            if self.0.len() == KEPT {
                self.0.pop_front();
            }
            self.0.push_back(event);
        }
    }

    /// Logs the DNS health checks whose verdict is another one, of two views of one generation.
    pub(crate) fn log_checks(before: &EdgeView, after: &EdgeView) {
        if before.snapshot.generation != after.snapshot.generation {
            return;
        }
        let pairs = before.health.checks.iter().zip(&after.health.checks);
        for (check, (from, to)) in after.snapshot.dns.health_checks.iter().zip(pairs) {
            let name = &check.name;
            match (from, to) {
                (true, false) => warn!(check = name, "DNS health check is unhealthy"),
                (false, true) => info!(check = name, "DNS health check is healthy"),
                (true, true) | (false, false) => {}
            }
        }
    }

    /// Logs the probed endpoints whose health is another one, of two views of one generation.
    pub(crate) fn log_endpoints(before: &EdgeView, after: &EdgeView) {
        let (snapshot, generation) = (&after.snapshot, before.snapshot.generation);
        if generation != snapshot.generation || before.health.probed == after.health.probed {
            return;
        }
        for (a, accelerator) in snapshot.accelerators.iter().enumerate() {
            for (l, listener) in accelerator.listeners.iter().enumerate() {
                let at = AcceleratorIndex(a);
                let pairs = before.health.probed.listener(at, l).iter().zip(after.health.probed.listener(at, l));
                for (group, (was, is)) in listener.endpoint_groups.iter().zip(pairs) {
                    let region = &snapshot.region(group.region).code;
                    for (position, endpoint) in group.endpoints.iter().enumerate() {
                        let (from, to) = (was.state(position), is.state(position));
                        let (name, endpoint) = (&accelerator.name, snapshot.endpoint_id(endpoint.target));
                        match to {
                            _ if from == to => {}
                            HealthState::Unhealthy => {
                                let failure = is.endpoints.get(position).copied().flatten().and_then(|e| e.failure);
                                let failure = failure.map_or_else(|| "-".to_owned(), |f| f.to_string());
                                warn!(accelerator = %name, %region, endpoint, failure, "endpoint is unhealthy");
                            }
                            HealthState::Healthy | HealthState::Initial => {
                                info!(accelerator = %name, %region, endpoint, state = ?to, "endpoint's health changed");
                            }
                        }
                    }
                }
            }
        }
    }

    pub(crate) fn list(&self) -> Vec<HealthEvent> {
        self.0.iter().cloned().collect()
    }
}
