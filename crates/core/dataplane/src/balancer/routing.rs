use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use perigee_health::{ProbeFailure, Transition};
use perigee_model::{HealthCheck, ProbeProtocol, Target, TargetGroupIndex, TargetGroupName};
use serde::{Deserialize, Serialize};

use super::member::{Member, TargetId};

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Routing {
    /// It goes to a target.
    Forward(Forward),
    /// The node answers itself.
    Respond {
        /// With this status (ALB guide, "Troubleshoot your Application Load Balancers").
        status: u16,
        /// Because of this.
        reason: RespondReason,
    },
}

/// A request on its way to a target.
#[derive(Debug, PartialEq, Eq)]
pub struct Forward {
    /// Goes back to the balancer when the request is over.
    pub token: RequestToken,
    /// The group, in the balancer's snapshot.
    pub target_group: TargetGroupIndex,
    /// The target.
    pub target: Target,
    /// Whether it was chosen without regard to health, because too few targets are healthy.
    pub fail_open: bool,
    /// The priority of the rule that matched, none for the default rule.
    pub rule: Option<u16>,
}

/// One running request. Not cloneable: each is handed back once.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a request counts as running until its token is handed back"]
pub struct RequestToken(pub(super) TargetId);

impl RequestToken {
    /// The registration that serves the request.
    pub const fn target_id(&self) -> TargetId {
        self.0
    }
}

/// Why a node answers a request itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum RespondReason {
    /// The group has no registered target, draining ones left out.
    NoRegisteredTargets {
        /// The group.
        target_group: TargetGroupName,
    },
    /// The listener was taken away while the request was under way.
    NoListener {
        /// Its port.
        port: u16,
    },
}

impl fmt::Display for RespondReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRegisteredTargets { target_group } => {
                write!(f, "target group {target_group} has no registered target")
            }
            Self::NoListener { port } => write!(f, "no listener on port {port} any more"),
        }
    }
}

/// A health check that the driver is to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Handed back with the result.
    pub id: TargetId,
    /// The target's group.
    pub target_group: TargetGroupName,
    /// The target.
    pub target: Target,
    /// Where to probe: the target's address and the check's port.
    pub address: SocketAddr,
    /// What to speak.
    pub protocol: ProbeProtocol,
    /// Path and query of an HTTP probe.
    pub path: String,
    /// Everything must be done by then.
    pub timeout: Duration,
}

impl Probe {
    pub(super) fn new(member: &Member, check: &HealthCheck) -> Self {
        let mut address = member.address();
        if let Some(port) = check.port {
            address.set_port(port);
        }
        Self {
            id: member.id,
            target_group: member.group.clone(),
            target: member.target.clone(),
            address,
            protocol: check.protocol,
            path: check.path.clone(),
            timeout: check.timeout,
        }
    }
}

/// What a balancer tells its driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BalancerOutput {
    /// A target's health changed: for the log.
    Health {
        /// Its group.
        target_group: TargetGroupName,
        /// The target.
        target: Target,
        /// From which state to which.
        transition: Transition,
        /// The failure that turned it, none if a success did.
        failure: Option<ProbeFailure>,
    },
    /// A target was deregistered: close its idle connections, let its running requests finish.
    Draining {
        /// The registration.
        id: TargetId,
        /// Its group.
        target_group: TargetGroupName,
        /// The target.
        target: Target,
    },
    /// A target's deregistration delay is over: cut what still runs there; those clients get 502.
    Gone {
        /// The registration.
        id: TargetId,
        /// Its group.
        target_group: TargetGroupName,
        /// The target.
        target: Target,
        /// How many requests still run.
        in_flight: u32,
    },
}
