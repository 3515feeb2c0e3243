use std::path::Path;

use perigee_model::{DnsZone, Region};

use crate::names::{Names, check_zone};
use crate::reader::Table;
use trees::Trees;

mod aliases;
mod branches;
mod circles;
mod health_checks;
mod keys;
mod records;
mod server;
mod trees;
mod values;
mod zones;

/// Reads what the DNS answers for. The addresses that it listens on are the process's matter (`runtime/dns.rs`).
///
/// `regions` are those that could be read: fewer than there are names for when one of them is wrong.
pub(crate) fn read(dns: &Table<'_>, names: &Names<'_>, regions: &[Region], base: Option<&Path>) -> DnsZone {
    let origin = dns.or("zone", "perigee.test".to_owned(), "perigee.test", |n| n.parse(check_zone));
    let negative_ttl = dns.seconds_or("negative_ttl_seconds", 0..=3_600, 30);
    let accelerator_ttl = dns.seconds_or("accelerator_ttl_seconds", 1..=86_400, 300);
    let load_balancer_ttl = dns.seconds_or("load_balancer_ttl_seconds", 1..=3_600, 60);
    let checks = health_checks::read(dns);
    let hosted = zones::read(dns, &origin, base);
    let Trees { latency_names, policy_names, policy_nodes, .. } = trees::read(&hosted, names, regions, &checks);
    let server = server::read(dns);
    DnsZone {
        origin,
        latency_names,
        negative_ttl,
        accelerator_ttl,
        load_balancer_ttl,
        zones: hosted.into_iter().map(|declared| declared.zone).collect(),
        policy_names,
        policy_nodes,
        health_checks: checks.made,
        server,
    }
}
