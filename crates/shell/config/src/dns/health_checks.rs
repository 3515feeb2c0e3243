use std::collections::BTreeMap;
use std::time::Duration;

use perigee_model::HealthCheckIndex;
use perigee_model::dns::{DnsCheckKind, DnsHealthCheck, EndpointCheck, EndpointProtocol};

use super::circles::walk;
use crate::key_path::quoted;
use crate::names::{check_host_address, check_host_name, listed};
use crate::reader::{Node, Table};

/// Calculated checks that stand on one another, at most (Perigee's choice).
const MAX_DEPTH: usize = 16;

/// The checks and their names, found before anything refers to them.
pub(super) struct Checks<'a> {
    pub(super) made: Vec<DnsHealthCheck>,
    names: BTreeMap<&'a str, HealthCheckIndex>,
    /// False when the checks are no table, which is a problem of its own.
    known: bool,
}

impl Checks<'_> {
    /// The check that `node` names.
    pub(super) fn find(&self, node: &Node<'_>) -> Option<HealthCheckIndex> {
        let name = node.str()?;
        let found = self.names.get(name).copied();
        if found.is_none() && self.known {
            let known = listed(self.names.keys().copied());
            node.problem(format!("there is no health check {}; there is {known}", quoted(name)));
        }
        found
    }
}

/// Reads the health checks, in name order (`spec/dns.md` section 2.5).
pub(super) fn read<'a>(dns: &Table<'a>) -> Checks<'a> {
    let table = dns.get("health_checks");
    let entries = table.as_ref().map_or_else(|| Some(Vec::new()), Node::entries);
    let known = entries.is_some();
    let entries = entries.unwrap_or_default();
    let names = entries.iter().map(|(name, _)| *name).zip((0..).map(HealthCheckIndex)).collect();
    let mut checks = Checks { made: Vec::new(), names, known };
    let mut children = Vec::with_capacity(entries.len());
    for (name, node) in &entries {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if !(1..=64).contains(&name.len()) || !name.bytes().all(legal) {
            node.problem("is no legal name: 1 to 64 letters, digits, `-` and `_`");
        }
        let (made, nodes) = check(name, node, &checks);
        checks.made.extend(made);
        children.push(nodes);
    }
    circles(&children);
    checks
}

/// The checks that a calculated check names, with where.
type Children<'a> = Vec<(HealthCheckIndex, Node<'a>)>;

fn check<'a>(name: &str, node: &Node<'a>, checks: &Checks<'_>) -> (Option<DnsHealthCheck>, Children<'a>) {
    let Some(t) = node.table() else { return (None, Vec::new()) };
    const UNBUILT: [&str; 2] = ["CLOUDWATCH_METRIC", "RECOVERY_CONTROL"];
    const BUILT: [(&str, Option<(EndpointProtocol, bool)>); 6] = [
        ("HTTP", Some((EndpointProtocol::Http, false))),
        ("HTTPS", Some((EndpointProtocol::Https, false))),
        ("HTTP_STR_MATCH", Some((EndpointProtocol::Http, true))),
        ("HTTPS_STR_MATCH", Some((EndpointProtocol::Https, true))),
        ("TCP", Some((EndpointProtocol::Tcp, false))),
        ("CALCULATED", None),
    ];
    // The other keys of a type that is not known, or not built, cannot be judged.
    let Some(kind) = t.need("type").and_then(|n| n.choice(&BUILT, &UNBUILT)) else { return (None, Vec::new()) };
    let inverted = t.bool_or("inverted", false);
    let disabled = t.bool_or("disabled", false);
    t.unbuilt(&["regions", "measure_latency", "alarm_identifier", "insufficient_data_health_status", "routing_control_arn"]);
    let (kind, children) = match kind {
        Some((protocol, matches)) => (endpoint(&t, protocol, matches).map(DnsCheckKind::Endpoint), Vec::new()),
        None => calculated(&t, checks),
    };
    t.finish();
    (kind.map(|kind| DnsHealthCheck { name: name.to_owned(), kind, inverted, disabled }), children)
}

/// Reports keys that the original has for other types.
fn foreign(t: &Table<'_>, keys: &[&'static str], of: &str) {
    for key in keys {
        if let Some(node) = t.get(key) {
            node.problem(format!("is no key of a {of} check"));
        }
    }
}

fn calculated<'a>(t: &Table<'a>, checks: &Checks<'_>) -> (Option<DnsCheckKind>, Children<'a>) {
    const ENDPOINT: [&str; 10] = [
        "ip_address",
        "fully_qualified_domain_name",
        "port",
        "resource_path",
        "search_string",
        "request_interval",
        "request_interval_ms",
        "failure_threshold",
        "enable_sni",
        "checkers",
    ];
    foreign(t, &ENDPOINT, "CALCULATED");
    let threshold = t.need("health_threshold").and_then(|n| n.int(0..=256));
    let list = t.need("child_health_checks").and_then(|n| n.list_of(0..=256, "children")).unwrap_or_default();
    let mut children: Children<'a> = Vec::with_capacity(list.len());
    for node in list {
        let Some(index) = checks.find(&node) else { continue };
        if children.iter().any(|(child, _)| *child == index) {
            node.problem("duplicate: the check is a child already");
        }
        children.push((index, node));
    }
    let indices = children.iter().map(|(index, _)| *index).collect();
    (threshold.map(|threshold| DnsCheckKind::Calculated { threshold, children: indices }), children)
}

fn endpoint(t: &Table<'_>, protocol: EndpointProtocol, matches: bool) -> Option<EndpointCheck> {
    let is_tcp = protocol == EndpointProtocol::Tcp;
    foreign(t, &["child_health_checks", "health_threshold"], "probing");
    let address = t.get("ip_address");
    let domain = t.get("fully_qualified_domain_name");
    if address.is_none() && domain.is_none() {
        t.problem_at("ip_address", "is missing: where to look, by ip_address or fully_qualified_domain_name".to_owned());
    }
    let address = address.and_then(|n| n.parse(check_host_address));
    let domain_name = domain.and_then(|n| n.parse(check_host_name));
    let port = match protocol {
        EndpointProtocol::Tcp => t.need("port").and_then(|n| n.int(1..=65_535)),
        EndpointProtocol::Http => Some(t.int_or("port", 1..=65_535, 80)),
        EndpointProtocol::Https => Some(t.int_or("port", 1..=65_535, 443)),
    };
    let mut path = "/".to_owned();
    if is_tcp {
        foreign(t, &["resource_path"], "TCP");
    } else {
        path = t.or("resource_path", path, "/", |n| n.parse(resource_path));
    }
    let search = if matches {
        t.need("search_string").and_then(|n| n.parse(search_string))
    } else {
        foreign(t, &["search_string"], "plain");
        None
    };
    let sni = if protocol == EndpointProtocol::Https {
        t.bool_or("enable_sni", true)
    } else {
        foreign(t, &["enable_sni"], "TCP or HTTP");
        false
    };
    let interval = interval(t);
    let threshold = t.int_or("failure_threshold", 1..=10, 3);
    let checkers = t.int_or("checkers", 1..=64, 5);
    let port = port?;
    Some(EndpointCheck { protocol, address, domain_name, port, path, search, interval, threshold, sni, checkers })
}

/// 10 or 30 s; or any number of milliseconds below 10 s, for configurations that want to see something happen.
fn interval(t: &Table<'_>) -> Duration {
    let fine = t.get("request_interval_ms");
    if let (Some(node), Some(_)) = (t.get("request_interval"), &fine) {
        node.problem("is given twice: request_interval_ms is there too");
    }
    if let Some(node) = fine {
        return Duration::from_millis(node.int(100..=9_999_u32).unwrap_or(1_000).into());
    }
    let seconds: u8 = t.or("request_interval", 30, 30, |n| {
        let seconds = n.int(10..=30)?;
        if !matches!(seconds, 10 | 30) {
            n.problem(format!("{seconds} is not accepted, 10 or 30 is"));
        }
        Some(seconds)
    });
    Duration::from_secs(seconds.into())
}

/// It stands in the first line of the request, so it has no blanks.
fn resource_path(path: &str) -> Result<String, String> {
    if path.starts_with('/') && path.len() <= 255 && path.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(path.to_owned())
    } else {
        Err("must start with `/` and have 1 to 255 printable ASCII characters without blanks".to_owned())
    }
}

fn search_string(text: &str) -> Result<String, String> {
    if (1..=255).contains(&text.len()) { Ok(text.to_owned()) } else { Err("must have 1 to 255 bytes".to_owned()) }
}

fn circles(children: &[Children<'_>]) {
    let refers: Vec<Vec<usize>> = children.iter().map(|list| list.iter().map(|(index, _)| index.0).collect()).collect();
    let found = walk(&refers);
    for (check, position) in &found.closing {
        children[*check][*position].1.problem("goes in a circle: the child stands on this check");
    }
    if !found.closing.is_empty() {
        return;
    }
    let mut depth = vec![1_usize; children.len()];
    for check in found.order {
        for (child, node) in &children[check] {
            depth[check] = depth[check].max(depth[child.0] + 1);
            if depth[child.0] == MAX_DEPTH {
                node.problem(format!("more than {MAX_DEPTH} checks would stand on one another"));
            }
        }
    }
}
