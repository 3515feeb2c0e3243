use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use perigee_model::{LoadBalancer, LoadBalancerName, LoadBalancerNode};

use crate::attributes::Attributes;
use crate::instances::ipv6;
use crate::listeners;
use crate::names::{check_elb_name, check_host_address};
use crate::reader::{Node, Table};
use crate::regions::Scope;
use crate::sockets::{Sockets, Transport};

/// Attributes that the original has and Perigee does not yet, with the values that change nothing
/// (`spec/alb.md` section 2).
const UNBUILT: [(&str, &[&str]); 22] = [
    ("access_logs.s3.enabled", &["false"]),
    ("access_logs.s3.bucket", &[""]),
    ("access_logs.s3.prefix", &[""]),
    ("connection_logs.s3.enabled", &["false"]),
    ("connection_logs.s3.bucket", &[""]),
    ("connection_logs.s3.prefix", &[""]),
    ("health_check_logs.s3.enabled", &["false"]),
    ("health_check_logs.s3.bucket", &[""]),
    ("health_check_logs.s3.prefix", &[""]),
    ("deletion_protection.enabled", &["false"]),
    ("ipv6.deny_all_igw_traffic", &["false"]),
    ("load_balancing.cross_zone.enabled", &["true"]),
    ("routing.http.desync_mitigation_mode", &["defensive"]),
    ("routing.http.drop_invalid_header_fields.enabled", &["false"]),
    ("routing.http.preserve_host_header.enabled", &["false"]),
    ("routing.http.x_amzn_tls_version_and_cipher_suite.enabled", &["false"]),
    ("routing.http.xff_client_port.enabled", &["false"]),
    ("routing.http.xff_header_processing.mode", &["append"]),
    ("routing.http2.enabled", &["true"]),
    ("waf.fail_open.enabled", &["false"]),
    ("zonal_shift.config.enabled", &["false"]),
    ("minimum_load_balancer_capacity.capacity_units", &["0"]),
];

/// What the names of its attributes start with.
const FAMILIES: [&str; 13] = [
    "access_logs",
    "client_keep_alive",
    "connection_logs",
    "deletion_protection",
    "health_check_logs",
    "idle_timeout",
    "ipv6",
    "load_balancing",
    "minimum_load_balancer_capacity",
    "routing",
    "waf",
    "zonal_shift",
    "dns_record",
];

/// Reads the load balancers of a region, in name order.
pub(crate) fn read(region: &Table<'_>, scope: &Scope<'_>, sockets: &mut Sockets) -> Vec<LoadBalancer> {
    let mut seen = BTreeSet::new();
    // Which load balancer has a target group: a group belongs to one at most (`spec/alb.md` section 1).
    let mut owners = BTreeMap::new();
    let mut made = Vec::new();
    for (name, node) in region.entries("load_balancers") {
        if let Err(message) = check_elb_name(name) {
            node.problem(message);
        }
        if !seen.insert(name.to_ascii_lowercase()) {
            node.problem("duplicate: DNS does not tell this name from another one of the region");
        }
        made.extend(load_balancer(name, &node, scope, &mut owners, sockets));
    }
    made
}

fn load_balancer(
    name: &str,
    node: &Node<'_>,
    scope: &Scope<'_>,
    owners: &mut BTreeMap<usize, String>,
    sockets: &mut Sockets,
) -> Option<LoadBalancer> {
    let t = node.table()?;
    t.or("type", (), "application", |n| n.choice(&[("application", ())], &["network", "gateway", "classic"]));
    t.or("scheme", (), "internet-facing", |n| n.choice(&[("internet-facing", ())], &["internal"]));
    let types = [("ipv4", false), ("dualstack", true)];
    let dual = t.or("ip_address_type", false, "ipv4", |n| n.choice(&types, &["dualstack-without-public-ipv4"]));
    t.unbuilt(&["security_groups", "subnets", "subnet_mappings", "tags", "customer_owned_ipv4_pool"]);
    let nodes = t.need("nodes").and_then(|n| n.list_of(1..=26, "nodes")).unwrap_or_default();
    let mut attributes = Attributes::new(&t, &FAMILIES);
    let idle_timeout: u32 = attributes.int_or("idle_timeout.timeout_seconds", 1..=4_000, 60);
    let client_keep_alive: u32 = attributes.int_or("client_keep_alive.seconds", 60..=604_800, 3_600);
    attributes.unbuilt(&UNBUILT);
    attributes.finish();
    let nodes = read_nodes(&nodes, scope, dual);
    let listeners = listeners::read(&t, name, scope, owners);
    t.finish();
    for (node, place) in &nodes {
        let owner = format!("load balancer {name} of {}", scope.code);
        for (ip, listener) in node.addresses().flat_map(|ip| listeners.iter().map(move |l| (ip, l))) {
            let port = listener.port..=listener.port;
            sockets.claim(place, Transport::Tcp, ip, port, format!("{owner}, its listener"));
        }
        sockets.claim(
            place,
            Transport::Tcp,
            node.address,
            node.status_port..=node.status_port,
            format!("{owner}, its status port"),
        );
    }
    Some(LoadBalancer {
        name: LoadBalancerName::new(name),
        region: scope.index,
        nodes: nodes.into_iter().map(|(node, _)| node).collect(),
        listeners,
        idle_timeout: Duration::from_secs(idle_timeout.into()),
        client_keep_alive: Duration::from_secs(client_keep_alive.into()),
    })
}

/// The nodes in zone order, one per zone.
fn read_nodes<'a>(list: &[Node<'a>], scope: &Scope<'_>, dual: bool) -> Vec<(LoadBalancerNode, Node<'a>)> {
    let mut nodes = Vec::new();
    let mut zones = BTreeSet::new();
    for node in list {
        let Some(t) = node.table() else { continue };
        let zone = t.need("zone").and_then(|n| {
            let zone = scope.zone(&n)?;
            if !zones.insert(zone.clone()) {
                n.problem(format!("duplicate: the load balancer has a node in {zone} already"));
            }
            Some(zone)
        });
        let address = t.need("address");
        let ipv6 = match (dual, t.get("ipv6")) {
            (true, Some(node)) => ipv6(&node),
            (true, None) => {
                t.problem_at("ipv6", "is missing: the load balancer is of type dualstack".into());
                None
            }
            (false, Some(node)) => {
                node.problem("the load balancer is of type ipv4; its ip_address_type would have to be \"dualstack\"");
                None
            }
            (false, None) => None,
        };
        let status_port = t.int_or("status_port", 1..=65_535, 7_070);
        t.finish();
        if let Some(place) = address
            && let Some(address) = place.parse(check_host_address)
            && let Some(zone) = zone
        {
            if address.is_ipv6() {
                place
                    .problem("must be an IPv4 address; a dualstack load balancer has an IPv6 one beside it, as `ipv6`");
                continue;
            }
            nodes.push((LoadBalancerNode { zone, address, ipv6, status_port }, place));
        }
    }
    nodes.sort_by(|a, b| a.0.zone.cmp(&b.0.zone));
    nodes
}
