//! What new connections notice of a region's end: crash, blackhole, errors and flapping of the nearest region, and the
//! failure of a network zone, each under an open load of new connections.
//!
//! `cargo xtask faults edge` builds the `perigee` binary, names it in the environment and runs this. The stack is
//! `perigee up`, the client a thread of this process that opens connections on schedule whatever comes back. A JSON
//! object per figure is printed; the program fails when a bound does not hold.

#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "a measurement, for people")]
#![allow(missing_docs, unreachable_pub, reason = "a program, not a library")]

#[cfg(target_os = "linux")]
#[path = "edge_faults/attempt.rs"]
mod attempt;
#[cfg(target_os = "linux")]
#[path = "edge_faults/client.rs"]
mod client;
#[cfg(target_os = "linux")]
#[path = "edge_faults/faults.rs"]
mod faults;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    faults::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("measured on Linux alone: its loopback has all the addresses that this needs");
}
