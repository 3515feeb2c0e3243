//! Chooses the region: which endpoint takes a flow at an edge, and which load balancer a DNS answer names.
//!
//! Plain functions of a snapshot, the groups' or regions' order by distance, the health view and the client; they hold no state
//! and read no clock. They do not choose targets (the `Balancer` does) and do not open connections. Start with
//! [`Router`], the accelerator's law, and [`answer`](answer()), the latency policy.

mod answer;
mod candidate;
mod decision;
mod dial;
mod order;
mod route;

pub use answer::{Answer, AnswerReason, ConsideredRegion, answer, load_balancer_addresses, lowered_ttl};
pub use candidate::Candidate;
pub use decision::{Decision, Note, Outcome, RouteReason, Trace};
pub use order::GroupOrder;
pub use route::{Flow, Router};
