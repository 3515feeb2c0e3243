//! The endpoints that an accelerator probes itself: instances and elastic IP addresses.

mod layout;
mod watched;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use perigee_model::dns::EndpointCheck;
use perigee_model::{AcceleratorName, EndpointTarget, Instant, RegionCode, Snapshot, TransportProtocol};

use crate::fail_back::{FailBack, Offer};
use crate::{Evidence, Forced, GroupHealth, HealthState, LoadBalancerHealth, ProbeFailure, ProbedHealth, ProbedView};
use layout::{Wanted, wanted};
use watched::Watched;

/// A probed endpoint in a group, by what stays the same over generations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointKey {
    /// The accelerator.
    pub accelerator: AcceleratorName,
    /// The listener's protocol and the first port of its first range, which tell it from the others.
    pub listener: (TransportProtocol, u16),
    /// The group's region.
    pub region: RegionCode,
    /// The instance or allocation id.
    pub endpoint: Arc<str>,
}

/// A probe that the shell is to make; its result goes to [`EndpointChecks::probed`].
#[derive(Clone, Debug)]
pub struct EndpointProbe {
    /// The endpoint.
    pub key: EndpointKey,
    /// What to ask, with the limits of Route 53's probes (`global-accelerator.md` section 8.3).
    pub endpoint: Arc<EndpointCheck>,
    /// When the probe began.
    pub began: Instant,
    serial: u64,
}

/// Probes the instances and elastic IP addresses of every endpoint group of a snapshot and judges them.
///
/// ```text
///   probes, `threshold_count` in a row --.
///                                        +--> held while it comes back (fast) --> forced --> group held (aws) --> view
///   live connects (fast only) -----------'
/// ```
///
/// Every endpoint of every group has a prober of its own, which asks one interval after the last response whatever that
/// said: the work does not grow in an outage. Begins and intervals are spread by hashes of the endpoint, the edge and
/// the probe's number, so that neither the endpoints of one edge nor the edges of one endpoint ask in step. In `fast` a
/// refused or silent live connect makes an endpoint unhealthy at once and brings its next probe forward, once; one pass
/// of a probe that began later lifts the suspicion. Deterministic: nothing is drawn, the clock is an argument.
///
/// Source: `global-accelerator.md` sections 8.1, 8.3 and 9; one prober per endpoint and edge is its default.
#[derive(Clone, Debug)]
pub struct EndpointChecks {
    /// Tells this edge's schedule from the others'.
    salt: u64,
    /// In key order.
    watched: Vec<Watched>,
    /// Those that have probed endpoints, in the snapshot's order.
    groups: Vec<Group>,
    forced: BTreeMap<(RegionCode, Arc<str>), Forced>,
    /// When something of an endpoint is due, by its position in `watched`.
    timers: BTreeSet<(Instant, usize)>,
    serial: u64,
}

/// An endpoint group that has probed endpoints.
#[derive(Clone, Debug)]
struct Group {
    /// Positions of accelerator, listener and group in the snapshot.
    place: (usize, usize, usize),
    /// By position in the group; positions in `watched`, none for load balancers.
    endpoints: Vec<Option<usize>>,
    fail_back: FailBack,
}

impl EndpointChecks {
    /// The probed endpoints of `snapshot`, all of them new; first probes are due within a second of `now`. `salt` is
    /// another one at each edge.
    pub fn new(snapshot: &Snapshot, salt: u64, now: Instant) -> Self {
        let mut checks = Self {
            salt,
            watched: Vec::new(),
            groups: Vec::new(),
            forced: BTreeMap::new(),
            timers: BTreeSet::new(),
            serial: 0,
        };
        checks.set_snapshot(snapshot, now);
        checks
    }

    /// Moves to another generation: endpoints that remain keep what is known of them, groups their hold, and the
    /// operator's word stays. A probe under way at an endpoint that is asked something else from now on is abandoned.
    pub fn set_snapshot(&mut self, snapshot: &Snapshot, now: Instant) {
        let Wanted { endpoints, groups } = wanted(snapshot);
        let mut holds: BTreeMap<_, FailBack> = self
            .groups
            .drain(..)
            .filter_map(|g| Some((group_key(&self.watched, &g.endpoints)?, g.fail_back)))
            .collect();
        let before = std::mem::take(&mut self.watched);
        let mut before: BTreeMap<EndpointKey, Watched> = before.into_iter().map(|w| (w.key.clone(), w)).collect();
        let settings = &snapshot.settings;
        for (key, check) in endpoints {
            self.watched.push(match before.remove(&key) {
                Some(mut watched) => {
                    watched.set_check(check, settings, now);
                    watched
                }
                None => Watched::new(key, check, settings, self.salt, now),
            });
        }
        self.groups = (groups.into_iter())
            .map(|(place, keys)| {
                let position = |key: EndpointKey| self.find(&key);
                let endpoints: Vec<Option<usize>> = keys.into_iter().map(|key| key.and_then(position)).collect();
                let known = group_key(&self.watched, &endpoints).and_then(|key| holds.remove(&key));
                let mut fail_back = known.unwrap_or_else(|| FailBack::new(settings.behaviour));
                fail_back.set_behaviour(settings.behaviour);
                Group { place, endpoints, fail_back }
            })
            .collect();
        self.timers = (self.watched.iter_mut().enumerate()).filter_map(|(at, w)| Some((w.rearm()?, at))).collect();
    }

    /// Whether there is anything to probe.
    pub fn is_empty(&self) -> bool {
        self.watched.is_empty()
    }

    /// When [`Self::poll_probe`] or [`Self::handle_timeout`] wants to be called; none without endpoints or while all
    /// are being probed and nothing is held.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let holds = self.groups.iter().filter_map(|group| group.fail_back.until());
        self.timers.first().map(|(at, _)| *at).into_iter().chain(holds).min()
    }

    /// A probe to make at `now`; call until it gives none.
    pub fn poll_probe(&mut self, now: Instant) -> Option<EndpointProbe> {
        let due = |(_, at): &&(Instant, usize)| self.watched[*at].probe_due().is_some_and(|due| due <= now);
        let (_, at) = *self.timers.iter().take_while(|(timer, _)| *timer <= now).find(due)?;
        self.serial += 1;
        let serial = self.serial;
        let endpoint = self.watched[at].begin(serial);
        let key = self.watched[at].key.clone();
        self.arm(at);
        Some(EndpointProbe { key, endpoint, began: now, serial })
    }

    /// Takes a probe's result, `Ok` for an endpoint that passed. The result of a probe that nobody waits for any more
    /// is dropped, and [`ProbeFailure::Internal`] counts neither way. True when the endpoint's state may have changed.
    pub fn probed(&mut self, probe: &EndpointProbe, result: Result<(), ProbeFailure>, now: Instant) -> bool {
        let Some(at) = self.find(&probe.key) else { return false };
        let before = self.watched[at].health();
        self.watched[at].probed(probe, result, now);
        self.arm(at);
        before != self.watched[at].health()
    }

    /// Takes what a live connect showed; counts in `fast` alone. True when the endpoint's state changed.
    pub fn evidence(&mut self, key: &EndpointKey, evidence: Evidence, now: Instant) -> bool {
        let Some(at) = self.find(key) else { return false };
        let before = self.watched[at].health();
        self.watched[at].evidence(evidence, now);
        self.arm(at);
        before != self.watched[at].health()
    }

    /// Time has come to `now`: what was held long enough rises. True when something may have changed.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        let due: Vec<usize> = self.timers.iter().take_while(|(at, _)| *at <= now).map(|(_, at)| *at).collect();
        let mut changed = self.groups.iter().any(|g| g.fail_back.until().is_some_and(|until| until <= now));
        for at in due {
            let before = self.watched[at].health();
            self.watched[at].handle_timeout(now);
            self.arm(at);
            changed |= before != self.watched[at].health();
        }
        changed
    }

    /// Sets or withdraws the operator's word on an instance or elastic IP of a region, by its id, in every group it is
    /// in. It outlives reloads. False when there is no such endpoint.
    pub fn force(&mut self, region: &RegionCode, endpoint: &str, forced: Option<Forced>) -> bool {
        let is_it = |w: &&Watched| w.key.region == *region && *w.key.endpoint == *endpoint;
        let Some(id) = self.watched.iter().find(is_it).map(|w| w.key.endpoint.clone()) else { return false };
        let key = (region.clone(), id);
        match forced {
            Some(forced) => self.forced.insert(key, forced),
            None => self.forced.remove(&key),
        };
        true
    }

    /// What is known at `now`, with the holds of the groups, which depend on their load balancers too: `snapshot` is
    /// the one last given, `load_balancers` are its load balancers' health.
    pub fn view(&mut self, snapshot: &Snapshot, load_balancers: &[LoadBalancerHealth], now: Instant) -> ProbedView {
        let mut view = ProbedView::default();
        for group in &mut self.groups {
            let (accelerator, listener, position) = group.place;
            let known = |at: &Option<usize>| {
                let watched = &self.watched[(*at)?];
                let forced = self.forced.get(&(watched.key.region.clone(), watched.key.endpoint.clone())).copied();
                Some(ProbedHealth { forced, ..watched.health() })
            };
            let mut health = GroupHealth { held: false, endpoints: group.endpoints.iter().map(known).collect() };
            let listener_groups = &snapshot.accelerators[accelerator].listeners[listener].endpoint_groups;
            let mut offer = Offer::Nothing;
            for (i, endpoint) in listener_groups[position].endpoints.iter().enumerate() {
                let (state, offered) = match endpoint.target {
                    EndpointTarget::LoadBalancer(lb) => (load_balancers[lb.0].effective(), Offer::LoadBalancer),
                    EndpointTarget::Instance(_) | EndpointTarget::ElasticIp(_) => (health.state(i), Offer::Probed),
                };
                if state == HealthState::Healthy && endpoint.weight.get() > 0 && offer != Offer::LoadBalancer {
                    offer = offered;
                }
            }
            health.held = group.fail_back.observe(offer, now);
            view.put(group.place, listener_groups.len(), health);
        }
        view
    }

    fn find(&self, key: &EndpointKey) -> Option<usize> {
        self.watched.binary_search_by(|watched| watched.key.cmp(key)).ok()
    }

    /// Puts an endpoint's timer where it now belongs.
    fn arm(&mut self, at: usize) {
        if let Some(armed) = self.watched[at].armed() {
            self.timers.remove(&(armed, at));
        }
        self.timers.extend(self.watched[at].rearm().map(|due| (due, at)));
    }
}

/// What a group is known by: everything of its endpoints' keys but the endpoint.
fn group_key(
    watched: &[Watched],
    endpoints: &[Option<usize>],
) -> Option<(AcceleratorName, (TransportProtocol, u16), RegionCode)> {
    let first = &watched[endpoints.iter().copied().flatten().next()?].key;
    Some((first.accelerator.clone(), first.listener, first.region.clone()))
}

#[cfg(test)]
mod tests;
