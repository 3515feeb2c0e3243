//! How many DNS queries Perigee answers per second of CPU time, beside other servers with the same task.
//!
//! `cargo xtask bench dns` builds the `perigee` binary, names it in the environment and runs this. Every server runs
//! as it is, with one worker on the first core; the load comes from the second. The servers take turns, several rounds
//! of them, and what counts is the median over the rounds of the ratio within a round: the machine may do other things
//! meanwhile. A JSON object per result is printed, and what happens goes to standard error.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, reason = "a measurement, for people")]
#![allow(missing_docs, unreachable_pub, reason = "a program, not a library")]

#[cfg(target_os = "linux")]
#[path = "dns/load.rs"]
mod load;
#[cfg(target_os = "linux")]
#[path = "dns/measure.rs"]
mod measure;
#[cfg(target_os = "linux")]
#[path = "dns/mmdb.rs"]
mod mmdb;
#[cfg(target_os = "linux")]
#[path = "dns/servers.rs"]
mod servers;

#[cfg(target_os = "linux")]
fn main() {
    measure::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("measured on Linux alone: CPU time comes from its /proc");
}
