//! Whether the edge stays what it was: streams of octets through it for any number of minutes, while endpoints are
//! killed, stopped and restored, its configuration is changed and the edge itself leaves and comes back.
//!
//! `cargo xtask soak edge` builds the `perigee` binary, names it in the environment and runs this. Endpoints are
//! processes of this program too, so that a kill is a kill. A JSON object per figure is printed; the program fails when
//! a bound does not hold.

#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "a measurement, for people")]
#![allow(missing_docs, unreachable_pub, reason = "a program, not a library")]

#[cfg(target_os = "linux")]
#[path = "edge_soak/chaos.rs"]
mod chaos;
#[cfg(target_os = "linux")]
#[path = "edge_soak/client.rs"]
mod client;
#[cfg(target_os = "linux")]
#[path = "edge_soak/draws.rs"]
mod draws;
#[cfg(target_os = "linux")]
#[path = "edge_soak/endpoint.rs"]
mod endpoint;
#[cfg(target_os = "linux")]
#[path = "edge_soak/journal.rs"]
mod journal;
#[cfg(target_os = "linux")]
#[path = "edge_soak/soak.rs"]
mod soak;
#[cfg(target_os = "linux")]
#[path = "edge_soak/stream.rs"]
mod stream;
#[cfg(target_os = "linux")]
#[path = "edge_soak/watch.rs"]
mod watch;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    soak::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("measured on Linux alone: memory and open files come from its /proc");
}
