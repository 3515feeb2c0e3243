use std::collections::BTreeSet;

use perigee_custom_routing::{DestinationPorts, UsableAddresses, ports_needed};
use perigee_model::{
    CustomRoutingEndpoint, CustomRoutingEndpointGroup, DestinationConfiguration, Protocols, TransportProtocol,
};

use super::port_range;
use super::traffic::{self, Destinations};
use crate::endpoint_groups::region;
use crate::key_path::quoted;
use crate::names::{Names, RegionNames, listed};
use crate::reader::{Node, Table};
use crate::subnets::Subnets;

/// The protocols of a destination that the edge carries, and those that it does not carry yet.
const PROTOCOLS: (&[(&str, TransportProtocol)], &[&str]) = (&[("TCP", TransportProtocol::Tcp)], &["UDP"]);

/// Subnets of a group, at most (`spec/global-accelerator.md` section 15).
const MAX_ENDPOINTS: usize = 10;

/// Reads the endpoint groups of a listener that has so many ports, one group per region. `ports` is none when the
/// listener's ranges are wrong: whether the subnets fit is then not judged.
pub(super) fn read(
    listener: &Table<'_>,
    names: &Names<'_>,
    subnets: &Subnets<'_>,
    ports: Option<u32>,
) -> Vec<CustomRoutingEndpointGroup> {
    let mut room = ports.map(u64::from);
    let mut regions = BTreeSet::new();
    let mut groups = Vec::new();
    for node in listener.list("endpoint_groups") {
        let Some(t) = node.table() else { continue };
        let region = region(&t, names, &mut regions);
        let before = t.cx.count();
        let destination_configurations = destination_configurations(&t);
        if t.cx.count() != before {
            room = None;
        }
        let own = region.as_ref().and_then(|(code, names)| Some((*code, (*names)?)));
        let mut reader = Endpoints { subnets, configurations: &destination_configurations, room: &mut room };
        let endpoints = reader.read(&t, own);
        t.finish();
        if let Some((_, Some(region))) = region {
            groups.push(CustomRoutingEndpointGroup { region: region.index, destination_configurations, endpoints });
        }
    }
    groups
}

/// One to a hundred configurations; no port twice for one protocol.
fn destination_configurations(t: &Table<'_>) -> Vec<DestinationConfiguration> {
    let list = t.need("destination_configurations").and_then(|n| n.list_of(1..=100, "configurations"));
    let mut made: Vec<DestinationConfiguration> = Vec::new();
    for node in list.unwrap_or_default() {
        let Some(t) = node.table() else { continue };
        let port_range = port_range(&node, &t);
        let protocols = protocols(&t);
        t.finish();
        let (Some(port_range), Some(protocols)) = (port_range, protocols) else { continue };
        let shares = |c: &&DestinationConfiguration| {
            let (a, b) = (c.protocols, protocols);
            c.port_range.overlaps(port_range) && (a.tcp && b.tcp || a.udp && b.udp)
        };
        if let Some(other) = made.iter().find(shares) {
            let (own, other) = (port_range, other.port_range);
            node.problem(format!(
                "clash: {}-{} overlaps {}-{} of the group, of the same protocol",
                own.from_port, own.to_port, other.from_port, other.to_port
            ));
        }
        made.push(DestinationConfiguration { port_range, protocols });
    }
    made
}

/// One or two protocols, each once.
fn protocols(t: &Table<'_>) -> Option<Protocols> {
    let mut protocols = Protocols::default();
    let list = t.need("protocols")?.list_of(1..=2, "protocols")?;
    let count = list.len();
    let known: Vec<TransportProtocol> = list
        .iter()
        .filter_map(|node| {
            let protocol = node.choice(PROTOCOLS.0, PROTOCOLS.1)?;
            let has = match protocol {
                TransportProtocol::Tcp => &mut protocols.tcp,
                TransportProtocol::Udp => &mut protocols.udp,
            };
            if std::mem::replace(has, true) {
                node.problem(format!("duplicate: {protocol} is given twice"));
                return None;
            }
            Some(protocol)
        })
        .collect();
    (known.len() == count).then_some(protocols)
}

/// What the endpoints of one group are judged by.
struct Endpoints<'a> {
    subnets: &'a Subnets<'a>,
    configurations: &'a [DestinationConfiguration],
    /// Ports of the listener that lead nowhere yet; none when that is not known.
    room: &'a mut Option<u64>,
}

impl Endpoints<'_> {
    /// Zero to ten subnets. `region` is none when its own key is wrong.
    fn read(&mut self, t: &Table<'_>, region: Option<(&str, &RegionNames<'_>)>) -> Vec<CustomRoutingEndpoint> {
        let list = t.get("endpoints").and_then(|n| n.list_of(0..=MAX_ENDPOINTS, "endpoints")).unwrap_or_default();
        let ports = DestinationPorts::of(self.configurations);
        let mut seen = BTreeSet::new();
        let mut made = Vec::new();
        for node in list {
            let Some(t) = node.table() else { continue };
            let id = t.need("endpoint_id");
            t.unbuilt(&["attachment_arn"]);
            let found = id.as_ref().and_then(|id| self.subnet(id, region?, &mut seen));
            let destinations =
                found.map(|(_, cidr)| Destinations { cidr, addresses: UsableAddresses::of(cidr), ports: &ports });
            let traffic = traffic::read(&t, destinations.as_ref());
            t.finish();
            if let Some((subnet, _)) = found {
                made.push(CustomRoutingEndpoint { subnet, traffic });
            }
        }
        made
    }

    /// The subnet that `id` names, once in a group, if the listener has ports enough for it.
    fn subnet<'a>(
        &mut self,
        id: &Node<'a>,
        (code, names): (&str, &RegionNames<'_>),
        seen: &mut BTreeSet<&'a str>,
    ) -> Option<(perigee_model::SubnetIndex, ipnet::Ipv4Net)> {
        let name = id.str()?;
        if !names.subnets.contains(name) {
            if names.known {
                let known = listed(names.subnets.iter().copied());
                id.problem(format!("{code} has no subnet {}; it has {known}", quoted(name)));
            }
            return None;
        }
        if !seen.insert(name) {
            id.problem(format!("duplicate: {name} is in the group already"));
            return None;
        }
        let found = self.subnets.find(names.index, name);
        if let (Some((_, cidr)), Some(room)) = (found, self.room.as_mut()) {
            let needed = ports_needed(cidr, self.configurations);
            match room.checked_sub(needed) {
                Some(left) => *room = left,
                None => id.problem(format!(
                    "LimitExceeded: {cidr} needs {needed} ports, its usable addresses times the destination ports, and \
                     the listener has {room} left"
                )),
            }
        } else {
            *self.room = None;
        }
        found
    }
}
