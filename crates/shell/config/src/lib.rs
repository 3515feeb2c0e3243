//! Reads the configuration: figment layers in, a valid [`perigee_model::Snapshot`] and the process's own
//! [`Runtime`] out, or every problem at once.
//!
//! This crate decides what a legal configuration is; it starts nothing and keeps no state between two calls. Learn
//! [`Sources`] and [`load`] first, then [`Problem`].

mod accelerators;
mod attributes;
mod builtin;
mod config;
mod dns;
mod endpoint_groups;
mod endpoints;
mod instances;
mod key_path;
mod layers;
mod listeners;
mod load_balancers;
mod merged;
mod names;
mod overrides;
mod problem;
mod reader;
mod regions;
mod rules;
mod runtime;
mod settings;
mod sockets;
mod target_groups;
mod toml_text;

pub use config::{Config, Origin, Setting};
pub use layers::{Layers, MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES, Sources, load};
pub use overrides::{ENV_PREFIX, RESERVED_ENV};
pub use problem::{MAX_PROBLEMS, Problem, Problems};
pub use runtime::{DnsCertificate, DnsRuntime, QueryLog, Runtime};
