//! The whole stack on real sockets: what a user types and a client sees.

mod bad_input;
mod caches;
mod client_options;
mod clients;
mod configuration;
mod dns;
mod drain;
mod encrypted;
mod faults;
mod flow_logs;
mod flows;
mod idle;
mod policies;
mod second_reader;
mod start;
mod udp;
mod zone_files;
mod zonemaster;
