//! What a run says in the end.

use std::collections::BTreeMap;

use super::Engine;
use crate::{Cost, Outcome, Site, Step, World};

/// Share of a region's capacity from which on it counts as overloaded.
const OVERLOAD: f64 = 0.9;
/// Share of failed requests from which on a step counts as bad.
const BAD: f64 = 0.01;

impl Engine<'_> {
    pub(super) fn outcome(self, world: &World) -> Outcome {
        let scenario = self.scenario;
        let servers: Vec<u64> = (0..self.snapshot.regions.len())
            .map(|r| {
                let targets = self.targets.iter().filter(|t| t.region == r).count() as u64;
                targets * u64::from(scenario.target_model().concurrency)
            })
            .collect();
        let step_s = scenario.report.step_for(scenario.duration_s());
        let series = self.record.series(&servers);
        let totals = self.record.totals();
        let loads = self.load_summaries();
        let clock = scenario.wall_clock().unwrap_or_default();
        let regions: Vec<Site> = self
            .snapshot
            .regions
            .iter()
            .map(|r| site(r.code.as_str(), &r.city, r.location.latitude, r.location.longitude))
            .collect();
        let pops = self.atlas.pops().iter();
        Outcome {
            scenario: self.options.name.clone(),
            story: scenario.story.clone(),
            behaviour: scenario.behaviour.clone(),
            seed: self.options.seed,
            duration_s: scenario.duration_s(),
            begins_utc_s: clock.begins_utc_s(),
            utc_offset_s: clock.utc_offset_s,
            trace_hash: self.trace.hash(),
            events: self.events,
            edges: pops.map(|p| site(p.code.as_str(), &p.city, p.location.latitude, p.location.longitude)).collect(),
            clients: self.clients.as_ref().map_or(0, |c| c.population.model().count),
            cost: cost(&series, step_s, &regions),
            regions,
            totals,
            step_s,
            series,
            anatomies: self.anatomies(),
            bounds: scenario.must_hold.iter().map(|bound| bound.judge(&loads, &self.done_at)).collect(),
            moments: self.moments,
            maps: self.maps,
            loads,
            explanations: self.explanations,
            attribution: world.attribution.clone(),
        }
    }
}

fn site(code: &str, city: &str, latitude: f64, longitude: f64) -> Site {
    Site { code: code.to_owned(), city: city.to_owned(), latitude, longitude }
}

fn cost(series: &[Step], step_s: f64, regions: &[Site]) -> Cost {
    let failed = |step: &Step| step.failed.values().sum::<u64>();
    let lost: u64 = series.iter().map(failed).sum();
    let requests: u64 = series.iter().map(|s| s.requests).sum();
    let is_bad = |step: &&Step| failed(step) as f64 > BAD * step.requests as f64;
    let mut by_region = BTreeMap::new();
    for step in series {
        for (region, site) in step.regions.iter().zip(regions) {
            if region.utilisation >= OVERLOAD {
                *by_region.entry(site.code.clone()).or_insert(0.0) += step_s / 60.0;
            }
        }
    }
    Cost {
        requests_lost: lost,
        lost_percent: if requests > 0 { 100.0 * lost as f64 / requests as f64 } else { 0.0 },
        bad_minutes: series.iter().filter(is_bad).count() as f64 * step_s / 60.0,
        // The sum of nothing is minus zero.
        overload_minutes: by_region.values().sum::<f64>() + 0.0,
        overload_minutes_by_region: by_region,
    }
}
