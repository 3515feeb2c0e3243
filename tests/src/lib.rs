//! Harness for tests that start the stack on real sockets.
//!
//! [`stack`] starts one in a process of its own, [`load`] measures it as a client, [`play`] plays the files of
//! `tests/scenarios/`, [`compose`] drives the stack of containers. [`program`] runs judges that others wrote, [`cache`] their
//! resolvers, and [`ask`] is a DNS client without a line of the server's.

pub mod ask;
pub mod cache;
pub mod compose;
pub mod dig;
pub mod failover;
pub mod figures;
pub mod http;
pub mod load;
pub mod play;
pub mod program;
pub mod shown;
pub mod slot;
pub mod stack;
pub mod wait;
pub mod zonemaster;
