//! Flows through an edge: the shipped machine says whom to try, the network says what becomes of it.

use std::net::SocketAddr;
use std::time::Duration;

use perigee_dataplane::{ConnectFailure, Connection, Output};
use perigee_health::{Evidence, Subject};
use perigee_model::{Behaviour, Instant};
use perigee_steering::{Candidate, Flow, Via};

use super::event::{Event, Kind};
use super::host::Mode;
use super::job::{Link, Phase};
use super::slab::Key;
use super::{Engine, later};
use crate::trace::Did;

/// A SYN is sent again after a second, then after twice that each time, six times at most (RFC 6298 section 2; Linux).
const SYN_TIMER_NS: u64 = 1_000_000_000;
const SYN_TRIES: u8 = 6;

/// A flow that looks for its endpoint.
pub(super) struct Opening {
    job: u32,
    front: usize,
    connection: Connection,
    /// The node of each attempt.
    pub(super) attempts: Vec<u32>,
    timer: Option<Instant>,
}

impl Engine<'_> {
    /// A client's flow has come to its edge, its request right behind it.
    pub(super) fn open_at_edge(&mut self, key: Key) {
        let Some(job) = self.jobs.get_mut(key) else { return };
        let (index, pop, client, source) = (key.index, job.edge as usize, job.client, job.source as usize);
        match self.edges[pop].mode {
            Mode::Crashed => return self.reset_from_edge(index),
            Mode::Dark => return self.give_up(index),
            Mode::Up => {}
        }
        let front = self.front_of(pop);
        let flow = Flow::tcp(client, self.destination(index));
        let view = self.fronts[front].edge.view().clone();
        let opened = view.open_at(flow, self.sources[source].place, self.now);
        let mut connection = match opened {
            Ok(connection) => connection,
            Err(refusal) => {
                self.audit_refused(index, refusal);
                self.trace.note(self.now, Did::Refused, u64::from(index), refusal as u64);
                return self.reset_from_edge(index);
            }
        };
        let first = connection.poll_output();
        self.audit_opened(index, front, &connection, first.as_ref());
        if let Some(Output::Connect { candidate, .. }) = &first {
            let node = self.node_of(candidate);
            let region = self.nodes[node as usize].region;
            self.trace.note(self.now, Did::Open, u64::from(index), (u64::from(node) << 16) | pop as u64);
            if let Some(rtt) = self.certain_connect(front, pop, node) {
                self.course_flow(region);
                return self.join(index, node, candidate.address.port(), rtt);
            }
        }
        let opening = Opening { job: index, front, connection, attempts: Vec::new(), timer: None };
        let opening = self.openings.insert(opening);
        let job = self.jobs.at(index);
        job.opening = Some(opening.index);
        let deadline = job.deadline;
        let job_key = self.jobs.key(index);
        self.push(deadline, Kind::Fail, job_key);
        if let Some(output) = first {
            self.obey(opening, output);
        }
        self.pump(opening);
    }

    /// The round trip of a connect of which everything is known: the node is up, nothing changes meanwhile, nothing is
    /// left to chance, it is done before the machine would look elsewhere, and it is no news to the front tier. Such a
    /// connect need not be played out; the result is the same.
    fn certain_connect(&self, front: usize, pop: usize, node: u32) -> Option<u64> {
        let node_ = &self.nodes[node as usize];
        let rtt = self.network.edge_to_region(pop, node_.region)?;
        let settings = &self.snapshot.settings;
        let patience = match settings.behaviour {
            Behaviour::Fast => settings.timing.connect_stagger,
            Behaviour::Aws => settings.timing.connect_timeout,
        };
        let certain = node_.host.mode == Mode::Up
            && self.network.is_certain()
            && Duration::from_nanos(rtt) < patience
            && self.next_change() > later(self.now, rtt)
            && !self.fronts[front].slow.contains(&node);
        certain.then_some(rtt)
    }

    pub(super) fn node_of(&self, candidate: &Candidate) -> u32 {
        match candidate.via {
            Via::Node { load_balancer, node } => self.nodes_of[load_balancer.0][node],
            Via::Direct => unreachable!("a run refuses snapshots whose endpoints are no load balancers"),
        }
    }

    /// The address that a client of an accelerator connects to: one of the two, by its own choice.
    pub(super) fn destination(&mut self, index: u32) -> SocketAddr {
        let number = self.jobs.at(index).number;
        let accelerator = &self.snapshot.accelerators[0];
        let port = accelerator.listeners[0].port_ranges[0].from_port;
        SocketAddr::new(accelerator.addresses[(number & 1) as usize], port)
    }

    fn pump(&mut self, key: Key) {
        loop {
            let Some(opening) = self.openings.get_mut(key) else { return };
            let Some(output) = opening.connection.poll_output() else { break };
            self.obey(key, output);
        }
        let Some(opening) = self.openings.get_mut(key) else { return };
        let timer = opening.connection.poll_timeout();
        if timer != opening.timer {
            opening.timer = timer;
            if let Some(at) = timer {
                self.push(at.max(self.now), Kind::ConnectTimer, key);
            }
        }
    }

    fn obey(&mut self, key: Key, output: Output) {
        match output {
            Output::Connect { attempt, candidate } => self.syn(key, attempt, &candidate),
            // A result that comes later is of no interest to the machine.
            Output::Abandon { .. } => {}
            Output::Use { candidate, .. } => {
                let node = self.node_of(&candidate);
                if let Some(opening) = self.openings.remove(key.index) {
                    self.audit_used(&opening.attempts, node);
                    let job = self.jobs.at(opening.job);
                    job.opening = None;
                    // The give-up that was planned for the connect is not.
                    self.jobs.renew(opening.job);
                    self.course_flow(self.nodes[node as usize].region);
                    self.join(opening.job, node, candidate.address.port(), 0);
                    self.drain(opening);
                }
            }
            Output::Refuse(refusal) => {
                if let Some(opening) = self.openings.remove(key.index) {
                    self.audit_refused(opening.job, refusal);
                    self.trace.note(self.now, Did::Refused, u64::from(opening.job), refusal as u64);
                    self.jobs.at(opening.job).opening = None;
                    self.jobs.renew(opening.job);
                    self.reset_from_edge(opening.job);
                    self.drain(opening);
                }
            }
            Output::Evidence { subject, evidence } => {
                if let Some(front) = self.openings.get_mut(key).map(|o| o.front) {
                    self.tell_front(front, &subject, evidence);
                }
            }
        }
    }

    /// Hears out what a machine says after it has decided.
    fn drain(&mut self, mut opening: Opening) {
        while let Some(output) = opening.connection.poll_output() {
            self.audit_drained(&output);
            if let Output::Evidence { subject, evidence } = output {
                self.tell_front(opening.front, &subject, evidence);
            }
        }
    }

    fn tell_front(&mut self, front: usize, subject: &Subject, evidence: Evidence) {
        let Subject::Node(key) = subject else {
            unreachable!("a run refuses snapshots whose endpoints are no load balancers")
        };
        let node = self.node_by_key(key);
        let slow = &mut self.fronts[front].slow;
        slow.retain(|n| *n != node);
        if evidence == Evidence::Slow {
            slow.push(node);
        }
        if self.fronts[front].edge.evidence(subject, evidence, self.now) {
            self.fronts[front].slow.retain(|n| *n != node);
            self.view_changed(front);
        }
        if evidence != Evidence::Connected {
            self.wake_front(front);
        }
    }

    fn syn(&mut self, key: Key, attempt: usize, candidate: &Candidate) {
        let node = self.node_of(candidate);
        let region = self.nodes[node as usize].region;
        let Some(opening) = self.openings.get_mut(key) else { return };
        opening.attempts.push(node);
        let job = opening.job;
        self.audit_attempt(key, candidate);
        let job = self.jobs.at(job);
        job.region = Some(region as u32);
        let pop = job.edge as usize;
        let detail = attempt as u8 & 7;
        match self.network.edge_to_region(pop, region) {
            Some(rtt) if !self.network.loses() => {
                let half = self.network.with_jitter(rtt) / 2;
                self.queue.push(self.later(half), Event::with(Kind::Syn, key, detail));
            }
            _ => self.queue.push(self.later(SYN_TIMER_NS), Event::with(Kind::Syn, key, detail | 1 << 3)),
        }
    }

    pub(super) fn syn_at_node(&mut self, key: Key, detail: u8) {
        let (attempt, tries) = (detail & 7, detail >> 3);
        let Some(opening) = self.openings.get_mut(key) else { return };
        let (node, job) = (opening.attempts[usize::from(attempt)] as usize, opening.job);
        let pop = self.jobs.at(job).edge as usize;
        let way = self.network.edge_to_region(pop, self.nodes[node].region);
        let mode = self.nodes[node].host.mode;
        match (way, mode) {
            (Some(rtt), Mode::Up | Mode::Crashed) => {
                let half = self.network.with_jitter(rtt) / 2;
                let refused = u8::from(mode == Mode::Crashed) << 3;
                self.queue.push(self.later(half), Event::with(Kind::SynDone, key, attempt | refused));
            }
            _ if tries < SYN_TRIES => {
                let again = self.later(SYN_TIMER_NS << tries);
                self.queue.push(again, Event::with(Kind::Syn, key, attempt | (tries + 1) << 3));
            }
            _ => {}
        }
    }

    pub(super) fn syn_done(&mut self, key: Key, detail: u8) {
        let Some(opening) = self.openings.get_mut(key) else { return };
        let attempt = usize::from(detail & 7);
        if detail & 8 == 0 {
            opening.connection.connected(attempt);
        } else {
            opening.connection.failed(attempt, ConnectFailure::Refused, self.now);
        }
        self.pump(key);
    }

    pub(super) fn connect_timer(&mut self, key: Key) {
        let Some(opening) = self.openings.get_mut(key) else { return };
        if opening.timer != Some(self.now) {
            return;
        }
        opening.timer = None;
        opening.connection.handle_timeout(self.now);
        self.pump(key);
    }

    /// The flow has its endpoint once `connect_ns` are over, and stays there; the request goes on.
    fn join(&mut self, index: u32, node: u32, port: u16, connect_ns: u64) {
        let now = self.now;
        let region = self.nodes[node as usize].region;
        self.record.flow(now, region);
        self.trace.note(now, Did::Joined, u64::from(index), u64::from(node));
        self.audit_joined(index, node);
        let job = self.jobs.at(index);
        let edge = job.edge;
        job.region = Some(region as u32);
        job.link = Some(Link { node, port, edge: Some(edge), carried: false, used_at: now });
        job.phase = Phase::Travelling;
        let key = self.jobs.key(index);
        match self.network.edge_to_region(edge as usize, region) {
            Some(rtt) => {
                let on_way = connect_ns + rtt / 2 + self.network.resend(rtt);
                self.push(self.later(on_way), Kind::Arrive, key);
            }
            None => self.give_up(index),
        }
    }
}
