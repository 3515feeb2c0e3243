//! Clients that come by name: what a resolver tells them, and which of the addresses they reach.

use std::net::IpAddr;

use perigee_model::Instant;

use super::host::Mode;
use super::job::{Link, Owner, Phase};
use super::{Engine, Kind, later};
use crate::trace::Did;

/// What a DNS answer leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) region: usize,
    /// The load balancer's own port.
    pub(super) port: u16,
    pub(super) nodes: Vec<u32>,
}

impl Engine<'_> {
    /// A request without a connection that comes by name.
    pub(super) fn go_by_name(&mut self, index: u32) {
        let (owner, source) = (self.jobs.at(index).owner, self.jobs.at(index).source as usize);
        let resolved = match owner {
            Owner::Load(load) => self.load_resolves(load, source),
            Owner::Session(class) => self.session_resolves(index, class),
        };
        let Some((answer, took_ns)) = resolved else {
            let job = self.jobs.at(index);
            job.phase = Phase::Waiting;
            let deadline = job.deadline;
            return self.failed(index, deadline, crate::record::Failure::Resolve);
        };
        let ready = self.later(took_ns);
        let named = &self.answers[answer as usize];
        let region = named.region;
        self.trace.note(self.now, Did::Resolved, u64::from(index), region as u64);
        self.course_named(region);
        self.audit_named(region);
        self.connect_directly(index, answer, ready);
    }

    /// Asks the DNS server, whose own machine decides. The answer's number and its TTL in nanoseconds; none when no
    /// region has the name.
    pub(super) fn ask(&mut self, client: IpAddr) -> Option<(u32, u64)> {
        let view = self.fronts[0].edge.view();
        let name = view.snapshot.dns.latency_names.first()?;
        let answer = view.answer(name, client);
        self.audit_answer(client, &answer);
        let (lb, region) = (answer.load_balancer?, answer.region?);
        let nodes = self.nodes_of[lb.0]
            .iter()
            .zip(&self.snapshot.load_balancer(lb).nodes)
            .filter(|(_, node)| answer.addresses.contains(&node.address))
            .map(|(node, _)| *node)
            .collect();
        let port = self.snapshot.load_balancer(lb).listeners.first().map_or(self.port, |l| l.port);
        let named = Named { region: region.0, port, nodes };
        let number = self.answers.iter().position(|a| *a == named).unwrap_or_else(|| {
            self.answers.push(named);
            self.answers.len() - 1
        });
        Some((number as u32, answer.ttl.as_nanos() as u64))
    }

    /// Tries the addresses in turn, beginning with one of the client's own choice. A refused one is followed by the next
    /// at once; a silent one by the next after the stagger of Happy Eyeballs (RFC 8305), if the client has it, while it
    /// is still waited for.
    fn connect_directly(&mut self, index: u32, answer: u32, ready: Instant) {
        let job = self.jobs.at(index);
        let (source, first, deadline) = (job.source as usize, job.number as usize, job.deadline);
        let stagger = match job.owner {
            Owner::Load(_) => None,
            Owner::Session(_) => self.clients.as_ref().map(|c| c.stagger_ns),
        };
        let nodes = &self.answers[answer as usize].nodes;
        let Named { region, port, .. } = self.answers[answer as usize];
        let mut at = ready;
        let mut best: Option<(Instant, u32)> = None;
        let mut silent = false;
        for step in 0..nodes.len() {
            let node = nodes[(first + step) % nodes.len()];
            if best.is_some_and(|(done, _)| done <= at) || at > deadline {
                break;
            }
            let way = self.sources[source].to_region[region];
            match (way, self.nodes[node as usize].host.mode) {
                (Some(rtt), Mode::Up) => {
                    let lost = if self.network.loses() { 1_000_000_000 } else { 0 };
                    let done = later(at, self.network.with_jitter(rtt) + lost);
                    if best.is_none_or(|(other, _)| done < other) {
                        best = Some((done, node));
                    }
                    match stagger {
                        Some(stagger) => at = later(at, stagger),
                        None => break,
                    }
                }
                (Some(rtt), Mode::Crashed) => at = later(at, rtt),
                (None, _) | (_, Mode::Dark) => {
                    silent = true;
                    match stagger {
                        Some(stagger) => at = later(at, stagger),
                        None => break,
                    }
                }
            }
        }
        let job = self.jobs.at(index);
        job.region = Some(region as u32);
        let Some((done, node)) = best.filter(|(done, _)| *done < deadline) else {
            let now = self.now;
            return if silent { self.give_up(index) } else { self.fail_after(index, at.since(now).as_nanos() as u64) };
        };
        job.link = Some(Link { node, port, edge: None, carried: false, used_at: done });
        job.phase = Phase::Travelling;
        let half = self.sources[source].to_region[region].unwrap_or_default() / 2;
        let resend = self.network.resend(2 * half);
        let key = self.jobs.key(index);
        self.push(later(done, half + resend), Kind::Arrive, key);
    }
}
