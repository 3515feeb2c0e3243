//! The figures by which a live run and virtual runs of one scenario are compared.

use std::collections::BTreeMap;

use perigee_sim::{LoadSummary, Scenario};

/// One figure of one run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    /// What it is, the same for every run of the scenario.
    pub(super) name: String,
    /// Its unit.
    pub(super) unit: String,
    /// None when it cannot be told.
    pub(super) value: Option<f64>,
}

/// What the scenario's bounds are about, and of each load how many requests failed, how long the outage after the first
/// fault was (to the last failed request), and each region's share of the answers.
///
/// `events` are the moments on the clock of the loads.
pub(super) fn figures(
    scenario: &Scenario,
    regions: &[String],
    loads: &BTreeMap<String, LoadSummary>,
    events: &BTreeMap<String, u64>,
) -> Vec<Figure> {
    let mut all: Vec<Figure> = Vec::new();
    let mut note = |name: String, unit: &str, value: Option<f64>| {
        if all.iter().all(|figure| figure.name != name) {
            all.push(Figure { name, unit: unit.to_owned(), value });
        }
    };
    for bound in &scenario.must_hold {
        note(bound.subject(), bound.measure.unit(), bound.figure(loads, events));
    }
    let fault = scenario.at.iter().find(|e| e.kill.is_some());
    for load in &scenario.load {
        let (name, summary) = (&load.name, loads.get(&load.name));
        note(format!("{name}: failed requests"), "requests", summary.map(|s| s.failed as f64));
        if let Some(fault) = fault {
            let since = events.get(&fault.name);
            let whole = summary.filter(|s| s.failures_not_kept == 0);
            let outage = whole.zip(since).map(|(s, since)| s.failure_span_ms(None, *since) as f64);
            note(format!("{name}: outage"), "ms", outage);
        }
        for region in regions {
            let share = summary.and_then(|s| s.share_percent(region, s.started_unix_ms));
            note(format!("{name}: share of {region}"), "%", share);
        }
    }
    all
}

/// The moments of the events in virtual time, on the clock of the loads.
///
/// Live, an event is done a moment after its time, so that the second of a load that begins with it is never a whole
/// second after it. The millisecond that is added here says the same of virtual time.
pub(super) fn virtual_events(scenario: &Scenario) -> BTreeMap<String, u64> {
    let moment = |s: f64| (1_000.0 * s).round() as u64 + 1;
    scenario.at.iter().map(|event| (event.name.clone(), moment(event.begins_s()))).collect()
}

#[cfg(test)]
mod tests {
    use perigee_sim::{LoadFailure, LoadSecond};

    use super::*;

    const TEXT: &str = r#"
story = "x"
load = [{ name = "l", from = "Seoul", rate = 10, for_s = 3 }]
at = [{ name = "killed", s = 1, kill = "a", how = "crash" }]
must_hold = [
    { load = "l", measure = "answered", since = "killed", at_least = 1 },
    { load = "l", measure = "answered", since = "killed", at_most = 100 },
]
"#;

    fn second(second: u64, region: &str) -> LoadSecond {
        LoadSecond { second, regions: BTreeMap::from([(region.to_owned(), 10)]), ..LoadSecond::default() }
    }

    #[test]
    fn a_run_has_each_figure_once_and_the_second_of_the_fault_is_no_whole_one() {
        let scenario = Scenario::parse(TEXT).unwrap();
        let load = LoadSummary {
            failed: 1,
            failures: vec![LoadFailure { at_ms: 1_400, at_unix_ms: 1_400, ..LoadFailure::default() }],
            seconds: vec![second(1, "a"), second(2, "b"), second(3, "b"), second(4, "b")],
            ..LoadSummary::default()
        };
        let loads = BTreeMap::from([("l".to_owned(), load)]);
        let regions = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let all = figures(&scenario, &regions, &loads, &virtual_events(&scenario));
        let told: Vec<(&str, Option<f64>)> = all.iter().map(|f| (f.name.as_str(), f.value)).collect();
        let expected = [
            ("l: Answered since killed", Some(20.0)),
            ("l: failed requests", Some(1.0)),
            ("l: outage", Some(399.0)),
            ("l: share of a", Some(25.0)),
            ("l: share of b", Some(75.0)),
            ("l: share of c", Some(0.0)),
        ];
        assert_eq!(told, expected);
    }
}
