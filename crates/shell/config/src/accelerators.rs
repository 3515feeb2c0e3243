use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use perigee_model::{Accelerator, AcceleratorListener, AcceleratorName, ClientAffinity, PortRange, TransportProtocol};

use crate::endpoint_groups;
use crate::names::{Names, check_accelerator_name, check_host_address};
use crate::reader::{Node, Table};
use crate::regions::Resources;
use crate::sockets::{Sockets, Transport};

/// Ports that the listeners of one accelerator have together, at most. Perigee's choice: the original takes all of
/// 65535, but here each port is a socket on each of the two addresses.
pub(crate) const MAX_PORTS: usize = 1_024;

/// The protocols of a listener that the edge carries, and those that it does not carry yet.
const PROTOCOLS: (&[(&str, TransportProtocol)], &[&str]) = (&[("TCP", TransportProtocol::Tcp)], &["UDP"]);

/// A port range, and which listener of the accelerator it belongs to.
struct OwnedRange {
    listener: usize,
    protocol: TransportProtocol,
    range: PortRange,
}

/// Reads the accelerators, in name order.
pub(crate) fn read(
    root: &Table<'_>,
    names: &Names<'_>,
    resources: &Resources<'_>,
    sockets: &mut Sockets,
) -> Vec<Accelerator> {
    let mut seen = BTreeSet::new();
    let mut owners = BTreeMap::new();
    let mut made = Vec::new();
    for (name, node) in root.entries("accelerators") {
        if let Err(message) = check_accelerator_name(name) {
            node.problem(message);
        }
        if !seen.insert(name.to_ascii_lowercase()) {
            node.problem("duplicate: DNS does not tell this name from another accelerator's");
        }
        made.extend(accelerator(name, &node, names, resources, &mut owners, sockets));
    }
    made
}

fn accelerator(
    name: &str,
    node: &Node<'_>,
    names: &Names<'_>,
    resources: &Resources<'_>,
    owners: &mut BTreeMap<IpAddr, String>,
    sockets: &mut Sockets,
) -> Option<Accelerator> {
    let t = node.table()?;
    let enabled = t.bool_or("enabled", true);
    let dual = t.or("ip_address_type", false, "IPV4", |n| n.choice(&[("IPV4", false), ("DUAL_STACK", true)], &[]));
    t.unbuilt(&["behaviour", "tags", "flow_logs_s3_bucket", "flow_logs_s3_prefix"]);
    t.or("flow_logs_enabled", (), false, |n| {
        if n.bool()? {
            n.problem("flow logs are not built yet; only false is accepted");
        }
        Some(())
    });
    let addresses = addresses(&t, name, dual, resources, owners);

    // All ranges are known before the first override is judged: an override may hit no listener's range.
    let before = t.cx.count();
    let mut ranges: Vec<OwnedRange> = Vec::new();
    let mut drafts = Vec::new();
    for (i, node) in t.list("listeners").into_iter().enumerate() {
        let Some(t) = node.table() else { continue };
        let protocol = protocol(&t);
        read_ranges(&t, i, protocol, &mut ranges);
        drafts.push((i, protocol, t));
    }
    let total: usize = ranges.iter().map(|r| usize::from(r.range.to_port - r.range.from_port) + 1).sum();
    if let Some(listeners) = t.get("listeners")
        && total > MAX_PORTS
    {
        listeners.problem(format!("have {total} ports, an accelerator has at most {MAX_PORTS}"));
    }
    let all: Vec<PortRange> = ranges.iter().map(|r| r.range).collect();
    let judge = t.cx.count() == before;
    let mut overridden = BTreeMap::new();
    let mut listeners = Vec::new();
    for (i, protocol, t) in drafts {
        let affinity = [("NONE", ClientAffinity::None), ("SOURCE_IP", ClientAffinity::SourceIp)];
        let client_affinity = t.or("client_affinity", ClientAffinity::default(), "NONE", |n| n.choice(&affinity, &[]));
        let own: Vec<PortRange> = ranges.iter().filter(|r| r.listener == i).map(|r| r.range).collect();
        let ports = judge.then_some(endpoint_groups::Ports { own: &own, all: &all });
        let scope =
            endpoint_groups::Scope { names, resources, dual, first_port: own.first().map_or(1, |r| r.from_port) };
        let endpoint_groups = endpoint_groups::read(&t, &scope, ports, &mut overridden);
        t.finish();
        listeners.push(AcceleratorListener { protocol, port_ranges: own, client_affinity, endpoint_groups });
    }
    t.finish();
    let addresses = addresses?;
    if judge {
        for (address, place) in &addresses {
            for OwnedRange { protocol, range, .. } in &ranges {
                let transport = match protocol {
                    TransportProtocol::Tcp => Transport::Tcp,
                    TransportProtocol::Udp => Transport::Udp,
                };
                let ports = range.from_port..=range.to_port;
                sockets.claim(place, transport, *address, ports, format!("accelerator {name}, its listener"));
            }
        }
    }
    let addresses = addresses.into_iter().map(|(address, _)| address).collect();
    Some(Accelerator { name: AcceleratorName::new(name), addresses, enabled, listeners })
}

/// The static addresses: two of IPv4 in the order of the network zones, and for a dual-stack accelerator two of IPv6
/// behind them. No other accelerator has any of them, whatever the ports: an address is an accelerator's identity
/// (`spec/global-accelerator.md` sections 2.1 and 2.2).
fn addresses<'a>(
    t: &Table<'a>,
    name: &str,
    dual: bool,
    resources: &Resources<'_>,
    owners: &mut BTreeMap<IpAddr, String>,
) -> Option<Vec<(IpAddr, Node<'a>)>> {
    let count = if dual { 4 } else { 2 };
    let list = t.need("addresses")?.list_of(count..=count, "addresses")?;
    let mut read = Vec::new();
    for (i, node) in list.into_iter().enumerate() {
        let Some(address) = node.parse(check_host_address) else { continue };
        if address.is_ipv6() && !dual {
            node.problem("is an IPv6 address, and the accelerator is of type IPV4");
        } else if dual && address.is_ipv6() != (i >= 2) {
            let wanted = if i < 2 { "IPv4" } else { "IPv6" };
            node.problem(format!("must be an {wanted} address: two of IPv4, then two of IPv6, zone-a before zone-b"));
        } else if let Some(other) = resources.owner_of(address) {
            node.problem(format!("clash: {address} belongs to the endpoint {other}"));
        } else {
            match owners.insert(address, name.to_owned()) {
                Some(other) if other == name => node.problem(format!("duplicate: {address} is given twice")),
                Some(other) => node.problem(format!("clash: {address} belongs to accelerator {other}")),
                None => read.push((address, node)),
            }
        }
    }
    (read.len() == count).then_some(read)
}

/// What the listener speaks. A protocol that is known but refused is taken for what it is, so that nothing else is
/// found wrong because of it.
fn protocol(t: &Table<'_>) -> TransportProtocol {
    t.or("protocol", TransportProtocol::Tcp, "TCP", |n| {
        let known = n.choice(PROTOCOLS.0, PROTOCOLS.1);
        known.or_else(|| (n.value.as_str() == Some("UDP")).then_some(TransportProtocol::Udp))
    })
}

/// One to ten ranges; no port twice in the listeners of one protocol (`spec/global-accelerator.md` section 3).
fn read_ranges(t: &Table<'_>, listener: usize, protocol: TransportProtocol, ranges: &mut Vec<OwnedRange>) {
    for node in t.need("port_ranges").and_then(|n| n.list_of(1..=10, "ranges")).unwrap_or_default() {
        let Some(t) = node.table() else { continue };
        let from_port = t.need("from_port").and_then(|n| n.int(1..=65_535));
        let to_port = t.need("to_port").and_then(|n| n.int(1..=65_535));
        t.finish();
        let (Some(from_port), Some(to_port)) = (from_port, to_port) else { continue };
        let range = PortRange { from_port, to_port };
        if from_port > to_port {
            node.problem(format!("from_port, {from_port}, is above to_port, {to_port}"));
        } else if let Some(taken) = ranges.iter().find(|r| r.protocol == protocol && r.range.overlaps(range)) {
            let whose = match taken.listener {
                own if own == listener => "this listener".to_owned(),
                other => format!("listeners[{other}]"),
            };
            let PortRange { from_port: from, to_port: to } = taken.range;
            node.problem(format!("clash: {from_port}-{to_port} overlaps {from}-{to} of {whose}"));
        } else {
            ranges.push(OwnedRange { listener, protocol, range });
        }
    }
}
