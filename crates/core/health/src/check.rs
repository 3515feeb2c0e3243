use serde::{Deserialize, Serialize};

use crate::ProbeFailure;

/// Measured health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// Not judged yet.
    #[default]
    Initial,
    /// Passing.
    Healthy,
    /// Failing.
    Unhealthy,
}

/// How many results in a row turn the state; both at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Successes that make an unhealthy thing healthy.
    pub healthy: u8,
    /// Failures that make a healthy or a new thing unhealthy.
    pub unhealthy: u8,
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: HealthState,
    /// The state now.
    pub to: HealthState,
}

/// The health of one probed thing: a target, or an endpoint that the accelerator probes itself.
///
/// ```text
///              1 success                     `unhealthy` failures in a row
///   Initial ------------------> Healthy ------------------------------------> Unhealthy
///      |                           ^                                              |
///      |                           +------------ `healthy` successes -------------+
///      +------------- `unhealthy` failures in a row ----------------------------> Unhealthy
/// ```
///
/// A result that agrees with the state forgets the run of contrary ones. One success leaves `Initial` whatever the
/// healthy threshold. Takes no time and draws nothing; the caller schedules the probes.
///
/// Source: ALB guide, "Health checks for your target groups" (thresholds, first success); failing from `Initial` after
/// the unhealthy threshold is Perigee's choice (`alb.md` section 16, `global-accelerator.md` section 8.1).
#[derive(Clone, Debug)]
pub struct Check {
    thresholds: Thresholds,
    state: HealthState,
    run: u8,
    last_failure: Option<ProbeFailure>,
}

impl Check {
    /// A new thing, not judged yet.
    pub const fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, state: HealthState::Initial, run: 0, last_failure: None }
    }

    /// The state now.
    pub const fn state(&self) -> HealthState {
        self.state
    }

    /// The most recent failure, none after a success.
    pub const fn last_failure(&self) -> Option<ProbeFailure> {
        self.last_failure
    }

    /// Whether another result like the last one would change nothing: judged, and no contrary run has begun.
    pub fn is_settled(&self) -> bool {
        self.state != HealthState::Initial && self.run == 0
    }

    /// Takes new thresholds; the state and the running count stay.
    pub const fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.thresholds = thresholds;
    }

    /// Takes a probe's result and returns the change it made, if any.
    pub fn observe(&mut self, result: Result<(), ProbeFailure>) -> Option<Transition> {
        self.last_failure = result.err();
        let contrary = match (self.state, result) {
            (HealthState::Initial, Ok(())) => return self.turn(HealthState::Healthy),
            (HealthState::Healthy, Ok(())) | (HealthState::Unhealthy, Err(_)) => {
                self.run = 0;
                return None;
            }
            (HealthState::Initial | HealthState::Healthy, Err(_)) => {
                (self.thresholds.unhealthy, HealthState::Unhealthy)
            }
            (HealthState::Unhealthy, Ok(())) => (self.thresholds.healthy, HealthState::Healthy),
        };
        self.run = self.run.saturating_add(1);
        if self.run >= contrary.0 { self.turn(contrary.1) } else { None }
    }

    const fn turn(&mut self, to: HealthState) -> Option<Transition> {
        let from = self.state;
        self.state = to;
        self.run = 0;
        Some(Transition { from, to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAIL: Result<(), ProbeFailure> = Err(ProbeFailure::Timeout);
    const PASS: Result<(), ProbeFailure> = Ok(());

    /// Brings a new check to `state` with `run` contrary results already counted.
    fn at(state: HealthState, run: u8, thresholds: Thresholds) -> Check {
        let mut check = Check::new(thresholds);
        match state {
            HealthState::Initial => {}
            HealthState::Healthy => {
                check.observe(PASS);
            }
            HealthState::Unhealthy => {
                for _ in 0..thresholds.unhealthy {
                    check.observe(FAIL);
                }
            }
        }
        for _ in 0..run {
            check.observe(if state == HealthState::Unhealthy { PASS } else { FAIL });
        }
        assert_eq!(check.state(), state);
        check
    }

    #[test]
    fn every_state_run_and_result_leads_where_the_guide_says() {
        use HealthState::{Healthy, Initial, Unhealthy};
        // Every pair of thresholds, every state, every run length that the state allows, both results.
        let mut seen = 0;
        for healthy in 1..=10 {
            for unhealthy in 1..=10 {
                let t = Thresholds { healthy, unhealthy };
                for (state, limit) in [(Initial, unhealthy), (Healthy, unhealthy), (Unhealthy, healthy)] {
                    for run in 0..limit {
                        for result in [PASS, FAIL] {
                            let mut check = at(state, run, t);
                            let want = match (state, result.is_ok()) {
                                (Initial, true) => Some(Healthy),
                                (Healthy, true) | (Unhealthy, false) => None,
                                (Initial | Healthy, false) => (run + 1 >= unhealthy).then_some(Unhealthy),
                                (Unhealthy, true) => (run + 1 >= healthy).then_some(Healthy),
                            };
                            let got = check.observe(result);
                            assert_eq!(
                                got,
                                want.map(|to| Transition { from: state, to }),
                                "{t:?} {state:?} {run} {result:?}"
                            );
                            assert_eq!(check.state(), want.unwrap_or(state));
                            seen += 1;
                        }
                    }
                }
            }
        }
        assert_eq!(seen, 3 * 10 * 55 * 2, "the table has a hole");
    }

    #[test]
    fn a_single_agreeing_result_forgets_the_run() {
        let t = Thresholds { healthy: 3, unhealthy: 2 };
        let mut check = at(HealthState::Healthy, 1, t);
        check.observe(PASS);
        assert_eq!(check.observe(FAIL), None);
        assert!(check.observe(FAIL).is_some());
    }
}
