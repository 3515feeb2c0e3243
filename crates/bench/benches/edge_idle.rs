//! What an idle TCP flow costs the edge in memory of its own.
//!
//! `cargo xtask idle edge` builds the `perigee` binary, names it in the environment and runs this. It is both ends of
//! all flows, so that the process measured is the edge and nothing else; what the kernel keeps for the sockets is not
//! the process's memory and does not count. A JSON object per figure is printed; the program fails when a bound does
//! not hold.

#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "a measurement, for people")]
#![allow(missing_docs, unreachable_pub, reason = "a program, not a library")]

#[cfg(target_os = "linux")]
#[path = "edge_idle/idle.rs"]
mod idle;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    idle::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("measured on Linux alone: memory comes from its /proc");
}
