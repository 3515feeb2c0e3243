//! The DNS server as its clients see it: bytes in, bytes out.
#![allow(clippy::unwrap_used, clippy::iter_over_hash_type)]

mod client_subnet;
mod limits;
mod message;
mod names;
mod sockets;
mod support;
