//! Perigee on a virtual clock.
//!
//! A discrete-event simulator that drives the shipped machines, [`perigee_dataplane::Edge`] and
//! [`perigee_dataplane::Balancer`], in a world of clients, resolvers, networks and targets. It has no rule of its own
//! about who gets traffic: it only says what the machines would have seen.

mod random;

pub use random::{Stream, span};
