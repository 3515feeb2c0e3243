use std::collections::BTreeSet;
use std::time::Duration;

use perigee_model::{HealthCheck, Matcher, ProbeProtocol, Target, TargetGroup, TargetGroupName};

use crate::attributes::Attributes;
use crate::names::{check_elb_name, check_host_address};
use crate::reader::{Node, Table};
use crate::regions::Scope;
use crate::sockets::{Sockets, Transport};

/// Attributes that the original has and Perigee does not yet, with the values that change nothing
/// (`spec/alb.md` section 13).
const UNBUILT: [(&str, &[&str]); 13] = [
    ("load_balancing.algorithm.type", &["round_robin"]),
    ("load_balancing.algorithm.anomaly_mitigation", &["off"]),
    ("load_balancing.cross_zone.enabled", &["use_load_balancer_configuration", "true"]),
    ("slow_start.duration_seconds", &["0"]),
    ("stickiness.enabled", &["false"]),
    ("stickiness.type", &["lb_cookie"]),
    ("stickiness.lb_cookie.duration_seconds", &["86400"]),
    ("stickiness.app_cookie.cookie_name", &[""]),
    ("stickiness.app_cookie.duration_seconds", &["86400"]),
    ("target_group_health.dns_failover.minimum_healthy_targets.percentage", &["off"]),
    ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", &["off"]),
    ("lambda.multi_value_headers.enabled", &["false"]),
    ("waf.http2.traffic_inspection_behavior", &[]),
];

/// What the names of its attributes start with.
const FAMILIES: [&str; 7] =
    ["deregistration_delay", "lambda", "load_balancing", "slow_start", "stickiness", "target_group_health", "waf"];

const ROUTING_COUNT: &str = "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count";
const DNS_COUNT: &str = "target_group_health.dns_failover.minimum_healthy_targets.count";

/// Targets of one group, at most (Elastic Load Balancing quotas: 1,000 targets per target group).
const MAX_TARGETS: usize = 1_000;

/// Reads the target groups of a region, in name order.
pub(crate) fn read(region: &Table<'_>, scope: &Scope<'_>, sockets: &mut Sockets) -> Vec<TargetGroup> {
    let groups = region.entries("target_groups");
    groups.into_iter().filter_map(|(name, node)| target_group(name, &node, scope, sockets)).collect()
}

fn target_group(name: &str, node: &Node<'_>, scope: &Scope<'_>, sockets: &mut Sockets) -> Option<TargetGroup> {
    if let Err(message) = check_elb_name(name) {
        node.problem(message);
    }
    let t = node.table()?;
    t.or("target_type", (), "ip", |n| n.choice(&[("ip", ())], &["instance", "lambda", "alb"]));
    t.or("protocol", (), "HTTP", |n| n.choice(&[("HTTP", ())], &["HTTPS", "TCP", "TLS", "UDP", "TCP_UDP", "GENEVE"]));
    t.or("protocol_version", (), "HTTP1", |n| n.choice(&[("HTTP1", ())], &["HTTP2", "GRPC"]));
    t.or("ip_address_type", (), "ipv4", |n| n.choice(&[("ipv4", ())], &["ipv6"]));
    t.unbuilt(&["vpc_id", "tags", "target_control_port"]);
    let default_port = t.get("port").and_then(|n| n.int(1..=65_535));
    let health_check = health_check(&t);
    let mut attributes = Attributes::new(&t, &FAMILIES);
    let delay: u32 = attributes.int_or("deregistration_delay.timeout_seconds", 0..=3_600, 300);
    let (routing_minimum_healthy, dns_minimum_healthy) = minimum_healthy(&mut attributes);
    attributes.unbuilt(&UNBUILT);
    attributes.finish();
    let targets = targets(&t, name, default_port, scope, sockets);
    t.finish();
    Some(TargetGroup {
        name: TargetGroupName::new(name),
        region: scope.index,
        health_check,
        deregistration_delay: Duration::from_secs(delay.into()),
        routing_minimum_healthy,
        dns_minimum_healthy,
        targets,
    })
}

/// The counts below which routing fails open and a zone leaves DNS. The second may not be below the first; that is
/// judged on the resulting values, so that a default can be too small (`spec/alb.md` section 15).
fn minimum_healthy(attributes: &mut Attributes<'_, '_>) -> (u16, u16) {
    let routing_node = attributes.peek(ROUTING_COUNT);
    let dns_node = attributes.peek(DNS_COUNT);
    if let Some(node) = dns_node.as_ref().filter(|n| n.value.as_str() == Some("off")) {
        node.problem("\"off\" is not built yet; a count is accepted, 1 to 1000");
        attributes.take(DNS_COUNT);
        return (attributes.int_or(ROUTING_COUNT, 1..=1_000, 1), 1);
    }
    let before = attributes.problems();
    let routing: u16 = attributes.int_or(ROUTING_COUNT, 1..=1_000, 1);
    let dns: u16 = attributes.int_or(DNS_COUNT, 1..=1_000, 1);
    if attributes.problems() == before
        && dns < routing
        && let Some(node) = dns_node.or(routing_node)
    {
        node.problem(format!("the count of dns_failover, {dns}, is below that of unhealthy_state_routing, {routing}"));
    }
    (routing, dns)
}

/// The ranges and defaults of `spec/alb.md` section 16.
fn health_check(t: &Table<'_>) -> HealthCheck {
    t.or("health_check_enabled", (), true, |n| {
        if !n.bool()? {
            n.problem("targets of type ip are always checked; only true is accepted");
        }
        Some(())
    });
    let protocol = t.or("health_check_protocol", ProbeProtocol::Http, "HTTP", |n| {
        n.choice(&[("HTTP", ProbeProtocol::Http), ("HTTPS", ProbeProtocol::Https)], &[])
    });
    let port = t.or("health_check_port", None, "traffic-port", |n| {
        if n.value.as_str() == Some("traffic-port") { n.str().map(|_| None) } else { n.int(1..=65_535).map(Some) }
    });
    let path = t.or("health_check_path", "/".to_owned(), "/", |n| n.parse(check_path));
    let before = t.cx.count();
    let interval: u16 = t.int_or("health_check_interval_seconds", 5..=300, 30);
    let timeout: u16 = t.int_or("health_check_timeout_seconds", 2..=120, 5);
    if t.cx.count() == before && timeout >= interval {
        // A default is never the mistake, the value beside it is.
        let key = if t.get("health_check_timeout_seconds").is_some() {
            "health_check_timeout_seconds"
        } else {
            "health_check_interval_seconds"
        };
        if let Some(node) = t.get(key) {
            node.problem(format!("the timeout, {timeout} s, must be below the interval, {interval} s"));
        }
    }
    HealthCheck {
        protocol,
        port,
        path,
        interval: Duration::from_secs(interval.into()),
        timeout: Duration::from_secs(timeout.into()),
        healthy_threshold: t.int_or("healthy_threshold_count", 2..=10, 5),
        unhealthy_threshold: t.int_or("unhealthy_threshold_count", 2..=10, 2),
        matcher: t.or("matcher", Matcher::default(), "200", |n| n.parse(matcher)),
    }
}

/// A path and query that can stand in a request line.
fn check_path(path: &str) -> Result<String, String> {
    if !(1..=1_024).contains(&path.len()) {
        Err(format!("has {} characters, must have 1 to 1024", path.len()))
    } else if !path.starts_with('/') || !path.bytes().all(|b| b.is_ascii_graphic()) {
        Err("must start with `/` and have visible ASCII characters only".to_owned())
    } else {
        Ok(path.to_owned())
    }
}

/// Codes and ranges of 200 to 499 with commas between, such as `200-299,301`.
fn matcher(text: &str) -> Result<Matcher, String> {
    let wrong = || "must be codes and ranges of 200 to 499, such as \"200-299,301\"".to_owned();
    let code = |text: &str| match text.trim().parse::<u16>() {
        Ok(code @ 200..=499) => Ok(code),
        Ok(_) | Err(_) => Err(wrong()),
    };
    let range = |text: &str| {
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        let (from, to) = (code(from)?, code(to)?);
        if from <= to { Ok((from, to)) } else { Err(format!("{from}-{to} is upside down")) }
    };
    text.split(',').map(range).collect::<Result<_, _>>().map(Matcher::new)
}

fn targets(
    t: &Table<'_>,
    name: &str,
    default_port: Option<u16>,
    scope: &Scope<'_>,
    sockets: &mut Sockets,
) -> Vec<Target> {
    let list = t.get("targets").and_then(|n| n.list_of(0..=MAX_TARGETS, "targets")).unwrap_or_default();
    let mut seen = BTreeSet::new();
    let mut made = Vec::new();
    for node in list {
        let Some(t) = node.table() else { continue };
        let id = t.need("id");
        let address = id.as_ref().and_then(|n| n.parse(check_host_address));
        let port = match (t.get("port"), default_port) {
            (Some(node), _) => node.int(1..=65_535),
            (None, Some(port)) => {
                t.record_default("port", port.into());
                Some(port)
            }
            (None, None) => {
                t.problem_at("port", format!("is missing, and target group {name} has no port of its own"));
                None
            }
        };
        let zone = t.need("availability_zone").and_then(|n| scope.zone(&n));
        t.unbuilt(&["quic_server_id", "weight"]);
        t.finish();
        let (Some(id), Some(address), Some(port), Some(zone)) = (id, address, port, zone) else { continue };
        if address.is_ipv6() {
            id.problem("an IPv6 target is not built yet: the target group is of type ipv4");
        } else if !seen.insert((address, port)) {
            id.problem(format!("duplicate: {address} port {port} is in the target group already"));
        } else {
            // A target may be in several groups of its region; the text is then the same and no clash.
            let owner = format!("target {address}:{port} of {}, zone {zone}", scope.code);
            sockets.claim(&id, Transport::Tcp, address, port..=port, owner);
            made.push(Target { address, port, zone });
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matcher_has_codes_and_ranges() {
        let m = matcher("200-299,301").unwrap();
        let accepted: Vec<u16> = (100..600).filter(|c| m.accepts(*c)).collect();
        assert_eq!(accepted, (200..=299).chain([301]).collect::<Vec<_>>());
        for bad in ["", ",", "200,", "199", "500", "200-", "-200", "299-200", "2xx", "200 300", "99999"] {
            assert!(matcher(bad).is_err(), "{bad}");
        }
    }
}
