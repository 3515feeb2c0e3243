//! Writes small MaxMind databases (<https://maxmind.github.io/MaxMind-DB/>), so that layouts and damage can be tested
//! that no shipped database has.

use std::net::IpAddr;

use ipnet::IpNet;

/// A value of the data section.
#[derive(Clone, Debug)]
pub enum Value {
    Text(&'static str),
    Double(f64),
    Short(u16),
    Int(u32),
    Long(u64),
    Bool(bool),
    Map(Vec<(&'static str, Self)>),
    List(Vec<Self>),
}

use Value::{Bool, Double, Int, List, Long, Map, Short, Text};

/// A map of one language.
pub fn names(name: &'static str) -> Value {
    Map(vec![("names", Map(vec![("de", Text("anders")), ("en", Text(name))]))])
}

/// A record as GeoIP2 City and DB-IP write it.
pub fn nested(city: &'static str, country: &'static str, latitude: f64, longitude: f64) -> Value {
    Map(vec![
        ("city", names(city)),
        ("country", Map(vec![("iso_code", Text(country)), ("is_in_european_union", Bool(false))])),
        ("location", Map(vec![("latitude", Double(latitude)), ("longitude", Double(longitude))])),
        ("subdivisions", List(vec![names("a state"), names("a county")])),
        ("traits", Map(vec![("is_anycast", Bool(true))])),
    ])
}

/// A database of type `kind` with the given networks; later ones lie over earlier ones.
pub fn write(kind: &'static str, ip_version: u16, networks: &[(&str, Value)]) -> Vec<u8> {
    let mut nodes: Vec<[Slot; 2]> = vec![[Slot::Empty; 2]];
    let mut data = Vec::new();
    for (network, value) in networks {
        let offset = data.len() as u32;
        encode(value, &mut data);
        insert(&mut nodes, &path(network.parse().unwrap(), ip_version), offset);
    }
    let count = nodes.len() as u32;
    let mut out = Vec::new();
    for slot in nodes.iter().flatten() {
        let record = match slot {
            Slot::Empty => count,
            Slot::Node(node) => *node,
            Slot::Data(offset) => count + 16 + offset,
        };
        out.extend(record.to_be_bytes());
    }
    out.extend([0; 16]);
    out.extend(data);
    out.extend(b"\xab\xcd\xefMaxMind.com");
    encode(&metadata(kind, ip_version, count), &mut out);
    out
}

/// A database whose tree never ends: each of its nodes has the next one on both sides, the last one no data.
pub fn write_shared_nodes(depth: u32) -> Vec<u8> {
    let mut out = Vec::new();
    for node in 1..=depth {
        out.extend([node.to_be_bytes(); 2].concat());
    }
    out.extend([0; 16]);
    encode(&nested("Seoul", "KR", 37.5, 127.0), &mut out);
    out.extend(b"\xab\xcd\xefMaxMind.com");
    encode(&metadata("Test-City", 6, depth), &mut out);
    out
}

fn metadata(kind: &'static str, ip_version: u16, node_count: u32) -> Value {
    Map(vec![
        ("binary_format_major_version", Short(2)),
        ("binary_format_minor_version", Short(0)),
        ("build_epoch", Long(1_700_000_000)),
        ("database_type", Text(kind)),
        ("description", Map(vec![("en", Text("made by a test"))])),
        ("ip_version", Short(ip_version)),
        ("languages", List(vec![Text("en")])),
        ("node_count", Int(node_count)),
        ("record_size", Short(32)),
    ])
}

#[derive(Clone, Copy)]
enum Slot {
    Empty,
    Node(u32),
    Data(u32),
}

fn path(network: IpNet, ip_version: u16) -> Vec<bool> {
    let bits = |value: u128, width: u32, len: u32| (0..len).map(move |i| value >> (width - 1 - i) & 1 == 1);
    let len = u32::from(network.prefix_len());
    match network.network() {
        IpAddr::V4(v4) if ip_version == 4 => bits(v4.to_bits().into(), 32, len).collect(),
        // IPv4 sits in ::/96 of an IPv6 tree.
        IpAddr::V4(v4) => bits(v4.to_bits().into(), 128, 96 + len).collect(),
        IpAddr::V6(v6) => bits(v6.to_bits(), 128, len).collect(),
    }
}

fn insert(nodes: &mut Vec<[Slot; 2]>, path: &[bool], data: u32) {
    let Some((last, above)) = path.split_last() else { return };
    let mut at = 0;
    for bit in above {
        let slot = nodes[at][usize::from(*bit)];
        at = match slot {
            Slot::Node(node) => node as usize,
            // What was a leaf holds on both sides below.
            Slot::Empty | Slot::Data(_) => {
                nodes.push([slot; 2]);
                let new = nodes.len() - 1;
                nodes[at][usize::from(*bit)] = Slot::Node(new as u32);
                new
            }
        };
    }
    nodes[at][usize::from(*last)] = Slot::Data(data);
}

fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Text(text) => {
            control(2, text.len(), out);
            out.extend(text.as_bytes());
        }
        Double(number) => {
            control(3, 8, out);
            out.extend(number.to_be_bytes());
        }
        Short(number) => {
            control(5, 2, out);
            out.extend(number.to_be_bytes());
        }
        Long(number) => {
            control(9, 8, out);
            out.extend(number.to_be_bytes());
        }
        Int(number) => {
            control(6, 4, out);
            out.extend(number.to_be_bytes());
        }
        Bool(is) => control(14, usize::from(*is), out),
        Map(entries) => {
            control(7, entries.len(), out);
            for (key, value) in entries {
                encode(&Text(key), out);
                encode(value, out);
            }
        }
        List(values) => {
            control(11, values.len(), out);
            values.iter().for_each(|v| encode(v, out));
        }
    }
}

fn control(kind: u8, size: usize, out: &mut Vec<u8>) {
    let (short, rest) = if size < 29 { (size as u8, None) } else { (29, Some((size - 29) as u8)) };
    if kind < 8 {
        out.push(kind << 5 | short);
    } else {
        out.extend([short, kind - 7]);
    }
    out.extend(rest);
}
