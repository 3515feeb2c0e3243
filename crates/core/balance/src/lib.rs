//! Who of several gets the next one: the algorithms, each in a file of its own.
//!
//! They know numbers and keys, not targets, regions or health: the caller hands over who is eligible. Start with
//! [`RoundRobin`] for requests, and [`Seed`] with [`best`] for flows.

mod rendezvous;
mod round_robin;

pub use rendezvous::{FlowKey, Id, Seed, best, best_of_equals, ranked, score};
pub use round_robin::RoundRobin;
