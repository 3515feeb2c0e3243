use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use perigee_model::{
    EndpointGroup, EndpointHealthCheck, PortOverride, PortRange, ProbeProtocol, ThresholdCount, TrafficDial,
};

use crate::endpoints;
use crate::key_path::quoted;
use crate::names::{Names, RegionNames};
use crate::reader::Table;
use crate::regions::Resources;

/// The ports that overrides are judged against.
#[derive(Clone, Copy)]
pub(crate) struct Ports<'a> {
    /// Ranges of the listener.
    pub(crate) own: &'a [PortRange],
    /// Ranges of all listeners of the accelerator.
    pub(crate) all: &'a [PortRange],
}

/// What the groups of a listener are read with.
pub(crate) struct Scope<'a> {
    pub(crate) names: &'a Names<'a>,
    pub(crate) resources: &'a Resources<'a>,
    /// Whether the accelerator is of type `DUAL_STACK`.
    pub(crate) dual: bool,
    /// The first port of the listener's first range.
    pub(crate) first_port: u16,
}

/// Reads the endpoint groups of a listener, one per region (`spec/global-accelerator.md` section 4).
///
/// `ports` is none when the ranges are wrong: overrides are then not judged. `overridden` collects the listener port
/// of each overridden endpoint port over the whole accelerator.
pub(crate) fn read(
    listener: &Table<'_>,
    scope: &Scope<'_>,
    ports: Option<Ports<'_>>,
    overridden: &mut BTreeMap<u16, u16>,
) -> Vec<EndpointGroup> {
    let mut regions = BTreeSet::new();
    let mut groups = Vec::new();
    for node in listener.list("endpoint_groups") {
        let Some(t) = node.table() else { continue };
        let region = region(&t, scope.names, &mut regions);
        let traffic_dial = t.or("traffic_dial_percentage", TrafficDial::FULL, 100.0, |n| {
            n.float(0.0..=100.0).and_then(|percent| TrafficDial::new(percent).ok())
        });
        let health_check = health_check(&t, scope.first_port);
        let port_overrides = overrides(&t, ports, overridden);
        let endpoints = endpoints::read(&t, scope, region.as_ref().and_then(|(code, names)| Some((*code, (*names)?))));
        t.finish();
        if let Some((_, Some(region))) = region
            && let Some(health_check) = health_check
        {
            groups.push(EndpointGroup { region: region.index, traffic_dial, health_check, port_overrides, endpoints });
        }
    }
    groups
}

/// The region's code and names; no names when its file could not be read. The original calls the key
/// `endpoint_group_region`, which is accepted too.
fn region<'a>(
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
fn health_check(t: &Table<'_>, first_port: u16) -> Option<EndpointHealthCheck> {
    let protocols = [("TCP", ProbeProtocol::Tcp), ("HTTP", ProbeProtocol::Http), ("HTTPS", ProbeProtocol::Https)];
    let protocol = t.or("health_check_protocol", ProbeProtocol::Tcp, "TCP", |n| n.choice(&protocols, &[]));
    let port = t.or("health_check_port", first_port, first_port, |n| n.int(1..=65_535));
    let path = t.or("health_check_path", "/".to_owned(), "/", |n| {
        n.parse(|path| {
            let legal = |b: u8| b.is_ascii_alphanumeric() || b"-@:%_\\+.~#?&/=".contains(&b);
            if path.starts_with('/') && path.len() <= 255 && path.bytes().all(legal) {
                Ok(path.to_owned())
            } else {
                Err("must start with `/` and have 1 to 255 letters, digits and -@:%_\\+.~#?&/=".to_owned())
            }
        })
    });
    let interval = interval(t);
    let threshold: u8 = t.int_or("threshold_count", 1..=10, 3);
    let threshold_count = ThresholdCount::new(threshold).ok()?;
    Some(EndpointHealthCheck { protocol, port, path, interval, threshold_count })
}

/// 10 or 30 s; a lab may ask oftener, by a key that the original does not have.
fn interval(t: &Table<'_>) -> Duration {
    if let Some(node) = t.get("health_check_interval_ms") {
        if let Some(seconds) = t.get("health_check_interval_seconds") {
            seconds.problem("is given twice: health_check_interval_ms is the same, for labs");
        }
        return Duration::from_millis(node.int::<u32>(100..=9_999).unwrap_or(9_999).into());
    }
    let seconds: u8 = t.or("health_check_interval_seconds", 30, 30, |n| {
        let seconds: u8 = n.int(10..=30)?;
        if !matches!(seconds, 10 | 30) {
            n.problem(format!("{seconds} is not accepted, 10 or 30 is"));
        }
        Some(seconds)
    });
    Duration::from_secs(seconds.into())
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
