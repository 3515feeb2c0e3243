//! The composed machines that the live shells and the simulator both drive.
//!
//! They decide everything about traffic and own no socket, clock or task. [`Edge`] is the front tier: it watches the
//! regions and says where flows and names go. [`Balancer`] is one load balancer node: it watches its targets and says
//! where requests go. [`UdpFlows`] is an edge's memory of UDP flows. [`Explanation`] tells why all did as they did.

mod balancer;
mod edge;
mod explanation;
mod udp_flows;

pub use balancer::{
    Balancer, BalancerOutput, BalancerTrace, Forward, Probe, RequestToken, RespondReason, Routing, TargetId,
    TargetStatus, TargetTrace,
};
pub use edge::{
    AcceleratorRef, ChosenEndpoint, ConnectFailure, Connection, ConsideredEndpoint, ConsideredGroup, Edge, EdgeView,
    MappedDestination, MappedPort, NameExplanation, Output, Refusal, RouteExplanation, UdpRoute,
};
pub use explanation::{Asked, Explanation};
pub use udp_flows::{EndedUdpFlow, UdpEnd, UdpFlowId, UdpFlows};
