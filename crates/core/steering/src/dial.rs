use perigee_model::TrafficDial;

use crate::{Note, Trace};

/// One group of the waterfall, closest first.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    /// Position in the listener.
    pub(crate) group: usize,
    pub(crate) dial: TrafficDial,
    /// Whether it has no endpoints. Health does not count here.
    pub(crate) empty: bool,
}

/// The group that takes a flow by distance and dials: each takes its dial's share of what reaches it and passes the
/// rest on, the last one with a dial above zero takes everything left. None when every dial is zero.
///
/// `draw(group)` is the flow's number for a group, 0 to 100; it does not depend on the dial, so that raising a dial
/// only adds flows.
///
/// Source: Global Accelerator developer guide, "Adjusting traffic flow with traffic dials" and its worked case; the
/// waterfall is Perigee's choice (`global-accelerator.md` section 5).
pub(crate) fn first_group(
    steps: impl DoubleEndedIterator<Item = Step> + Clone,
    mut draw: impl FnMut(usize) -> f64,
    trace: &mut impl Trace,
) -> Option<usize> {
    let takes_part = |step: &Step| !step.empty && step.dial.percent() > 0.0;
    let last = steps.clone().rfind(takes_part)?.group;
    for step in steps {
        if step.empty {
            trace.note(step.group, Note::Empty);
            continue;
        }
        let dial = step.dial.percent();
        if dial <= 0.0 {
            trace.note(step.group, Note::DialZero);
            continue;
        }
        if step.group == last {
            if dial < 100.0 {
                trace.note(step.group, Note::LastInLine);
            }
            return Some(last);
        }
        if dial >= 100.0 {
            return Some(step.group);
        }
        let draw = draw(step.group);
        if draw < dial {
            trace.note(step.group, Note::DialTook { draw, dial });
            return Some(step.group);
        }
        trace.note(step.group, Note::DialPassed { draw, dial });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(dials: &[f64]) -> Vec<Step> {
        dials
            .iter()
            .enumerate()
            .map(|(group, dial)| Step { group, dial: TrafficDial::new(*dial).expect("a dial"), empty: false })
            .collect()
    }

    /// Shares of the groups over a fine grid of draws, independent per group.
    fn shares(dials: &[f64]) -> Vec<f64> {
        let steps = steps(dials);
        let mut taken = vec![0.0; dials.len()];
        let n = 200;
        for a in 0..n {
            for b in 0..n {
                let draws = [f64::from(a) + 0.5, f64::from(b) + 0.5, 0.0].map(|d| d * 100.0 / f64::from(n));
                if let Some(g) = first_group(steps.iter().copied(), |g| draws[g], &mut ()) {
                    taken[g] += 100.0 / f64::from(n * n);
                }
            }
        }
        taken.iter().map(|t| (t * 10.0).round() / 10.0).collect()
    }

    #[test]
    fn the_table_of_the_specification_holds() {
        assert_eq!(shares(&[50.0, 50.0, 50.0]), [50.0, 25.0, 25.0]);
        assert_eq!(shares(&[20.0, 100.0]), [20.0, 80.0]);
        assert_eq!(shares(&[0.0, 100.0]), [0.0, 100.0]);
        assert_eq!(shares(&[100.0, 0.0, 0.0]), [100.0, 0.0, 0.0]);
        assert_eq!(shares(&[50.0]), [100.0]);
        assert_eq!(shares(&[30.0, 0.0]), [100.0, 0.0]);
        assert_eq!(shares(&[30.0, 1.0]), [30.0, 70.0]);
        assert_eq!(first_group(steps(&[0.0, 0.0]).into_iter(), |_| 0.0, &mut ()), None);
    }

    #[test]
    fn raising_a_dial_only_adds_flows_to_the_group() {
        for draw in 0..100 {
            let draw = f64::from(draw) + 0.5;
            let mut was_taken = false;
            for dial in 1..=100 {
                let taken = first_group(steps(&[f64::from(dial), 100.0]).into_iter(), |_| draw, &mut ()) == Some(0);
                assert!(taken || !was_taken, "dial {dial} dropped draw {draw}");
                was_taken = taken;
            }
        }
    }

    #[test]
    fn an_empty_group_is_passed_over_and_says_so() {
        let mut steps = steps(&[100.0, 100.0]);
        steps[0].empty = true;
        let mut notes = Vec::new();
        assert_eq!(first_group(steps.iter().copied(), |_| 0.0, &mut notes), Some(1));
        assert_eq!(notes, [(0, Note::Empty)]);
    }
}
