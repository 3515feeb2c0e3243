//! Everything about a client's place and the way from there, made once and read without allocation.

mod areas;
mod blocks;
mod build;
mod orders;
mod scope;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use perigee_model::{Location, RegionIndex};
use serde::Serialize;

use crate::areas::Continents;
use crate::database::NO_PLACE;
use crate::distance::{Direction, access_ms, great_circle_km};
use crate::overlay::OverlayMaps;
use crate::{Database, Place, Pop, embedded_ipv4};
pub use blocks::AddressBlock;
use orders::Orders;
use scope::{Scopes, UNKNOWN};
pub(crate) use scope::{uniform_prefix, with_transition};

/// Position of a place in its atlas; means nothing in another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PlaceIndex(pub(crate) u32);

/// Position in [`Atlas::pops`]; edges are in order of their codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PopIndex(pub usize);

/// A region as seen from somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Leg {
    /// The region.
    pub region: RegionIndex,
    /// Estimated round trip, milliseconds in steps of 0.1; infinite when the place is unknown.
    pub rtt_ms: f32,
    /// Whether the long part of the way is a measurement; otherwise all of it comes from the great circle.
    pub measured: bool,
}

/// Where an address is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Located<'a> {
    /// The place; [`Place::unknown`] when nobody knows.
    pub place: &'a Place,
    /// Its position.
    pub place_index: PlaceIndex,
    /// Who says so.
    pub origin: Origin,
}

/// Who knows the place of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A prefix of the overlay.
    Overlay,
    /// The database.
    Database,
    /// Nobody.
    Unknown,
}

/// Places, orders of regions, edges and scopes for one set of regions.
///
/// Built by [`Atlas::build`], immutable, shared between threads. Every answer but [`Atlas::pops_by_distance`] and
/// [`Atlas::nearest_pop`] is a binary search and a few array reads.
#[derive(Debug)]
pub struct Atlas {
    database: Arc<Database>,
    /// Places that are not the database's: the overlay's, the operator's own, and the unknown one at the end.
    own_places: Vec<Place>,
    overlay: OverlayMaps,
    /// The overlay's prefixes, named places before the operator's own.
    prefixes: Vec<(IpNet, PlaceIndex)>,
    here: PlaceIndex,
    /// Where clients of a country are taken to be when a place has no location.
    stand_ins: BTreeMap<Arc<str>, Location>,
    continents: Continents,
    pops: Vec<Pop>,
    pop_directions: Vec<Direction>,
    orders: Orders,
    scopes: Scopes,
}

impl Atlas {
    /// Where `address` is: by the longest prefix of the overlay, else by the database, else unknown.
    ///
    /// An IPv6 transition address is looked up as the IPv4 address that it carries (`spec/dns.md`, E19).
    pub fn locate(&self, address: IpAddr) -> Located<'_> {
        let address = folded(address);
        let overlay = self.overlay.get(address);
        let (index, origin) = if overlay != NO_PLACE {
            (PlaceIndex(overlay), Origin::Overlay)
        } else {
            match self.database.place_of(address) {
                NO_PLACE => (self.unknown(), Origin::Unknown),
                place => (PlaceIndex(place), Origin::Database),
            }
        };
        Located { place: self.place(index), place_index: index, origin }
    }

    /// The place at `index`. Panics on an index that another, larger atlas gave.
    pub fn place(&self, index: PlaceIndex) -> &Place {
        let position = index.0 as usize;
        let of_database = &self.database.places;
        of_database.get(position).unwrap_or_else(|| &self.own_places[position - of_database.len()])
    }

    /// The operator's own place.
    pub fn here(&self) -> PlaceIndex {
        self.here
    }

    /// The place of addresses that nothing is known about.
    pub fn unknown(&self) -> PlaceIndex {
        PlaceIndex((self.database.places.len() + self.own_places.len() - 1) as u32)
    }

    /// The place of the overlay whose city is `name`, whatever the case; none if there is none.
    pub fn find_place(&self, name: &str) -> Option<PlaceIndex> {
        let city_of = |index: &PlaceIndex| &self.place(*index).city;
        self.prefixes.iter().map(|(_, index)| *index).find(|index| city_of(index).eq_ignore_ascii_case(name))
    }

    /// The overlay's prefixes and their places: those of the file in its order, the operator's own at the end.
    pub fn prefixes(&self) -> impl Iterator<Item = (IpNet, PlaceIndex)> {
        self.prefixes.iter().copied()
    }

    /// A prefix of the overlay whose addresses are at the place: what a simulated client there takes its address
    /// from. None for a place of the database.
    pub fn prefix_of(&self, place: PlaceIndex) -> Option<IpNet> {
        self.prefixes.iter().find(|(_, index)| *index == place).map(|(prefix, _)| *prefix)
    }

    /// The regions in order of the estimated round trip from the place, ties by code; all of them, each once.
    ///
    /// Estimate (Perigee's choice; AWS states proximity only, `spec/global-accelerator.md` §5): of the regions in the
    /// table the nearest by great circle is the anchor; the round trip is the table's from anchor to region plus
    /// [`access_ms`] from the place to the anchor, in whole milliseconds, the same for all. A region that the table
    /// does not know is taken at [`great_circle_ms`](crate::great_circle_ms) from the place itself. From the unknown
    /// place the order is that of the codes (`spec/dns.md` §2.3).
    pub fn order(&self, place: PlaceIndex) -> &[Leg] {
        self.orders.of_place(place.0)
    }

    /// The regions in order of the estimated round trip from the edge: as [`Atlas::order`] from its place.
    pub fn pop_order(&self, pop: PopIndex) -> &[Leg] {
        self.orders.of_pop(pop.0)
    }

    /// The order that holds for the network of `address`: the one that [`Atlas::scope`] speaks about, so that a DNS
    /// answer made from it may be cached for that scope. `address` is the client subnet padded with zeros.
    ///
    /// It differs from the order of the address's own place only where the database tells places apart below the
    /// bound of a /24; the round trips are the place's own where the order agrees, else those of another place with
    /// this order.
    pub fn order_of_network(&self, address: IpAddr) -> &[Leg] {
        let (sequence, _) = self.scopes.get(address);
        if sequence == UNKNOWN {
            return self.order(self.unknown());
        }
        self.orders.of_sequence(sequence, self.locate(address).place_index.0)
    }

    /// Whether the order of the network of `address` is that of a place. If not, the resolver's address should decide
    /// instead (`spec/dns.md` §2.3), in all of [`Atlas::scope`].
    ///
    /// Agrees with [`Atlas::locate`] but for two cases: below the bound of a /24 most addresses decide; and when all
    /// places of the world have one order, all networks have it too.
    pub fn knows_network(&self, address: IpAddr) -> bool {
        self.scopes.get(address).0 != UNKNOWN
    }

    /// The ECS scope of an answer made from the order of regions at `address`, cut to `source_prefix_len` bits (more
    /// than the family has are the whole address).
    ///
    /// The shortest prefix around the address in which every network has the same order (not the same place) and is as
    /// known or unknown as this one; 0 when all are. It may exceed the source's length (`spec/dns.md`, E6) and never covers a network with another order
    /// (E7). At most /24 and /48 unless a prefix of the overlay is longer (§4.3, point 5); for a transition address,
    /// the bits before the carried IPv4 address more (E19). Transition addresses are folded whatever the source's
    /// length, so that scopes of short and long sources never contradict each other.
    pub fn scope(&self, address: IpAddr, source_prefix_len: u8) -> u8 {
        self.scopes.get(cut(address, source_prefix_len)).1
    }

    /// The edges in order of their codes.
    pub fn pops(&self) -> &[Pop] {
        &self.pops
    }

    /// The edge with this IATA code, in capitals.
    pub fn find_pop(&self, code: &str) -> Option<PopIndex> {
        self.pops.binary_search_by(|p| p.code.as_str().cmp(code)).ok().map(PopIndex)
    }

    /// The edge nearest to the place by great circle, ties by code: where anycast takes its clients.
    ///
    /// From the unknown place it is the edge of the operator's own place (Perigee's choice: an address that no
    /// database knows is most likely one of the operator's networks).
    pub fn pop(&self, place: PlaceIndex) -> PopIndex {
        self.orders.pop_of_place(place.0)
    }

    /// Fills `pops` with all edges, the nearest to the place first: who takes over when [`Atlas::pop`] is down.
    ///
    /// Computed on demand, about a hundred distances; allocates only if `pops` has no room yet.
    pub fn pops_by_distance(&self, place: PlaceIndex, pops: &mut Vec<PopIndex>) {
        pops.clear();
        pops.extend((0..self.pops.len()).map(PopIndex));
        let Some(from) = self.location_of(place).or_else(|| self.location_of(self.here)).map(Direction::of) else {
            return;
        };
        let chord = |pop: &PopIndex| from.chord_squared(self.pop_directions[pop.0]);
        pops.sort_unstable_by(|a, b| chord(a).total_cmp(&chord(b)).then(a.cmp(b)));
    }

    /// The first of [`Atlas::pops_by_distance`] that is `usable`, none if none is. Computed on demand, without the list.
    pub fn nearest_pop(&self, place: PlaceIndex, usable: impl Fn(PopIndex) -> bool) -> Option<PopIndex> {
        match self.location_of(place).or_else(|| self.location_of(self.here)).map(Direction::of) {
            Some(from) => from.nearest(&self.pop_directions, |pop| usable(PopIndex(pop))).map(PopIndex),
            None => (0..self.pops.len()).map(PopIndex).find(|pop| usable(*pop)),
        }
    }

    /// Estimated round trip between a client at the place and an edge, milliseconds: [`access_ms`] of the great
    /// circle, without the client's own last mile. Infinite when the place's location is unknown.
    pub fn client_to_pop_ms(&self, place: PlaceIndex, pop: PopIndex) -> f32 {
        let km = |location| great_circle_km(location, self.pops[pop.0].location);
        self.location_of(place).map_or(f32::INFINITY, |location| access_ms(km(location)) as f32)
    }

    /// The place's location, or its country's stand-in where the database names none (a country database): what
    /// orders, edges and round trips are made from. None for the unknown place and for countries without region and
    /// edge. Panics on an index that another, larger atlas gave.
    pub fn location_of(&self, place: PlaceIndex) -> Option<Location> {
        let place = self.place(place);
        place.location.or_else(|| self.stand_ins.get(&place.country).copied())
    }
}

/// The IPv4 address that a transition address carries, any other address itself.
fn folded(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => embedded_ipv4(v6).map_or(address, |(v4, _)| IpAddr::V4(v4)),
        IpAddr::V4(_) => address,
    }
}

/// The address with the bits behind `prefix_len` cleared.
fn cut(address: IpAddr, prefix_len: u8) -> IpAddr {
    let width = if address.is_ipv4() { 32 } else { 128 };
    IpNet::new(address, prefix_len.min(width)).map_or(address, |net| net.network())
}
