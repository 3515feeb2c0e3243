use perigee_model::Instant;

use crate::histogram::Histogram;
use crate::{RegionStep, Step};

/// How a request can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// On a connection that had not carried an answer.
    NewConnection,
    /// On a connection that had.
    InFlight,
    /// By a status of 400 or above.
    Status,
    /// No name was resolved.
    Resolve,
}

impl Failure {
    pub(crate) const ALL: [Self; 4] = [Self::NewConnection, Self::InFlight, Self::Status, Self::Resolve];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::NewConnection => "new_connection",
            Self::InFlight => "in_flight",
            Self::Status => "status",
            Self::Resolve => "resolve",
        }
    }
}

#[derive(Clone, Debug, Default)]
struct RegionCount {
    ok: u64,
    failed: u64,
    latency: Histogram,
    busy_ns: u64,
    dns_answers: u64,
    flows: u64,
}

#[derive(Clone, Debug, Default)]
struct StepCount {
    requests: u64,
    failed: [u64; 4],
    regions: Vec<RegionCount>,
}

/// Adds up what happens, by step and region.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    step_ns: u64,
    regions: usize,
    steps: Vec<StepCount>,
    pub(crate) dns_answers: u64,
    pub(crate) dns_from_cache: u64,
    pub(crate) sessions: u64,
}

impl Record {
    /// Panics on a step of zero.
    pub(crate) fn new(step_s: f64, regions: usize) -> Self {
        let step_ns = (step_s * 1e9) as u64;
        assert!(step_ns > 0, "a step has a width");
        Self { step_ns, regions, steps: Vec::new(), dns_answers: 0, dns_from_cache: 0, sessions: 0 }
    }

    fn step(&mut self, at: Instant) -> &mut StepCount {
        let index = (crate::zero::since_zero_ns(at) / self.step_ns) as usize;
        if index >= self.steps.len() {
            let empty = StepCount { regions: vec![RegionCount::default(); self.regions], ..StepCount::default() };
            self.steps.resize(index + 1, empty);
        }
        &mut self.steps[index]
    }

    pub(crate) fn started(&mut self, at: Instant) {
        self.step(at).requests += 1;
    }

    pub(crate) fn answered(&mut self, at: Instant, region: usize, latency_ns: u64) {
        let region = &mut self.step(at).regions[region];
        region.ok += 1;
        region.latency.add(latency_ns);
    }

    /// A request that was started at `at` failed; `region` is where it was sent last.
    pub(crate) fn failed(&mut self, at: Instant, region: Option<usize>, failure: Failure) {
        let step = self.step(at);
        step.failed[failure as usize] += 1;
        if let Some(region) = region {
            step.regions[region].failed += 1;
        }
    }

    pub(crate) fn busy(&mut self, at: Instant, region: usize, ns: u64) {
        self.step(at).regions[region].busy_ns += ns;
    }

    pub(crate) fn flow(&mut self, at: Instant, region: usize) {
        self.step(at).regions[region].flows += 1;
    }

    pub(crate) fn dns(&mut self, at: Instant, region: usize, from_cache: bool) {
        self.step(at).regions[region].dns_answers += 1;
        self.dns_answers += 1;
        self.dns_from_cache += u64::from(from_cache);
    }

    /// The series; `servers` is each region's number of servers.
    pub(crate) fn series(&self, servers: &[u64]) -> Vec<Step> {
        let width_s = self.step_ns as f64 / 1e9;
        let step = |(i, count): (usize, &StepCount)| {
            let mut all = Histogram::default();
            count.regions.iter().for_each(|r| all.merge(&r.latency));
            let region = |(r, servers): (&RegionCount, &u64)| RegionStep {
                ok: r.ok,
                failed: r.failed,
                latency: r.latency.percentiles(),
                utilisation: r.busy_ns as f64 / (*servers as f64 * self.step_ns as f64).max(1.0),
                dns_answers: r.dns_answers,
                flows: r.flows,
            };
            Step {
                at_s: i as f64 * width_s,
                failed: by_kind(&count.failed),
                requests: count.requests,
                latency: all.percentiles(),
                regions: count.regions.iter().zip(servers).map(region).collect(),
            }
        };
        self.steps.iter().enumerate().map(step).collect()
    }

    /// All requests, answered ones, and failed ones by kind.
    pub(crate) fn totals(&self) -> crate::Totals {
        let mut failed = [0; 4];
        let mut all = Histogram::default();
        for step in &self.steps {
            failed.iter_mut().zip(&step.failed).for_each(|(a, b)| *a += b);
            step.regions.iter().for_each(|r| all.merge(&r.latency));
        }
        crate::Totals {
            sessions: self.sessions,
            requests: self.steps.iter().map(|s| s.requests).sum(),
            ok: self.steps.iter().flat_map(|s| &s.regions).map(|r| r.ok).sum(),
            failed: by_kind(&failed),
            latency: all.percentiles(),
            dns_answers: self.dns_answers,
            dns_from_cache: self.dns_from_cache,
        }
    }
}

fn by_kind(counts: &[u64; 4]) -> std::collections::BTreeMap<String, u64> {
    let kinds = Failure::ALL.into_iter().zip(counts).filter(|(_, n)| **n > 0);
    kinds.map(|(kind, n)| (kind.name().to_owned(), *n)).collect()
}
