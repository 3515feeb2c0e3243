use crate::{EndpointKey, NodeKey};

/// What the evidence of a live connect speaks of, by what stays the same over generations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A load balancer's node.
    Node(NodeKey),
    /// An endpoint that the accelerator probes itself.
    Endpoint(EndpointKey),
}
