//! Pictures of where clients are sent, and decisions in words, at chosen moments.

use std::net::SocketAddr;

use perigee_dataplane::{Asked, Explanation};
use perigee_geo::PlaceIndex;
use perigee_steering::Flow;

use super::event::{Event, Kind};
use super::{Engine, seconds};
use crate::zero::ZERO;
use crate::{MapMoment, span};

/// Places on a map; more are left out, the least first.
const ARCS: usize = 400;

impl Engine<'_> {
    /// Plans the maps: where the scenario wants them, else around its first faults.
    pub(super) fn arm_maps(&mut self) {
        let duration = self.scenario.duration_s();
        let mut at = self.scenario.report.maps.clone();
        if at.is_empty() {
            for event in self.scenario.at.iter().filter(|e| e.kill.is_some() || e.restore.is_some()).take(4) {
                let s = event.begins_s();
                at.extend([(s - 1.0).max(0.0), s + 60.0_f64.min(duration / 20.0)]);
            }
        }
        at.sort_by(f64::total_cmp);
        for (i, s) in at.into_iter().filter(|s| *s <= duration).take(12).enumerate() {
            self.queue.push(ZERO + span(s), Event::of(Kind::Map, i as u32));
        }
    }

    pub(super) fn draw_map(&mut self, _: u32) {
        let at_s = seconds(self.now);
        let last = self.done_at.iter().max_by_key(|(_, at)| **at);
        let title = match last {
            Some((name, at)) => format!("{:.0} s after {name}", at_s - *at as f64 / 1e3),
            None => "before the first event".to_owned(),
        };
        let mut arcs: Vec<(f64, f64, Option<usize>, f64)> = Vec::new();
        for (source, client, rate) in self.places_with_rates() {
            let place = self.sources[source].place;
            let Some(location) = self.atlas.location_of(place) else { continue };
            let region = self.sends_to(source, client);
            arcs.push((location.latitude, location.longitude, region, rate));
        }
        arcs.sort_by(|a, b| b.3.total_cmp(&a.3));
        arcs.truncate(ARCS);
        self.explain_moment(at_s);
        let healthy = |region: usize| {
            let lbs = self.snapshot.regions[region].load_balancers.iter();
            lbs.clone().count() == 0 || lbs.into_iter().any(|lb| self.fronts[0].healthy[lb.0])
        };
        let down = (0..self.snapshot.regions.len()).filter(|r| !healthy(*r)).collect();
        self.maps.push(MapMoment { at_s, title, down, arcs });
    }

    /// Where a new flow of the clients at a source would go now.
    fn sends_to(&mut self, source: usize, client: SocketAddr) -> Option<usize> {
        let front = self.front_of(self.sources[source].pop);
        let accelerator = &self.snapshot.accelerators[0];
        let destination = SocketAddr::new(accelerator.addresses[0], self.port);
        let view = self.fronts[front].edge.view().clone();
        let chosen = view.explain(&Flow::tcp(client, destination)).ok()?.chosen?;
        self.snapshot.find_region(&chosen.region).map(|r| r.0)
    }

    /// Explains the way of clients at the places that the scenario names, or where most requests come from.
    fn explain_moment(&mut self, at_s: f64) {
        let named = &self.scenario.report.explain;
        let mut asked: Vec<(PlaceIndex, SocketAddr)> = named
            .iter()
            .filter_map(|name| self.atlas.find_place(name))
            .filter_map(|place| Some((place, SocketAddr::new(self.address_in(place)?, 40_000))))
            .collect();
        if asked.is_empty() {
            let busiest = self.places_with_rates().into_iter().max_by(|a, b| a.2.total_cmp(&b.2));
            asked.extend(busiest.map(|(source, client, _)| (self.sources[source].place, client)));
        }
        for (place, client) in asked {
            let front = self.front_of(self.network.source(place).pop);
            let view = self.fronts[front].edge.view().clone();
            let flow = Flow::tcp(client, SocketAddr::new(self.snapshot.accelerators[0].addresses[0], self.port));
            let asked = Asked { method: "GET", host: Some("app.perigee.test"), path: "/" };
            let explained = Explanation::new(&view, &flow, &asked, |chosen, head| {
                let node = self.nodes.iter().find(|n| n.is_at(chosen.address.ip()))?;
                Some(node.balancer.explain(chosen.address.port(), head))
            });
            let text = explained.map_or_else(|refusal| format!("{client} is reset: {refusal}"), |e| e.to_string());
            self.explanations.push((at_s, text));
        }
    }
}
