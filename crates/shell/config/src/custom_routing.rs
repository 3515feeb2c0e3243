mod groups;
mod traffic;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use perigee_model::{AcceleratorName, CustomRoutingAccelerator, CustomRoutingListener, PortRange};

use crate::accelerators::Identities;
use crate::names::{Names, check_custom_routing_name, check_host_address};
use crate::reader::{Node, Table};
use crate::sockets::{Sockets, Transport};
use crate::subnets::Subnets;

/// Ports that the listeners of one custom routing accelerator have together, at most. Perigee's choice: the original
/// takes all of 65535, but here each port is a socket on each of the two addresses.
const MAX_PORTS: usize = 8_192;

/// Listeners of an accelerator, at most (`spec/global-accelerator.md` section 15).
const MAX_LISTENERS: usize = 10;

/// Reads the custom routing accelerators, in name order (`spec/global-accelerator.md` section 11).
pub(crate) fn read(
    root: &Table<'_>,
    names: &Names<'_>,
    subnets: &Subnets<'_>,
    identities: &mut Identities,
    sockets: &mut Sockets,
) -> Vec<CustomRoutingAccelerator> {
    let mut made = Vec::new();
    for (name, node) in root.entries("custom_routing_accelerators") {
        if let Err(message) = check_custom_routing_name(name) {
            node.problem(message);
        }
        if !identities.names.insert(name.to_ascii_lowercase()) {
            node.problem("duplicate: DNS does not tell this name from another accelerator's");
        }
        made.extend(accelerator(name, &node, names, subnets, &mut identities.owners, sockets));
    }
    made
}

fn accelerator(
    name: &str,
    node: &Node<'_>,
    names: &Names<'_>,
    subnets: &Subnets<'_>,
    owners: &mut BTreeMap<IpAddr, String>,
    sockets: &mut Sockets,
) -> Option<CustomRoutingAccelerator> {
    let t = node.table()?;
    let enabled = t.bool_or("enabled", true);
    t.or("ip_address_type", (), "IPV4", |n| {
        let refused = |_: &str| Err("a custom routing accelerator is of type \"IPV4\", there is no other".to_owned());
        n.parse(|text| if text == "IPV4" { Ok(()) } else { refused(text) })
    });
    t.unbuilt(&["tags", "flow_logs_enabled", "flow_logs_s3_bucket", "flow_logs_s3_prefix"]);
    let addresses = addresses(&t, name, owners);

    let before = t.cx.count();
    let mut ranges: Vec<(usize, PortRange)> = Vec::new();
    let mut drafts = Vec::new();
    let list = t.get("listeners").and_then(|n| n.list_of(0..=MAX_LISTENERS, "listeners"));
    for (i, node) in list.into_iter().flatten().enumerate() {
        let Some(t) = node.table() else { continue };
        read_ranges(&t, i, &mut ranges);
        drafts.push((i, t));
    }
    let total: u32 = ranges.iter().map(|(_, range)| ports_of(*range)).sum();
    if let Some(listeners) = t.get("listeners")
        && total as usize > MAX_PORTS
    {
        listeners.problem(format!("have {total} ports, a custom routing accelerator has at most {MAX_PORTS}"));
    }
    let is_judged = t.cx.count() == before;
    let mut listeners = Vec::new();
    for (i, t) in drafts {
        let port_ranges: Vec<PortRange> = ranges.iter().filter(|(l, _)| *l == i).map(|(_, r)| *r).collect();
        let ports = is_judged.then(|| port_ranges.iter().map(|r| ports_of(*r)).sum());
        let endpoint_groups = groups::read(&t, names, subnets, ports);
        t.finish();
        listeners.push(CustomRoutingListener { port_ranges, endpoint_groups });
    }
    t.finish();
    let addresses = addresses?;
    if is_judged {
        for (address, place) in &addresses {
            for (transport, (_, range)) in
                [Transport::Tcp, Transport::Udp].iter().flat_map(|t| ranges.iter().map(move |r| (*t, r)))
            {
                let ports = range.from_port..=range.to_port;
                let owner = format!("custom routing accelerator {name}, its listener");
                sockets.claim(place, transport, IpAddr::V4(*address), ports, owner);
            }
        }
    }
    let addresses = addresses.map(|(address, _)| address);
    Some(CustomRoutingAccelerator { name: AcceleratorName::new(name), addresses, enabled, listeners })
}

/// The two static addresses, of IPv4 and no other accelerator's.
fn addresses<'a>(
    t: &Table<'a>,
    name: &str,
    owners: &mut BTreeMap<IpAddr, String>,
) -> Option<[(Ipv4Addr, Node<'a>); 2]> {
    let list = t.need("addresses")?.list_of(2..=2, "addresses")?;
    let mut own = Vec::new();
    let mut read = list.into_iter().filter_map(|node| {
        let IpAddr::V4(address) = node.parse(check_host_address)? else {
            node.problem("must be an IPv4 address: a custom routing accelerator has no others");
            return None;
        };
        let is_again = own.contains(&address);
        own.push(address);
        match owners.insert(address.into(), name.to_owned()) {
            Some(_) if is_again => node.problem(format!("duplicate: {address} is given twice")),
            Some(other) => node.problem(format!("clash: {address} belongs to accelerator {other}")),
            None => return Some((address, node)),
        }
        None
    });
    let (first, second) = (read.next(), read.next());
    Some([first?, second?])
}

/// One to ten ranges of at least 16 ports; no port twice in the accelerator.
fn read_ranges(t: &Table<'_>, listener: usize, ranges: &mut Vec<(usize, PortRange)>) {
    let min = CustomRoutingListener::RANGE_MIN;
    for node in t.need("port_ranges").and_then(|n| n.list_of(1..=10, "ranges")).unwrap_or_default() {
        let Some(t) = node.table() else { continue };
        let range = port_range(&node, &t);
        t.finish();
        let Some(range) = range else { continue };
        let PortRange { from_port, to_port } = range;
        if ports_of(range) < min.into() {
            let count = ports_of(range);
            node.problem(format!(
                "{from_port}-{to_port} has {count} ports, a range of custom routing has at least {min}"
            ));
        } else if let Some((other, taken)) = ranges.iter().find(|(_, r)| r.overlaps(range)) {
            let whose = if *other == listener { "this listener".to_owned() } else { format!("listeners[{other}]") };
            let PortRange { from_port: from, to_port: to } = taken;
            node.problem(format!("clash: {from_port}-{to_port} overlaps {from}-{to} of {whose}"));
        } else {
            ranges.push((listener, range));
        }
    }
}

/// The ports of a range that `node` holds, in order.
fn port_range(node: &Node<'_>, t: &Table<'_>) -> Option<PortRange> {
    let from_port = t.need("from_port").and_then(|n| n.int(1..=65_535));
    let to_port = t.need("to_port").and_then(|n| n.int(1..=65_535));
    let (from_port, to_port): (u16, u16) = (from_port?, to_port?);
    if from_port > to_port {
        node.problem(format!("from_port, {from_port}, is above to_port, {to_port}"));
        return None;
    }
    Some(PortRange { from_port, to_port })
}

/// How many ports a range has.
fn ports_of(range: PortRange) -> u32 {
    u32::from(range.to_port - range.from_port) + 1
}
