//! Open-loop clients, as `perigee load` is one.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use perigee_model::Instant;

use super::Engine;
use super::event::{Event, Kind};
use super::job::{Job, Link, Owner, Phase};
use crate::histogram::Histogram;
use crate::record::Failure;
use crate::zero::{ZERO, since_zero_ns};
use crate::{Connections, LoadAnswers, LoadFailure, LoadLatencies, LoadModel, LoadSecond, LoadSummary, Stream, span};

/// Kept connections that are idle at once, as `perigee load` keeps them.
const POOL: usize = 64;
/// Failures kept one by one.
const FAILURES: usize = 10_000;

/// One load and what it has measured.
pub(super) struct Load {
    model: LoadModel,
    source: u32,
    client: IpAddr,
    total: u64,
    issued: u64,
    next_at: Instant,
    stream: Stream,
    pool: VecDeque<Link>,
    resolved: Option<(u32, Instant)>,
    summary: LoadSummary,
    latency: Histogram,
    latency_new: Histogram,
    last_ok: u64,
    longest_gap: u64,
}

impl Engine<'_> {
    pub(super) fn make_loads(&mut self) -> Result<(), String> {
        for (i, model) in self.scenario.load.iter().enumerate() {
            let place = self.atlas.find_place(&model.from);
            let place = place.ok_or_else(|| format!("load {}: no place is called {}", model.name, model.from))?;
            let client = self.address_in(place).ok_or_else(|| format!("{} has no addresses", model.from))?;
            self.sources.push(self.network.source(place));
            let total = ((model.rate * model.for_s).round() as u64).max(1);
            self.loads.push(Load {
                model: model.clone(),
                source: (self.sources.len() - 1) as u32,
                client,
                total,
                issued: 0,
                next_at: self.now,
                stream: Stream::named(self.options.seed, &format!("load {}", model.name)),
                pool: VecDeque::new(),
                resolved: None,
                summary: LoadSummary::default(),
                latency: Histogram::default(),
                latency_new: Histogram::default(),
                last_ok: 0,
                longest_gap: 0,
            });
            self.queue.push(self.now, Event::of(Kind::Load, i as u32));
        }
        Ok(())
    }

    /// The address that `perigee load --from` takes: the ninth of the place's prefix.
    pub(super) fn address_in(&self, place: perigee_geo::PlaceIndex) -> Option<IpAddr> {
        self.atlas.prefix_of(place)?.hosts().nth(8)
    }

    /// The next request of a load is due.
    pub(super) fn load_due(&mut self, index: u32) {
        let now = self.now;
        if now > self.end {
            return;
        }
        let load = &mut self.loads[index as usize];
        let number = load.issued;
        let keep = match load.model.connections {
            Connections::New => false,
            Connections::Keep => true,
            Connections::Mixed => number % 2 == 1,
        };
        let job = Job {
            owner: Owner::Load(index),
            source: load.source,
            entry: load.model.entry,
            client: SocketAddr::new(load.client, 32_768 + (number % 28_232) as u16),
            phase: Phase::Waiting,
            link: if keep { load.pool.pop_front() } else { None },
            edge: 0,
            fresh: false,
            started: now,
            deadline: now + span(load.model.timeout_s),
            region: None,
            token: None,
            target: 0,
            epoch: None,
            bad: false,
            opening: None,
            keep,
            bits: 0,
            left: 0,
            tries: 0,
            ignores_ttl: false,
            number: number & !1,
        };
        load.issued += 1;
        load.summary.requests += 1;
        load.second(now).sent += 1;
        if load.issued < load.total {
            load.next_at = if load.model.poisson {
                load.next_at + span(load.stream.exponential(1.0 / load.model.rate))
            } else {
                ZERO + span(load.issued as f64 / load.model.rate)
            };
            let at = load.next_at;
            self.queue.push(at, Event::of(Kind::Load, index));
        }
        let key = self.jobs.insert(job);
        self.begin(key.index);
    }

    /// A request of a load is over, well or not.
    pub(super) fn load_done(&mut self, index: u32, job: u32, at: Instant, failure: Option<Failure>) {
        let Some(job) = self.jobs.remove(job) else { return };
        let region = job.region.map(|r| self.snapshot.regions[r as usize].code.to_string());
        let load = &mut self.loads[index as usize];
        load.summary.connections_opened += u64::from(job.fresh);
        match failure {
            None => {
                load.answered(&job, at, region);
                if let Some(link) = job.link.filter(|_| job.keep && load.pool.len() < POOL) {
                    load.pool.push_back(link);
                }
            }
            Some(failure) => load.failed(&job, at, failure),
        }
    }

    /// The load's stub keeps an answer for its TTL.
    pub(super) fn load_resolves(&mut self, index: u32, source: usize) -> Option<(u32, u64)> {
        let load = &self.loads[index as usize];
        let client = load.client;
        if let Some((answer, _)) = load.resolved.filter(|(_, until)| *until > self.now) {
            self.record.dns(self.now, self.answers[answer as usize].region, true);
            return Some((answer, 0));
        }
        let (answer, ttl) = self.ask(client)?;
        self.record.dns(self.now, self.answers[answer as usize].region, false);
        self.loads[index as usize].resolved = Some((answer, self.later(ttl)));
        Some((answer, self.sources[source].to_pop.unwrap_or_default()))
    }

    /// Connections of a kind that are not in use are found closed.
    pub(super) fn close_pooled(&mut self, closed: impl Fn(&Link) -> bool) {
        for load in &mut self.loads {
            load.pool.retain(|link| !closed(link));
        }
    }

    /// Where the loads come from: source, address and rate.
    pub(super) fn load_places(&self) -> Vec<(usize, SocketAddr, f64)> {
        let place = |l: &Load| (l.source as usize, SocketAddr::new(l.client, 40_000), l.model.rate);
        self.loads.iter().map(place).collect()
    }

    pub(super) fn load_summaries(&self) -> BTreeMap<String, LoadSummary> {
        self.loads.iter().map(|load| (load.model.name.clone(), load.summed_up())).collect()
    }
}

impl Load {
    pub(super) fn path(&self) -> &str {
        &self.model.path
    }

    fn second(&mut self, at: Instant) -> &mut LoadSecond {
        let index = (since_zero_ns(at) / 1_000_000_000) as usize;
        let rows = &mut self.summary.seconds;
        while rows.len() <= index {
            let second = rows.len() as u64 + 1;
            rows.push(LoadSecond { second, ..LoadSecond::default() });
        }
        &mut rows[index]
    }

    fn answered(&mut self, job: &Job, at: Instant, region: Option<String>) {
        let latency = at.since(job.started).as_nanos() as u64;
        self.latency.add(latency);
        if job.fresh {
            self.latency_new.add(latency);
        }
        self.longest_gap = self.longest_gap.max(since_zero_ns(at).saturating_sub(self.last_ok));
        self.last_ok = self.last_ok.max(since_zero_ns(at));
        self.summary.ok += 1;
        let at_ms = since_zero_ns(at) / 1_000_000;
        let region = region.unwrap_or_else(|| "unknown".to_owned());
        let row = self.second(at);
        row.ok += 1;
        *row.regions.entry(region.clone()).or_default() += 1;
        let answers =
            self.summary.regions.entry(region).or_insert(LoadAnswers { answers: 0, first_ms: at_ms, last_ms: 0 });
        answers.answers += 1;
        answers.last_ms = answers.last_ms.max(at_ms);
    }

    fn failed(&mut self, job: &Job, at: Instant, failure: Failure) {
        self.summary.failed += 1;
        self.second(at).failed += 1;
        // A client that has no name has no connection either: `perigee load` counts both as one.
        let kind = if failure == Failure::Resolve { Failure::NewConnection } else { failure }.name();
        *self.summary.failed_by_kind.entry(kind.to_owned()).or_default() += 1;
        if self.summary.failures.len() >= FAILURES {
            self.summary.failures_not_kept += 1;
            return;
        }
        let at_ms = since_zero_ns(job.started) / 1_000_000;
        let took_ms = at.since(job.started).as_millis() as u64;
        let error = if at >= job.deadline { "timed out" } else { "reset or refused" }.to_owned();
        self.summary.failures.push(LoadFailure { at_ms, at_unix_ms: at_ms, took_ms, kind: kind.to_owned(), error });
    }

    fn summed_up(&self) -> LoadSummary {
        let of = |h: &Histogram| {
            let p = h.percentiles();
            LoadLatencies { count: p.count, p50_ms: p.p50_ms, p99_ms: p.p99_ms, max_ms: p.max_ms }
        };
        let end = since_zero_ns(self.next_at);
        LoadSummary {
            duration_ms: end / 1_000_000,
            longest_gap_ms: self.longest_gap.max(end.saturating_sub(self.last_ok)) / 1_000_000,
            latency: of(&self.latency),
            new_connection_latency: of(&self.latency_new),
            ..self.summary.clone()
        }
    }
}
