//! Requests: from a client to a node, to a target and back, or to their failure.

use perigee_dataplane::Routing;
use perigee_model::Instant;
use perigee_rules::RequestHead;

use super::event::Kind;
use super::host::Mode;
use super::job::{Link, Owner, Phase};
use super::slab::Key;
use super::{Engine, later};
use crate::record::Failure;
use crate::trace::Did;
use crate::{Admission, Condition, Entry, Gray};

/// A node gives up connecting to a target after this (ALB guide, "HTTP 504: Gateway timeout").
const TARGET_CONNECT_NS: u64 = 10_000_000_000;

impl Engine<'_> {
    /// Starts the request that a job holds: on its connection, or on one that is made for it.
    pub(super) fn begin(&mut self, index: u32) {
        let now = self.now;
        let job = self.jobs.at(index);
        job.bad = false;
        if job.tries == 0 {
            let started = job.started;
            self.record.started(started);
            self.audit_begun(index);
        }
        let job = self.jobs.at(index);
        if let Some(link) = job.link {
            let idle = now.since(link.used_at).as_nanos() as u64;
            if idle < self.nodes[link.node as usize].idle_ns {
                job.fresh = false;
                job.region = Some(self.nodes[link.node as usize].region as u32);
                return self.travel(index, link);
            }
        }
        job.link = None;
        job.fresh = true;
        job.region = None;
        job.phase = Phase::Connecting;
        match job.entry {
            Entry::Accelerator => self.go_to_edge(index),
            Entry::Dns => self.go_by_name(index),
        }
    }

    fn go_to_edge(&mut self, index: u32) {
        let source = self.jobs.at(index).source as usize;
        let Some(rtt) = self.sources[source].to_pop else { return self.give_up(index) };
        self.jobs.at(index).edge = self.sources[source].pop as u32;
        let rtt = self.network.with_jitter(rtt);
        // SYN, SYN-ACK, and the ACK with the request behind it.
        let lost = if self.network.loses() { 1_000_000_000 } else { 0 };
        let at = self.later(rtt + rtt / 2 + lost);
        // A client that has given up meanwhile sends nothing any more.
        if at > self.jobs.at(index).deadline {
            return self.give_up(index);
        }
        let key = self.jobs.key(index);
        self.push(at, Kind::Open, key);
    }

    /// A request goes out on a connection that is there.
    fn travel(&mut self, index: u32, link: Link) {
        let source = self.jobs.at(index).source as usize;
        let Some(rtt) = self.round_trip(source, &link) else { return self.give_up(index) };
        let on_way = self.network.with_jitter(rtt) / 2 + self.network.resend(rtt);
        let key = self.jobs.key(index);
        self.jobs.at(index).phase = Phase::Travelling;
        self.push(self.later(on_way), Kind::Arrive, key);
    }

    /// The round trip on a connection, none when a part of the way is cut.
    fn round_trip(&self, source: usize, link: &Link) -> Option<u64> {
        let source = &self.sources[source];
        let region = self.nodes[link.node as usize].region;
        match link.edge {
            None => source.to_region[region],
            Some(edge) if self.edges[edge as usize].mode == Mode::Dark => None,
            Some(edge) => {
                let to_edge = self.network.to_edge(source, edge as usize)?;
                Some(to_edge + self.network.edge_to_region(edge as usize, region)?)
            }
        }
    }

    /// The client's edge resets its connection.
    pub(super) fn reset_from_edge(&mut self, index: u32) {
        let half = self.half_to_edge(index);
        self.fail_after(index, half);
    }

    pub(super) fn half_to_edge(&mut self, index: u32) -> u64 {
        let source = self.jobs.at(index).source as usize;
        self.sources[source].to_pop.unwrap_or_default() / 2
    }

    /// How long an answer takes from the node to the client, none when the way is cut.
    fn way_back(&mut self, index: u32) -> Option<u64> {
        let job = self.jobs.at(index);
        let (source, link) = (job.source as usize, job.link?);
        let rtt = self.round_trip(source, &link)?;
        Some(self.network.with_jitter(rtt) / 2 + self.transfer_ns)
    }

    pub(super) fn arrive(&mut self, key: Key) {
        let now = self.now;
        let Some(job) = self.jobs.get_mut(key) else { return };
        let Some(link) = job.link else { return };
        let index = key.index;
        let node = link.node as usize;
        match self.nodes[node].host.mode {
            Mode::Crashed => {
                let back = self.way_back(index);
                self.jobs.at(index).link = None;
                return match back {
                    Some(back) => self.fail_after(index, back),
                    None => self.give_up(index),
                };
            }
            Mode::Dark => return self.give_up(index),
            Mode::Up => {}
        }
        if self.edges_mode(&link) == Mode::Crashed {
            self.jobs.at(index).link = None;
            return self.reset_from_edge(index);
        }
        self.audit_arrived(index, link.node);
        self.jobs.at(index).phase = Phase::Serving;
        let host = &self.nodes[node].host;
        let late = host.late;
        let (mut delay, error_share) = (host.delay.as_nanos() as u64, host.error_share);
        if let Some((share, more)) = late
            && self.errors_hit(share)
        {
            delay += more.as_nanos() as u64;
        }
        if self.errors_hit(error_share) {
            self.jobs.at(index).bad = true;
            return self.finish_at(index, later(now, delay));
        }
        let hop = self.within_region_ns();
        let path = match self.jobs.at(index).owner {
            Owner::Load(load) => self.loads[load as usize].path(),
            Owner::Session(_) => "/",
        };
        let head = RequestHead { host: Some("app.perigee.test"), path };
        match self.nodes[node].balancer.route(link.port, &head) {
            Routing::Respond { status, .. } => {
                self.audit_responded(link.node, status);
                self.jobs.at(index).bad = true;
                self.finish_at(index, later(now, delay));
            }
            Routing::Forward(forward) => {
                let address = std::net::SocketAddr::new(forward.target.address, forward.target.port);
                let target = self.target_of(link.node, forward.token.target_id(), address);
                self.audit_forward(index, link.node, target, &forward);
                self.trace.note(now, Did::Routed, u64::from(index), (u64::from(target) << 16) | node as u64);
                let job = self.jobs.at(index);
                job.token = Some(forward.token);
                job.target = target;
                self.at_target(index, target, later(now, delay + hop / 2), hop);
            }
        }
    }

    fn at_target(&mut self, index: u32, target: u32, at: Instant, hop: u64) {
        let region = self.targets[target as usize].region;
        let target = &mut self.targets[target as usize];
        let error_share = target.host.error_share;
        match target.host.mode {
            Mode::Crashed => {
                self.jobs.at(index).bad = true;
                return self.finish_at(index, later(at, hop / 2));
            }
            Mode::Dark => {
                self.jobs.at(index).bad = true;
                return self.finish_at(index, later(at, TARGET_CONNECT_NS));
            }
            Mode::Up => {}
        }
        if error_share > 0.0 && self.errors.chance(error_share) {
            self.jobs.at(index).bad = true;
            return self.finish_at(index, later(at, hop / 2));
        }
        let target = &mut self.targets[self.jobs.at(index).target as usize];
        let gray = target.host.late.map(|(share, delay)| Gray { share, delay });
        let condition = Condition { factor: 1.0, delay: target.host.delay, gray };
        match target.server.arrive(at, &condition) {
            Admission::Full => {
                self.jobs.at(index).bad = true;
                self.finish_at(index, later(at, hop / 2));
            }
            Admission::Served { begins, ends, epoch } => {
                self.record.busy(begins, region, ends.since(begins).as_nanos() as u64);
                self.jobs.at(index).epoch = Some(epoch);
                self.finish_at(index, later(ends, hop / 2));
            }
        }
    }

    /// The node will have the answer at `at`; a client that does not wait so long gives up before.
    fn finish_at(&mut self, index: u32, at: Instant) {
        let back = self.way_back(index).unwrap_or(u64::MAX);
        let deadline = self.jobs.at(index).deadline;
        let key = self.jobs.key(index);
        if later(at, back) > deadline {
            self.push(deadline.max(self.now), Kind::Fail, key);
        } else {
            self.push(at, Kind::Finish, key);
        }
    }

    pub(super) fn finish(&mut self, key: Key) {
        if self.jobs.get_mut(key).is_none() {
            return;
        }
        let index = key.index;
        self.audit_finished(index);
        self.release(index);
        let Some(back) = self.way_back(index) else { return self.give_up(index) };
        let job = self.jobs.at(index);
        job.phase = Phase::Waiting;
        let at = later(self.now, back);
        // A session has no other use of the time until its answer is there; a load's connection must not be free before.
        if matches!(job.owner, Owner::Load(_)) {
            let key = self.jobs.key(index);
            self.push(at, Kind::Answered, key);
        } else {
            self.deliver(index, at);
        }
    }

    pub(super) fn answered(&mut self, key: Key) {
        if self.jobs.get_mut(key).is_some() {
            self.deliver(key.index, self.now);
        }
    }

    /// The whole answer is at the client.
    fn deliver(&mut self, index: u32, at: Instant) {
        let job = self.jobs.at(index);
        if let Some(link) = &mut job.link {
            link.carried = true;
            link.used_at = at;
        }
        if job.bad {
            return self.failed(index, at, Failure::Status);
        }
        let (started, region) = (job.started, job.region.unwrap_or_default());
        let latency = at.since(started).as_nanos() as u64;
        self.record.answered(at, region as usize, latency);
        self.trace.note(at, Did::Answered, u64::from(index), latency);
        match self.jobs.at(index).owner {
            Owner::Load(load) => self.load_done(load, index, at, None),
            Owner::Session(_) => self.session_done(index, at),
        }
    }

    /// The client learns in `ns` that its request failed.
    pub(super) fn fail_after(&mut self, index: u32, ns: u64) {
        let job = self.jobs.at(index);
        job.phase = Phase::Waiting;
        let at = later(self.now, ns).min(job.deadline.max(self.now));
        let key = self.jobs.key(index);
        self.push(at, Kind::Fail, key);
    }

    /// Nothing will come back: the client waits for its own time-out.
    pub(super) fn give_up(&mut self, index: u32) {
        let job = self.jobs.at(index);
        job.phase = Phase::Waiting;
        let at = job.deadline.max(self.now);
        let key = self.jobs.key(index);
        self.push(at, Kind::Fail, key);
    }

    pub(super) fn fail(&mut self, key: Key) {
        let Some(job) = self.jobs.get_mut(key) else { return };
        let failure = if job.fresh { Failure::NewConnection } else { Failure::InFlight };
        let failure = if job.bad { Failure::Status } else { failure };
        let opening = job.opening.take();
        if let Some(opening) = opening {
            self.openings.remove(opening);
        }
        self.release(key.index);
        self.jobs.at(key.index).link = None;
        self.failed(key.index, self.now, failure);
    }

    /// The request has failed for its client.
    pub(super) fn failed(&mut self, index: u32, at: Instant, failure: Failure) {
        self.release(index);
        self.trace.note(at, Did::Failed, u64::from(index), failure as u64);
        self.audit_failed(index, at, failure);
        match self.jobs.at(index).owner {
            Owner::Load(load) => {
                self.lost(index, failure);
                self.load_done(load, index, at, Some(failure));
            }
            Owner::Session(_) => self.session_failed(index, at, failure),
        }
    }

    /// The request counts as lost.
    pub(super) fn lost(&mut self, index: u32, failure: Failure) {
        let job = self.jobs.at(index);
        let (started, region) = (job.started, job.region);
        self.record.failed(started, region.map(|r| r as usize), failure);
        self.course_failure(region);
    }

    /// Gives back what the request holds at the node and at the target.
    pub(super) fn release(&mut self, index: u32) {
        let job = self.jobs.at(index);
        let (token, epoch, target) = (job.token.take(), job.epoch.take(), job.target);
        let node = job.link.map(|l| l.node);
        if let Some(epoch) = epoch {
            self.targets[target as usize].server.finished(epoch);
        }
        if let (Some(token), Some(node)) = (token, node) {
            self.nodes[node as usize].balancer.request_finished(token);
        }
    }

    fn errors_hit(&mut self, share: f64) -> bool {
        share > 0.0 && self.errors.chance(share)
    }

    pub(super) fn is_reachable(&self, source: usize, link: &Link) -> bool {
        self.round_trip(source, link).is_some()
    }

    fn edges_mode(&self, link: &Link) -> Mode {
        link.edge.map_or(Mode::Up, |edge| self.edges[edge as usize].mode)
    }
}
