//! The DNS server as its clients see it: bytes in, bytes out.
#![allow(unreachable_pub, reason = "the modules of a test share what they need")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client_subnet;
mod edns;
mod limits;
mod message;
mod names;
mod sockets;
mod support;
