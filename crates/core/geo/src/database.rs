use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use maxminddb::{LookupResult, Reader};

use crate::fold::Folder;
use crate::range_map::RangeMap;
use crate::record::Record;
use crate::{GeoError, Place, embedded_ipv4, transition};

/// The value of addresses that the database has no record for.
pub(crate) const NO_PLACE: u32 = u32::MAX;

/// Bits below the /48 that IPv6 entries are bounded at: no site is smaller.
const IPV6_BLOCK_BITS: u32 = 80;

/// A MaxMind database, decoded once into places and two sorted tables of address ranges; none of its bytes are kept.
///
/// IPv4 is exact. IPv6 is bounded at /48: a block with deeper entries takes the place of most of its addresses
/// (`spec/dns.md` §4.3, point 5). Records of equal content are one place.
#[derive(Debug)]
pub struct Database {
    pub(crate) places: Vec<Place>,
    pub(crate) ipv4: RangeMap<u32>,
    /// By the upper 64 bits: no boundary lies below a /48.
    pub(crate) ipv6: RangeMap<u64>,
    kind: String,
    description: String,
    build_epoch_s: u64,
}

impl Database {
    /// Decodes a database: GeoIP2 or GeoLite2 City or Country, DB-IP, or one with flat fields (`city`,
    /// `country_code` or `country`, `latitude`/`lat`, `longitude`/`lng`/`lon` as numbers or text).
    ///
    /// A record without coordinates stays a place without location; the atlas then takes its country's stand-in.
    /// Work and memory are bounded by the size of `bytes`, whatever they hold.
    ///
    /// Errors: no or damaged MaxMind database, a tree that repeats itself, a database without any place. No panics.
    pub fn load(bytes: &[u8]) -> Result<Self, GeoError> {
        let reader = Reader::from_source(bytes)?;
        let metadata = reader.metadata();
        let mut walk = Walk {
            places: Places::default(),
            networks: 0,
            // A tree has one leaf more than nodes; the blocks that are jumped over may cut a few in two.
            limit: u64::from(metadata.node_count) * 2 + 1_024,
        };
        let ipv4 = walk.ipv4(&reader)?;
        let ipv6 = walk.ipv6(&reader)?;
        let places = walk.places.list;
        if places.iter().all(|p| p.country.is_empty() && p.location.is_none()) {
            return Err(GeoError::NoPlaces { kind: printable(&metadata.database_type) });
        }
        Ok(Self {
            places,
            ipv4,
            ipv6,
            kind: printable(&metadata.database_type),
            description: metadata.description.get("en").map(|d| printable(d)).unwrap_or_default(),
            build_epoch_s: metadata.build_epoch,
        })
    }

    /// The type that the database states, such as `GeoLite2-City`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Its English description, where a licence's attribution stands; may be empty.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// When it was built, seconds since 1970.
    pub fn build_epoch_s(&self) -> u64 {
        self.build_epoch_s
    }

    /// How many places it tells apart.
    pub fn place_count(&self) -> usize {
        self.places.len()
    }

    /// How many ranges of addresses its tables hold, IPv4 and IPv6.
    pub fn range_counts(&self) -> (usize, usize) {
        (self.ipv4.len(), self.ipv6.len())
    }

    /// Position of the place of an address that is no transition address, or [`NO_PLACE`].
    pub(crate) fn place_of(&self, address: IpAddr) -> u32 {
        match address {
            IpAddr::V4(v4) => self.ipv4.get(v4.to_bits()),
            IpAddr::V6(v6) => self.ipv6.get((v6.to_bits() >> 64) as u64),
        }
    }
}

/// Steps from network to network by looking up the address behind the last one.
///
/// The reader's own iteration would visit the aliases of the IPv4 tree, and on a crafted file whose nodes are shared
/// it would not end; this one takes at most `limit` steps.
struct Walk {
    places: Places,
    networks: u64,
    limit: u64,
}

impl Walk {
    fn ipv4(&mut self, reader: &Reader<&[u8]>) -> Result<RangeMap<u32>, GeoError> {
        let mut map = RangeMap::new();
        let mut next = Some(0_u32);
        while let Some(start) = next {
            let found = reader.lookup(IpAddr::V4(Ipv4Addr::from_bits(start)))?;
            // A database without an IPv4 tree answers with an IPv6 network that covers all of IPv4.
            let network = found.network()?;
            let prefix_len = if network.is_ipv4() { network.prefix() } else { 0 };
            map.push(start, self.step(&found)?);
            next = (start | u32::MAX.checked_shr(prefix_len.into()).unwrap_or(0)).checked_add(1);
        }
        Ok(map.finish())
    }

    fn ipv6(&mut self, reader: &Reader<&[u8]>) -> Result<RangeMap<u64>, GeoError> {
        let mut map = RangeMap::new();
        if reader.metadata().ip_version == 4 {
            map.push(0, NO_PLACE);
            return Ok(map);
        }
        let mut folder = Folder::new(IPV6_BLOCK_BITS);
        let mut emit = |start: u128, value| map.push((start >> 64) as u64, value);
        // The IPv4 tree sits in ::/96, which is no place of IPv6.
        let mut next = Some(1_u128 << 32);
        folder.push(0, u32::MAX.into(), NO_PLACE, &mut emit);
        while let Some(start) = next {
            let address = Ipv6Addr::from_bits(start);
            let (last, place) = match transition::blocks().find(|_| embedded_ipv4(address).is_some()) {
                Some(_) => {
                    // Transition addresses are looked up as the IPv4 addresses that they carry.
                    let last = transition::blocks().find(|(first, last)| (*first..=*last).contains(&start));
                    (last.map_or(start, |(_, last)| last), NO_PLACE)
                }
                None => {
                    let found = reader.lookup(IpAddr::V6(address))?;
                    let last = start | u128::MAX.checked_shr(found.network()?.prefix().into()).unwrap_or(0);
                    // A wide network must not run over a transition block behind its start.
                    let block = transition::blocks().map(|(first, _)| first).find(|first| *first > start);
                    (block.map_or(last, |first| last.min(first - 1)), self.step(&found)?)
                }
            };
            folder.push(start, last, place, &mut emit);
            next = last.checked_add(1);
        }
        Ok(map.finish())
    }

    fn step(&mut self, found: &LookupResult<'_, &[u8]>) -> Result<u32, GeoError> {
        self.networks += 1;
        if self.networks > self.limit {
            return Err(GeoError::TooManyNetworks { limit: self.limit });
        }
        self.places.index_of(found)
    }
}

/// The places seen so far; each record is decoded once and equal ones share a place.
#[derive(Default)]
struct Places {
    list: Vec<Place>,
    /// By the record's offset. Never iterated, and the hasher has no seed: the result depends on the bytes alone.
    by_offset: HashMap<usize, u32, BuildHasherDefault<DefaultHasher>>,
    by_content: BTreeMap<(Arc<str>, Arc<str>, Option<[u64; 2]>), u32>,
    countries: BTreeMap<String, Arc<str>>,
}

impl Places {
    fn index_of(&mut self, found: &LookupResult<'_, &[u8]>) -> Result<u32, GeoError> {
        let Some(offset) = found.offset() else { return Ok(NO_PLACE) };
        if let Some(index) = self.by_offset.get(&offset) {
            return Ok(*index);
        }
        let record: Record = found.decode()?.unwrap_or_default();
        let country = record.country();
        let country = Arc::clone(self.countries.entry(country).or_insert_with_key(|c| c.as_str().into()));
        let place = Place { city: record.city().into(), country, location: record.location() };
        let index = if place == Place::unknown() {
            NO_PLACE
        } else {
            let bits = place.location.map(|l| [l.latitude.to_bits(), l.longitude.to_bits()]);
            let key = (Arc::clone(&place.city), Arc::clone(&place.country), bits);
            *self.by_content.entry(key).or_insert_with(|| {
                self.list.push(place);
                (self.list.len() - 1) as u32
            })
        };
        self.by_offset.insert(offset, index);
        Ok(index)
    }
}

/// The text without control characters, at most 200 characters of it: it is shown on terminals.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
