//! Faults: what breaks, what is mended, and what becomes of the requests that are under way.

use std::sync::Arc;

use perigee_geo::PopIndex;
use perigee_health::Forced;
use perigee_model::{LoadBalancerIndex, TrafficDial};

use super::event::{Event as Queued, Kind};
use super::host::{Active, Mode};
use super::job::Phase;
use super::timeline::Step;
use super::{Engine, seconds};
use crate::network::{Cut, End};
use crate::trace::Did;
use crate::zero::since_zero_ns;
use crate::{Event, How};

/// What a name means.
#[derive(Clone, Debug, Default)]
pub(super) struct Meant {
    pub(super) nodes: Vec<u32>,
    pub(super) targets: Vec<u32>,
    pub(super) edge: Option<usize>,
    /// Load balancers of which every node is meant.
    pub(super) load_balancers: Vec<usize>,
}

impl Engine<'_> {
    /// Refuses a scenario whose events name what the world does not have.
    pub(super) fn check_events(&self) -> Result<(), String> {
        for event in &self.timeline.events {
            let wrong = |what: &str| Err(format!("event {}: nothing here is called {what}", event.name));
            let is_event = |name: &str| self.timeline.events.iter().any(|e| e.name == name);
            match (&event.kill, &event.restore) {
                (Some(what), _) if self.meant(what).is_none() => return wrong(what),
                (_, Some(what)) if self.meant(what).is_none() && !is_event(what) => return wrong(what),
                _ => {}
            }
            if let (Some(what), Some(How::Error | How::Slow | How::Gray)) = (&event.kill, event.how)
                && self.meant(what).is_some_and(|m| m.edge.is_some())
            {
                return Err(format!("event {}: an edge forwards bytes and knows no requests", event.name));
            }
            if let (Some(what), Some(How::Unhealthy)) = (&event.kill, event.how)
                && self.meant(what).is_some_and(|m| m.load_balancers.is_empty())
            {
                return Err(format!("event {}: an operator's word is about regions and load balancers", event.name));
            }
            for name in event.partition.iter().chain(&event.cable).flatten() {
                if self.end_of(name).is_none() {
                    return wrong(name);
                }
            }
            if let Some(region) = &event.dial
                && self.snapshot.find_region(region).is_none()
            {
                return wrong(region);
            }
            if let Some(name) = &event.resolver
                && !self.has_resolver(name)
            {
                return Err(format!("event {}: no resolver is called {name}", event.name));
            }
        }
        Ok(())
    }

    /// What `kill` and `restore` mean by a name.
    pub(super) fn meant(&self, what: &str) -> Option<Meant> {
        if let Some(pop) = self.atlas.find_pop(what) {
            return Some(Meant { edge: Some(pop.0), ..Meant::default() });
        }
        let mut meant = Meant::default();
        for (lb, config) in self.snapshot.load_balancers.iter().enumerate() {
            let region = &self.snapshot.region(config.region).code;
            let whole = region.as_str() == what || format!("{region}/{}", config.name) == what;
            for (node, index) in config.nodes.iter().zip(&self.nodes_of[lb]) {
                if whole || node.zone.as_str() == what || node.address.to_string() == what {
                    meant.nodes.push(*index);
                }
            }
            if self.nodes_of[lb].iter().all(|n| meant.nodes.contains(n)) {
                meant.load_balancers.push(lb);
            }
        }
        for group in &self.snapshot.target_groups {
            let region = &self.snapshot.region(group.region).code;
            for target in &group.targets {
                let address = std::net::SocketAddr::new(target.address, target.port);
                let is_it = region.as_str() == what
                    || target.zone.as_str() == what
                    || address.to_string() == what
                    || target.address.to_string() == what;
                if is_it && let Some(index) = self.target_at.get(&address) {
                    meant.targets.push(*index);
                }
            }
        }
        (!meant.nodes.is_empty() || !meant.targets.is_empty()).then_some(meant)
    }

    fn end_of(&self, name: &str) -> Option<End> {
        if name == "*" {
            return Some(End::All);
        }
        if let Some(region) = self.snapshot.find_region(name) {
            return Some(End::Region(region.0));
        }
        if let Some(pop) = self.atlas.find_pop(name) {
            return Some(End::Edge(pop.0));
        }
        let is_country = name.len() == 2 && name.bytes().all(|b| b.is_ascii_uppercase());
        is_country.then(|| End::Country(name.to_owned()))
    }

    /// Does every step of the timeline that is due.
    pub(super) fn next_faults(&mut self) {
        while let Some(step) = self.timeline.steps.get(self.next_step).copied().filter(|s| s.at <= self.now) {
            self.next_step += 1;
            let event = self.timeline.events[step.event].clone();
            match step.strength {
                Some(strength) => self.break_it(step.event, &event, strength),
                None => self.mend_event(step.event, &event),
            }
        }
        self.audit_modes();
        if let Some(step) = self.timeline.steps.get(self.next_step) {
            self.queue.push(step.at, Queued::of(Kind::Fault, 0));
        }
    }

    fn break_it(&mut self, index: usize, event: &Event, strength: f64) {
        let first = !self.done_at.contains_key(&event.name);
        if first {
            self.done_at.insert(event.name.clone(), since_zero_ns(self.now) / 1_000_000);
        }
        self.trace.say(self.now, Did::Fault, &format!("{} {strength}", event.name));
        let mut text = None;
        if let (Some(what), Some(how)) = (&event.kill, event.how) {
            text = Some(format!("{what}: {}", how.name()));
            if first {
                self.begin_course(index, what, how);
            } else {
                self.reopen_courses(index);
            }
            self.kill(index, event, what, how, strength);
        } else if let Some(what) = &event.restore {
            text = Some(format!("{what} is mended"));
            self.restore(what);
        } else if let Some(ends) = event.partition.as_ref().or(event.cable.as_ref()) {
            text = Some(match event.add_ms {
                Some(ms) => format!("cable cut: {ms} ms more between {} and {}", ends[0], ends[1]),
                None => format!("nothing passes between {} and {}", ends[0], ends[1]),
            });
            if let (Some(a), Some(b)) = (self.end_of(&ends[0]), self.end_of(&ends[1])) {
                let add_ns = event.add_ms.map(|ms| (ms * 1e6) as u64);
                self.network.add_cut(Cut { event: index, ends: [a, b], add_ns });
                self.ways_changed();
            }
        } else if let Some(name) = &event.resolver {
            text = Some(format!("resolver {name} answers nothing"));
            self.set_resolver(name, false);
        } else if event.control.is_some() {
            text = Some("the control side is away".to_owned());
            self.control_away = true;
        } else if let (Some(region), Some(percent)) = (&event.dial, event.percent) {
            text = Some(format!("dial of {region} to {percent}"));
            self.old_dials.insert(index, self.dial_of(region));
            self.change_dial(region.clone(), percent);
        }
        if let Some(text) = text.filter(|_| first || strength >= 1.0) {
            self.moment(if event.restore.is_some() { "mended" } else { "fault" }, &event.name, text);
        }
        self.cut_requests();
        self.world_changed();
    }

    fn kill(&mut self, index: usize, event: &Event, what: &str, how: How, strength: f64) {
        let Some(mut meant) = self.meant(what) else { return };
        if how == How::Unhealthy {
            self.force(&meant.load_balancers, Some(Forced::Unhealthy));
            return;
        }
        let active = Active { event: index, how, share: event.share_at(strength), delay: event.delay_at(strength) };
        if let Some(pop) = meant.edge {
            self.edges[pop].add(active);
            return self.edge_changed(pop);
        }
        // As with `perigee kill`: a region or zone that errs or is slow is its application; its load balancers go on.
        if !matches!(how, How::Crash | How::Blackhole) && !meant.targets.is_empty() {
            meant.nodes.clear();
        }
        for node in meant.nodes {
            self.change_node(node, |host| host.add(active));
        }
        for target in meant.targets {
            self.change_target(target, |host| host.add(active));
        }
    }

    fn restore(&mut self, what: &str) {
        if let Some(index) = self.timeline.events.iter().position(|e| e.name == what) {
            let event = self.timeline.events[index].clone();
            self.end_event(|i, _| i == index);
            return self.mend_event(index, &event);
        }
        let Some(meant) = self.meant(what) else { return };
        self.end_event(|_, event| event.kill.as_deref() == Some(what));
        if let Some(pop) = meant.edge {
            self.edges[pop].clear();
            self.edge_changed(pop);
        }
        for target in meant.targets {
            self.change_target(target, super::host::Host::clear);
        }
        for node in meant.nodes {
            self.change_node(node, super::host::Host::clear);
        }
        self.force(&meant.load_balancers, None);
        self.end_courses(|course| course.what == what);
    }

    /// What was mended stays so: the rest of a ramp or of a flapping that has begun does not come.
    fn end_event(&mut self, is_it: impl Fn(usize, &Event) -> bool) {
        let rest = self.timeline.steps.split_off(self.next_step);
        let (events, done_at) = (&self.timeline.events, &self.done_at);
        let goes_on = |step: &Step| {
            let event = &events[step.event];
            !(is_it(step.event, event) && done_at.contains_key(&event.name))
        };
        self.timeline.steps.extend(rest.into_iter().filter(goes_on));
    }

    fn mend_event(&mut self, index: usize, event: &Event) {
        self.trace.say(self.now, Did::Fault, &format!("{} over", event.name));
        self.moment("mended", &event.name, format!("{} is over", event.name));
        if let Some(meant) = event.kill.as_ref().and_then(|what| self.meant(what)) {
            if let Some(pop) = meant.edge {
                self.edges[pop].remove(index);
                self.edge_changed(pop);
            }
            for target in meant.targets {
                self.change_target(target, |host| host.remove(index));
            }
            for node in meant.nodes {
                self.change_node(node, |host| host.remove(index));
            }
            if event.how == Some(How::Unhealthy) {
                self.force(&meant.load_balancers, None);
            }
        }
        if self.network.mend(index) {
            self.ways_changed();
        }
        if let Some(name) = &event.resolver {
            self.set_resolver(name, true);
        }
        if let (Some(region), Some(percent)) = (&event.dial, self.old_dials.remove(&index)) {
            self.change_dial(region.clone(), percent);
        }
        if event.control.is_some() {
            self.control_away = false;
            for (region, percent) in std::mem::take(&mut self.waiting_dials) {
                self.change_dial(region, percent);
            }
        }
        self.end_courses(|course| course.event == index);
        self.cut_requests();
        self.world_changed();
    }

    fn change_node(&mut self, index: u32, change: impl FnOnce(&mut super::host::Host)) {
        let now = self.now;
        let node = &mut self.nodes[index as usize];
        let before = node.host.mode;
        change(&mut node.host);
        let after = node.host.mode;
        if before == Mode::Crashed && after != Mode::Crashed {
            node.balancer.restart(now);
            self.audit_restarted(index);
            self.arm_node(index);
        }
        if before != Mode::Crashed && after == Mode::Crashed {
            // Checks under way die with it.
            self.nodes[index as usize].life += 1;
        }
    }

    fn change_target(&mut self, index: u32, change: impl FnOnce(&mut super::host::Host)) {
        let now = self.now;
        let target = &mut self.targets[index as usize];
        let before = target.host.mode;
        change(&mut target.host);
        match (before, target.host.mode) {
            (Mode::Crashed, Mode::Crashed) => {}
            (_, Mode::Crashed) => {
                target.server.crash(now);
            }
            (Mode::Crashed, _) => target.server.restart(now),
            _ => {}
        }
    }

    fn edge_changed(&mut self, pop: usize) {
        let alive = self.edges[pop].mode == Mode::Up;
        self.network.set_pop(pop, alive);
        if !self.each_edge {
            self.fronts[0].edge.set_pop(PopIndex(pop), alive);
        }
        self.ways_changed();
    }

    fn ways_changed(&mut self) {
        for source in &mut self.sources {
            self.network.refresh_source(source);
        }
    }

    fn force(&mut self, load_balancers: &[usize], forced: Option<Forced>) {
        for front in 0..self.fronts.len() {
            for lb in load_balancers {
                let config = self.snapshot.load_balancer(LoadBalancerIndex(*lb));
                let region = self.snapshot.region(config.region).code.clone();
                let name = config.name.clone();
                self.fronts[front].edge.force(&region, &name, forced);
            }
            self.view_changed(front);
        }
    }

    fn dial_of(&self, region: &str) -> f64 {
        let groups = self.snapshot.accelerators.iter().flat_map(|a| &a.listeners).flat_map(|l| &l.endpoint_groups);
        let index = self.snapshot.find_region(region);
        groups.into_iter().find(|g| Some(g.region) == index).map_or(100.0, |g| g.traffic_dial.percent())
    }

    /// A changed configuration reaches every machine, unless the control side is away.
    fn change_dial(&mut self, region: String, percent: f64) {
        if self.control_away {
            self.moment("control", &region, format!("the change of {region}'s dial to {percent} waits"));
            self.waiting_dials.push((region, percent));
            return;
        }
        let (Some(index), Ok(dial)) = (self.snapshot.find_region(&region), TrafficDial::new(percent)) else { return };
        let mut snapshot = perigee_model::Snapshot::clone(&self.snapshot);
        snapshot.generation += 1;
        let groups =
            snapshot.accelerators.iter_mut().flat_map(|a| &mut a.listeners).flat_map(|l| &mut l.endpoint_groups);
        groups.filter(|g| g.region == index).for_each(|g| g.traffic_dial = dial);
        self.snapshot = Arc::new(snapshot);
        for front in 0..self.fronts.len() {
            self.fronts[front].edge.set_snapshot(self.snapshot.clone(), self.atlas.clone(), self.now);
            self.view_changed(front);
        }
        self.trace.note(self.now, Did::Control, index.0 as u64, percent.to_bits());
        self.moment("control", &region, format!("{region}'s dial is {percent}"));
    }

    /// Requests that are at a machine which died, or behind a way that is cut, learn of it.
    fn cut_requests(&mut self) {
        let crashed_node = |engine: &Self, node: u32| engine.nodes[node as usize].host.mode == Mode::Crashed;
        let crashed_edge =
            |engine: &Self, edge: Option<u32>| edge.is_some_and(|e| engine.edges[e as usize].mode == Mode::Crashed);
        let all: Vec<u32> = self.jobs.indices().collect();
        for index in all {
            let job = self.jobs.at(index);
            let (phase, target, holds) = (job.phase, job.target as usize, job.token.is_some());
            let Some(link) = job.link else { continue };
            let (node_dead, edge_dead) = (crashed_node(self, link.node), crashed_edge(self, link.edge));
            match phase {
                Phase::Serving => {}
                // A reset is seen while nothing is asked: the next request makes a new connection.
                Phase::Waiting if (node_dead || edge_dead) && self.is_thinking(index) => {
                    self.jobs.at(index).link = None;
                    continue;
                }
                Phase::Waiting | Phase::Connecting | Phase::Travelling => continue,
            }
            let source = self.jobs.at(index).source as usize;
            let reachable = self.is_reachable(source, &link);
            let target_mode = if holds { self.targets[target].host.mode } else { Mode::Up };
            let node_dark = self.nodes[link.node as usize].host.mode == Mode::Dark;
            if !(node_dead || edge_dead || node_dark || !reachable || target_mode != Mode::Up) {
                continue;
            }
            self.release(index);
            self.jobs.renew(index);
            if !reachable || node_dark || (target_mode == Mode::Dark && !node_dead && !edge_dead) {
                self.give_up(index);
            } else if node_dead || edge_dead {
                self.reset_from_edge(index);
            } else {
                // The connection to the target is reset: the node answers 502.
                self.jobs.at(index).bad = true;
                self.jobs.at(index).phase = Phase::Serving;
                let key = self.jobs.key(index);
                self.push(self.now, Kind::Finish, key);
            }
        }
        let nodes: Vec<bool> = self.nodes.iter().map(|n| n.host.mode == Mode::Crashed).collect();
        let edges: Vec<bool> = self.edges.iter().map(|e| e.mode == Mode::Crashed).collect();
        self.close_pooled(|link| nodes[link.node as usize] || link.edge.is_some_and(|e| edges[e as usize]));
    }

    pub(super) fn begin_course(&mut self, index: usize, what: &str, how: How) {
        if matches!(how, How::Slow | How::Gray) {
            return;
        }
        let Some(meant) = self.meant(what) else { return };
        let name = self.timeline.events[index].name.clone();
        let at_s = seconds(self.now);
        self.add_course(index, name, what, at_s, &meant);
    }
}
