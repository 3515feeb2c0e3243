//! The whole engine, by its public interface: the same run twice, queues with a formula, one fault of each kind, and the
//! course of a failover.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod anatomy;
mod closed_forms;
mod determinism;
mod faults;
mod support;
