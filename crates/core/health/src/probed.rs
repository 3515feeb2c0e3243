use perigee_model::AcceleratorIndex;
use serde::{Deserialize, Serialize};

use crate::{Forced, HealthState, ProbeFailure};

/// The health of one endpoint that the accelerator probes itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbedHealth {
    /// What probes and, in `fast`, live connects say.
    pub measured: HealthState,
    /// What an operator says instead, if anything.
    pub forced: Option<Forced>,
    /// Why the last probe failed, none if it did not.
    pub failure: Option<ProbeFailure>,
}

impl ProbedHealth {
    /// What counts: the operator's word if there is one, otherwise the measurement.
    pub const fn effective(&self) -> HealthState {
        match self.forced {
            Some(Forced::Healthy) => HealthState::Healthy,
            Some(Forced::Unhealthy) => HealthState::Unhealthy,
            None => self.measured,
        }
    }
}

/// What is known of one endpoint group of a listener that has probed endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupHealth {
    /// It has just come back and takes flows only when no other group would (`global-accelerator.md` section 9,
    /// "Fail-back damping").
    pub held: bool,
    /// By position in the group; none for load balancers.
    pub endpoints: Vec<Option<ProbedHealth>>,
}

impl GroupHealth {
    /// The state of the endpoint at `position`: `Initial` while nothing is known of it.
    pub fn state(&self, position: usize) -> HealthState {
        self.endpoints.get(position).copied().flatten().map_or(HealthState::Initial, |known| known.effective())
    }
}

/// The health of the probed endpoints of a snapshot, by accelerator, listener and group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbedView {
    /// A listener without a probed endpoint has no groups here.
    accelerators: Vec<Vec<Vec<GroupHealth>>>,
}

impl ProbedView {
    /// The view with `groups` as those of one listener.
    #[must_use]
    pub fn with_listener(mut self, accelerator: AcceleratorIndex, listener: usize, groups: Vec<GroupHealth>) -> Self {
        let count = groups.len();
        for (group, health) in groups.into_iter().enumerate() {
            self.put((accelerator.0, listener, group), count, health);
        }
        self
    }

    /// Puts a group in its place; its listener has `groups` of them.
    pub(crate) fn put(
        &mut self,
        (accelerator, listener, group): (usize, usize, usize),
        groups: usize,
        health: GroupHealth,
    ) {
        fn at<T: Clone>(list: &mut Vec<T>, position: usize, empty: T) -> &mut T {
            if list.len() <= position {
                list.resize(position + 1, empty);
            }
            &mut list[position]
        }
        let listener = at(at(&mut self.accelerators, accelerator, Vec::new()), listener, Vec::new());
        listener.resize(groups, GroupHealth::default());
        listener[group] = health;
    }

    /// The groups of a listener in its order; empty when it has no probed endpoint, or nothing is known of them.
    pub fn listener(&self, accelerator: AcceleratorIndex, listener: usize) -> &[GroupHealth] {
        self.accelerators.get(accelerator.0).and_then(|a| a.get(listener)).map_or(&[], Vec::as_slice)
    }
}
