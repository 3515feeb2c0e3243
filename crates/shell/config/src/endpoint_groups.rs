use std::collections::{BTreeMap, BTreeSet};

use perigee_model::{
    Endpoint, EndpointGroup, LoadBalancerIndex, PortOverride, PortRange, ThresholdCount, TrafficDial, Weight,
};

use crate::key_path::quoted;
use crate::names::{Names, RegionNames, listed};
use crate::reader::{Node, Table};

/// The ports that overrides are judged against.
#[derive(Clone, Copy)]
pub(crate) struct Ports<'a> {
    /// Ranges of the listener.
    pub(crate) own: &'a [PortRange],
    /// Ranges of all listeners of the accelerator.
    pub(crate) all: &'a [PortRange],
}

/// Reads the endpoint groups of a listener, one per region (`spec/global-accelerator.md` section 4).
///
/// `ports` is none when the ranges are wrong: overrides are then not judged. `overridden` collects the listener port
/// of each overridden endpoint port over the whole accelerator.
pub(crate) fn read(
    listener: &Table<'_>,
    names: &Names<'_>,
    ports: Option<Ports<'_>>,
    overridden: &mut BTreeMap<u16, u16>,
) -> Vec<EndpointGroup> {
    let mut regions = BTreeSet::new();
    let mut groups = Vec::new();
    for node in listener.list("endpoint_groups") {
        let Some(t) = node.table() else { continue };
        let region = region(&t, names, &mut regions);
        let traffic_dial = t.or("traffic_dial_percentage", TrafficDial::FULL, 100.0, |n| {
            n.float(0.0..=100.0).and_then(|percent| TrafficDial::new(percent).ok())
        });
        let threshold: u8 = t.int_or("threshold_count", 1..=10, 3);
        let health_check_interval_s = t.or("health_check_interval_seconds", 30, 30, |n| {
            let seconds: u8 = n.int(10..=30)?;
            if !matches!(seconds, 10 | 30) {
                n.problem(format!("{seconds} is not accepted, 10 or 30 is"));
            }
            Some(seconds)
        });
        probe(&t);
        let port_overrides = overrides(&t, ports, overridden);
        let endpoints = endpoints(&t, region.as_ref().and_then(|(code, names)| Some((*code, (*names)?))));
        t.finish();
        if let Some((_, Some(region))) = region
            && let Ok(threshold_count) = ThresholdCount::new(threshold)
        {
            groups.push(EndpointGroup {
                region: region.index,
                traffic_dial,
                threshold_count,
                health_check_interval_s,
                port_overrides,
                endpoints,
            });
        }
    }
    groups
}

/// The region's code and names; no names when its file could not be read. The original calls the key
/// `endpoint_group_region`, which is accepted too.
pub(crate) fn region<'a>(
    t: &Table<'a>,
    names: &'a Names<'a>,
    seen: &mut BTreeSet<&'a str>,
) -> Option<(&'a str, Option<&'a RegionNames<'a>>)> {
    let node = match t.get("endpoint_group_region") {
        Some(node) => {
            if let Some(short) = t.get("region") {
                short.problem("is given twice: endpoint_group_region is the same key");
            }
            node
        }
        None => t.need("region")?,
    };
    let code = node.str()?;
    if names.is_absent(code) {
        node.problem(format!("there is no region {}; there is {}", quoted(code), names.known_regions()));
        return None;
    }
    if !seen.insert(code) {
        node.problem(format!("duplicate: the listener has a group in {code} already"));
    }
    Some((code, names.region(code)))
}

/// The probe of endpoints that are no load balancers. As with the original it is accepted and has no effect on load
/// balancers, which are judged by their target groups.
fn probe(t: &Table<'_>) {
    t.or("health_check_protocol", (), "TCP", |n| n.choice(&[("TCP", ()), ("HTTP", ()), ("HTTPS", ())], &[]));
    if let Some(port) = t.get("health_check_port") {
        port.int::<u16>(1..=65_535);
    }
    t.or("health_check_path", (), "/", |n| {
        n.parse(|path| {
            let legal = |b: u8| b.is_ascii_alphanumeric() || b"-@:%_\\+.~#?&/=".contains(&b);
            if path.starts_with('/') && path.len() <= 255 && path.bytes().all(legal) {
                Ok(())
            } else {
                Err("must start with `/` and have 1 to 255 letters, digits and -@:%_\\+.~#?&/=".to_owned())
            }
        })
    });
}

/// The rules of `spec/global-accelerator.md` section 6.
fn overrides(t: &Table<'_>, ports: Option<Ports<'_>>, overridden: &mut BTreeMap<u16, u16>) -> Vec<PortOverride> {
    let list = t.get("port_overrides").and_then(|n| n.list_of(0..=10, "overrides")).unwrap_or_default();
    let mut listener_ports = BTreeSet::new();
    let mut made = Vec::new();
    for node in list {
        let Some(t) = node.table() else { continue };
        let from = t.need("listener_port");
        let to = t.need("endpoint_port");
        t.finish();
        let listener_port = from.as_ref().and_then(|n| n.int::<u16>(1..=65_535));
        let endpoint_port = to.as_ref().and_then(|n| n.int::<u16>(1..=65_535));
        let (Some(from), Some(to), Some(listener_port), Some(endpoint_port)) = (from, to, listener_port, endpoint_port)
        else {
            continue;
        };
        made.push(PortOverride { listener_port, endpoint_port });
        let Some(ports) = ports else { continue };
        if !ports.own.iter().any(|r| r.contains(listener_port)) {
            from.problem(format!("{listener_port} is in no port range of the listener"));
        } else if !listener_ports.insert(listener_port) {
            from.problem(format!("duplicate: port {listener_port} is overridden in this group already"));
        } else if let Some(range) = ports.all.iter().find(|r| r.contains(endpoint_port)) {
            to.problem(format!(
                "clash: {endpoint_port} is in the port range {}-{} of the accelerator",
                range.from_port, range.to_port
            ));
        } else {
            let first = *overridden.entry(endpoint_port).or_insert(listener_port);
            if first != listener_port {
                to.problem(format!("clash: {endpoint_port} is the override of listener port {first} already"));
            }
        }
    }
    made
}

/// Zero to ten endpoints (`spec/global-accelerator.md` section 7). `region` is none when its own key is wrong.
fn endpoints(t: &Table<'_>, region: Option<(&str, &RegionNames<'_>)>) -> Vec<Endpoint> {
    let list = t.get("endpoints").and_then(|n| n.list_of(0..=10, "endpoints")).unwrap_or_default();
    let mut seen = BTreeSet::new();
    let mut made = Vec::new();
    for node in list {
        let Some(t) = node.table() else { continue };
        let id = t.need("endpoint_id");
        let weight = Weight::new(t.int_or("weight", 0..=255, Weight::DEFAULT.get()));
        let client_ip_preservation = t.bool_or("client_ip_preservation_enabled", true);
        t.unbuilt(&["attachment_arn"]);
        t.finish();
        let Some(id) = id else { continue };
        let (Some(name), Some((code, names))) = (id.str(), region) else { continue };
        let Some(load_balancer) = load_balancer(&id, name, code, names) else { continue };
        // The same load balancer may be there twice, once per setting of client IP preservation (section 7.1).
        if seen.insert((load_balancer, client_ip_preservation)) {
            made.push(Endpoint { load_balancer, weight, client_ip_preservation });
        } else {
            id.problem(format!("duplicate: {name} is in the group already, with the same client IP preservation"));
        }
    }
    made
}

fn load_balancer(node: &Node<'_>, name: &str, code: &str, names: &RegionNames<'_>) -> Option<LoadBalancerIndex> {
    let found = names.load_balancers.get(name).copied();
    if found.is_none() && names.known {
        let hexadecimal = |rest: &str| rest.len() >= 8 && rest.bytes().all(|b| b.is_ascii_hexdigit());
        let other = ["i-", "eipalloc-", "subnet-"].iter().any(|p| name.strip_prefix(p).is_some_and(hexadecimal));
        if other || name.starts_with("arn:") {
            node.problem(format!("{} is not built yet; an endpoint is a load balancer, by its name", quoted(name)));
        } else {
            let known = listed(names.load_balancers.keys().copied());
            node.problem(format!("{code} has no load balancer {}; it has {known}", quoted(name)));
        }
    }
    found
}
