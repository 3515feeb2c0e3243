use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwap;
use perigee_dataplane::{Edge, EdgeView};
use perigee_geo::{Atlas, PopIndex};
use perigee_health::{DnsCheckStatus, Evidence, Forced, NodeReport, ProbeFailure, Sample, Subject};
use perigee_model::{LoadBalancerName, ProbeProtocol, RegionCode, Snapshot};
use perigee_net::{Clock, Host, ProbeTarget, Shutdown, fetch};
use tokio::sync::Notify;
use tracing::debug;

use crate::HealthEvent;
use crate::events::Events;

/// Drives the front tier's machine: takes its samples, the probes of its endpoints and of its DNS health checks, hands
/// it evidence, publishes its view.
///
/// Readers take the view without a lock; the machine itself sits behind a lock that is held for one call at a time.
#[derive(Debug)]
pub struct Front {
    machine: Mutex<(Edge, Events)>,
    view: Arc<ArcSwap<EdgeView>>,
    pub(crate) clock: Clock,
    changed: Notify,
    /// Wakes who probes for the DNS health checks.
    pub(crate) checks_changed: Notify,
    /// Wakes who probes the endpoints that are no load balancers.
    pub(crate) endpoints_changed: Notify,
}

impl Front {
    /// A front tier that has not sampled anything yet; see [`Edge::new`].
    pub fn new(snapshot: Arc<Snapshot>, atlas: Arc<Atlas>, pop: Option<PopIndex>, clock: Clock) -> Arc<Self> {
        let edge = Edge::new(snapshot, atlas, pop, clock.now());
        let view = Arc::new(ArcSwap::new(edge.view().clone()));
        let machine = Mutex::new((edge, Events::default()));
        Arc::new(Self {
            machine,
            view,
            clock,
            changed: Notify::new(),
            checks_changed: Notify::new(),
            endpoints_changed: Notify::new(),
        })
    }

    /// What to decide on now.
    pub fn view(&self) -> Arc<EdgeView> {
        self.view.load_full()
    }

    /// Where the view is published.
    pub fn shared_view(&self) -> Arc<ArcSwap<EdgeView>> {
        self.view.clone()
    }

    /// The latest changes of health, oldest first.
    pub fn events(&self) -> Vec<HealthEvent> {
        self.lock().1.list()
    }

    /// Moves to another configuration.
    pub fn set_snapshot(&self, snapshot: Arc<Snapshot>, atlas: Arc<Atlas>) {
        let now = self.clock.now();
        self.with(|edge| edge.set_snapshot(snapshot, atlas, now));
        self.changed.notify_one();
        self.checks_changed.notify_one();
        self.endpoints_changed.notify_one();
    }

    /// Takes what a live connect showed.
    pub fn evidence(&self, subject: &Subject, evidence: Evidence) {
        let now = self.clock.now();
        if self.with(|edge| edge.evidence(subject, evidence, now)) {
            debug!(?subject, ?evidence, "live connect changed what is known of it");
            match subject {
                Subject::Node(_) => self.changed.notify_one(),
                Subject::Endpoint(_) => self.endpoints_changed.notify_one(),
            }
        }
    }

    /// Sets or withdraws the operator's word on an instance or elastic IP of a region, by its id. False when no
    /// endpoint group has it.
    pub fn force_endpoint(&self, region: &RegionCode, endpoint: &str, forced: Option<Forced>) -> bool {
        self.with(|edge| edge.force_endpoint(region, endpoint, forced))
    }

    /// Sets or withdraws the operator's word on a load balancer.
    pub fn force(&self, region: &RegionCode, load_balancer: &LoadBalancerName, forced: Option<Forced>) {
        self.with(|edge| edge.force(region, load_balancer, forced));
    }

    /// Sets or withdraws the operator's word on a DNS health check. False when there is no such check.
    pub fn force_check(&self, check: &str, forced: Option<Forced>) -> bool {
        let is_there = self.view().snapshot.dns.health_checks.iter().any(|c| c.name == check);
        if is_there {
            self.with(|edge| edge.force_check(check, forced));
            self.checks_changed.notify_one();
        }
        is_there
    }

    /// What is known of the DNS health checks, in the order of the snapshot.
    pub fn check_statuses(&self) -> Vec<DnsCheckStatus> {
        self.with(|edge| edge.check_statuses())
    }

    /// Takes a point of presence out of the anycast or puts it back.
    pub fn set_pop(&self, pop: PopIndex, alive: bool) {
        self.with(|edge| edge.set_pop(pop, alive));
    }

    /// Samples the load balancers as `host` until the shutdown begins.
    pub async fn run(self: Arc<Self>, host: Host, shutdown: Shutdown) {
        loop {
            let now = self.clock.now();
            while let Some(sample) = self.with(|edge| edge.poll_sample(now)) {
                let front = self.clone();
                let host = host.clone();
                // Not counted by the shutdown: a sample is worth nothing once the process ends.
                tokio::spawn(async move {
                    let result = take(&host, &sample, front.view().snapshot.settings.timing.lb_health_timeout).await;
                    let now = front.clock.now();
                    front.with(|edge| edge.sampled(&sample, result, now));
                    front.changed.notify_one();
                });
            }
            let next = self.with(|edge| edge.poll_timeout());
            let timer = async {
                match next {
                    Some(at) => tokio::time::sleep_until(self.clock.deadline(at)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = timer => {}
                () = self.changed.notified() => {}
                () = shutdown.draining() => return,
            }
        }
    }

    /// One call of the machine; publishes the view if it is another one afterwards.
    pub(crate) fn with<T>(&self, call: impl FnOnce(&mut Edge) -> T) -> T {
        let mut machine = self.lock();
        let (edge, events) = &mut *machine;
        let before = edge.view().clone();
        let result = call(edge);
        if !Arc::ptr_eq(&before, edge.view()) {
            events.compare(&before, edge.view(), self.clock.now());
            Events::log_checks(&before, edge.view());
            Events::log_endpoints(&before, edge.view());
            self.view.store(edge.view().clone());
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, (Edge, Events)> {
        // The machine is never left half-changed by a panic of ours that matters more than going on.
        self.machine.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Asks a node for its report.
async fn take(host: &Host, sample: &Sample, timeout: std::time::Duration) -> Result<NodeReport, ProbeFailure> {
    let target = ProbeTarget {
        protocol: ProbeProtocol::Http,
        address: sample.status,
        path: format!("/v1/report?load_balancer={}", sample.node.load_balancer),
        user_agent: "Perigee-Front/1",
        timeout,
    };
    match fetch(host, &target).await? {
        (200, body) => serde_json::from_slice(&body).map_err(|_| ProbeFailure::Connection),
        (code, _) => Err(ProbeFailure::ResponseCode { code }),
    }
}
