//! A made-up database of places in the layout of GeoIP2 City, which every server here reads.
//!
//! Format: <https://maxmind.github.io/MaxMind-DB/>, records of 32 bits. The shipped database has a flat layout that
//! other servers do not know.

use std::collections::BTreeMap;

/// Continent, country, latitude, longitude.
const PLACES: [(&str, &str, f64, f64); 8] = [
    ("NA", "US", 39.0, -77.5),
    ("EU", "DE", 50.1, 8.7),
    ("AS", "JP", 35.7, 139.7),
    ("SA", "BR", -23.5, -46.6),
    ("OC", "AU", -33.9, 151.2),
    ("AF", "ZA", -26.2, 28.0),
    ("AS", "KR", 37.6, 127.0),
    ("EU", "GB", 51.5, -0.1),
];
/// Cities around each place.
const CITIES: u32 = 500;

enum Slot {
    Empty,
    Node(usize),
    Data(usize),
}

fn text(s: &str) -> Vec<u8> {
    let head = if s.len() < 29 { vec![0x40 | s.len() as u8] } else { vec![0x5d, (s.len() - 29) as u8] };
    [head, s.as_bytes().to_vec()].concat()
}

fn unsigned(kind: u8, n: u64) -> Vec<u8> {
    let octets: Vec<u8> = n.to_be_bytes().into_iter().skip_while(|b| *b == 0).collect();
    let head = if kind < 8 { vec![kind << 5 | octets.len() as u8] } else { vec![octets.len() as u8, kind - 7] };
    [head, octets].concat()
}

fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let body: Vec<u8> = entries.iter().flat_map(|(k, v)| [text(k), v.clone()].concat()).collect();
    [vec![0xe0 | entries.len() as u8], body].concat()
}

fn record(number: u32) -> Vec<u8> {
    let double = |d: f64| [vec![0x68], d.to_be_bytes().to_vec()].concat();
    let (continent, country, latitude, longitude) = PLACES[number as usize % PLACES.len()];
    let city = number / PLACES.len() as u32 % CITIES;
    let name = map(&[("en", text(&format!("{country} {city}")))]);
    map(&[
        ("continent", map(&[("code", text(continent))])),
        ("country", map(&[("iso_code", text(country))])),
        ("city", map(&[("geoname_id", unsigned(6, u64::from(city) + 1)), ("names", name)])),
        (
            "location",
            map(&[
                ("latitude", double(latitude + f64::from(city % 100) / 10.0 - 5.0)),
                ("longitude", double(longitude + f64::from(city % 77) / 10.0 - 4.0)),
            ]),
        ),
    ])
}

/// A database with a /15 everywhere and `networks` scattered /24 among them.
pub fn database(networks: u32) -> Vec<u8> {
    let mut nodes: Vec<[Slot; 2]> = vec![[Slot::Empty, Slot::Empty]];
    let mut data = Vec::new();
    let mut known: BTreeMap<u32, usize> = BTreeMap::new();
    let kinds = PLACES.len() as u32 * CITIES;
    let mut add = |address: u32, len: u32, number: u32| {
        let number = number % kinds;
        let offset = *known.entry(number).or_insert_with(|| {
            data.extend(record(number));
            data.len() - record(number).len()
        });
        let mut node = 0;
        for depth in 0..len {
            let bit = (address >> (31 - depth) & 1) as usize;
            if depth + 1 == len {
                nodes[node][bit] = Slot::Data(offset);
                break;
            }
            let below = match nodes[node][bit] {
                Slot::Node(below) => below,
                Slot::Empty => {
                    nodes.push([Slot::Empty, Slot::Empty]);
                    nodes.len() - 1
                }
                // What was there is there still, on both sides.
                Slot::Data(offset) => {
                    nodes.push([Slot::Data(offset), Slot::Data(offset)]);
                    nodes.len() - 1
                }
            };
            nodes[node][bit] = Slot::Node(below);
            node = below;
        }
    };
    let outside = |first: u32| [0, 10, 127].contains(&first) || first > 223;
    for block in 0..1 << 15 {
        if !outside(block >> 7) {
            add(block << 17, 15, block.wrapping_mul(2_654_435_761) >> 7);
        }
    }
    for number in 0..networks {
        let address = number.wrapping_mul(0x9e37_79b9).rotate_left(11).wrapping_mul(0x85eb_ca6b) & 0xffff_ff00;
        if !outside(address >> 24) {
            add(address, 24, number);
        }
    }
    let count = nodes.len();
    let mut file = Vec::new();
    for node in &nodes {
        for slot in node {
            let value = match slot {
                Slot::Empty => count,
                Slot::Node(node) => *node,
                Slot::Data(offset) => count + 16 + offset,
            };
            file.extend((value as u32).to_be_bytes());
        }
    }
    file.extend([0; 16]);
    file.extend(&data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    let languages = [vec![0x01, 0x04], text("en")].concat();
    file.extend(map(&[
        ("binary_format_major_version", unsigned(5, 2)),
        ("binary_format_minor_version", unsigned(5, 0)),
        ("build_epoch", unsigned(9, 1_700_000_000)),
        ("database_type", text("GeoLite2-City")),
        ("description", map(&[("en", text("made up"))])),
        ("ip_version", unsigned(5, 4)),
        ("languages", languages),
        ("node_count", unsigned(6, count as u64)),
        ("record_size", unsigned(5, 32)),
    ]));
    file
}
