//! The admin API of a running process: health, metrics, status, explanations, faults on purpose, reload.
//!
//! It speaks HTTP and JSON and knows nothing of regions; what it is asked it asks a [`Control`], which the composition
//! root implements. Start with [`Control`] and [`Admin`]; [`ask`] is the client that the commands use.

mod api;
mod client;
mod control;
mod server;

pub use client::{AskError, ask};
pub use control::{Control, ControlError, Explain, ExplainName, Kill, MappingCursor, Mappings, Pending, Restore};
pub use server::Admin;
