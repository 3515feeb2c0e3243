//! How much an edge forwards per second of CPU time, beside Debian's haproxy (TCP, splice) and nginx (stream).
//!
//! `cargo xtask bench edge` builds the `perigee` binary, names it in the environment and runs this. One nginx is the
//! origin of all; each proxy has the first core to itself in its turns, and the origin and the load share the second.
//! All run all the time, and what counts is the median over the rounds of the ratio within a round. A JSON object per
//! result is printed, and what happens goes to standard error.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, reason = "a measurement, for people")]
#![allow(missing_docs, unreachable_pub, reason = "a program, not a library")]

#[cfg(target_os = "linux")]
#[path = "edge/load.rs"]
mod load;
#[cfg(target_os = "linux")]
#[path = "edge/measure.rs"]
mod measure;
#[cfg(target_os = "linux")]
#[path = "edge/servers.rs"]
mod servers;

#[cfg(target_os = "linux")]
fn main() {
    measure::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("measured on Linux alone: cores and CPU time come from its /proc");
}
