use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use crate::dns_wire::{Answer, NoAnswer};
use crate::drive::{Clock, Ledger};
use crate::latency::{Timings, millis};
use crate::record::{Gap, MAX_FAILURES};
use crate::{Answers, Latencies};

/// Changes kept; a name that alternates with every query would fill memory. More are counted.
const MAX_CHANGES: usize = 10_000;
/// Different answers and TTLs kept.
const MAX_ANSWERS: usize = 1_000;

/// Why a query has no addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DnsFailureKind {
    /// Nothing came in time.
    Timeout,
    /// The network refused, such as by an ICMP "port unreachable".
    Network,
    /// The server said so: NXDOMAIN, SERVFAIL, REFUSED and the like.
    ResponseCode,
    /// The name exists without an address of the type asked for.
    NoData,
    /// The answer did not fit in UDP.
    Truncated,
    /// The datagram is no DNS message.
    Malformed,
    /// This machine ran out of ports, descriptors or buffers.
    Local,
}

/// One failed query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DnsFailure {
    /// When it was sent, milliseconds since the start of the run.
    pub at_ms: u64,
    /// The same as milliseconds since 1970.
    pub at_unix_ms: u64,
    /// What kind of failure.
    pub kind: DnsFailureKind,
    /// What went wrong.
    pub error: String,
}

/// How often one answer was given, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AnswerTimes {
    /// The addresses, sorted.
    pub addresses: Vec<IpAddr>,
    /// The regions they belong to, sorted, each once.
    pub regions: Vec<String>,
    /// How often, first and last.
    #[serde(flatten)]
    pub answers: Answers,
}

/// The moment at which the answer became another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DnsChange {
    /// When the first query with the new answer was sent, milliseconds since the start of the run.
    pub at_ms: u64,
    /// The same as milliseconds since 1970.
    pub at_unix_ms: u64,
    /// The answer before.
    pub from: Vec<IpAddr>,
    /// The answer after.
    pub to: Vec<IpAddr>,
    /// The TTL of the answer before: how long a cache may have gone on with it.
    pub ttl_before_s: u32,
    /// The TTL of the answer after.
    pub ttl_after_s: u32,
}

/// One second of a DNS run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DnsSecond {
    /// Its number, from 1.
    pub second: u64,
    /// Queries sent.
    pub sent: u64,
    /// Queries answered with addresses.
    pub ok: u64,
    /// Queries failed.
    pub failed: u64,
    /// Median time to an answer, milliseconds.
    pub p50_ms: f64,
    /// 99th percentile of the same.
    pub p99_ms: f64,
    /// Answers per region; an answer with addresses of several regions counts in each.
    pub regions: BTreeMap<String, u64>,
}

/// A whole DNS run. `queries` = `ok` + `failed` + `shed`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DnsSummary {
    /// When the run began, milliseconds since 1970.
    pub started_unix_ms: u64,
    /// How long queries were sent, milliseconds.
    pub duration_ms: u64,
    /// Queries of the schedule that came up.
    pub queries: u64,
    /// Answered with addresses.
    pub ok: u64,
    /// Sent and not ok.
    pub failed: u64,
    /// The same by kind; kinds that did not occur are absent.
    pub failed_by_kind: BTreeMap<DnsFailureKind, u64>,
    /// Not sent because too many were under way.
    pub shed: u64,
    /// Longest span without an answer, milliseconds.
    pub longest_gap_ms: u64,
    /// Times to an answer.
    pub latency: Latencies,
    /// The different answers, in order of their addresses.
    pub answers: Vec<AnswerTimes>,
    /// Answers per region; an answer with addresses of several regions counts in each.
    pub regions: BTreeMap<String, Answers>,
    /// How often each TTL was given, seconds.
    pub ttls: BTreeMap<u32, u64>,
    /// When the answer changed, in the order of the queries.
    pub changes: Vec<DnsChange>,
    /// Changes beyond the first 10,000.
    pub changes_not_kept: u64,
    /// A row per second.
    pub seconds: Vec<DnsSecond>,
    /// The first 10,000 failures.
    pub failures: Vec<DnsFailure>,
    /// Failures beyond those.
    pub failures_not_kept: u64,
}

/// One query that is over.
#[derive(Debug)]
pub(crate) struct DnsOutcome {
    pub(crate) number: u64,
    pub(crate) started: Duration,
    pub(crate) finished: Duration,
    pub(crate) answer: Result<Answer, NoAnswer>,
}

/// Adds the outcomes of a DNS run up.
pub(crate) struct DnsRecord<F> {
    clock: Clock,
    regions: BTreeMap<IpAddr, String>,
    on_second: F,
    summary: DnsSummary,
    second: DnsSecond,
    answers: BTreeMap<Vec<IpAddr>, Answers>,
    /// The youngest query with an answer so far: its number and answer.
    current: Option<(u64, Answer)>,
    gap: Gap,
    latency: Timings,
    latency_second: Timings,
}

impl<F: FnMut(&DnsSecond)> DnsRecord<F> {
    pub(crate) fn new(clock: Clock, regions: BTreeMap<IpAddr, String>, on_second: F) -> Self {
        let started_unix_ms = clock.unix_ms(Duration::ZERO);
        Self {
            clock,
            regions,
            on_second,
            summary: DnsSummary { started_unix_ms, ..DnsSummary::default() },
            second: DnsSecond { second: 1, ..DnsSecond::default() },
            answers: BTreeMap::new(),
            current: None,
            gap: Gap::default(),
            latency: Timings::new(),
            latency_second: Timings::new(),
        }
    }

    pub(crate) fn finish(mut self, end: Duration) -> DnsSummary {
        self.summary.duration_ms = millis(end);
        self.summary.longest_gap_ms = millis(self.gap.longest(end));
        self.summary.latency = self.latency.summary();
        let answers = std::mem::take(&mut self.answers);
        self.summary.answers = answers
            .into_iter()
            .map(|(addresses, answers)| AnswerTimes { regions: self.regions_of(&addresses), addresses, answers })
            .collect();
        self.summary
    }

    fn regions_of(&self, addresses: &[IpAddr]) -> Vec<String> {
        let name = |ip| self.regions.get(ip).map_or_else(|| "unknown".to_owned(), Clone::clone);
        let mut names: Vec<String> = addresses.iter().map(name).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn answered(&mut self, o: &DnsOutcome, answer: &Answer) {
        let took = o.finished.saturating_sub(o.started);
        self.latency.add(took);
        self.latency_second.add(took);
        self.gap.success(o.finished);
        self.summary.ok += 1;
        self.second.ok += 1;
        let at = millis(o.finished);
        for region in self.regions_of(&answer.addresses) {
            crate::record::count(&mut self.summary.regions, &region, at);
            *self.second.regions.entry(region).or_default() += 1;
        }
        if self.answers.len() < MAX_ANSWERS || self.answers.contains_key(&answer.addresses) {
            let a = self.answers.entry(answer.addresses.clone()).or_default();
            a.first_ms = if a.answers == 0 { at } else { a.first_ms.min(at) };
            a.last_ms = a.last_ms.max(at);
            a.answers += 1;
        }
        if self.summary.ttls.len() < MAX_ANSWERS || self.summary.ttls.contains_key(&answer.ttl) {
            *self.summary.ttls.entry(answer.ttl).or_default() += 1;
        }
        self.compare(o, answer);
    }

    /// Answers that overtake one another on the way must not look like two changes: only a younger query counts.
    fn compare(&mut self, o: &DnsOutcome, answer: &Answer) {
        let Some((number, before)) = &self.current else {
            self.current = Some((o.number, answer.clone()));
            return;
        };
        if o.number < *number {
            return;
        }
        if before.addresses != answer.addresses {
            if self.summary.changes.len() < MAX_CHANGES {
                self.summary.changes.push(DnsChange {
                    at_ms: millis(o.started),
                    at_unix_ms: self.clock.unix_ms(o.started),
                    from: before.addresses.clone(),
                    to: answer.addresses.clone(),
                    ttl_before_s: before.ttl,
                    ttl_after_s: answer.ttl,
                });
            } else {
                self.summary.changes_not_kept += 1;
            }
        }
        self.current = Some((o.number, answer.clone()));
    }
}

impl<F: FnMut(&DnsSecond)> Ledger for DnsRecord<F> {
    type Outcome = DnsOutcome;

    fn sent(&mut self, _: Duration, _: Duration) {
        self.summary.queries += 1;
        self.second.sent += 1;
    }

    fn shed(&mut self) {
        self.summary.queries += 1;
        self.summary.shed += 1;
    }

    fn done(&mut self, o: DnsOutcome) {
        match &o.answer {
            Ok(answer) => self.answered(&o, answer),
            Err(e) => {
                self.summary.failed += 1;
                self.second.failed += 1;
                *self.summary.failed_by_kind.entry(e.kind).or_default() += 1;
                if self.summary.failures.len() < MAX_FAILURES {
                    let at_unix_ms = self.clock.unix_ms(o.started);
                    let (kind, error) = (e.kind, e.error.clone());
                    self.summary.failures.push(DnsFailure { at_ms: millis(o.started), at_unix_ms, kind, error });
                } else {
                    self.summary.failures_not_kept += 1;
                }
            }
        }
    }

    fn second(&mut self) {
        let timings = self.latency_second.summary();
        self.latency_second.clear();
        let next = DnsSecond { second: self.second.second + 1, ..DnsSecond::default() };
        let mut row = std::mem::replace(&mut self.second, next);
        (row.p50_ms, row.p99_ms) = (timings.p50_ms, timings.p99_ms);
        (self.on_second)(&row);
        self.summary.seconds.push(row);
    }
}

impl fmt::Display for DnsSecond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>4} s {:>6}/s  ok {:>6}  failed {:>4}", self.second, self.sent, self.ok, self.failed)?;
        write!(f, "  p50 {:>7.1} ms  p99 {:>7.1} ms", self.p50_ms, self.p99_ms)?;
        self.regions.iter().try_for_each(|(region, n)| write!(f, "  {region} {n}"))
    }
}

impl fmt::Display for DnsSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.duration_ms as f64 / 1_000.0;
        writeln!(f, "queries        {} in {seconds:.1} s: ok {}, failed {}", self.queries, self.ok, self.failed)?;
        for (kind, n) in &self.failed_by_kind {
            writeln!(f, "  failed       {n} {kind:?}")?;
        }
        let l = &self.latency;
        writeln!(f, "longest gap    {} ms without an answer", self.longest_gap_ms)?;
        writeln!(f, "time to answer p50 {:.1}  p99 {:.1}  max {:.1} ms", l.p50_ms, l.p99_ms, l.max_ms)?;
        for a in &self.answers {
            let addresses: Vec<String> = a.addresses.iter().map(ToString::to_string).collect();
            let (n, regions) = (a.answers.answers, a.regions.join(" "));
            writeln!(f, "answer         {} ({regions}) {n} times", addresses.join(" "))?;
        }
        for c in &self.changes {
            writeln!(f, "changed        after {} ms, TTL before {} s", c.at_ms, c.ttl_before_s)?;
        }
        let ttls: Vec<String> = self.ttls.iter().map(|(ttl, n)| format!("{ttl} s ({n})")).collect();
        write!(f, "TTL            {}", ttls.join(", "))
    }
}
