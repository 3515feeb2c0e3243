use std::sync::Arc;
use std::time::Duration;

use perigee_admin::{Control, ControlError, Explain, Kill, Mappings, Pending, Restore};
use perigee_geo::PopIndex;
use perigee_health::Forced;
use perigee_model::LoadBalancerIndex;
use perigee_net::{Fault, Host};
use serde_json::{Value, json};
use tracing::info;

use super::Stack;
use crate::hosts::HostKey;

/// How long a kill waits for the listeners to obey.
const SETTLE_LIMIT: Duration = Duration::from_secs(2);
/// Delay of `slow` if none is given.
const SLOW_DEFAULT_MS: u64 = 1_000;
/// What stands before the name of a DNS health check.
const CHECK: &str = "check:";

impl Control for Stack {
    fn ready(&self) -> Result<(), String> {
        Self::ready(self)
    }

    fn status(&self) -> Value {
        json!(Self::status(self))
    }

    fn events(&self) -> Value {
        json!(self.front.as_ref().map(|f| f.events()).unwrap_or_default())
    }

    fn explain(&self, request: Explain) -> Result<Value, ControlError> {
        let explained = match &request.dns {
            Some(dns) => self.explain_name(request.client, dns).map(|e| json!(e)),
            None => Self::explain(self, &request).map(|e| json!(e)),
        };
        explained.map_err(ControlError::Invalid)
    }

    fn mappings(&self, request: Mappings) -> Result<Value, ControlError> {
        Self::mappings(self, &request).map(|page| json!(page)).map_err(ControlError::Invalid)
    }

    fn kill(&self, request: Kill) -> Pending<'_, Result<Value, ControlError>> {
        Box::pin(self.break_something(request))
    }

    fn restore(&self, request: Restore) -> Pending<'_, Result<Value, ControlError>> {
        Box::pin(self.mend(request))
    }

    fn reload(&self) -> Pending<'_, Result<Value, ControlError>> {
        Box::pin(async {
            let generation = Self::reload(self).await.map_err(ControlError::Refused)?;
            Ok(json!({ "generation": generation }))
        })
    }
}

impl Stack {
    async fn break_something(&self, Kill { what, how, delay_ms }: Kill) -> Result<Value, ControlError> {
        let invalid = |message: String| Err(ControlError::Invalid(message));
        if what.starts_with(CHECK) && how != "unhealthy" {
            return invalid("a health check has no machine to break: --how unhealthy is the word on it".to_owned());
        }
        if delay_ms.is_some_and(|ms| !(1..=60_000).contains(&ms)) {
            return invalid("delay_ms must be 1 to 60000".to_owned());
        }
        let fault = match how.as_str() {
            "crash" => Fault::Crash,
            "blackhole" => Fault::Blackhole,
            "error" => Fault::Error,
            "slow" => Fault::Slow { delay_ms: delay_ms.unwrap_or(SLOW_DEFAULT_MS) },
            "unhealthy" => return self.force(&what, Some(Forced::Unhealthy)),
            other => {
                return invalid(format!("{other:?} is no way to kill: crash, blackhole, error, slow or unhealthy"));
            }
        };
        if let Some((pop, host)) = self.pop(&what) {
            if fault.has_network() {
                return invalid("an edge forwards bytes and knows no requests: crash or blackhole it".to_owned());
            }
            self.set_pop(pop, false);
            self.apply(&[host], fault).await;
            return Ok(report(&what, &how, 1));
        }
        if let Some(zone) = self.network_zone(&what) {
            if fault.has_network() {
                return invalid("a network zone knows no requests: crash or blackhole it".to_owned());
            }
            self.apply(&[zone], fault).await;
            info!(what, how, "broken on purpose");
            return Ok(report(&what, &how, 1));
        }
        let mut hosts = self.hosts_of(&what)?;
        // A region or zone that errs or is slow is its application: the load balancers go on and notice. A crash or a
        // blackhole takes everything.
        if fault.has_network() && hosts.iter().any(|(key, _)| key.is_target()) {
            hosts.retain(|(key, _)| key.is_target());
        }
        let count = hosts.len();
        self.apply(&machines(hosts), fault).await;
        info!(what, how, machines = count, "broken on purpose");
        Ok(report(&what, &how, count))
    }

    async fn mend(&self, Restore { what }: Restore) -> Result<Value, ControlError> {
        if let Some((pop, host)) = self.pop(&what) {
            // Clients come back to an edge that takes them.
            self.apply(&[host], Fault::None).await;
            self.set_pop(pop, true);
            return Ok(report(&what, "restored", 1));
        }
        if let Some(zone) = self.network_zone(&what) {
            self.apply(&[zone], Fault::None).await;
            return Ok(report(&what, "restored", 1));
        }
        if what.starts_with(CHECK) {
            return self.force(&what, None);
        }
        let hosts = self.hosts_of(&what)?;
        let count = hosts.len();
        // Targets first: a node's first check should not meet a target that is still dead.
        let (targets, nodes): (Vec<_>, Vec<_>) = hosts.into_iter().partition(|(key, _)| key.is_target());
        self.apply(&machines(targets), Fault::None).await;
        self.apply(&machines(nodes), Fault::None).await;
        // The operator's word goes with it; there may have been none.
        let _ = self.force(&what, None);
        info!(what, machines = count, "mended");
        Ok(report(&what, "restored", count))
    }

    async fn apply(&self, hosts: &[Host], fault: Fault) {
        for host in hosts {
            host.set_fault(fault);
        }
        let settled = async {
            for host in hosts {
                host.settled().await;
            }
        };
        let _ = tokio::time::timeout(SETTLE_LIMIT, settled).await;
    }

    fn hosts_of(&self, what: &str) -> Result<Vec<(HostKey, Host)>, ControlError> {
        let hosts = self.hosts.meant_by(what);
        if hosts.is_empty() {
            let snapshot = self.snapshot();
            let regions: Vec<&str> = snapshot.regions.iter().map(|r| r.code.as_str()).collect();
            let zones: Vec<&str> = snapshot.regions.iter().flat_map(|r| &r.zones).map(|z| z.as_str()).collect();
            return Err(ControlError::NotFound(format!(
                "this process runs nothing called {what:?}; there are regions ({}), zones ({}), load balancers \
                 (region/name), targets (address:port), edges (ICN) and network zones (zone-a, zone-b)",
                regions.join(", "),
                zones.join(", ")
            )));
        }
        Ok(hosts)
    }

    fn force(&self, what: &str, forced: Option<Forced>) -> Result<Value, ControlError> {
        let Some(front) = &self.front else {
            return Err(ControlError::Invalid("this process has no front tier whose word would count".to_owned()));
        };
        let word = if forced.is_some() { "unhealthy" } else { "restored" };
        if let Some(check) = what.strip_prefix(CHECK) {
            if self.dns.is_none() {
                return Err(ControlError::Invalid("this process answers no DNS and uses no health check".to_owned()));
            }
            if !front.force_check(check, forced) {
                return Err(ControlError::NotFound(format!("there is no DNS health check called {check:?}")));
            }
            return Ok(report(what, word, 1));
        }
        let snapshot = front.view().snapshot.clone();
        let mut count = 0;
        for (i, lb) in snapshot.load_balancers.iter().enumerate() {
            let region = &snapshot.region(lb.region).code;
            if region.as_str() == what || format!("{region}/{}", lb.name) == what {
                front.force(region, &snapshot.load_balancer(LoadBalancerIndex(i)).name, forced);
                count += 1;
            }
        }
        let instances = snapshot.instances.iter().map(|i| (i.region, i.id.as_str()));
        let elastic_ips = snapshot.elastic_ips.iter().map(|e| (e.region, e.id.as_str()));
        for (region, id) in instances.chain(elastic_ips) {
            let region = &snapshot.region(region).code;
            let is_meant = region.as_str() == what || format!("{region}/{id}") == what;
            if is_meant && front.force_endpoint(region, id, forced) {
                count += 1;
            }
        }
        if count == 0 {
            let message = format!(
                "the operator's word is about regions, load balancers and endpoints (region/name) and DNS health checks (check:NAME), not {what:?}"
            );
            return Err(ControlError::Invalid(message));
        }
        Ok(report(what, word, count))
    }

    fn pop(&self, what: &str) -> Option<(PopIndex, Host)> {
        self.proxy.as_ref()?;
        let pop = self.front.as_ref()?.view().atlas.find_pop(what)?;
        Some((pop, Arc::clone(&self.pops).get(pop)))
    }

    /// A network zone of the edge that this process runs.
    fn network_zone(&self, what: &str) -> Option<Host> {
        self.proxy.as_ref()?;
        self.pops.find_zone(what)
    }

    fn set_pop(&self, pop: PopIndex, alive: bool) {
        if let Some(front) = &self.front {
            front.set_pop(pop, alive);
        }
    }
}

fn machines(hosts: Vec<(HostKey, Host)>) -> Vec<Host> {
    hosts.into_iter().map(|(_, host)| host).collect()
}

fn report(what: &str, how: &str, machines: usize) -> Value {
    json!({ "what": what, "how": how, "machines": machines })
}
