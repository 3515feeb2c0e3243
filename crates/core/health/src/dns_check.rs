//! Health checks of the DNS kind: probes of endpoints from several probers, and checks calculated from other checks.

mod status;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use perigee_model::dns::{DnsCheckKind, DnsHealthCheck, EndpointCheck};
use perigee_model::{Instant, Snapshot};

use crate::prober::{Prober, phase};
use crate::{Forced, ProbeFailure};

pub use status::{DnsCheckStatus, LastFailure};

/// A probe that the shell is to make; its result goes to [`DnsChecks::probed`].
#[derive(Clone, Debug)]
pub struct DnsProbe {
    /// The check's name.
    pub check: Arc<str>,
    /// Which of the check's probers asks, from 0.
    pub prober: u8,
    /// What to ask.
    pub endpoint: Arc<EndpointCheck>,
    /// When the probe began.
    pub began: Instant,
    serial: u64,
}

/// The DNS health checks of a snapshot.
///
/// ```text
///   probers ----> more than 18 % ----.
///                                    +--> disabled: healthy --> inverted --> forced --> verdict
///   children ---> at least so many --'
/// ```
///
/// Every endpoint check has probers that know nothing of each other: each asks one interval after its last response,
/// from a phase of its own, and turns after `threshold` results in a row, in both directions. A prober without enough
/// data counts as healthy, so that a new check is healthy, and unhealthy if inverted, until its probers know better
/// (Perigee's reading of "enough data"). Inversion is the last of what a check says; the operator's word stands above
/// it, and parents see their children's verdicts as they count.
///
/// Deterministic: phases come from names, nothing is drawn, probes that are due at one time come in the order of check
/// and prober. Source: `spec/dns.md` section 2.5; Route 53 developer guide, "How Route 53 determines whether a health
/// check is healthy".
#[derive(Clone, Debug)]
pub struct DnsChecks {
    /// In the snapshot's order.
    checks: Vec<Watched>,
    /// Positions in `checks`, children first.
    order: Vec<usize>,
    verdicts: Vec<bool>,
    forced: BTreeMap<String, Forced>,
    /// When, which check, which prober: the probes that wait for their time.
    due: BTreeSet<(Instant, usize, u8)>,
    serial: u64,
}

/// One check with what is known of it.
#[derive(Clone, Debug)]
struct Watched {
    name: Arc<str>,
    check: DnsHealthCheck,
    /// Of an endpoint check.
    endpoint: Option<Arc<EndpointCheck>>,
    /// Of an endpoint check that is not disabled.
    probers: Vec<Prober>,
    last_failure: Option<LastFailure>,
}

impl DnsChecks {
    /// The checks of `snapshot`, all of them new; first probes are due within one interval of `now`.
    pub fn new(snapshot: &Snapshot, now: Instant) -> Self {
        let mut checks = Self {
            checks: Vec::new(),
            order: Vec::new(),
            verdicts: Vec::new(),
            forced: BTreeMap::new(),
            due: BTreeSet::new(),
            serial: 0,
        };
        checks.set_snapshot(snapshot, now);
        checks
    }

    /// Moves to another generation: what is known of a check stays, by its name, and so does the operator's word.
    ///
    /// A check whose immutable fields changed (its type, with or without search string, and its interval) is another
    /// check and starts anew, and so does one that is no longer disabled. Another number of probers adds new ones or
    /// takes the last ones away. A probe under way at an endpoint that changed is abandoned, its result ignored.
    pub fn set_snapshot(&mut self, snapshot: &Snapshot, now: Instant) {
        let before = std::mem::take(&mut self.checks);
        let mut before: BTreeMap<String, Watched> = before.into_iter().map(|w| (w.check.name.clone(), w)).collect();
        let checks = &snapshot.dns.health_checks;
        self.checks = checks.iter().map(|check| Watched::next(before.remove(&check.name), check, now)).collect();
        self.order = verdict::children_first(checks);
        self.due.clear();
        for (at, watched) in self.checks.iter().enumerate() {
            let due = (0u8..).zip(&watched.probers).filter_map(|(k, prober)| Some((prober.due()?, at, k)));
            self.due.extend(due);
        }
        self.verdicts = self.judge();
    }

    /// When the next probe is due; none without probers or while all are at work.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(at, _, _)| *at)
    }

    /// A probe to make at `now`; call until it gives none.
    pub fn poll_probe(&mut self, now: Instant) -> Option<DnsProbe> {
        let (due, at, k) = *self.due.first()?;
        if due > now {
            return None;
        }
        self.due.pop_first();
        let watched = &mut self.checks[at];
        let endpoint = watched.endpoint.clone()?;
        self.serial += 1;
        watched.probers[usize::from(k)].begin(self.serial);
        Some(DnsProbe { check: watched.name.clone(), prober: k, endpoint, began: now, serial: self.serial })
    }

    /// Takes a probe's result, `Ok` for an endpoint that passed. True when a verdict changed.
    ///
    /// The result of a probe that nobody waits for any more is dropped. [`ProbeFailure::Internal`] counts neither way.
    pub fn probed(&mut self, probe: &DnsProbe, result: Result<(), ProbeFailure>, now: Instant) -> bool {
        let Some(at) = self.find(&probe.check) else { return false };
        let watched = &mut self.checks[at];
        let interval = probe.endpoint.interval;
        let Some(prober) = watched.probers.get_mut(usize::from(probe.prober)) else { return false };
        let said = prober.says_healthy();
        if !prober.end(probe.serial, result, interval, now) {
            return false;
        }
        self.due.extend(prober.due().map(|due| (due, at, probe.prober)));
        if let Err(failure) = result {
            watched.last_failure = Some(LastFailure { failure, at: now });
        }
        said != prober.says_healthy() && self.refresh()
    }

    /// Sets or withdraws the operator's word on a check; it outlives reloads. True when a verdict changed.
    pub fn force(&mut self, check: &str, forced: Option<Forced>) -> bool {
        match forced {
            Some(forced) => self.forced.insert(check.to_owned(), forced),
            None => self.forced.remove(check),
        };
        self.refresh()
    }

    /// Whether each check counts as healthy, in the snapshot's order.
    pub fn verdicts(&self) -> &[bool] {
        &self.verdicts
    }

    /// What is known of each check, in the snapshot's order.
    pub fn statuses(&self) -> Vec<DnsCheckStatus> {
        let status = |(watched, healthy): (&Watched, &bool)| {
            let (votes, voters) = watched.votes(&self.verdicts);
            DnsCheckStatus {
                name: watched.check.name.clone(),
                measured: watched.measured(&self.verdicts),
                forced: self.forced.get(&watched.check.name).copied(),
                healthy: *healthy,
                votes,
                voters,
                undecided: watched.probers.iter().filter(|prober| !prober.has_judged()).count(),
                last_failure: watched.last_failure,
            }
        };
        self.checks.iter().zip(&self.verdicts).map(status).collect()
    }

    fn find(&self, name: &str) -> Option<usize> {
        // The maker of a snapshot keeps checks in name order.
        self.checks.binary_search_by(|watched| watched.check.name.as_str().cmp(name)).ok()
    }

    /// Judges everything again. True when that changed a verdict.
    fn refresh(&mut self) -> bool {
        let before = std::mem::take(&mut self.verdicts);
        self.verdicts = self.judge();
        self.verdicts != before
    }

    fn judge(&self) -> Vec<bool> {
        let mut verdicts = vec![true; self.checks.len()];
        for at in &self.order {
            let watched = &self.checks[*at];
            verdicts[*at] = match self.forced.get(&watched.check.name) {
                Some(Forced::Healthy) => true,
                Some(Forced::Unhealthy) => false,
                None => watched.measured(&verdicts),
            };
        }
        verdicts
    }
}

impl Watched {
    /// The check as it goes on from what was known `before`.
    fn next(before: Option<Self>, check: &DnsHealthCheck, now: Instant) -> Self {
        let endpoint = match &check.kind {
            DnsCheckKind::Endpoint(endpoint) => Some(Arc::new(endpoint.clone())),
            DnsCheckKind::Calculated { .. } => None,
        };
        let before = before.filter(|before| before.is_same_kind(endpoint.as_deref()));
        let mut watched = Self {
            name: check.name.as_str().into(),
            check: check.clone(),
            endpoint,
            probers: Vec::new(),
            last_failure: before.as_ref().and_then(|before| before.last_failure),
        };
        let Some(endpoint) = watched.endpoint.as_deref().filter(|_| !check.disabled) else { return watched };
        let has_moved = before
            .as_ref()
            .is_some_and(|before| before.endpoint.as_deref().is_some_and(|before| !asks_the_same(before, endpoint)));
        let mut known = before.map(|before| before.probers).unwrap_or_default().into_iter();
        let first = |k| now + phase(&check.name, k, endpoint.interval);
        watched.probers = (0..endpoint.checkers)
            .map(|k| {
                let mut prober = known.next().unwrap_or_else(|| Prober::new(endpoint.threshold, first(k)));
                prober.set_threshold(endpoint.threshold);
                if has_moved {
                    prober.abandon(first(k));
                }
                prober
            })
            .collect();
        watched
    }

    /// Whether the fields agree that cannot change in a check's life: its type and its interval.
    fn is_same_kind(&self, other: Option<&EndpointCheck>) -> bool {
        match (self.endpoint.as_deref(), other) {
            (Some(a), Some(b)) => {
                (a.protocol, a.search.is_some(), a.interval) == (b.protocol, b.search.is_some(), b.interval)
            }
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// How many say healthy, of how many, before inversion. A check without voters has none of both.
    fn votes(&self, verdicts: &[bool]) -> (usize, usize) {
        match &self.check.kind {
            DnsCheckKind::Calculated { .. } if self.check.disabled => (0, 0),
            DnsCheckKind::Endpoint(_) => {
                (self.probers.iter().filter(|prober| prober.says_healthy()).count(), self.probers.len())
            }
            DnsCheckKind::Calculated { children, .. } => {
                let healthy = |child: &&perigee_model::HealthCheckIndex| verdicts.get(child.0) == Some(&true);
                (children.iter().filter(healthy).count(), children.len())
            }
        }
    }

    /// What the check itself says, given the verdicts of its children.
    fn measured(&self, verdicts: &[bool]) -> bool {
        let (votes, voters) = self.votes(verdicts);
        let says = self.check.disabled
            || match &self.check.kind {
                DnsCheckKind::Endpoint(_) => verdict::has_quorum(votes, voters),
                DnsCheckKind::Calculated { threshold, .. } => verdict::is_met(*threshold, votes),
            };
        says != self.check.inverted
    }
}

/// Whether a probe of `a` says something about `b`: everything but how often and how many ask is the same.
fn asks_the_same(a: &EndpointCheck, b: &EndpointCheck) -> bool {
    EndpointCheck { threshold: a.threshold, checkers: a.checkers, ..b.clone() } == *a
}

#[cfg(test)]
mod tests;
