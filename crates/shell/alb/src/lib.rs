//! One node of an application load balancer on real sockets: HTTP/1.1 in, rules and target choice by
//! [`perigee_dataplane::Balancer`], HTTP/1.1 out over kept connections.
//!
//! It moves bytes and time; who gets a request and who is healthy is decided in the core. HTTP/2, TLS, WebSocket and
//! actions other than forward are not here yet: an `Upgrade` is consumed as the hop-by-hop field it is. Start with
//! [`Node::start`] and the [`NodeHandle`] it gives.

mod answer;
mod body;
mod client_io;
mod connection;
mod driver;
mod exchange;
mod metrics;
mod node;
mod pool;
mod refuse;
mod rewrite;
mod service;
mod status;
#[cfg(test)]
mod tests;
mod trace_id;

pub use metrics::Metrics;
pub use node::{Common, Node, NodeHandle};
