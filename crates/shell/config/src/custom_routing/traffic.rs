use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use perigee_custom_routing::{DestinationPorts, UsableAddresses};
use perigee_model::{TrafficRule, TrafficScope, TrafficState};

use crate::reader::{Node, Table};

/// Addresses and ports that one entry names, at most each (`AllowCustomRoutingTraffic`).
const MAX_NAMED: usize = 100;

/// Entries of `allow` and of `deny`, at most each. Perigee's choice: with a hundred addresses each they name every
/// destination of a subnet as often as anyone could want.
const MAX_ENTRIES: usize = 500;

/// The destinations that one endpoint has.
pub(super) struct Destinations<'a> {
    pub(super) cidr: Ipv4Net,
    pub(super) addresses: UsableAddresses,
    pub(super) ports: &'a DestinationPorts,
}

/// Reads where traffic of an endpoint may go: `traffic` speaks of the whole subnet, then `allow` and then `deny` of
/// some of it, each entry over those before it. `destinations` is none when the subnet is not known: what the entries
/// name is then not judged.
pub(super) fn read(t: &Table<'_>, destinations: Option<&Destinations<'_>>) -> Vec<TrafficRule> {
    let states = [("ALLOW", TrafficState::Allow), ("DENY", TrafficState::Deny)];
    let whole = t.or("traffic", TrafficState::Deny, "DENY", |n| n.choice(&states, &[]));
    // Without a word everything is denied.
    let mut rules = Vec::new();
    if whole == TrafficState::Allow {
        rules.push(TrafficRule { state: whole, scope: TrafficScope::Subnet });
    }
    for (key, state) in [("allow", TrafficState::Allow), ("deny", TrafficState::Deny)] {
        let list = t.get(key).and_then(|n| n.list_of(0..=MAX_ENTRIES, "entries")).unwrap_or_default();
        rules.extend(list.iter().filter_map(|node| Some(TrafficRule { state, scope: scope(node, destinations)? })));
    }
    rules
}

fn scope(node: &Node<'_>, destinations: Option<&Destinations<'_>>) -> Option<TrafficScope> {
    let t = node.table()?;
    let addresses = t.need("addresses").and_then(|n| n.list_of(1..=MAX_NAMED, "addresses"));
    let ports = t.get("ports").map(|n| n.list_of(0..=MAX_NAMED, "ports"));
    t.finish();
    let addresses = addresses?;
    let count = addresses.len();
    let addresses: Vec<Ipv4Addr> = addresses.iter().filter_map(|n| address(n, destinations)).collect();
    let ports = ports.unwrap_or_else(|| Some(Vec::new()))?;
    let port_count = ports.len();
    let ports: Vec<u16> = ports.iter().filter_map(|n| port(n, destinations)).collect();
    (addresses.len() == count && ports.len() == port_count).then_some(TrafficScope::Destinations { addresses, ports })
}

fn address(node: &Node<'_>, destinations: Option<&Destinations<'_>>) -> Option<Ipv4Addr> {
    let address: Ipv4Addr = node.parse(|text| text.parse().map_err(|_| "must be an IPv4 address".to_owned()))?;
    let Some(Destinations { cidr, addresses, .. }) = destinations else { return Some(address) };
    if addresses.index_of(address).is_none() {
        let message = if cidr.contains(&address) {
            format!("{address} is reserved: the first four addresses of a subnet and its last are nobody's")
        } else {
            format!("{address} is not in {cidr}")
        };
        node.problem(message);
        return None;
    }
    Some(address)
}

fn port(node: &Node<'_>, destinations: Option<&Destinations<'_>>) -> Option<u16> {
    let port: u16 = node.int(1..=65_535)?;
    if destinations.is_some_and(|d| d.ports.index_of(port).is_none()) {
        node.problem(format!("{port} is no destination port of the group"));
        return None;
    }
    Some(port)
}
