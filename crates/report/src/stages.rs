use perigee_sim::Outcome;

/// A stretch of the time axis in which something was broken.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stage {
    pub(crate) from_s: f64,
    /// None where it is a moment, or was never mended.
    pub(crate) to_s: Option<f64>,
    pub(crate) label: String,
}

/// The faults of a run: one stage per anatomy, and a moment for every other fault that was noted.
pub(crate) fn stages(outcome: &Outcome) -> Vec<Stage> {
    let mut all: Vec<Stage> = outcome
        .anatomies
        .iter()
        .map(|a| Stage { from_s: a.at_s, to_s: a.mended_s.map(|s| a.at_s + s), label: a.event.clone() })
        .collect();
    for moment in outcome.moments.iter().filter(|m| m.kind == "fault") {
        if !all.iter().any(|s| s.label == moment.what && s.from_s == moment.at_s) {
            all.push(Stage { from_s: moment.at_s, to_s: None, label: moment.what.clone() });
        }
    }
    all.sort_by(|a, b| a.from_s.total_cmp(&b.from_s));
    all
}

#[cfg(test)]
mod tests {
    use perigee_sim::Moment;

    use super::*;
    use crate::sample;

    #[test]
    fn a_fault_is_marked_once() {
        let mut outcome = sample::outcome();
        assert_eq!(stages(&outcome).len(), 1);
        let crowd = Moment { at_s: 5.0, kind: "fault".into(), what: "crowd".into(), text: String::new() };
        outcome.moments.push(crowd);
        let labels: Vec<String> = stages(&outcome).into_iter().map(|s| s.label).collect();
        assert_eq!(labels, ["crowd", "tokyo-dies"]);
    }
}
