//! The order of regions, worked out a second time from the files of `geo/` and what the documentation says of them,
//! and compared with the answers to a hundred thousand client subnets.
//!
//! Nothing here calls `perigee-geo`. The rules, each where it is written down:
//!
//! - The nearest region of the table by great circle is the client's anchor; the order is that of the anchor's row of
//!   round trips, equal ones by code (`Atlas::order`; the way to the anchor is the same for all).
//! - Networks below a /24, or a /48 of IPv6, are taken together, and the order of most addresses holds for all of
//!   them, the lower of equals (`spec/dns.md` section 4.3, point 5).
//! - A prefix of the overlay comes before the database (`geo/README.md`).
//! - A network that nobody knows gets the answer of the resolver's place (section 2.3).
//! - IPv4 inside IPv6 counts as the IPv4 it carries (section 4.2, E19).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use maxminddb::{Reader, WithinOptions};
use perigee_tests::ask::{A, Asker, Question, Reply};
use perigee_tests::figures::Figures;
use perigee_tests::stack::{FURTHER_NETWORK, SEOUL, Setup, Stack, TOKYO};
use serde::Deserialize;

const PREFIXES: usize = 100_000;
const SEED: u64 = 7;
/// The resolver asks from London.
const RESOLVER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 44, 200, 10));

/// What decides for a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// The database has no record.
    Nobody,
    /// It has one, but neither coordinates nor a country with a region or an edge.
    Nowhere,
    /// Position of the order in [`Geography::orders`].
    Order(usize),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Record {
    country: Country,
    location: Coordinates,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Country {
    iso_code: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Coordinates {
    latitude: Option<f64>,
    longitude: Option<f64>,
}

/// The files of `geo/`, read by this test.
struct Geography {
    city: Reader<Vec<u8>>,
    /// Code, latitude and longitude.
    regions: Vec<(String, f64, f64)>,
    /// Every distinct row of the table as the codes in their order.
    orders: Vec<Vec<String>>,
    /// By region: its order.
    order_of: Vec<usize>,
    /// Where clients of a country without coordinates are taken to be.
    countries: BTreeMap<String, (f64, f64)>,
    overlay: Vec<(IpNet, (f64, f64))>,
    /// Records by their offset.
    known: BTreeMap<usize, Class>,
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../geo").join(name)
}

fn rows(name: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(file(name)).unwrap();
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

/// Haversine of the angle between two points in degrees: grows with the great circle.
fn haversine(a: (f64, f64), b: (f64, f64)) -> f64 {
    let half = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
    half(b.0 - a.0) + a.0.to_radians().cos() * b.0.to_radians().cos() * half(b.1 - a.1)
}

impl Geography {
    fn read() -> Self {
        let number = |text: &String| text.parse::<f64>().unwrap();
        let table = rows("regions.csv").split_off(1);
        let regions: Vec<_> = table.iter().map(|r| (r[0].clone(), number(&r[4]), number(&r[5]))).collect();
        let round_trips = rows("region-rtt-p50-ms.csv");
        let (mut orders, mut order_of) = (Vec::new(), Vec::new());
        for (code, ..) in &regions {
            let row = round_trips.iter().find(|row| row[0] == *code).unwrap();
            let mut legs: Vec<(u64, &String)> =
                row[1..].iter().map(|ms| (number(ms) * 10.0).round() as u64).zip(&round_trips[0][1..]).collect();
            legs.sort();
            let order: Vec<String> = legs.into_iter().map(|(_, code)| code.clone()).collect();
            let position = orders.iter().position(|known| *known == order);
            order_of.push(position.unwrap_or(orders.len()));
            if position.is_none() {
                orders.push(order);
            }
        }
        // The region of most zones, the lowest code of equals; else the first edge by code.
        let mut countries = BTreeMap::new();
        let mut by_zones: Vec<_> = table.iter().collect();
        by_zones.sort_by_key(|r| (std::cmp::Reverse(r[6].parse::<u8>().unwrap()), r[0].clone()));
        let mut edges = rows("edge-locations.csv").split_off(1);
        edges.sort();
        for row in by_zones {
            countries.entry(row[2].clone()).or_insert((number(&row[4]), number(&row[5])));
        }
        for row in edges {
            countries.entry(row[3].clone()).or_insert((number(&row[4]), number(&row[5])));
        }
        let mut overlay = Vec::new();
        for row in rows("overlay.csv").split_off(1) {
            // The operator's own place, `here`, is Seoul unless the configuration says otherwise.
            let place = if row[1] == "here" { (37.57, 126.98) } else { (number(&row[3]), number(&row[4])) };
            overlay.push((row[0].parse().unwrap(), place));
        }
        overlay.sort_by_key(|(net, _): &(IpNet, _)| std::cmp::Reverse(net.prefix_len()));
        let city = Reader::open_readfile(file("city.mmdb")).unwrap();
        Self { city, regions, orders, order_of, countries, overlay, known: BTreeMap::new() }
    }

    fn order_from(&self, place: (f64, f64)) -> Class {
        let far = |(_, latitude, longitude): &(String, f64, f64)| haversine(place, (*latitude, *longitude));
        let nearest = (0..self.regions.len()).min_by(|a, b| far(&self.regions[*a]).total_cmp(&far(&self.regions[*b])));
        Class::Order(self.order_of[nearest.unwrap()])
    }

    /// What the database says of one address, and the length of the network that it says it of.
    fn record(&mut self, address: IpAddr) -> (Class, u8) {
        let found = self.city.lookup(address).unwrap();
        let len = found.network().unwrap().prefix();
        let Some(offset) = found.offset() else { return (Class::Nobody, len) };
        if let Some(class) = self.known.get(&offset) {
            return (*class, len);
        }
        let record: Record = found.decode().unwrap().unwrap_or_default();
        let own = record.location.latitude.zip(record.location.longitude);
        let place = own.or_else(|| self.countries.get(&record.country.iso_code).copied());
        let class = match place {
            Some(place) => self.order_from(place),
            None if record.country.iso_code.is_empty() => Class::Nobody,
            None => Class::Nowhere,
        };
        self.known.insert(offset, class);
        (class, len)
    }

    /// The order that holds for the /24 or /48 of `address`; whether it is not that of the address itself.
    fn class(&mut self, address: IpAddr) -> (Class, bool) {
        let address = carried(address).map_or(address, IpAddr::V4);
        if let Some((_, place)) = self.overlay.iter().find(|(net, _)| net.contains(&address)) {
            return (self.order_from(*place), false);
        }
        let (own, _) = self.record(address);
        let (bits, width, block) = match address {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32, 24),
            IpAddr::V6(v6) => (v6.to_bits(), 128, 48),
        };
        let size = 1_u128 << (width - block);
        let first = bits & !(size - 1);
        let mut votes: Vec<(Class, u128)> = Vec::new();
        let mut at = first;
        while at - first < size {
            let (class, len) = self.record(address_of(at, width));
            // The network's last address, or the block's.
            let rest = 1_u128.checked_shl(u32::from(width - len)).unwrap_or(0).wrapping_sub(1);
            let next = ((at | rest).min(first + (size - 1))) + 1;
            match votes.iter_mut().find(|(known, _)| *known == class) {
                Some((_, count)) => *count += next - at,
                None => votes.push((class, next - at)),
            }
            at = next;
        }
        let most = votes.iter().map(|(_, count)| *count).max().unwrap();
        let winner = votes.iter().find(|(_, count)| *count == most).unwrap().0;
        (winner, winner != own)
    }
}

fn address_of(bits: u128, width: u8) -> IpAddr {
    if width == 32 { Ipv4Addr::from_bits(bits as u32).into() } else { Ipv6Addr::from_bits(bits).into() }
}

/// The IPv4 address inside a 6to4 (RFC 3056) or an IPv4-mapped address (RFC 4291): those that [`clients`] makes.
fn carried(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else { return None };
    let [a, b, c, ..] = v6.segments();
    let low = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    if a == 0x2002 { Some(low(b, c)) } else { v6.to_ipv4_mapped() }
}

/// Pseudo-random numbers (SplitMix64).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let a = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        b ^ (b >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn bits(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }
}

/// Networks of the database within `part`, all of them, in order.
fn networks(city: &Reader<Vec<u8>>, part: &str) -> Vec<(u128, u8)> {
    let found = city.within(part.parse().unwrap(), WithinOptions::default()).unwrap();
    let networks = found.map(|found| found.unwrap().network().unwrap());
    networks
        .map(|net| match net.ip() {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), net.prefix()),
            IpAddr::V6(v6) => (v6.to_bits(), net.prefix()),
        })
        .collect()
}

/// The client subnets: over all of IPv4, around the borders of its networks, within those of IPv6, and IPv4 in IPv6.
fn clients(city: &Reader<Vec<u8>>) -> Vec<(IpAddr, u8)> {
    let (v4, v6) = (networks(city, "0.0.0.0/0"), networks(city, "2000::/3"));
    let mut draws = Draws(SEED);
    (0..PREFIXES)
        .map(|n| {
            let any = draws.below(8);
            let len = |usual: u8, least: u64, most: u64, draws: &mut Draws| match any {
                0..=5 => usual,
                _ => (least + draws.below(most - least + 1)) as u8,
            };
            let (bits, width, len) = match n % 20 {
                0..=11 => (u128::from(draws.next() as u32), 32, len(24, 8, 32, &mut draws)),
                12..=15 => {
                    let (first, _) = v4[draws.below(v4.len() as u64) as usize];
                    let near = (first as u32).wrapping_sub(512).wrapping_add(draws.below(1_024) as u32);
                    (u128::from(near), 32, len(24, 16, 32, &mut draws))
                }
                16..=18 => {
                    let (first, len_of) = v6[draws.below(v6.len() as u64) as usize];
                    let inside = draws.bits().checked_shr(u32::from(len_of)).unwrap_or(0);
                    (first | inside, 128, len(56, 24, 128, &mut draws))
                }
                _ if any < 4 => (0x2002_u128 << 112 | u128::from(draws.next() as u32) << 80, 128, 48),
                _ => (0xffff_u128 << 32 | u128::from(draws.next() as u32), 128, 120),
            };
            let cut = bits & !(u128::MAX.checked_shr(128 - u32::from(width - len)).unwrap_or(0));
            (address_of(cut, width), len)
        })
        .collect()
}

#[test]
fn a_second_reading_of_the_tables_gives_every_client_the_same_region() {
    let mut geography = Geography::read();
    let codes: Vec<String> = geography.regions.iter().map(|(code, ..)| code.clone()).collect();
    let further: Vec<String> = codes.iter().filter(|c| *c != SEOUL && *c != TOKYO).cloned().collect();
    let stack = Stack::with(&Setup { further_regions: further.clone(), ..Setup::default() });
    let mut region_of: BTreeMap<IpAddr, String> = BTreeMap::new();
    let networks = [(SEOUL.to_owned(), 82), (TOKYO.to_owned(), 81)].into_iter();
    for (code, network) in networks.chain(further.into_iter().zip(FURTHER_NETWORK..)) {
        region_of.extend([1, 3].map(|zone| (stack.slot().node(network, zone).ip(), code.clone())));
    }

    let clients = clients(&geography.city);
    let question = |subnet: &(IpAddr, u8)| Question {
        name: "app.perigee.test".to_owned(),
        qtype: A,
        recursion: false,
        subnet: Some(*subnet),
    };
    let questions: Vec<Question> = clients.iter().map(question).collect();
    let began = std::time::Instant::now();
    let replies = Asker::new(RESOLVER, stack.slot().dns()).ask_all(&questions);
    let asking = began.elapsed();

    let (at_resolver, _) = geography.class(RESOLVER);
    let mut wrong: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut served: BTreeMap<String, u64> = BTreeMap::new();
    let mut scopes: BTreeMap<(u8, u128), (u8, Class)> = BTreeMap::new();
    for ((address, len), reply) in clients.iter().zip(&replies) {
        let (class, folded) = geography.class(*address);
        let decides = if matches!(class, Class::Order(_)) { class } else { at_resolver };
        let Class::Order(order) = decides else { panic!("London is known") };
        let expected = &geography.orders[order][0];
        let cause = match (class, folded, address) {
            (_, true, _) => "below the bound, most addresses decide",
            (Class::Nobody | Class::Nowhere, ..) => "unknown, the resolver's place decides",
            (_, _, IpAddr::V4(_)) => "IPv4",
            (_, _, IpAddr::V6(_)) if carried(*address).is_some() => "IPv4 within IPv6",
            _ => "IPv6",
        };
        *counts.entry(cause).or_default() += 1;
        let region = region(&region_of, reply);
        *served.entry(region.clone()).or_default() += 1;
        if region != *expected || reply.code != 0 {
            wrong.entry(cause).or_default().push(format!("{address}/{len}: {region}, not {expected} ({reply:?})"));
        }
        let Some(scope) = reply.scope else {
            wrong.entry("no scope").or_default().push(format!("{address}/{len}"));
            continue;
        };
        // Every scope that was told, as family and network, with what holds there.
        let (family, bits, width) = match address {
            IpAddr::V4(v4) => (4, u128::from(v4.to_bits()), 32),
            IpAddr::V6(v6) => (6, v6.to_bits(), 128),
        };
        let network = bits & !(u128::MAX.checked_shr(u32::from(128 - width + scope)).unwrap_or(0));
        let told = scopes.entry((family, network)).or_insert((scope, class));
        if *told != (scope, class) {
            let cause = "a scope covers two orders, or lies in another";
            wrong.entry(cause).or_default().push(format!("{address}/{len} of {class:?}: /{scope}, and {told:?}"));
        }
    }
    for (((family, network), (scope, _)), ((next_family, next), _)) in scopes.iter().zip(scopes.iter().skip(1)) {
        let width = if *family == 4 { 32 } else { 128 };
        let last = network | u128::MAX.checked_shr(128 - width + u32::from(*scope)).unwrap_or(0);
        if family == next_family && *next <= last {
            let text = format!("IPv{family} {network:x}/{scope} holds {next:x}");
            wrong.entry("a scope lies in another").or_default().push(text);
        }
    }

    let mut figures = Figures::of("a_second_reading_of_the_tables_gives_every_client_the_same_region");
    figures.note("client subnets", replies.len() as u64, "").note("asking", asking.as_millis() as u64, "ms");
    figures.note("regions answered with", served.len() as u64, "").note("distinct scopes", scopes.len() as u64, "");
    for (cause, count) in &counts {
        figures.note(cause, *count, "");
    }
    for (cause, cases) in &wrong {
        figures.note(&format!("WRONG: {cause}"), cases.len() as u64, "");
    }
    drop(figures);
    let few: Vec<_> = wrong.iter().flat_map(|(cause, all)| all.iter().take(5).map(move |one| (cause, one))).collect();
    assert!(few.is_empty(), "{few:#?}");
    assert_eq!(replies.len(), PREFIXES);
    // A draw that never met a case would have judged nothing about it.
    assert!(counts.len() >= 4 && served.len() > 20, "{counts:?} {served:?}");
}

/// The region that all addresses of the reply belong to, or what is wrong with them.
fn region(region_of: &BTreeMap<IpAddr, String>, reply: &Reply) -> String {
    let mut regions: Vec<_> = reply.addresses.iter().map(|a| region_of.get(a).map_or("nobody's", |r| r)).collect();
    regions.dedup();
    if let [only] = regions[..] { only.to_owned() } else { format!("{regions:?}") }
}
