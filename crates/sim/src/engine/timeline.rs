use std::time::Duration;

use perigee_model::{Instant, Snapshot};

use crate::zero::ZERO;
use crate::{Event, How, Scenario, Stream, span};

/// Steps in which a ramp rises.
const RAMP_STEPS: u32 = 20;

/// One step of the faults: at this moment the event begins, ends, or has this strength.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) at: Instant,
    pub(super) event: usize,
    /// Strength above 0 to 1; none when it ends.
    pub(super) strength: Option<f64>,
}

/// Everything that will be broken and mended, known from the beginning: chance is drawn here, once.
#[derive(Clone, Debug, Default)]
pub(super) struct Timeline {
    /// The scenario's events, then those that came by chance.
    pub(super) events: Vec<Event>,
    pub(super) steps: Vec<Step>,
}

fn at(seconds: f64) -> Instant {
    ZERO + span(seconds)
}

impl Timeline {
    pub(super) fn new(scenario: &Scenario, snapshot: &Snapshot, edges: &[String], seed: u64) -> Self {
        let mut timeline = Self { events: scenario.at.clone(), steps: Vec::new() };
        for random in &scenario.random {
            let names = candidates(&random.of, snapshot, edges);
            let mut stream = Stream::named(seed, &format!("random faults {}", random.name));
            let mut now = 0.0;
            for number in 1.. {
                now += stream.exponential(3_600.0 / random.per_hour);
                if now >= scenario.duration_s() || names.is_empty() {
                    break;
                }
                timeline.events.push(Event {
                    name: format!("{}-{number}", random.name),
                    s: Some(now),
                    kill: Some(names[stream.below(names.len() as u64) as usize].clone()),
                    how: Some(random.how),
                    delay_ms: random.delay_ms,
                    share: random.share,
                    for_s: Some(stream.exponential(random.mend_s).max(0.001)),
                    ..Event::default()
                });
            }
        }
        for index in 0..timeline.events.len() {
            timeline.expand(index);
        }
        // Stable: events of one moment keep the file's order.
        timeline.steps.sort_by_key(|step| step.at);
        timeline
    }

    fn expand(&mut self, index: usize) {
        let event = &self.events[index];
        let begins = event.begins_s();
        let mut steps: Vec<(f64, Option<f64>)> = Vec::new();
        let mut begin = |from: f64, until: f64| {
            match event.ramp_s {
                Some(ramp) => {
                    for n in 1..=RAMP_STEPS {
                        let share = f64::from(n) / f64::from(RAMP_STEPS);
                        let moment = from + ramp * f64::from(n - 1) / f64::from(RAMP_STEPS);
                        if moment < until {
                            steps.push((moment, Some(share)));
                        }
                    }
                }
                None => steps.push((from, Some(1.0))),
            }
            if until.is_finite() {
                steps.push((until, None));
            }
        };
        let ends = event.for_s.map_or(f64::INFINITY, |s| begins + s);
        match event.flap_s {
            Some(period) => {
                let mut from = begins;
                while from < ends {
                    begin(from, (from + period / 2.0).min(ends));
                    from += period;
                }
            }
            None => begin(begins, ends),
        }
        self.steps.extend(steps.into_iter().map(|(s, strength)| Step { at: at(s), event: index, strength }));
    }
}

impl Event {
    /// The share of requests that it hits at this strength.
    pub(super) fn share_at(&self, strength: f64) -> f64 {
        let usual = if self.how == Some(How::Gray) { 0.01 } else { 1.0 };
        let full = self.share.unwrap_or(usual);
        // A ramp of slowness grows in length, not in number.
        if self.how == Some(How::Slow) { full } else { full * strength }
    }

    /// How late it makes them.
    pub(super) fn delay_at(&self, strength: f64) -> Duration {
        let full = Duration::from_millis(self.delay_ms.unwrap_or(1_000));
        if self.how == Some(How::Slow) { span(full.as_secs_f64() * strength) } else { full }
    }
}

fn candidates(of: &str, snapshot: &Snapshot, edges: &[String]) -> Vec<String> {
    match of {
        "region" => snapshot.regions.iter().map(|r| r.code.to_string()).collect(),
        "zone" => snapshot.regions.iter().flat_map(|r| r.zones.iter().map(ToString::to_string)).collect(),
        "edge" => edges.to_vec(),
        _ => {
            let targets = snapshot.target_groups.iter().flat_map(|g| &g.targets);
            targets.map(|t| std::net::SocketAddr::new(t.address, t.port).to_string()).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use perigee_model::fixtures;

    use super::*;

    fn steps(text: &str) -> Vec<(f64, Option<f64>)> {
        let text = format!("story = \"x\"\nfor_s = 100\n[[at]]\nname = \"e\"\ns = 10\nkill = \"a\"\n{text}");
        let scenario = Scenario::parse(&text).unwrap();
        let timeline = Timeline::new(&scenario, &fixtures::snapshot(&["a"]), &[], 1);
        timeline.steps.iter().map(|s| (s.at.since(ZERO).as_secs_f64(), s.strength)).collect()
    }

    #[test]
    fn a_fault_lasts_flaps_and_ramps_as_its_event_says() {
        assert_eq!(steps("how = \"crash\""), [(10.0, Some(1.0))]);
        assert_eq!(steps("how = \"crash\"\nfor_s = 5"), [(10.0, Some(1.0)), (15.0, None)]);
        let flaps = steps("how = \"crash\"\nfor_s = 5\nflap_s = 2");
        assert_eq!(
            flaps,
            [(10.0, Some(1.0)), (11.0, None), (12.0, Some(1.0)), (13.0, None), (14.0, Some(1.0)), (15.0, None)]
        );
        let ramp = steps("how = \"error\"\nramp_s = 20");
        assert_eq!((ramp.len(), ramp[0], ramp[19]), (20, (10.0, Some(0.05)), (29.0, Some(1.0))));
    }

    #[test]
    fn chance_comes_at_its_rate_and_from_the_seed() {
        let text = "story = \"x\"\nfor_s = 36000\n[[random]]\nname = \"r\"\nof = \"region\"\nhow = \"crash\"\nper_hour = 30\nmend_s = 5";
        let scenario = Scenario::parse(text).unwrap();
        let events = |seed| Timeline::new(&scenario, &fixtures::snapshot(&["a", "b"]), &[], seed).events;
        let count = events(1).len();
        // Poisson of mean 300: four deviations.
        assert!((231..=369).contains(&count), "{count}");
        let begins = |seed| events(seed).iter().map(Event::begins_s).collect::<Vec<_>>();
        assert_eq!(begins(1), begins(1));
        assert_ne!(begins(1), begins(2));
    }
}
