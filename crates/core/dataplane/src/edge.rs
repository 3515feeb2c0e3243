//! The front tier's machine: knows how the regions are and says where flows and names go.

mod connection;
mod explain;
mod outbox;
mod plan;
mod view;

use std::sync::Arc;

use perigee_geo::{Atlas, PopIndex};
use perigee_health::{
    DnsCheckStatus, DnsChecks, DnsProbe, EndpointChecks, EndpointProbe, Evidence, Forced, Monitor, NodeKey, NodeReport,
    ProbeFailure, Sample, Subject, View,
};
use perigee_model::{Instant, LoadBalancerIndex, LoadBalancerName, RegionCode, Snapshot};

pub use connection::{ConnectFailure, Connection, Output, Refusal};
pub use explain::{ChosenEndpoint, ConsideredEndpoint, ConsideredGroup, NameExplanation, RouteExplanation};
pub use view::EdgeView;

/// The front tier as one machine: an edge proxy and a DNS server are drivers of it.
///
/// It holds the monitor of all regions' load balancers, the probes of the endpoints that are none and the DNS health
/// checks, and publishes an immutable [`EdgeView`] after each change; flows and names are decided on the view alone, so that a driver's hot path takes no lock and the tier goes on deciding on
/// its last good snapshot when everything behind it is gone. Deterministic: draws nothing, takes `now` as an argument.
#[derive(Debug)]
pub struct Edge {
    monitor: Monitor,
    checks: DnsChecks,
    endpoints: EndpointChecks,
    view: Arc<EdgeView>,
    /// The latest time it was told.
    now: Instant,
}

impl Edge {
    /// A front tier on `snapshot`, whose regions `atlas` was built for. `pop` fixes the point of presence of a single
    /// edge; without it each client's place selects one.
    pub fn new(snapshot: Arc<Snapshot>, atlas: Arc<Atlas>, pop: Option<PopIndex>, now: Instant) -> Self {
        let monitor = Monitor::new(&snapshot, now);
        let checks = DnsChecks::new(&snapshot, now);
        // Edges of one configuration probe out of step.
        let salt = pop.map_or(u64::MAX, |pop| pop.0 as u64);
        let mut endpoints = EndpointChecks::new(&snapshot, salt, now);
        let mut health = View { checks: checks.verdicts().to_vec(), ..monitor.view(&snapshot) };
        health.probed = endpoints.view(&snapshot, &health.load_balancers, now);
        Self { monitor, checks, endpoints, view: Arc::new(EdgeView::new(snapshot, atlas, health, pop)), now }
    }

    /// What to decide on now.
    pub const fn view(&self) -> &Arc<EdgeView> {
        &self.view
    }

    /// Moves to another configuration; load balancers, endpoints and checks that remain keep what is known of them.
    pub fn set_snapshot(&mut self, snapshot: Arc<Snapshot>, atlas: Arc<Atlas>, now: Instant) {
        self.monitor.set_snapshot(&snapshot, now);
        self.checks.set_snapshot(&snapshot, now);
        self.endpoints.set_snapshot(&snapshot, now);
        self.now = self.now.max(now);
        let mut health = View { checks: self.checks.verdicts().to_vec(), ..self.monitor.view(&snapshot) };
        health.probed = self.endpoints.view(&snapshot, &health.load_balancers, now);
        let mut view = EdgeView::new(snapshot, atlas, health, self.view.pop);
        view.dead_pops.clone_from(&self.view.dead_pops);
        view.prepare_as(&self.view);
        self.view = Arc::new(view);
    }

    /// When the next sample is due; DNS health checks have [`Self::poll_dns_timeout`], probed endpoints
    /// [`Self::poll_endpoint_timeout`].
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
        self.now = self.now.max(now);
        self.monitor.sampled(&sample.node, result, sample.began, now).is_some_and(|lb| self.refresh(lb))
    }

    /// Takes what a live connect showed. True when the view changed.
    pub fn evidence(&mut self, subject: &Subject, evidence: Evidence, now: Instant) -> bool {
        self.now = self.now.max(now);
        match subject {
            Subject::Node(node) => self.monitor.evidence(node, evidence, now).is_some_and(|lb| self.refresh(lb)),
            Subject::Endpoint(key) => self.endpoints.evidence(key, evidence, now) && self.publish_endpoints(),
        }
    }

    /// When the next probe of an instance or elastic IP is due, or one that was held may rise.
    ///
    /// It is not part of [`Self::poll_timeout`], because only a driver that carries flows probes: elsewhere these
    /// endpoints stay as they are when new.
    pub fn poll_endpoint_timeout(&self) -> Option<Instant> {
        self.endpoints.poll_timeout()
    }

    /// A probe of an endpoint to make now; call until it gives none.
    pub fn poll_endpoint_probe(&mut self, now: Instant) -> Option<EndpointProbe> {
        self.endpoints.poll_probe(now)
    }

    /// Takes the result of a probe of an endpoint. True when the view changed.
    pub fn endpoint_probed(&mut self, probe: &EndpointProbe, result: Result<(), ProbeFailure>, now: Instant) -> bool {
        self.now = self.now.max(now);
        self.endpoints.probed(probe, result, now) && self.publish_endpoints()
    }

    /// Time has come to `now`: endpoints and groups that were held long enough take flows again. True when the view
    /// changed.
    pub fn handle_endpoint_timeout(&mut self, now: Instant) -> bool {
        self.now = self.now.max(now);
        self.endpoints.handle_timeout(now) && self.publish_endpoints()
    }

    /// Sets or withdraws the operator's word on an instance or elastic IP of a region, by its id. False when no group
    /// has such an endpoint.
    pub fn force_endpoint(&mut self, region: &RegionCode, endpoint: &str, forced: Option<Forced>) -> bool {
        let is_there = self.endpoints.force(region, endpoint, forced);
        self.publish_endpoints();
        is_there
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

    /// Brings the probed endpoints of the view up to date. True when that changed it.
    fn publish_endpoints(&mut self) -> bool {
        let before = &self.view.health;
        let probed = self.endpoints.view(&self.view.snapshot, &before.load_balancers, self.now);
        let changed = probed != before.probed;
        if changed {
            let mut view = EdgeView::clone(&self.view);
            view.set_probed(probed);
            self.view = Arc::new(view);
        }
        changed
    }

    /// Brings one load balancer of the view up to date. True when that changed it.
    fn refresh(&mut self, index: LoadBalancerIndex) -> bool {
        let health = self.monitor.load_balancer(&self.view.snapshot, index);
        let changed = health != *self.view.health.load_balancer(index);
        if changed {
            let mut view = EdgeView::clone(&self.view);
            view.set_load_balancer(index, health);
            self.view = Arc::new(view);
            // A group that has load balancers and others comes back by either.
            if !self.endpoints.is_empty() {
                self.publish_endpoints();
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests;
