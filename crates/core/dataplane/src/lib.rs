//! The composed machines that the live shells and the simulator both drive.
//!
//! They decide everything about traffic and own no socket, clock or task. [`Edge`] is the front tier: it watches the
//! regions and says where flows and names go. [`Balancer`] is one load balancer node: it watches its targets and says
//! where requests go. [`Explanation`] tells why both did as they did.

mod balancer;
mod edge;
mod explanation;

pub use balancer::{
    Balancer, BalancerOutput, BalancerTrace, Forward, Probe, RequestToken, RespondReason, Routing, TargetId,
    TargetStatus, TargetTrace,
};
pub use edge::{
    ChosenEndpoint, ConnectFailure, Connection, ConsideredEndpoint, ConsideredGroup, Edge, EdgeView, NameExplanation,
    Output, Refusal, RouteExplanation,
};
pub use explanation::{Asked, Explanation};
