//! After the last fault is mended everything comes back, within a time that the configuration tells.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use perigee_dataplane::{Connection, Edge, EdgeView};
use perigee_health::TargetState;
use perigee_model::{Behaviour, Instant, Snapshot};
use perigee_steering::Flow;

use super::law;
use super::{Audit, Counts, Engine, Found, Reached};
use crate::engine::host::Mode;
use crate::engine::timeline::Timeline;
use crate::zero::ZERO;
use crate::{How, Scenario, span};

/// The longest that a node is held back (`recovery_hold` doubles up to this with each relapse).
const LONGEST_HOLD: Duration = Duration::from_secs(30);
/// For ways, waiting lines and phases.
const SLACK: Duration = Duration::from_secs(2);

/// How long after the last mending everything must be as if nothing had happened.
///
/// ```text
///   checks of the targets     interval x (successes needed + 1) + timeout
/// + evidence of old connects  the loads' longest time-out
/// + samples of the nodes      poll x (misses + 2) + timeout
/// + the longest hold          30 s, in fast with a hold
/// + caches                    the name's TTL
/// + slack                     2 s
/// ```
pub(crate) fn patience(snapshot: &Snapshot, scenario: &Scenario) -> Duration {
    let check = |g: &perigee_model::TargetGroup| {
        let check = &g.health_check;
        check.interval * (u32::from(check.healthy_threshold) + 1) + check.timeout
    };
    let checks = snapshot.target_groups.iter().map(check).max().unwrap_or_default();
    let timing = &snapshot.settings.timing;
    let samples = timing.lb_health_poll * (u32::from(timing.lb_health_misses) + 2) + timing.lb_health_timeout;
    let holds = snapshot.settings.behaviour == Behaviour::Fast && !timing.recovery_hold.is_zero();
    let hold = if holds { LONGEST_HOLD.max(timing.recovery_hold) } else { Duration::ZERO };
    let clients = span(scenario.load.iter().map(|l| l.timeout_s).fold(0.0, f64::max));
    let caches = snapshot.dns.latency_names.iter().map(|name| name.ttl).max().unwrap_or_default();
    checks + clients + samples + hold + caches + SLACK
}

/// When the last fault of a scenario is mended or done, seconds; zero without any. `edges` are all edges there are.
pub(crate) fn healed_s(scenario: &Scenario, snapshot: &Snapshot, edges: &[String], seed: u64) -> f64 {
    let timeline = Timeline::new(scenario, snapshot, edges, seed);
    timeline.steps.last().map_or(0.0, |step| super::seconds(step.at))
}

/// The calm after the faults.
pub(super) struct Calm {
    /// From here on everything is as if nothing had happened.
    from: Instant,
    /// Whether no packet is lost and none is late by chance: then nothing may fail.
    pub(super) certain: bool,
    /// What a front tier decides on that has seen nothing but the calm; none before.
    undisturbed: Option<Arc<EdgeView>>,
}

impl Calm {
    pub(super) fn of(engine: &Engine<'_>) -> Self {
        let healed = engine.timeline.steps.last().map_or(ZERO, |step| step.at);
        let network = &engine.scenario.network;
        Self {
            from: healed + patience(&engine.snapshot, engine.scenario),
            certain: network.loss <= 0.0 && network.jitter <= 0.0,
            undisturbed: None,
        }
    }

    /// Whether this moment is in it.
    pub(super) fn has_come(&self, at: Instant) -> bool {
        at >= self.from
    }

    /// Whether it begins now.
    pub(super) fn begins(&self, now: Instant) -> bool {
        self.undisturbed.is_none() && self.has_come(now)
    }
}

impl Audit {
    /// In the calm a flow goes where an undisturbed front tier sends it.
    pub(super) fn calm_flow(&mut self, now: Instant, flow: &Flow, connection: &Connection) {
        let Some(view) = self.calm.undisturbed.as_ref().filter(|_| self.calm.certain) else { return };
        self.counts.add(Reached::CalmFlows, 1);
        let Ok(meant) = view.open(*flow, now) else { return };
        if meant.decision() != connection.decision() {
            let (is, should) = (connection.decision(), meant.decision());
            let text = format!("a flow of {} is decided {is:?}, undisturbed {should:?}", flow.client);
            let explanation = view.explain(flow).map(|e| e.to_string()).unwrap_or_default();
            self.found(now, "in the calm flows go where they would undisturbed", text, explanation);
        }
    }

    /// In the calm DNS names the closest region.
    pub(super) fn calm_answer(&mut self, now: Instant, client: IpAddr, named: Option<usize>, closest: Option<usize>) {
        if !(self.calm.certain && self.calm.has_come(now)) {
            return;
        }
        self.counts.add(Reached::CalmAnswers, 1);
        if named != closest {
            let text = format!("{client} was told region {named:?} and not the closest, {closest:?}");
            self.found(now, "in the calm DNS names the closest region", text, String::new());
        }
    }
}

impl Engine<'_> {
    /// The calm has come: everything must be healthy to everybody.
    pub(super) fn audit_calm(&mut self) {
        let Some(mut audit) = self.audit.take() else { return };
        if let Some(text) = self.what_is_not_well(audit.calm.certain) {
            audit.found(self.now, "everything comes back after the last fault", text, String::new());
        }
        let mut fresh = Edge::new(Arc::clone(&self.snapshot), Arc::clone(&self.atlas), None, self.now);
        while let Some(sample) = fresh.poll_sample(self.now) {
            let node = self.node_by_key(&sample.node);
            fresh.sampled(&sample, Ok(self.nodes[node as usize].balancer.report()), self.now);
        }
        audit.calm.undisturbed = Some(Arc::clone(fresh.view()));
        self.audit = Some(audit);
    }

    fn what_is_not_well(&self, certain: bool) -> Option<String> {
        for (i, node) in self.nodes.iter().enumerate() {
            if node.host.mode != Mode::Up {
                return Some(format!("node {i} is {:?}", node.host.mode));
            }
            if let Some(ill) = node.balancer.targets().iter().find(|t| t.state != TargetState::Healthy) {
                let (address, state) = (ill.target.address, ill.state.name());
                return Some(format!("target {address} is {state} to node {i} ({:?})", ill.reason));
            }
        }
        // By chance a front tier may think a region dead at any time.
        let fronts = self.fronts.iter().filter(|_| certain);
        for front in fronts {
            let view = front.edge.view();
            if let Some(lb) = view.health.load_balancers.iter().position(|lb| !lb.is_healthy()) {
                let region = &self.snapshot.regions[lb].code;
                let who =
                    front.pop.map_or_else(|| "the front tier".to_owned(), |p| self.atlas.pops()[p].code.to_string());
                return Some(format!("{region} is not healthy to {who}: {:?}", view.health.load_balancers[lb]));
            }
        }
        None
    }

    /// Ends the audit: what was counted, and the first rule that did not hold.
    pub(in crate::engine) fn end_audit(&mut self) -> (Counts, Option<Found>) {
        let Some(mut audit) = self.audit.take() else { return (Counts::default(), None) };
        self.audit_shares(&mut audit);
        self.audit_books(&mut audit);
        if !audit.calm.has_come(self.end) {
            let text = "the scenario ended before the calm".to_owned();
            audit.found(self.now, "everything comes back after the last fault", text, String::new());
        } else if let Some(text) = self.what_is_not_well(audit.calm.certain) {
            audit.found(self.now, "everything stays well in the calm", text, String::new());
        }
        self.count_faults(&mut audit.counts);
        (audit.counts, audit.found)
    }

    /// The dials' shares, wherever there were flows enough.
    fn audit_shares(&self, audit: &mut Audit) {
        let flows = std::mem::take(&mut audit.flows);
        for ((generation, pop, load), counts) in flows {
            let all: u64 = counts.iter().sum();
            let Some((_, dials)) = audit.dials.iter().find(|(of, _)| *of == generation).filter(|_| all >= 50) else {
                continue;
            };
            audit.counts.add(Reached::DialSpans, u64::from(dials.iter().any(|d| *d < 100.0)));
            let order: Vec<usize> =
                self.atlas.pop_order(perigee_geo::PopIndex(pop)).iter().map(|leg| leg.region.0).collect();
            let wrong = counts
                .iter()
                .zip(law::shares(&order, dials))
                .enumerate()
                .find_map(|(region, (got, share))| law::is_chance(*got, all, share).err().map(|why| (region, why)));
            if let Some((region, why)) = wrong {
                let code = &self.snapshot.regions[region].code;
                let text = format!("load {load} at edge {pop} in generation {generation}: {code} got {why}");
                audit.found(self.now, "dials share flows out", text, String::new());
            }
        }
    }

    /// What was begun has ended, and nothing is held by nobody.
    fn audit_books(&mut self, audit: &mut Audit) {
        let (now, started, lost) = (self.now, audit.started, audit.failed);
        let mut wrong = |text| {
            audit.found(now, "requests are answered or fail, and give back what they held", text, String::new());
        };
        let loads = self.load_summaries();
        let sum = |of: fn(&crate::LoadSummary) -> u64| loads.values().map(of).sum::<u64>();
        let (begun, ok, failed) = (sum(|l| l.requests), sum(|l| l.ok), sum(|l| l.failed));
        let left = self.jobs.indices().count() as u64;
        if (begun, failed) != (started, lost) || begun != ok + failed + left {
            wrong(format!("{started} begun ({begun} told), {ok} answered, {lost} failed ({failed} told), {left} left"));
        }
        if left > 0 || self.openings.indices().next().is_some() {
            let openings = self.openings.indices().count();
            wrong(format!("{left} requests and {openings} connects are under way long after the end"));
        }
        for (i, node) in self.nodes.iter().enumerate() {
            if let Some(held) = node.balancer.targets().iter().find(|t| t.in_flight > 0) {
                wrong(format!("node {i} counts {} requests at {}", held.in_flight, held.target.address));
            }
        }
        for (i, target) in self.targets.iter().enumerate() {
            let (in_flight, wait) = (target.server.in_flight(), target.server.wait(self.now));
            if in_flight > 0 || wait > Duration::from_secs(60) {
                wrong(format!("target {i} holds {in_flight} requests, the next would wait {wait:?}"));
            }
        }
    }

    /// Counts the faults that were played.
    fn count_faults(&self, counts: &mut Counts) {
        for event in self.timeline.events.iter().filter(|e| self.done_at.contains_key(&e.name)) {
            let kind = match event.how {
                Some(How::Crash) => Some(Reached::Crashes),
                Some(How::Blackhole) => Some(Reached::Blackholes),
                Some(How::Error) => Some(Reached::Errors),
                Some(How::Slow) => Some(Reached::Slow),
                Some(How::Gray) => Some(Reached::Gray),
                Some(How::Unhealthy) => Some(Reached::SaidUnhealthy),
                None if event.partition.is_some() => Some(Reached::Partitions),
                None if event.cable.is_some() => Some(Reached::Cables),
                None if event.dial.is_some() => Some(Reached::DialsChanged),
                None => None,
            };
            kind.into_iter().for_each(|kind| counts.add(kind, 1));
            let edge = event.kill.as_deref().is_some_and(|what| self.atlas.find_pop(what).is_some());
            counts.add(Reached::EdgesDied, u64::from(edge));
            let by_chance = !self.scenario.at.iter().any(|e| e.name == event.name);
            counts.add(Reached::ByChance, u64::from(by_chance));
        }
        let waits = self.moments.iter().filter(|m| m.kind == "control" && m.text.ends_with("waits")).count();
        counts.add(Reached::DialsWaited, waits as u64);
    }
}
