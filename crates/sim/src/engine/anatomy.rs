//! The course of each fault: who knew of it when, and what it cost.

use super::faults::Meant;
use super::{Engine, seconds};
use crate::Anatomy;

/// A fault that is being followed.
pub(super) struct Course {
    pub(super) event: usize,
    pub(super) what: String,
    /// The regions whose clients it hits.
    regions: Vec<u32>,
    /// The load balancers that are gone as a whole.
    load_balancers: Vec<usize>,
    edge: Option<usize>,
    found: Anatomy,
}

impl Engine<'_> {
    pub(super) fn add_course(&mut self, event: usize, name: String, what: &str, at_s: f64, meant: &Meant) {
        let mut regions: Vec<u32> = meant.nodes.iter().map(|n| self.nodes[*n as usize].region as u32).collect();
        regions.extend(meant.targets.iter().map(|t| self.targets[*t as usize].region as u32));
        regions.sort_unstable();
        regions.dedup();
        let found = Anatomy { event: name, what: what.to_owned(), at_s, ..Anatomy::default() };
        self.courses.push(Course {
            event,
            what: what.to_owned(),
            regions,
            load_balancers: meant.load_balancers.clone(),
            edge: meant.edge,
            found,
        });
    }

    pub(super) fn end_courses(&mut self, is_it: impl Fn(&Course) -> bool) {
        let now = seconds(self.now);
        for course in self.courses.iter_mut().filter(|c| c.found.mended_s.is_none() && is_it(c)) {
            course.found.mended_s = Some(now - course.found.at_s);
        }
    }

    /// The fault is back.
    pub(super) fn reopen_courses(&mut self, event: usize) {
        self.courses.iter_mut().filter(|c| c.event == event).for_each(|c| c.found.mended_s = None);
    }

    /// A front tier has learned that a load balancer is healthy or not.
    pub(super) fn front_learned(&mut self, front: usize, lb: usize, healthy: bool) {
        let now = seconds(self.now);
        let first_edge = usize::from(self.each_edge);
        let edges = &self.fronts[first_edge..];
        let knowing = edges.iter().filter(|f| f.healthy[lb] == healthy).count();
        let (is_edge, all) = (front >= first_edge, edges.len());
        for course in self.courses.iter_mut().filter(|c| c.load_balancers.contains(&lb)) {
            let since = now - course.found.at_s;
            match (healthy, course.found.mended_s) {
                (false, None) => {
                    if is_edge {
                        course.found.first_detected_s.get_or_insert(since);
                        if knowing == all {
                            course.found.all_detected_s.get_or_insert(since);
                        }
                    }
                    if front == 0 {
                        course.found.dns_detected_s.get_or_insert(since);
                    }
                }
                (true, Some(mended)) if is_edge && knowing == all => {
                    course.found.trusted_again_s.get_or_insert(since - mended);
                }
                _ => {}
            }
        }
        let config = &self.snapshot.load_balancers[lb];
        let name = format!("{}/{}", self.snapshot.region(config.region).code, config.name);
        let state = if healthy { "healthy" } else { "unhealthy" };
        let who = match (self.fronts[front].pop, knowing) {
            _ if !self.each_edge => "the front tier".to_owned(),
            (None, _) => "DNS".to_owned(),
            (Some(pop), 1) => format!("{}, the first edge", self.atlas.pops()[pop].code),
            (Some(pop), n) if n == all => format!("{}, the last of {all} edges", self.atlas.pops()[pop].code),
            _ => return,
        };
        self.moment("health", &name, format!("{name} is {state} for {who}"));
    }

    /// An edge sent a new flow to a region.
    pub(super) fn course_flow(&mut self, region: usize) {
        if self.courses.is_empty() {
            return;
        }
        let now = seconds(self.now);
        for course in self.courses.iter_mut().filter(|c| c.regions.contains(&(region as u32))) {
            let since = now - course.found.at_s;
            match course.found.mended_s {
                None => course.found.last_flow_s = Some(since),
                Some(mended) => {
                    course.found.first_flow_back_s.get_or_insert(since - mended);
                }
            }
        }
    }

    /// A client went to a region because DNS named it.
    pub(super) fn course_named(&mut self, region: usize) {
        if self.courses.is_empty() {
            return;
        }
        let now = seconds(self.now);
        let hit = |c: &&mut Course| c.found.mended_s.is_none() && c.regions.contains(&(region as u32));
        for course in self.courses.iter_mut().filter(hit) {
            course.found.dns_tail_s = Some(now - course.found.at_s);
        }
    }

    /// A request was lost that had been sent to `region`, or nowhere.
    pub(super) fn course_failure(&mut self, region: Option<u32>) {
        if self.courses.is_empty() {
            return;
        }
        let now = seconds(self.now);
        // The latest fault that hits the region; a request that came nowhere belongs to an edge's.
        let hit = |c: &&mut Course| c.edge.is_some() || region.is_some_and(|r| c.regions.contains(&r));
        if let Some(course) = self.courses.iter_mut().rev().find(hit) {
            course.found.last_failure_s = Some(now - course.found.at_s);
            course.found.requests_lost += 1;
        }
    }

    pub(super) fn anatomies(&self) -> Vec<Anatomy> {
        self.courses.iter().map(|course| course.found.clone()).collect()
    }
}
