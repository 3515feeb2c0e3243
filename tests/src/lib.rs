//! Harness for tests that start the stack on real sockets.
pub mod compose;
