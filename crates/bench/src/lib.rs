//! What measurements of the data plane have in common.
//!
//! A measurement is a program of its own (the bench targets of this crate and of others) that `cargo xtask` builds and
//! runs. It prints one JSON object per line: a comparison with a peer ([`record`]) or a figure that must hold
//! ([`Finding`]). What is measured runs as users run it, in a [`Process`] pinned to a core, and what counts is the CPU
//! time that it spends there, so that two sides can be compared on a machine that does other things meanwhile.
//!
//! Learn [`Process`] and [`Turn`] first. Nothing here decides anything about traffic, and no other crate's product
//! code may use it.

#[cfg(target_os = "linux")]
mod edge;
mod finding;
#[cfg(target_os = "linux")]
mod machine;
#[cfg(target_os = "linux")]
mod process;
mod turns;

#[cfg(target_os = "linux")]
pub use edge::{Edge, Endpoint, Group};
pub use finding::{Finding, conclude};
#[cfg(target_os = "linux")]
pub use machine::{LOAD_CORE, SERVER_CORE, load_average, own_network, pin_to_load_core, raise_file_limit};
#[cfg(target_os = "linux")]
pub use process::{Process, binary};
pub use turns::{Turn, median, of, record, rounds};
