use std::net::SocketAddr;
use std::time::Duration;

use perigee_health::{Check, TargetReason, TargetState, Thresholds};
use perigee_model::{HealthCheck, Instant, Target, TargetGroupName};
use serde::{Deserialize, Serialize};

/// The number of one target's registration in one group at one node: never used twice, ascending in the order of
/// registration, which is the order in which targets take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TargetId(pub u64);

/// A target as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetStatus {
    /// Its group.
    pub target_group: TargetGroupName,
    /// The target.
    pub target: Target,
    /// Its state.
    pub state: TargetState,
    /// Why; none for a healthy one.
    pub reason: Option<TargetReason>,
    /// Requests of this node that it has not finished.
    pub in_flight: u32,
    /// When its deregistration ends, none unless draining.
    pub draining_until: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: TargetId,
    pub(super) group: TargetGroupName,
    pub(super) target: Target,
    pub(super) check: Check,
    pub(super) probing: bool,
    pub(super) draining_until: Option<Instant>,
    pub(super) in_flight: u32,
    thresholds: Thresholds,
    next_probe: Instant,
}

const fn thresholds(check: &HealthCheck) -> Thresholds {
    Thresholds { healthy: check.healthy_threshold, unhealthy: check.unhealthy_threshold }
}

impl Member {
    pub(super) const fn new(
        id: TargetId,
        group: TargetGroupName,
        target: Target,
        check: &HealthCheck,
        now: Instant,
    ) -> Self {
        Self {
            id,
            group,
            target,
            check: Check::new(thresholds(check)),
            probing: false,
            draining_until: None,
            in_flight: 0,
            thresholds: thresholds(check),
            next_probe: now,
        }
    }

    /// Stays registered under a new configuration, or is registered again before it was gone.
    pub(super) fn stay(&mut self, check: &HealthCheck, now: Instant) {
        self.thresholds = thresholds(check);
        if self.draining_until.take().is_some() {
            self.check = Check::new(thresholds(check));
            self.next_probe = now;
        } else {
            self.check.set_thresholds(thresholds(check));
            self.next_probe = self.next_probe.min(now + check.interval);
        }
    }

    /// Knows nothing again.
    pub(super) const fn restart(&mut self, now: Instant) {
        self.check = Check::new(self.thresholds);
        self.probing = false;
        self.next_probe = now;
    }

    /// Whether a probe is to begin.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        !self.probing && self.draining_until.is_none() && self.next_probe <= now
    }

    /// A probe begins; the next one is an interval away.
    pub(super) fn begin_probe(&mut self, now: Instant, interval: Duration) {
        self.probing = true;
        // From the planned start, not from now, so that a late driver does not shift the schedule; a driver that
        // is later than a whole interval does not catch up.
        let planned = self.next_probe + interval;
        self.next_probe = if planned > now { planned } else { now + interval };
    }

    pub(super) fn is_settled(&self) -> bool {
        self.check.is_settled() && !self.probing && self.draining_until.is_none()
    }

    /// Leaves out the probes before `now`, if it is settled.
    pub(super) fn skip_to(&mut self, now: Instant, interval: Duration) {
        if self.is_settled() {
            self.next_probe.advance_to(now, interval);
        }
    }

    pub(super) fn next_event(&self) -> Option<Instant> {
        self.draining_until.or_else(|| (!self.probing).then_some(self.next_probe))
    }

    pub(super) const fn address(&self) -> SocketAddr {
        SocketAddr::new(self.target.address, self.target.port)
    }

    pub(super) fn state(&self) -> (TargetState, Option<TargetReason>) {
        match self.draining_until {
            Some(_) => (TargetState::Draining, Some(TargetReason::DeregistrationInProgress)),
            None => self.check.target_state(),
        }
    }

    pub(super) fn status(&self) -> TargetStatus {
        let (state, reason) = self.state();
        TargetStatus {
            target_group: self.group.clone(),
            target: self.target.clone(),
            state,
            reason,
            in_flight: self.in_flight,
            draining_until: self.draining_until,
        }
    }
}
