use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Subnets};
use maxminddb::{LookupResult, Reader, WithinOptions};

use crate::fold::Folder;
use crate::overlay::bits;
use crate::range_map::RangeMap;
use crate::record::Record;
use crate::{GeoError, Place, transition};

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
    /// By place: the code of the state, in the USA.
    pub(crate) subdivisions: Vec<Option<&'static str>>,
    /// Continents of the countries that have records with both.
    pub(crate) continents: BTreeMap<String, &'static str>,
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
            // A tree has one leaf more than nodes; the parts that are walked one by one may see a few twice.
            limit: u64::from(metadata.node_count) * 2 + 1_024,
        };
        let ipv4 = walk.ipv4(&reader)?;
        let ipv6 = walk.ipv6(&reader)?;
        let Places { list: places, subdivisions, continents, .. } = walk.places;
        if places.iter().all(|p| p.country.is_empty() && p.location.is_none()) {
            return Err(GeoError::NoPlaces { kind: printable(&metadata.database_type) });
        }
        Ok(Self {
            places,
            subdivisions,
            continents,
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

/// Walks the search tree in address order, at most `limit` leaves of it.
///
/// The IPv4 tree is walked once, not through its aliases in IPv6; a crafted file whose nodes are shared, and whose
/// leaves would not end, is refused at the bound.
struct Walk {
    places: Places,
    networks: u64,
    limit: u64,
}

impl Walk {
    fn ipv4(&mut self, reader: &Reader<&[u8]>) -> Result<RangeMap<u32>, GeoError> {
        let mut map = RangeMap::new();
        self.leaves(reader, IpNet::V4(Ipv4Net::default()), |first, _, place| map.push(first as u32, place))?;
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
        // The IPv4 tree sits in ::/96, which is no place of IPv6, and transition addresses are looked up as the IPv4
        // addresses that they carry. Only what lies between is walked.
        let skipped = [(0, u32::MAX.into())].into_iter().chain(transition::blocks()).chain([(u128::MAX, u128::MAX)]);
        let mut next = 0;
        for (first, last) in skipped {
            if next < first {
                let [from, to] = [next, first - 1].map(Ipv6Addr::from_bits);
                for part in Ipv6Subnets::new(from, to, 0) {
                    self.leaves(reader, IpNet::V6(part), |first, last, place| {
                        folder.push(first, last, place, &mut emit);
                    })?;
                }
            }
            folder.push(first, last, NO_PLACE, &mut emit);
            next = last.wrapping_add(1);
        }
        Ok(map.finish())
    }

    /// Hands out first and last address and place of every leaf within `net`, without gaps, cut to `net`.
    fn leaves(
        &mut self,
        reader: &Reader<&[u8]>,
        net: IpNet,
        mut take: impl FnMut(u128, u128, u32),
    ) -> Result<(), GeoError> {
        let (net_first, net_last) = (bits(net.network()), bits(net.broadcast()));
        let width: u32 = if net.network().is_ipv4() { 32 } else { 128 };
        // With both options no leaf is passed over in silence, so every step counts against the limit.
        let options = WithinOptions::default().include_networks_without_data().include_aliased_networks();
        let cidr = net.to_string().parse().map_err(maxminddb::MaxMindDbError::InvalidNetwork)?;
        for found in reader.within(cidr, options)? {
            let found = found?;
            let place = self.step(&found)?;
            let network = found.network()?;
            // A leaf may be wider than what was asked for, and of IPv6 when a database has no IPv4 tree.
            let same_family = network.is_ipv4() == net.network().is_ipv4();
            let first = if same_family { bits(network.ip()) } else { 0 };
            let host_bits = if same_family { width - u32::from(network.prefix()) } else { width };
            let last = first | 1_u128.checked_shl(host_bits).map_or(u128::MAX, |size| size - 1);
            take(first.max(net_first), last.min(net_last), place);
        }
        Ok(())
    }

    fn step(&mut self, found: &LookupResult<'_, &[u8]>) -> Result<u32, GeoError> {
        self.networks += 1;
        if self.networks > self.limit {
            return Err(GeoError::TooManyNetworks { limit: self.limit });
        }
        self.places.index_of(found)
    }
}

/// City, country, the bits of the coordinates and the state: a place as something to order by.
type Content = (Arc<str>, Arc<str>, Option<[u64; 2]>, Option<&'static str>);

/// The places seen so far; each record is decoded once and equal ones share a place.
#[derive(Default)]
struct Places {
    list: Vec<Place>,
    subdivisions: Vec<Option<&'static str>>,
    /// The first continent that a country's records name.
    continents: BTreeMap<String, &'static str>,
    /// By the record's offset. Never iterated, and the hasher has no seed: the result depends on the bytes alone.
    by_offset: HashMap<usize, u32, BuildHasherDefault<DefaultHasher>>,
    by_content: BTreeMap<Content, u32>,
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
        if let Some(continent) = record.continent().filter(|_| !country.is_empty()) {
            self.continents.entry(country.clone()).or_insert(continent);
        }
        let subdivision = record.subdivision();
        let country = Arc::clone(self.countries.entry(country).or_insert_with_key(|c| c.as_str().into()));
        let place = Place { city: record.city().into(), country, location: record.location() };
        let index = if place == Place::unknown() {
            NO_PLACE
        } else {
            let bits = place.location.map(|l| [l.latitude.to_bits(), l.longitude.to_bits()]);
            let key = (Arc::clone(&place.city), Arc::clone(&place.country), bits, subdivision);
            *self.by_content.entry(key).or_insert_with(|| {
                self.list.push(place);
                self.subdivisions.push(subdivision);
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
