//! A world of two regions, and queries built by hand where no client library would send them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use hickory_proto::op::Message;
use hickory_proto::rr::{RData, Record};
use perigee_dataplane::{Edge, EdgeView};
use perigee_dns::{Metrics, Responder, Transport};
use perigee_geo::{Atlas, Database, Overlay, Tables, shipped};
use perigee_health::{Forced, GroupReport, NodeReport};
use perigee_model::{Instant, LoadBalancerName, Location, RegionCode, Snapshot, fixtures};
use prometheus_client::registry::Registry;

pub const TOKYO: &str = "ap-northeast-1";
pub const SEOUL: &str = "ap-northeast-2";
/// Nodes of the load balancers in Tokyo and Seoul, as the fixtures have them.
pub const TOKYO_NODES: [&str; 2] = ["127.0.0.1", "127.0.0.2"];
pub const SEOUL_NODES: [&str; 2] = ["127.0.1.1", "127.0.1.2"];

pub const A: u16 = 1;
pub const NS: u16 = 2;
pub const SOA: u16 = 6;
pub const TXT: u16 = 16;
pub const AAAA: u16 = 28;
pub const ANY: u16 = 255;

/// The front tier and the view it publishes.
pub struct World {
    pub edge: Edge,
    pub view: Arc<ArcSwap<EdgeView>>,
}

impl World {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Snapshot)) -> Self {
        Self::make(&database(), change)
    }

    pub fn with_database(database: &[u8]) -> Self {
        Self::make(database, |_| {})
    }

    fn make(database: &[u8], change: impl FnOnce(&mut Snapshot)) -> Self {
        let mut snapshot = fixtures::snapshot(&[TOKYO, SEOUL]);
        snapshot.regions[0].location = Location { latitude: 35.68, longitude: 139.65 };
        snapshot.regions[1].location = Location { latitude: 37.57, longitude: 126.98 };
        change(&mut snapshot);
        let regions: Vec<(RegionCode, Location)> =
            snapshot.regions.iter().map(|r| (r.code.clone(), r.location)).collect();
        let database = Arc::new(Database::load(database).unwrap());
        let tables = Tables::parse(shipped::REGIONS, shipped::REGION_RTT, shipped::EDGES).unwrap();
        let overlay = Overlay::parse(shipped::OVERLAY).unwrap();
        let atlas = Atlas::build(&database, &tables, &overlay, &regions, "Seoul").unwrap();
        let edge = Edge::new(Arc::new(snapshot), Arc::new(atlas), None, Instant::START);
        let view = Arc::new(ArcSwap::new(edge.view().clone()));
        let mut world = Self { edge, view };
        world.sample(|_| true);
        world
    }

    /// Samples every node once, as late as its turn comes; those that `healthy` denies say that nothing is healthy.
    pub fn sample(&mut self, healthy: impl Fn(IpAddr) -> bool) {
        let now = self.edge.poll_timeout().unwrap();
        let now = now + std::time::Duration::from_secs(1);
        while let Some(sample) = self.edge.poll_sample(now) {
            let good = healthy(sample.node.address);
            let group = GroupReport {
                name: "web".into(),
                healthy: u32::from(good) * 2,
                initial: 0,
                registered: 2,
                passes_dns: good,
            };
            self.edge.sampled(&sample, Ok(NodeReport { target_groups: vec![group] }), now);
        }
        self.publish();
    }

    /// Says that the region is dead, or takes it back.
    pub fn kill(&mut self, region: &str, dead: bool) {
        let forced = dead.then_some(Forced::Unhealthy);
        assert!(self.edge.force(&RegionCode::new(region), &LoadBalancerName::new("shop"), forced));
        self.publish();
    }

    pub fn publish(&self) {
        self.view.store(self.edge.view().clone());
    }

    pub fn responder(&self) -> Responder {
        self.responder_and_metrics().0
    }

    pub fn responder_and_metrics(&self) -> (Responder, Metrics, Registry) {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let name_server = vec!["127.0.0.53".parse().unwrap()];
        (Responder::new(self.view.clone(), name_server, metrics.clone()), metrics, registry)
    }
}

/// A query's parts; what is not set is as `dig +norecurse +noedns` would send it.
#[derive(Clone)]
pub struct Query {
    pub flags: [u8; 2],
    pub counts: [u16; 4],
    pub question: Vec<u8>,
    pub rest: Vec<u8>,
}

pub fn query(name: &str, qtype: u16) -> Query {
    let mut question: Vec<u8> = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        question.push(label.len() as u8);
        question.extend(label.bytes());
    }
    question.push(0);
    question.extend(qtype.to_be_bytes());
    question.extend([0, 1]);
    Query { flags: [0, 0], counts: [1, 0, 0, 0], question, rest: Vec::new() }
}

impl Query {
    /// With an OPT record of 1,232 octets' payload and these options.
    pub fn edns(self, options: &[(u16, &[u8])]) -> Self {
        self.opt(1_232, 0, 0, options)
    }

    pub fn opt(mut self, payload: u16, version: u8, flags: u16, options: &[(u16, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (code, option) in options {
            data.extend(code.to_be_bytes());
            data.extend((option.len() as u16).to_be_bytes());
            data.extend(*option);
        }
        self.counts[3] += 1;
        self.rest.extend([0, 0, 41]);
        self.rest.extend(payload.to_be_bytes());
        self.rest.extend([0, version]);
        self.rest.extend(flags.to_be_bytes());
        self.rest.extend((data.len() as u16).to_be_bytes());
        self.rest.extend(data);
        self
    }

    /// With an IPv4 client subnet.
    pub fn subnet(self, address: [u8; 4], source: u8) -> Self {
        let mut option = vec![0, 1, source, 0];
        option.extend(&address[..usize::from(source.div_ceil(8))]);
        self.edns(&[(8, &option)])
    }

    pub fn class(mut self, class: u16) -> Self {
        let at = self.question.len() - 2;
        self.question[at..].copy_from_slice(&class.to_be_bytes());
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0xbe, 0xef];
        bytes.extend(self.flags);
        bytes.extend(self.counts.iter().flat_map(|c| c.to_be_bytes()));
        bytes.extend(&self.question);
        bytes.extend(&self.rest);
        bytes
    }
}

/// A client in Seoul.
pub fn in_seoul() -> SocketAddr {
    "127.82.200.9:4000".parse().unwrap()
}

/// A client in Tokyo.
pub fn in_tokyo() -> SocketAddr {
    "127.81.200.9:4000".parse().unwrap()
}

/// What `responder` says to a client in Seoul over UDP.
pub fn ask(responder: &Responder, query: &Query) -> Message {
    ask_from(responder, query, in_seoul())
}

pub fn ask_from(responder: &Responder, query: &Query, source: SocketAddr) -> Message {
    let bytes = responder.answer(&query.bytes(), source, Transport::Udp).expect("an answer");
    decode(&bytes)
}

/// The message in `bytes`. Hickory cannot read a client subnet of family 0, so that option is hidden from it.
pub fn decode(bytes: &[u8]) -> Message {
    let mut bytes = bytes.to_vec();
    if let Some(at) = bytes.windows(8).rposition(|w| w == [0, 8, 0, 4, 0, 0, 0, 0]) {
        bytes[at] = 0xff;
    }
    Message::from_vec(&bytes).expect("our own answers are well-formed")
}

/// The addresses of an answer, ascending.
pub fn addresses(message: &Message) -> Vec<String> {
    let mut addresses: Vec<String> = message.answers.iter().map(|r| r.data.to_string()).collect();
    addresses.sort();
    addresses
}

/// The strings of a TXT answer.
pub fn strings(message: &Message) -> Vec<String> {
    let text = |record: &Record| match &record.data {
        RData::TXT(text) => text.txt_data.iter().map(|s| String::from_utf8_lossy(s).into_owned()).collect(),
        other => panic!("{other} is no TXT"),
    };
    message.answers.iter().flat_map(|r: &Record| -> Vec<String> { text(r) }).collect()
}

/// The data of a response's client subnet option, from its bytes.
pub fn subnet_of(bytes: &[u8]) -> Option<Vec<u8>> {
    let options = options_of(bytes)?;
    options.into_iter().find(|(code, _)| *code == 8).map(|(_, data)| data)
}

/// The options of a response's OPT record, which ends the message; none without one.
pub fn options_of(bytes: &[u8]) -> Option<Vec<(u16, Vec<u8>)>> {
    let start = bytes.windows(5).rposition(|w| w == [0, 0, 41, 4, 208])?;
    let mut data = bytes.get(start + 11..)?;
    let mut options = Vec::new();
    while let [code_high, code_low, len_high, len_low, rest @ ..] = data {
        let len = usize::from(u16::from_be_bytes([*len_high, *len_low]));
        options.push((u16::from_be_bytes([*code_high, *code_low]), rest[..len].to_vec()));
        data = &rest[len..];
    }
    Some(options)
}

/// A MaxMind database that knows 168.126.0.0/16 (Seoul) and 133.0.0.0/8 (Tokyo) and nothing else: loading the shipped
/// one takes longer than all of these tests.
///
/// Format: <https://maxmind.github.io/MaxMind-DB/>; 32-bit records, flat city records.
fn database() -> Vec<u8> {
    let text = |s: &str| [vec![0x40 | s.len() as u8], s.as_bytes().to_vec()].concat();
    let double = |d: f64| [vec![0x68], d.to_be_bytes().to_vec()].concat();
    let short = |n: u8| vec![0xa1, n];
    let map = |entries: &[(&str, Vec<u8>)]| {
        let body: Vec<u8> = entries.iter().flat_map(|(k, v)| [text(k), v.clone()].concat()).collect();
        [vec![0xe0 | entries.len() as u8], body].concat()
    };
    let place = |city, country, latitude, longitude| {
        map(&[
            ("city", text(city)),
            ("country_code", text(country)),
            ("latitude", double(latitude)),
            ("longitude", double(longitude)),
        ])
    };
    let mut nodes: Vec<[Option<Result<u32, u32>>; 2]> = vec![[None; 2]];
    let mut data = Vec::new();
    for (bits, len, record) in [
        (0xa87e_0000_u32, 16, place("Seoul", "KR", 37.57, 126.98)),
        (0x8500_0000, 8, place("Tokyo", "JP", 35.68, 139.65)),
    ] {
        let mut at = 0;
        for depth in 0..len {
            let side = (bits >> (31 - depth) & 1) as usize;
            if depth + 1 == len {
                nodes[at][side] = Some(Err(data.len() as u32));
            } else if let Some(Ok(next)) = nodes[at][side] {
                at = next as usize;
            } else {
                nodes.push([None; 2]);
                let next = nodes.len() - 1;
                nodes[at][side] = Some(Ok(next as u32));
                at = next;
            }
        }
        data.extend(record);
    }
    let count = nodes.len() as u32;
    let mut out: Vec<u8> = Vec::new();
    for slot in nodes.iter().flatten() {
        let record = match slot {
            None => count,
            Some(Ok(node)) => *node,
            Some(Err(offset)) => count + 16 + offset,
        };
        out.extend(record.to_be_bytes());
    }
    out.extend([0; 16]);
    out.extend(data);
    out.extend(b"\xab\xcd\xefMaxMind.com");
    out.extend(map(&[
        ("binary_format_major_version", short(2)),
        ("binary_format_minor_version", short(0)),
        ("build_epoch", vec![0x01, 0x02, 1]),
        ("database_type", text("Test-City")),
        ("description", map(&[])),
        ("ip_version", short(4)),
        ("languages", vec![0x00, 0x04]),
        ("node_count", vec![0xc1, count as u8]),
        ("record_size", short(32)),
    ]));
    out
}
