//! The event loop: says to the shipped machines what they would have seen, and does what they say.

mod anatomy;
mod audit;
mod direct;
mod event;
mod faults;
mod fronts;
mod host;
mod job;
mod loads;
mod maps;
mod nodes;
mod opening;
mod outcome;
mod requests;
mod sessions;
mod slab;
mod timeline;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use perigee_geo::Atlas;
use perigee_model::{Instant, Snapshot};

use crate::network::{Network, Source};
use crate::queue::Queue;
use crate::record::Record;
use crate::stack::settled;
use crate::trace::Trace;
use crate::zero::{ZERO, since_zero_ns};
use crate::{Moment, Options, Outcome, Progress, Scenario, Stream, Watch, World, span};
use anatomy::Course;
use audit::Audit;
pub(crate) use audit::{Counts, Found, NAMES, Teller, healed_s, patience};
use direct::Named;
use event::{Event, Kind};
use fronts::{Front, Sampling};
use host::Host;
use job::Job;
use loads::Load;
use nodes::{Node, Probing, TargetHost};
use opening::Opening;
use sessions::Clients;
use slab::{Key, Slab};
use timeline::Timeline;

/// Why a scenario cannot be played.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SimError(pub(crate) String);

/// Plays `scenario` in `world` on a virtual clock.
///
/// The same scenario, world and seed give the same trace, bit for bit, on any machine. Errors: the scenario names
/// something that the world does not have.
pub fn run(scenario: &Scenario, world: &World, options: &Options, watch: &mut dyn Watch) -> Result<Outcome, SimError> {
    let mut engine = Engine::new(scenario, world, options, watch).map_err(SimError)?;
    engine.play();
    Ok(engine.outcome(world))
}

/// As [`run`], with an auditor that looks on: what it counted, and the first rule that did not hold.
///
/// The world must be one that [`stack_of`](crate::stack_of) made. Errors: as [`run`].
pub(crate) fn audited(
    scenario: &Scenario,
    world: &World,
    options: &Options,
    teller: Teller,
) -> Result<(Outcome, Counts, Option<Found>), SimError> {
    let mut nobody = ();
    let mut engine = Engine::new(scenario, world, options, &mut nobody).map_err(SimError)?;
    engine.begin_audit(teller);
    engine.play();
    let (counts, found) = engine.end_audit();
    Ok((engine.outcome(world), counts, found))
}

pub(crate) struct Engine<'a> {
    scenario: &'a Scenario,
    options: Options,
    snapshot: Arc<Snapshot>,
    atlas: Arc<Atlas>,
    now: Instant,
    end: Instant,
    queue: Queue<Event>,
    trace: Trace<'a>,
    events: u64,
    network: Network,
    /// The clients' places: the operator's own first, then those of the loads, then those of the classes.
    sources: Vec<Source>,
    /// The DNS server's first; then one of each edge, unless all are one.
    fronts: Vec<Front>,
    each_edge: bool,
    samplings: Slab<Sampling>,
    /// Counts up with every change that a sample could see.
    version: u64,
    edges: Vec<Host>,
    nodes: Vec<Node>,
    /// The nodes of each load balancer.
    nodes_of: Vec<Vec<u32>>,
    probings: Slab<Probing>,
    targets: Vec<TargetHost>,
    target_at: BTreeMap<SocketAddr, u32>,
    jobs: Slab<Job>,
    openings: Slab<Opening>,
    loads: Vec<Load>,
    clients: Option<Clients>,
    /// The different answers that DNS gave.
    answers: Vec<Named>,
    port: u16,
    transfer_ns: u64,
    phases: Stream,
    timeline: Timeline,
    next_step: usize,
    control_away: bool,
    waiting_dials: Vec<(String, f64)>,
    /// What a changed dial was before, by event.
    old_dials: BTreeMap<usize, f64>,
    errors: Stream,
    record: Record,
    moments: Vec<Moment>,
    courses: Vec<Course>,
    maps: Vec<crate::MapMoment>,
    explanations: Vec<(f64, String)>,
    done_at: BTreeMap<String, u64>,
    /// Looks on; none in a usual run.
    audit: Option<Box<Audit>>,
}

impl<'a> Engine<'a> {
    fn new(scenario: &'a Scenario, world: &World, options: &Options, watch: &'a mut dyn Watch) -> Result<Self, String> {
        let snapshot = Arc::new(settled(&world.snapshot, scenario)?);
        let atlas = Arc::clone(&world.atlas);
        let seed = options.seed;
        let now = ZERO;
        let network = Network::new(&scenario.network, &atlas, &snapshot, seed);
        let pops: Vec<String> = atlas.pops().iter().map(|p| p.code.to_string()).collect();
        let timeline = Timeline::new(scenario, &snapshot, &pops, seed);
        let step_s = scenario.report.step_for(scenario.duration_s());
        let mut engine = Self {
            scenario,
            options: options.clone(),
            now,
            end: now + span(scenario.duration_s()),
            queue: if options.contrary { Queue::contrary() } else { Queue::new() },
            trace: Trace::new(watch),
            events: 0,
            sources: vec![network.source(atlas.here())],
            network,
            fronts: Vec::new(),
            each_edge: scenario.network.latency == crate::Latency::Measured,
            samplings: Slab::default(),
            version: 1,
            edges: vec![Host::default(); pops.len()],
            nodes: Vec::new(),
            nodes_of: Vec::new(),
            probings: Slab::default(),
            targets: Vec::new(),
            target_at: BTreeMap::new(),
            jobs: Slab::default(),
            openings: Slab::default(),
            loads: Vec::new(),
            clients: None,
            answers: Vec::new(),
            port: snapshot
                .accelerators
                .first()
                .and_then(|a| Some(a.listeners.first()?.port_ranges.first()?.from_port))
                .ok_or("the configuration has no accelerator with a listener")?,
            transfer_ns: scenario.network.transfer().as_nanos() as u64,
            phases: Stream::named(seed, "phases"),
            next_step: 0,
            control_away: false,
            waiting_dials: Vec::new(),
            old_dials: BTreeMap::new(),
            errors: Stream::named(seed, "errors"),
            record: Record::new(step_s, snapshot.regions.len()),
            moments: Vec::new(),
            courses: Vec::new(),
            maps: Vec::new(),
            explanations: Vec::new(),
            done_at: BTreeMap::new(),
            audit: None,
            timeline,
            snapshot,
            atlas,
        };
        engine.make_targets();
        engine.make_nodes();
        engine.make_fronts();
        engine.make_loads()?;
        engine.make_clients()?;
        engine.check_events()?;
        engine.arm_maps();
        if let Some(step) = engine.timeline.steps.first() {
            engine.queue.push(step.at, Event::of(Kind::Fault, 0));
        }
        Ok(engine)
    }

    fn play(&mut self) {
        let tick = (since_zero_ns(self.end) / 100).max(1);
        let mut next_tick = tick;
        // Requests that are under way at the end are heard out; nothing new begins after it.
        let last = self.end + Duration::from_secs(30);
        loop {
            let queued = self.queue.next_time();
            let arrival = self.next_arrival();
            let next = match (queued, arrival) {
                (None, None) => break,
                (Some(at), None) | (None, Some(at)) => at,
                (Some(a), Some(b)) => a.min(b),
            };
            if next > last || (next > self.end && self.is_quiet()) {
                break;
            }
            let over = since_zero_ns(next);
            if over >= next_tick {
                self.tell_progress(next);
                next_tick = over - over % tick + tick;
            }
            // Arrivals of sessions come from a sorted list of their own; at equal times the queue goes first.
            if arrival.is_some_and(|at| queued.is_none_or(|q| at < q)) {
                self.now = next;
                self.events += 1;
                self.begin_session();
                continue;
            }
            let Some((at, event)) = self.queue.pop() else { break };
            self.now = at;
            self.events += 1;
            self.handle(event);
        }
        self.now = self.end;
        self.tell_progress(self.end);
    }

    fn tell_progress(&mut self, at: Instant) {
        let progress = Progress { at_s: seconds(at.min(self.end)), of_s: seconds(self.end), events: self.events };
        self.trace.progress(&progress);
    }

    /// Whether no request is under way any more.
    fn is_quiet(&self) -> bool {
        self.jobs.indices().next().is_none()
    }

    fn handle(&mut self, event: Event) {
        let key = event.key();
        match event.kind() {
            Kind::Fault => self.next_faults(),
            Kind::Map => self.draw_map(key.index),
            Kind::Sample => self.samples_due(key.index),
            Kind::SampleAt => self.sample_at_node(key.index),
            Kind::SampleDone => self.sample_done(key.index),
            Kind::Probe => self.probes_due(key.index),
            Kind::ProbeDone => self.probe_done(key.index),
            Kind::Load => self.load_due(key.index),
            Kind::Open => self.open_at_edge(key),
            Kind::Syn => self.syn_at_node(key, event.detail()),
            Kind::SynDone => self.syn_done(key, event.detail()),
            Kind::ConnectTimer => self.connect_timer(key),
            Kind::Arrive => self.arrive(key),
            Kind::Finish => self.finish(key),
            Kind::Answered => self.answered(key),
            Kind::Fail => self.fail(key),
            Kind::Next => self.next_request(key),
        }
    }

    fn push(&mut self, at: Instant, kind: Kind, key: Key) {
        self.queue.push(at, Event::new(kind, key));
    }

    fn later(&self, ns: u64) -> Instant {
        later(self.now, ns)
    }

    /// The next moment at which something is broken or mended.
    fn next_change(&self) -> Instant {
        self.timeline.steps.get(self.next_step).map_or(Instant::from_nanos(u64::MAX), |step| step.at)
    }

    /// When a machine with this period was started, so that its phase is its own.
    fn begin_of(&mut self, period: Duration) -> Instant {
        let back = self.phases.below(period.as_nanos() as u64);
        Instant::from_nanos(ZERO.as_nanos() - back.min(ZERO.as_nanos()))
    }

    fn moment(&mut self, kind: &str, what: &str, text: String) {
        let at_s = seconds(self.now);
        self.moments.push(Moment { at_s, kind: kind.to_owned(), what: what.to_owned(), text });
    }
}

/// Seconds of the scenario that are over at `at`.
fn seconds(at: Instant) -> f64 {
    since_zero_ns(at) as f64 / 1e9
}

fn later(at: Instant, ns: u64) -> Instant {
    Instant::from_nanos(at.as_nanos().saturating_add(ns))
}
