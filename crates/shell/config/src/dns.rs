use std::time::Duration;

use perigee_model::{DnsZone, LatencyName, LoadBalancerName};

use crate::key_path::quoted;
use crate::names::{Names, check_dns_label, check_zone};
use crate::reader::{Node, Table};

/// Reads the zone. The address that the DNS listens on is the process's matter (`runtime.rs`).
pub(crate) fn read(dns: &Table<'_>, names: &Names<'_>) -> DnsZone {
    let origin = dns.or("zone", "perigee.test".to_owned(), "perigee.test", |n| n.parse(check_zone));
    let negative_ttl = dns.seconds_or("negative_ttl_seconds", 0..=3_600, 30);
    let accelerator_ttl = dns.seconds_or("accelerator_ttl_seconds", 1..=86_400, 300);
    let load_balancer_ttl = dns.seconds_or("load_balancer_ttl_seconds", 1..=3_600, 60);
    let latency_names =
        dns.entries("names").into_iter().filter_map(|(label, node)| latency_name(label, &node, names)).collect();
    DnsZone { latency_names, negative_ttl, accelerator_ttl, load_balancer_ttl, ..DnsZone::new(&origin) }
}

fn latency_name(label: &str, node: &Node<'_>, names: &Names<'_>) -> Option<LatencyName> {
    if let Err(message) = check_dns_label(label) {
        node.problem(message);
    }
    let t = node.table()?;
    // The policies are Route 53's (developer guide, "Choosing a routing policy").
    const UNBUILT: [&str; 7] =
        ["simple", "weighted", "failover", "geolocation", "geoproximity", "multivalue", "ip-based"];
    t.need("policy").and_then(|n| n.choice(&[("latency", ())], &UNBUILT));
    let load_balancer = t.need("load_balancer").and_then(|n| {
        let name = n.str()?;
        let known = names.regions().any(|r| r.load_balancers.contains_key(name));
        if !known && names.all_known() {
            n.problem(format!("no region has a load balancer {}", quoted(name)));
        }
        Some(LoadBalancerName::new(name))
    });
    let ttl: Duration = t.seconds_or("ttl_seconds", 5..=300, 30);
    t.finish();
    Some(LatencyName { label: label.to_owned(), load_balancer: load_balancer?, ttl })
}
