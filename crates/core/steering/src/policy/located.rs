//! Nodes whose choice depends on where the client is: classes of clients, and a list of branches for each.

mod geolocation;
mod geoproximity;
mod ip_based;
mod latency;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use perigee_geo::{Atlas, Partition, embedded_ipv4};
use perigee_model::dns::GeoLocation;

use super::DnsClient;
use super::draw::cut;
pub(super) use geoproximity::biased_km;

/// The class of clients of whom the resolver's address decides.
const RESOLVER: u32 = Partition::CLASSES_MAX - 1;

/// What a node's partition and lists depend on; nodes of equal keys share them.
///
/// Branches are meant by their positions in the key, which is sorted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LocatedKey {
    /// The branches' regions, ascending.
    Latency(Vec<usize>),
    /// The branches' areas, and the types that they have: who matches no branch with a type needs others.
    Geolocation(Vec<(GeoLocation, u64)>),
    /// Bits of the latitude and longitude, and the bias.
    Geoproximity { legacy_bias: bool, branches: Vec<([u64; 2], i8)> },
    /// The branches' networks; none for the one without.
    IpBased(Vec<Option<Vec<IpNet>>>),
}

/// A branch in a list: its position, and for IP-based the length of the network that brings it here.
pub(super) type Listed = (u8, u8);

/// The lists of a class of clients, the best branch first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Preference<'a> {
    /// Branches for this client.
    pub(super) matched: &'a [Listed],
    /// Branches for others, taken when no matched one has the type (`spec/dns.md`, E15c).
    pub(super) rest: &'a [Listed],
    /// How long a network may be to match: the client subnet's length, in the family that was looked up.
    pub(super) source_len: u8,
}

/// Classes of clients with their lists; immutable. Health does not enter (`spec/dns.md` section 4.3, point 4).
#[derive(Debug)]
pub(super) struct Located {
    partition: Partition,
    listed: Vec<Listed>,
    /// By class: where the matched ones begin in `listed`, how many, and the same of the rest.
    classes: Vec<[u32; 4]>,
    /// The class when nobody knows where the resolver is either.
    unknown: u32,
}

impl Located {
    pub(super) fn build(key: &LocatedKey, atlas: &Atlas) -> Self {
        match key {
            LocatedKey::Latency(regions) => latency::build(regions, atlas),
            LocatedKey::Geolocation(areas) => geolocation::build(areas, atlas),
            LocatedKey::Geoproximity { legacy_bias, branches } => geoproximity::build(*legacy_bias, branches, atlas),
            LocatedKey::IpBased(branches) => ip_based::build(branches),
        }
    }

    /// What the client prefers.
    pub(super) fn preference(&self, client: &DnsClient) -> Preference<'_> {
        let whole = (client.resolver, if client.resolver.is_ipv4() { 32 } else { 128 });
        let (address, len) = client.network.unwrap_or(whole);
        let mut class = self.partition.get(cut(address, len)).0;
        let mut source_len = looked_up_len(address, len);
        if class == RESOLVER {
            class = self.partition.get(client.resolver).0;
            source_len = looked_up_len(whole.0, whole.1);
        }
        if class == RESOLVER {
            class = self.unknown;
        }
        let [matched, matched_len, rest, rest_len] = self.classes[class as usize].map(|n| n as usize);
        Preference {
            matched: &self.listed[matched..matched + matched_len],
            rest: &self.listed[rest..rest + rest_len],
            source_len,
        }
    }

    /// Bytes of partition and lists.
    pub(super) fn size(&self) -> usize {
        self.partition.size() + self.listed.len() * size_of::<Listed>() + self.classes.len() * size_of::<[u32; 4]>()
    }

    /// The address whose place or network decides for the client.
    pub(super) fn decisive(&self, client: &DnsClient) -> IpAddr {
        let subnet = client.network.map(|(address, len)| cut(address, len));
        subnet.filter(|address| self.partition.get(*address).0 != RESOLVER).unwrap_or(client.resolver)
    }

    /// The ECS scope for the client subnet; 0 without one.
    pub(super) fn scope(&self, client: &DnsClient) -> u8 {
        client.network.map_or(0, |(address, len)| self.partition.get(cut(address, len)).1)
    }
}

/// The prefix length in the address space that is searched: transition addresses are looked up as IPv4.
fn looked_up_len(address: IpAddr, len: u8) -> u8 {
    match address {
        IpAddr::V4(_) => len,
        IpAddr::V6(v6) => embedded_ipv4(v6).map_or(len, |(_, offset)| len.saturating_sub(offset)),
    }
}

/// Collects lists, each distinct pair one class.
#[derive(Default)]
struct Classes {
    listed: Vec<Listed>,
    lists: BTreeMap<Vec<Listed>, (u32, u32)>,
    classes: Vec<[u32; 4]>,
    known: BTreeMap<[u32; 4], u32>,
}

impl Classes {
    fn class(&mut self, matched: Vec<Listed>, rest: Vec<Listed>) -> u32 {
        let (matched, rest) = (self.list(matched), self.list(rest));
        let class = [matched.0, matched.1, rest.0, rest.1];
        *self.known.entry(class).or_insert_with(|| {
            self.classes.push(class);
            (self.classes.len() - 1) as u32
        })
    }

    /// A class whose list is an order of all branches.
    fn order(&mut self, positions: impl Iterator<Item = usize>) -> u32 {
        self.class(positions.map(listed).collect(), Vec::new())
    }

    fn list(&mut self, list: Vec<Listed>) -> (u32, u32) {
        let listed = &mut self.listed;
        *self.lists.entry(list).or_insert_with_key(|list| {
            let start = listed.len() as u32;
            listed.extend(list);
            (start, list.len() as u32)
        })
    }

    /// How many classes there are.
    fn len(&self) -> usize {
        self.classes.len()
    }

    fn finish(self, partition: Partition, unknown: u32) -> Located {
        Located { partition, listed: self.listed, classes: self.classes, unknown }
    }
}

fn listed(position: usize) -> Listed {
    (position as u8, 0)
}

/// A class for each place by `class_of`, and the resolver deciding for the unknown place: what latency and
/// geoproximity have in common. When all places agree with the unknown one, whether a place is known does not matter.
fn by_place(
    atlas: &Atlas,
    mut classes: Classes,
    class_of: impl Fn(&mut Classes, perigee_geo::PlaceIndex) -> u32,
) -> Located {
    let of_places: Vec<u32> = atlas.places().map(|place| class_of(&mut classes, place)).collect();
    let unknown = of_places[of_places.len() - 1];
    let of_unknown = if classes.len() == 1 { unknown } else { RESOLVER };
    let places: BTreeMap<_, _> = atlas.places().zip(of_places).collect();
    let class_at = |place| if place == atlas.unknown() { of_unknown } else { places[&place] };
    let partition = atlas.partition(class_at, None);
    classes.finish(partition, unknown)
}
