//! The population's sessions: clients that come, ask, think, ask again and go.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use perigee_model::Instant;

use super::event::Kind;
use super::job::{Job, Owner, Phase};
use super::slab::Key;
use super::{Engine, later, seconds};
use crate::record::Failure;
use crate::zero::{ZERO, since_zero_ns};
use crate::{AnswerId, Arrival, Arrivals, Entry, Lookup, Population, ResolverModel, Resolvers, span};

/// The clients of a run.
pub(super) struct Clients {
    pub(super) population: Arc<Population>,
    resolvers: Resolvers,
    models: Vec<ResolverModel>,
    /// Chunks of arrivals, made a few minutes ahead in a thread of their own.
    arrivals: Receiver<Vec<(Arrival, Ipv4Addr)>>,
    chunk: Vec<(Arrival, Ipv4Addr)>,
    next: usize,
    /// The source of each class.
    source_of: Vec<u32>,
    pub(super) stagger_ns: u64,
}

impl Engine<'_> {
    pub(super) fn make_clients(&mut self) -> Result<(), String> {
        let Some(model) = &self.scenario.clients else { return Ok(()) };
        let models =
            if self.scenario.resolver.is_empty() { ResolverModel::defaults() } else { self.scenario.resolver.clone() };
        let seed = self.options.seed;
        let population = Population::new(model.clone(), &models, &self.atlas, seed).map_err(|e| e.to_string())?;
        let regions: Vec<_> = self.snapshot.regions.iter().map(|r| (r.code.clone(), r.location)).collect();
        let resolvers = Resolvers::new(&models, &population, &self.atlas, &regions).map_err(|e| e.to_string())?;
        let begins_utc_s = self.scenario.wall_clock()?.begins_utc_s() as u64;
        let until = later(Instant::START, since_zero_ns(self.end));
        let arrivals = Arrivals::new(&population, begins_utc_s, seed, until);
        let mut source_of: Vec<u32> = Vec::new();
        let mut last = None;
        for class in population.classes() {
            // The classes of one place stand side by side.
            if last != Some(class.place) {
                last = Some(class.place);
                self.sources.push(self.network.source(class.place));
            }
            source_of.push((self.sources.len() - 1) as u32);
        }
        let population = Arc::new(population);
        let arrivals = ahead(Arc::clone(&population), arrivals)?;
        self.clients = Some(Clients {
            stagger_ns: (population.model().happy_eyeballs_ms * 1e6) as u64,
            population,
            resolvers,
            models,
            arrivals,
            chunk: Vec::new(),
            next: 0,
            source_of,
        });
        Ok(())
    }

    /// When the next session begins.
    pub(super) fn next_arrival(&mut self) -> Option<Instant> {
        let clients = self.clients.as_mut()?;
        while clients.next == clients.chunk.len() {
            clients.next = 0;
            clients.chunk = clients.arrivals.recv().unwrap_or_default();
            if clients.chunk.is_empty() {
                return None;
            }
        }
        Some(later(ZERO, clients.chunk[clients.next].0.at.as_nanos()))
    }

    pub(super) fn begin_session(&mut self) {
        let Some(clients) = &mut self.clients else { return };
        let (arrival, address) = clients.chunk[clients.next];
        clients.next += 1;
        self.record.sessions += 1;
        let model = clients.population.model();
        let habits = clients.population.habits(arrival.class, arrival.client);
        let entry = if habits.by_accelerator { Entry::Accelerator } else { Entry::Dns };
        let mut job = Job {
            owner: Owner::Session(arrival.class),
            source: clients.source_of[arrival.class as usize],
            entry,
            client: SocketAddr::new(address.into(), 1_024 + (arrival.bits % 64_512) as u16),
            phase: Phase::Waiting,
            link: None,
            edge: 0,
            fresh: false,
            started: self.now,
            deadline: self.now + span(model.timeout_s),
            region: None,
            token: None,
            target: 0,
            epoch: None,
            bad: false,
            opening: None,
            keep: true,
            bits: arrival.bits,
            left: 0,
            tries: 0,
            ignores_ttl: habits.ignores_ttl,
            number: arrival.bits >> 32,
        };
        job.left = geometric_beyond_one(job.unit(), model.requests_per_session);
        let key = self.jobs.insert(job);
        self.begin(key.index);
    }

    /// A session's request was answered, or has failed for good.
    pub(super) fn session_done(&mut self, index: u32, at: Instant) {
        let Some(clients) = &self.clients else { return };
        let model = clients.population.model();
        let (think_s, timeout_s) = (model.think_s, model.timeout_s);
        let job = self.jobs.at(index);
        if job.left == 0 || at > self.end {
            self.jobs.remove(index);
            return;
        }
        job.left -= 1;
        job.tries = 0;
        job.started = at + span(-libm::log(job.unit()) * think_s);
        job.deadline = job.started + span(timeout_s);
        job.phase = Phase::Waiting;
        let next = job.started;
        let key = self.jobs.renew(index);
        self.push(next.max(self.now), Kind::Next, key);
    }

    /// A session's request failed: it is tried again a moment later, or lost.
    pub(super) fn session_failed(&mut self, index: u32, at: Instant, failure: Failure) {
        let Some(clients) = &self.clients else { return };
        let model = clients.population.model();
        let (retries, timeout_s) = (model.retries, model.timeout_s);
        let job = self.jobs.at(index);
        if job.tries >= retries || at > self.end {
            self.lost(index, failure);
            return self.session_done(index, at);
        }
        job.tries += 1;
        let again = at + span(0.5 + job.unit());
        job.deadline = again + span(timeout_s);
        job.phase = Phase::Waiting;
        let key = self.jobs.renew(index);
        self.push(again.max(self.now), Kind::Next, key);
    }

    pub(super) fn next_request(&mut self, key: Key) {
        let end = self.end;
        let Some(job) = self.jobs.get_mut(key) else { return };
        // Clients stop when the scenario is over, but a request that was begun is heard out.
        if job.started > end {
            self.jobs.remove(key.index);
            return;
        }
        self.begin(key.index);
    }

    /// Whether the client does nothing: its session lasts and no request is under way.
    pub(super) fn is_thinking(&mut self, index: u32) -> bool {
        let now = self.now;
        let job = self.jobs.at(index);
        matches!(job.owner, Owner::Session(_)) && job.phase == Phase::Waiting && job.started > now
    }

    /// What the client's resolver tells it, and after how many nanoseconds.
    pub(super) fn session_resolves(&mut self, index: u32, class: u32) -> Option<(u32, u64)> {
        let now = self.now;
        let job = self.jobs.at(index);
        let source = job.source as usize;
        let (ignores_ttl, unit) = (job.ignores_ttl, if job.ignores_ttl { job.unit() } else { 0.0 });
        let stands_at = self.clients.as_ref()?.resolvers.stands_at(class);
        // A cut between a client and its resolver is no answer at all.
        let near = self.network.to_place(&self.sources[source], stands_at)?;
        let server = self.network.dns_way(stands_at);
        let clients = self.clients.as_mut()?;
        if ignores_ttl {
            let ago = span(unit * clients.population.model().ignore_ttl_s);
            if let Some(AnswerId(answer)) = clients.resolvers.history(clients.resolvers.slot(class), now, ago) {
                self.record.dns(now, self.answers[answer as usize].region, true);
                return Some((answer, 0));
            }
        }
        match clients.resolvers.lookup(class, now) {
            Lookup::Hit { answer: AnswerId(answer), .. } | Lookup::Stale { answer: AnswerId(answer) } => {
                self.record.dns(now, self.answers[answer as usize].region, true);
                Some((answer, near))
            }
            Lookup::Down => None,
            Lookup::Miss { slot } => {
                let ecs = clients.models[clients.population.class(class).resolver].ecs;
                let client: IpAddr = if ecs {
                    clients.population.address(class, 0).into()
                } else {
                    clients.resolvers.address_of(slot).into()
                };
                let Some(server) = server else {
                    let AnswerId(answer) = clients.resolvers.failed(slot, now)?;
                    self.record.dns(now, self.answers[answer as usize].region, true);
                    return Some((answer, near));
                };
                let (answer, ttl_ns) = self.ask(client)?;
                let ttl = std::time::Duration::from_nanos(ttl_ns);
                self.clients.as_mut()?.resolvers.store(slot, AnswerId(answer), ttl, now);
                self.record.dns(now, self.answers[answer as usize].region, false);
                // To the resolver, and from there to the DNS server at the nearest edge.
                Some((answer, near + server))
            }
        }
    }

    pub(super) fn has_resolver(&self, name: &str) -> bool {
        self.clients.as_ref().is_some_and(|c| c.models.iter().any(|m| m.name == name))
    }

    pub(super) fn set_resolver(&mut self, name: &str, up: bool) {
        if let Some(clients) = &mut self.clients {
            clients.resolvers.outage(name, !up);
        }
    }

    /// The places of all clients: source, the address of one, and requests a second now.
    pub(super) fn places_with_rates(&self) -> Vec<(usize, SocketAddr, f64)> {
        let mut places: Vec<(usize, SocketAddr, f64)> = self.load_places();
        let Some(clients) = &self.clients else { return places };
        let utc_s = self.scenario.wall_clock().map_or(0.0, |c| c.begins_utc_s()) + seconds(self.now);
        let per_session = clients.population.model().requests_per_session;
        for (class, source) in (0..).zip(&clients.source_of) {
            let rate = clients.population.sessions_per_s(class, utc_s % 86_400.0) * per_session;
            match places.last_mut().filter(|(last, ..)| *last == *source as usize) {
                Some((_, _, sum)) => *sum += rate,
                None => {
                    let client = SocketAddr::new(clients.population.address(class, 0).into(), 40_000);
                    places.push((*source as usize, client, rate));
                }
            }
        }
        places
    }
}

/// Makes the arrivals and their addresses ahead of time, in a thread: a pure function of the seed, whoever computes it.
/// The thread ends with the arrivals, or when nobody takes them any more. Errors: the system has no thread.
fn ahead(population: Arc<Population>, mut arrivals: Arrivals) -> Result<Receiver<Vec<(Arrival, Ipv4Addr)>>, String> {
    /// Minutes of arrivals that wait at most.
    const AHEAD: usize = 8;
    let (give, take) = std::sync::mpsc::sync_channel(AHEAD);
    let make = move || {
        let mut chunk = Vec::new();
        while arrivals.next_chunk(&mut chunk) {
            let habits = |a: &Arrival| population.habits(a.class, a.client);
            // Only a flow through an edge is known by its address.
            let address = |a: &Arrival| match habits(a).by_accelerator {
                true => population.address(a.class, a.client),
                false => Ipv4Addr::UNSPECIFIED,
            };
            let made: Vec<(Arrival, Ipv4Addr)> = chunk.iter().map(|a| (*a, address(a))).collect();
            // An empty chunk would mean the end to whoever takes it.
            if !made.is_empty() && give.send(made).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("arrivals".to_owned()).spawn(make).map_err(|e| format!("no thread: {e}"))?;
    Ok(take)
}

/// Requests of a session beyond its first, so that their number is geometric with this mean.
fn geometric_beyond_one(unit: f64, mean: f64) -> u32 {
    if mean <= 1.0 {
        return 0;
    }
    (libm::log(unit) / libm::log(1.0 - 1.0 / mean)).min(1e6) as u32
}
