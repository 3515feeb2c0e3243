//! The front tiers: samples of the load balancers' nodes, and what they make of them.

use perigee_dataplane::Edge;
use perigee_geo::PopIndex;
use perigee_health::{NodeReport, ProbeFailure, Sample};
use perigee_model::Instant;

use super::event::{Event, Kind};
use super::host::Mode;
use super::{Engine, later};
use crate::network::Way;
use crate::trace::Did;

/// One front tier: the DNS server's, an edge's, or the one of a whole stack in one process.
pub(super) struct Front {
    pub(super) edge: Edge,
    /// Where it stands; none for the operator's own place.
    pub(super) pop: Option<usize>,
    /// When its next samples are due, as the queue knows it.
    armed: Option<Instant>,
    /// It takes no samples, because they could change nothing.
    asleep: bool,
    /// The world's version that each node's last sample saw.
    seen: Vec<u64>,
    /// Nodes whose last connect was slow: a quick one is news.
    pub(super) slow: Vec<u32>,
    /// Whether it takes each load balancer for healthy.
    pub(super) healthy: Vec<bool>,
}

/// A sample under way.
pub(super) struct Sampling {
    front: u32,
    node: u32,
    sample: Sample,
    version: u64,
    back_ns: u64,
    result: Option<Result<NodeReport, ProbeFailure>>,
}

impl Engine<'_> {
    pub(super) fn make_fronts(&mut self) {
        let pops: Vec<Option<usize>> = if self.each_edge {
            std::iter::once(None).chain((0..self.edges.len()).map(Some)).collect()
        } else {
            vec![None]
        };
        for pop in pops {
            let began = self.begin_of(self.snapshot.settings.timing.lb_health_poll);
            let mut machine = Edge::new(self.snapshot.clone(), self.atlas.clone(), pop.map(PopIndex), began);
            while let Some(sample) = machine.poll_sample(began) {
                let node = self.node_by_key(&sample.node);
                machine.sampled(&sample, Ok(self.nodes[node as usize].balancer.report()), began);
            }
            let healthy = machine.view().health.load_balancers.iter().map(|lb| lb.is_healthy()).collect();
            self.fronts.push(Front {
                edge: machine,
                pop,
                armed: None,
                asleep: false,
                seen: vec![0; self.nodes.len()],
                slow: Vec::new(),
                healthy,
            });
            self.arm_front(self.fronts.len() - 1);
        }
    }

    /// The front tier that an edge decides by.
    pub(super) const fn front_of(&self, pop: usize) -> usize {
        if self.each_edge { pop + 1 } else { 0 }
    }

    fn arm_front(&mut self, index: usize) {
        let front = &mut self.fronts[index];
        let Some(at) = front.edge.poll_timeout().map(|at| at.max(self.now)) else { return };
        if front.armed.is_none_or(|armed| at < armed) {
            front.armed = Some(at);
            self.queue.push(at, Event::of(Kind::Sample, index as u32));
        }
    }

    pub(super) fn samples_due(&mut self, index: u32) {
        let front = &mut self.fronts[index as usize];
        // An event that an earlier one has overtaken.
        if front.armed != Some(self.now) {
            return;
        }
        front.armed = None;
        if self.now > self.end {
            return;
        }
        if !self.options.every_sample && self.may_sleep(index as usize) {
            self.fronts[index as usize].asleep = true;
            return;
        }
        while let Some(sample) = self.fronts[index as usize].edge.poll_sample(self.now) {
            self.take_sample(index, sample);
        }
        self.arm_front(index as usize);
    }

    /// Whether every further sample would say what the last one said.
    fn may_sleep(&self, index: usize) -> bool {
        let front = &self.fronts[index];
        self.network.is_certain() && front.seen.iter().all(|v| *v == self.version) && front.edge.is_steady()
    }

    /// Something changed that samples can see.
    pub(super) fn world_changed(&mut self) {
        self.version += 1;
        for index in 0..self.fronts.len() {
            self.wake_front(index);
        }
    }

    pub(super) fn wake_front(&mut self, index: usize) {
        if std::mem::take(&mut self.fronts[index].asleep) {
            self.samples_on_their_way(index);
        }
        self.arm_front(index);
    }

    /// The front tier was asleep: samples that it would have begun, and that are not at their nodes yet, are begun as of
    /// their own time, because they will meet what has changed. Earlier ones would have said what is known.
    fn samples_on_their_way(&mut self, index: usize) {
        let now = self.now;
        for node in 0..self.nodes.len() as u32 {
            let there = self.way_to_node(index, node).map_or(0, |rtt| rtt + rtt / 2);
            let from = Instant::from_nanos(now.as_nanos().saturating_sub(there) + 1);
            let key = &self.nodes[node as usize].key;
            self.fronts[index].edge.skip_node_to(key, from.min(now));
        }
        while let Some(at) = self.fronts[index].edge.poll_timeout().filter(|at| *at < now) {
            while let Some(sample) = self.fronts[index].edge.poll_sample(at) {
                self.take_sample(index as u32, sample);
            }
        }
    }

    fn way_to_node(&self, front: usize, node: u32) -> Way {
        let region = self.nodes[node as usize].region;
        match self.fronts[front].pop {
            Some(pop) => self.network.edge_to_region(pop, region),
            None => self.sources[0].to_region[region],
        }
    }

    fn take_sample(&mut self, front: u32, sample: Sample) {
        let (node, began) = (self.node_by_key(&sample.node), sample.began);
        let way = self.way_to_node(front as usize, node);
        let timeout = self.snapshot.settings.timing.lb_health_timeout.as_nanos() as u64;
        let mut sampling = Sampling { front, node, sample, version: self.version, back_ns: 0, result: None };
        // A connection and a request, two round trips; a lost packet of the handshake costs a second.
        let trip = way.map(|rtt| {
            let rtt = self.network.with_jitter(rtt);
            (rtt, if self.network.loses() { 1_000_000_000 } else { 0 } + self.network.resend(rtt))
        });
        match trip {
            Some((rtt, lost)) if 2 * rtt + lost < timeout => {
                sampling.back_ns = rtt / 2;
                let key = self.samplings.insert(sampling);
                let at = later(began, rtt + rtt / 2 + lost).max(self.now);
                self.push(at, Kind::SampleAt, key);
            }
            _ => {
                sampling.result = Some(Err(ProbeFailure::Timeout));
                let key = self.samplings.insert(sampling);
                self.push(later(began, timeout).max(self.now), Kind::SampleDone, key);
            }
        }
    }

    pub(super) fn sample_at_node(&mut self, index: u32) {
        let sampling = self.samplings.at(index);
        let node = &self.nodes[sampling.node as usize];
        let began = sampling.sample.began;
        let timeout = later(began, self.snapshot.settings.timing.lb_health_timeout.as_nanos() as u64);
        let mut back = sampling.back_ns;
        sampling.version = self.version;
        sampling.result = Some(match node.host.mode {
            Mode::Crashed => Err(ProbeFailure::Connection),
            Mode::Dark => Err(ProbeFailure::Timeout),
            Mode::Up if node.host.error_share >= 1.0 => Err(ProbeFailure::ResponseCode { code: 500 }),
            Mode::Up => {
                back += node.host.delay.as_nanos() as u64;
                Ok(node.balancer.report())
            }
        });
        let mut done = later(self.now, back);
        if node.host.mode == Mode::Dark || done > timeout {
            sampling.result = Some(Err(ProbeFailure::Timeout));
            done = timeout;
        }
        let key = self.samplings.key(index);
        self.push(done, Kind::SampleDone, key);
    }

    pub(super) fn sample_done(&mut self, index: u32) {
        let Some(sampling) = self.samplings.remove(index) else { return };
        let Some(result) = sampling.result else { return };
        let front = &mut self.fronts[sampling.front as usize];
        front.seen[sampling.node as usize] = sampling.version;
        if front.edge.sampled(&sampling.sample, result, self.now) {
            self.view_changed(sampling.front as usize);
        }
        let index = sampling.front as usize;
        // Samples that were under way when it fell asleep come in; only news wakes it.
        if !self.fronts[index].asleep || !self.may_sleep(index) {
            self.wake_front(index);
        }
    }

    /// A front tier sees the load balancers differently.
    pub(super) fn view_changed(&mut self, index: usize) {
        for lb in 0..self.snapshot.load_balancers.len() {
            let front = &mut self.fronts[index];
            let healthy = front.edge.view().health.load_balancers[lb].is_healthy();
            if front.healthy[lb] != healthy {
                front.healthy[lb] = healthy;
                self.trace.note(self.now, Did::Health, index as u64, ((lb as u64) << 1) | u64::from(healthy));
                self.front_learned(index, lb, healthy);
                self.audit_learned(index, healthy);
            }
        }
    }
}
