//! The DNS server as its clients see it: bytes in, bytes out.
#![allow(unreachable_pub, reason = "the modules of a test share what they need")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod abuse;
mod client_subnet;
mod corpus;
#[path = "../../src/dnssec/tests/delv.rs"]
mod delv;
mod dnssec;
mod edns;
mod encrypted;
mod limits;
mod message;
mod names;
mod policies;
mod sockets;
mod support;
mod validators;
mod zone_model;
mod zone_problems;
mod zones;
