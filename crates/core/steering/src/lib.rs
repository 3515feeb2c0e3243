//! Chooses the region: which endpoint takes a flow at an edge, and which load balancer a DNS answer names.
//!
//! Plain functions of a snapshot, the groups' or regions' order by distance, the health view and the client; they hold no state
//! and read no clock. They do not choose targets (the `Balancer` does) and do not open connections. Start with
//! [`Router`], the accelerator's law, [`answer`](answer()), the latency policy alone, and [`Trees`], all routing policies
//! of DNS names.

mod answer;
mod candidate;
mod decision;
mod dial;
mod order;
mod policy;
mod route;

pub use answer::{Answer, AnswerReason, ConsideredRegion, answer, load_balancer_addresses};
pub use candidate::{Approach, Candidate, ProxyHeader, Via};
pub use decision::{Decision, Note, Outcome, RouteReason, Trace};
pub use order::GroupOrder;
pub use policy::{
    DnsClient, Leaf, LeafIndex, NodeIndex, PICKED_MAX, Pass, Picked, PolicyBranchExplanation, PolicyDecision,
    PolicyExplanation, PolicyNote, PolicyReason, PolicyStep, PolicyTrace, RecordKind, TreeIndex, TreeStates, Trees,
};
pub use route::{Flow, Router};
