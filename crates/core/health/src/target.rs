use serde::{Deserialize, Serialize};

use crate::{Check, HealthState, ProbeFailure};

/// The state of a registered target as `DescribeTargetHealth` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetState {
    /// Registering or in its first checks.
    Initial,
    /// Passing its checks.
    Healthy,
    /// Failing its checks.
    Unhealthy,
    /// Deregistered, its last requests running out.
    Draining,
}

impl TargetState {
    /// Its name in texts, the same as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Draining => "draining",
        }
    }
}

/// Why a target is in its state, by the API's codes (ALB guide, "Target health reason codes").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TargetReason {
    /// First checks are running.
    #[serde(rename = "Elb.InitialHealthChecking")]
    InitialHealthChecking,
    /// The status was outside the matcher.
    #[serde(rename = "Target.ResponseCodeMismatch")]
    ResponseCodeMismatch,
    /// No answer in time.
    #[serde(rename = "Target.Timeout")]
    Timeout,
    /// Refused, reset, closed or malformed.
    #[serde(rename = "Target.FailedHealthChecks")]
    FailedHealthChecks,
    /// The load balancer's own fault.
    #[serde(rename = "Elb.InternalError")]
    InternalError,
    /// Being deregistered.
    #[serde(rename = "Target.DeregistrationInProgress")]
    DeregistrationInProgress,
}

impl TargetReason {
    /// The API's code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::InitialHealthChecking => "Elb.InitialHealthChecking",
            Self::ResponseCodeMismatch => "Target.ResponseCodeMismatch",
            Self::Timeout => "Target.Timeout",
            Self::FailedHealthChecks => "Target.FailedHealthChecks",
            Self::InternalError => "Elb.InternalError",
            Self::DeregistrationInProgress => "Target.DeregistrationInProgress",
        }
    }
}

impl From<ProbeFailure> for TargetReason {
    fn from(failure: ProbeFailure) -> Self {
        match failure {
            ProbeFailure::ResponseCode { .. } => Self::ResponseCodeMismatch,
            ProbeFailure::Timeout => Self::Timeout,
            ProbeFailure::Connection | ProbeFailure::NoMatch | ProbeFailure::Unresolved => Self::FailedHealthChecks,
            ProbeFailure::Internal => Self::InternalError,
        }
    }
}

impl Check {
    /// The state and reason of a target that this check judges; a healthy target has no reason.
    pub fn target_state(&self) -> (TargetState, Option<TargetReason>) {
        match self.state() {
            HealthState::Initial => (TargetState::Initial, Some(TargetReason::InitialHealthChecking)),
            HealthState::Healthy => (TargetState::Healthy, None),
            HealthState::Unhealthy => {
                (TargetState::Unhealthy, Some(self.last_failure().map_or(TargetReason::FailedHealthChecks, Into::into)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Thresholds;

    #[test]
    fn an_unhealthy_target_names_its_latest_failure_and_a_healthy_one_names_none() {
        let mut check = Check::new(Thresholds { healthy: 2, unhealthy: 2 });
        assert_eq!(check.target_state(), (TargetState::Initial, Some(TargetReason::InitialHealthChecking)));
        check.observe(Ok(()));
        assert_eq!(check.target_state(), (TargetState::Healthy, None));
        check.observe(Err(ProbeFailure::Timeout));
        check.observe(Err(ProbeFailure::ResponseCode { code: 500 }));
        assert_eq!(check.target_state(), (TargetState::Unhealthy, Some(TargetReason::ResponseCodeMismatch)));
    }
}
