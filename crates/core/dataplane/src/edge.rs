//! The front tier's machine: knows how the regions are and says where flows and names go.

mod connection;
mod custom_routing;
mod explain;
mod outbox;
mod plan;
mod view;

use std::sync::Arc;

use perigee_geo::{Atlas, PopIndex};
use perigee_health::{
    DnsCheckStatus, DnsChecks, DnsProbe, Evidence, Forced, Monitor, NodeKey, NodeReport, ProbeFailure, Sample, View,
};
use perigee_model::{Instant, LoadBalancerIndex, LoadBalancerName, RegionCode, Snapshot};

pub use connection::{ConnectFailure, Connection, Output, Refusal};
pub use explain::{ChosenEndpoint, ConsideredGroup, MappedDestination, MappedPort, NameExplanation, RouteExplanation};
pub use plan::AcceleratorRef;
pub use view::EdgeView;

/// The front tier as one machine: an edge proxy and a DNS server are drivers of it.
///
/// It holds the monitor of all regions' load balancers and the DNS health checks, and publishes an immutable [`EdgeView`] after each change; flows
/// and names are decided on the view alone, so that a driver's hot path takes no lock and the tier goes on deciding on
/// its last good snapshot when everything behind it is gone. Deterministic: draws nothing, takes `now` as an argument.
#[derive(Debug)]
pub struct Edge {
    monitor: Monitor,
    checks: DnsChecks,
    view: Arc<EdgeView>,
}

impl Edge {
    /// A front tier on `snapshot`, whose regions `atlas` was built for. `pop` fixes the point of presence of a single
    /// edge; without it each client's place selects one.
    pub fn new(snapshot: Arc<Snapshot>, atlas: Arc<Atlas>, pop: Option<PopIndex>, now: Instant) -> Self {
        let monitor = Monitor::new(&snapshot, now);
        let checks = DnsChecks::new(&snapshot, now);
        let health = View { checks: checks.verdicts().to_vec(), ..monitor.view(&snapshot) };
        Self { monitor, checks, view: Arc::new(EdgeView::new(snapshot, atlas, health, pop, None)) }
    }

    /// What to decide on now.
    pub const fn view(&self) -> &Arc<EdgeView> {
        &self.view
    }

    /// Moves to another configuration; load balancers and checks that remain keep what is known of them,
    /// subnets of custom routing accelerators their ports. A configuration that forbids the latter must have been refused
    /// before ([`EdgeView::mapping_problems`]).
    pub fn set_snapshot(&mut self, snapshot: Arc<Snapshot>, atlas: Arc<Atlas>, now: Instant) {
        self.monitor.set_snapshot(&snapshot, now);
        self.checks.set_snapshot(&snapshot, now);
        let health = View { checks: self.checks.verdicts().to_vec(), ..self.monitor.view(&snapshot) };
        let mut view = EdgeView::new(snapshot, atlas, health, self.view.pop, Some(&self.view));
        view.dead_pops.clone_from(&self.view.dead_pops);
        view.prepare_as(&self.view);
        self.view = Arc::new(view);
    }

    /// When the next sample is due; DNS health checks have [`Self::poll_dns_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.monitor.poll_timeout()
    }

    /// A sample to take now; call until it gives none.
    pub fn poll_sample(&mut self, now: Instant) -> Option<Sample> {
        self.monitor.poll_sample(now)
    }

    /// Whether further samples like the last ones would change nothing ([`Monitor::is_settled`]).
    pub fn is_settled(&self) -> bool {
        self.monitor.is_settled()
    }

    /// The same, but samples may be under way ([`Monitor::is_steady`]).
    pub fn is_steady(&self) -> bool {
        self.monitor.is_steady()
    }

    /// Leaves out the samples before `now` that would change nothing ([`Monitor::skip_to`]); the view stays as it is.
    pub fn skip_to(&mut self, now: Instant) {
        self.monitor.skip_to(now);
    }

    /// The same for one node; unknown ones are nobody's.
    pub fn skip_node_to(&mut self, node: &NodeKey, now: Instant) {
        self.monitor.skip_node_to(node, now);
    }

    /// Takes a sample's result. True when the view changed.
    pub fn sampled(&mut self, sample: &Sample, result: Result<NodeReport, ProbeFailure>, now: Instant) -> bool {
        self.monitor.sampled(&sample.node, result, sample.began, now).is_some_and(|lb| self.refresh(lb))
    }

    /// Takes what a live connect showed. True when the view changed.
    pub fn evidence(&mut self, node: &NodeKey, evidence: Evidence, now: Instant) -> bool {
        self.monitor.evidence(node, evidence, now).is_some_and(|lb| self.refresh(lb))
    }

    /// Sets or withdraws the operator's word on a load balancer. True when the view changed.
    pub fn force(&mut self, region: &RegionCode, load_balancer: &LoadBalancerName, forced: Option<Forced>) -> bool {
        self.monitor.force(region, load_balancer, forced);
        let snapshot = &self.view.snapshot;
        let region = snapshot.find_region(region.as_str());
        let index = region.and_then(|region| snapshot.find_load_balancer(region, load_balancer));
        index.is_some_and(|index| self.refresh(index))
    }

    /// Takes a point of presence out of the anycast or puts it back; its clients go to the next one. True when the view
    /// changed.
    pub fn set_pop(&mut self, pop: PopIndex, alive: bool) -> bool {
        let is_dead = self.view.dead_pops.contains(&pop);
        if is_dead != alive {
            return false;
        }
        let mut view = EdgeView::clone(&self.view);
        if alive {
            view.dead_pops.retain(|p| *p != pop);
        } else {
            view.dead_pops.push(pop);
            view.dead_pops.sort_unstable();
        }
        self.view = Arc::new(view);
        true
    }

    /// When the next probe of a DNS health check is due.
    ///
    /// It is not part of [`Self::poll_timeout`], because only a driver that answers DNS probes: an edge without DNS and
    /// the simulator leave the checks as new as they are, and must not be woken for them.
    pub fn poll_dns_timeout(&self) -> Option<Instant> {
        self.checks.poll_timeout()
    }

    /// A probe of a DNS health check to make now; call until it gives none.
    pub fn poll_dns_probe(&mut self, now: Instant) -> Option<DnsProbe> {
        self.checks.poll_probe(now)
    }

    /// Takes the result of a probe of a DNS health check. True when the view changed.
    pub fn dns_probed(&mut self, probe: &DnsProbe, result: Result<(), ProbeFailure>, now: Instant) -> bool {
        self.checks.probed(probe, result, now) && self.publish_checks()
    }

    /// Sets or withdraws the operator's word on a DNS health check. True when the view changed.
    pub fn force_check(&mut self, check: &str, forced: Option<Forced>) -> bool {
        self.checks.force(check, forced) && self.publish_checks()
    }

    /// What is known of the DNS health checks, in the snapshot's order.
    pub fn check_statuses(&self) -> Vec<DnsCheckStatus> {
        self.checks.statuses()
    }

    /// Puts the verdicts of the DNS health checks into the view. Always true: they have changed.
    fn publish_checks(&mut self) -> bool {
        let mut view = EdgeView::clone(&self.view);
        view.set_checks(self.checks.verdicts().to_vec());
        self.view = Arc::new(view);
        true
    }

    /// Brings one load balancer of the view up to date. True when that changed it.
    fn refresh(&mut self, index: LoadBalancerIndex) -> bool {
        let health = self.monitor.load_balancer(&self.view.snapshot, index);
        let changed = health != *self.view.health.load_balancer(index);
        if changed {
            let mut view = EdgeView::clone(&self.view);
            view.set_load_balancer(index, health);
            self.view = Arc::new(view);
        }
        changed
    }
}

#[cfg(test)]
#[path = "edge/tests.rs"]
mod tests;
