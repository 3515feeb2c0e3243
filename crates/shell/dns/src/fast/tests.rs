//! The fast path beside the slow one: whatever it answers, it answers octet for octet alike.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use arc_swap::ArcSwap;
use perigee_dataplane::{Edge, EdgeView};
use perigee_geo::{Atlas, Database, Overlay, Tables as GeoTables, shipped};
use perigee_health::{Forced, GroupReport, NodeReport};
use perigee_model::dns::{
    BranchKey, GeoLocation, HostedZone, Policy, PolicyBranch, PolicyGroup, PolicyName, PolicyNode, PolicyRecord,
    SigningAlgorithm, WeightedDraw, ZoneFile, ZoneSigning,
};
use perigee_model::{
    AcceleratorIndex, Instant, LatencyName, LoadBalancerIndex, LoadBalancerName, Location, PolicyNodeIndex, RegionCode,
    Snapshot, ZoneIndex, fixtures,
};
use prometheus_client::registry::Registry;

use super::*;
use crate::{Metrics, Transport};

/// Queries of the differential test.
const QUERIES: u32 = 1_000_000;
/// Regions of the world, and where they are.
const REGIONS: [(&str, f64, f64); 4] = [
    ("ap-northeast-1", 35.68, 139.65),
    ("ap-northeast-2", 37.57, 126.98),
    ("eu-west-2", 51.51, -0.13),
    ("us-east-1", 38.95, -77.45),
];

/// A world with the shipped database, latency names, an accelerator, and addresses of both families.
struct World {
    edge: Edge,
    view: Arc<ArcSwap<EdgeView>>,
}

impl World {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(further: impl FnOnce(&mut Snapshot)) -> Self {
        let mut snapshot = fixtures::snapshot(&REGIONS.map(|(code, ..)| code));
        for (region, (_, latitude, longitude)) in snapshot.regions.iter_mut().zip(REGIONS) {
            region.location = Location { latitude, longitude };
        }
        change(&mut snapshot);
        further(&mut snapshot);
        let regions: Vec<(RegionCode, Location)> =
            snapshot.regions.iter().map(|r| (r.code.clone(), r.location)).collect();
        let database = Arc::new(Database::load(shipped::CITY).unwrap());
        let tables = GeoTables::parse(shipped::REGIONS, shipped::REGION_RTT, shipped::EDGES).unwrap();
        let overlay = Overlay::parse(shipped::OVERLAY).unwrap();
        let atlas = Atlas::build(&database, &tables, &overlay, &regions, "Seoul").unwrap();
        let edge = Edge::new(Arc::new(snapshot), Arc::new(atlas), None, Instant::START);
        let view = Arc::new(ArcSwap::new(edge.view().clone()));
        let mut world = Self { edge, view };
        world.sample(|_| true);
        world
    }

    fn sample(&mut self, healthy: impl Fn(IpAddr) -> bool) {
        let now = self.edge.poll_timeout().unwrap() + Duration::from_secs(1);
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

    fn force(&mut self, region: &str, dead: bool) {
        let forced = dead.then_some(Forced::Unhealthy);
        self.edge.force(&RegionCode::new(region), &LoadBalancerName::new("shop"), forced);
        self.publish();
    }

    fn publish(&self) {
        self.view.store(self.edge.view().clone());
    }

    fn responder(&self) -> (Arc<Responder>, Registry) {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let name_server = vec!["127.0.0.53".parse().unwrap(), "::1".parse().unwrap()];
        (Arc::new(Responder::new(self.view.clone(), name_server, metrics)), registry)
    }
}

/// A zone with all that makes names differ.
const FILE: &str = "\
$TTL 300
@ SOA ns.elsewhere.test. host.perigee-file.test. 1 14400 3600 1209600 60
@ NS ns
@ NS ns.elsewhere.test.
@ A 192.0.2.1
ns A 192.0.2.2
ns AAAA 2001:db8::2
www 60 A 192.0.2.3
www 60 A 192.0.2.4
www MX 10 mail
a.b.c TXT deep
alias CNAME www
";
/// The same with what stands for names that are not there.
const WILD: &str = "\
@ 300 SOA ns1 host 1 14400 3600 1209600 60
@ 300 NS ns1
ns1 300 A 192.0.2.9
*.any 300 A 192.0.2.10
cut 300 NS ns.cut
ns.cut 300 A 192.0.2.11
old 300 DNAME any
";

fn zones(snapshot: &mut Snapshot) {
    let file = |name: &str, text: &str| Some(ZoneFile { name: name.into(), text: text.into() });
    let signing = ZoneSigning { algorithm: SigningAlgorithm::Ed25519, key_directory: None, nsec3: false };
    snapshot.dns.zones.extend([
        HostedZone { file: file("file", FILE), ..HostedZone::new("perigee-file.test") },
        HostedZone { file: file("file", FILE), signing: Some(signing), ..HostedZone::new("signed.test") },
        HostedZone { file: file("wild", WILD), client_subnet: false, ..HostedZone::new("wild.test") },
    ]);
}

/// Names with policies: areas over weights over addresses and a load balancer, several values, one after the other.
fn policies(snapshot: &mut Snapshot) {
    fn record(target: RecordTarget) -> PolicyNode {
        PolicyNode::Record(PolicyRecord { ttl: Duration::from_secs(40), target, others: Vec::new() })
    }
    let addresses = |list: &[&str]| record(RecordTarget::Addresses(list.iter().map(|a| a.parse().unwrap()).collect()));
    let group = |policy, branches: Vec<(BranchKey, usize)>| {
        let branch = |(position, (key, node)): (usize, (BranchKey, usize))| PolicyBranch {
            set_identifier: position.to_string(),
            key,
            node: PolicyNodeIndex(node),
            health_check: None,
            evaluate_target_health: true,
        };
        PolicyNode::Group(PolicyGroup { policy, branches: branches.into_iter().enumerate().map(branch).collect() })
    };
    let area = |area: GeoLocation| BranchKey::Location(area);
    let weighted = |draw| Policy::Weighted { draw };
    snapshot.dns.policy_nodes = vec![
        group(
            Policy::Geolocation,
            vec![
                (area(GeoLocation::Country("KR".into())), 1),
                (area(GeoLocation::Continent("EU".into())), 2),
                (area(GeoLocation::Default), 3),
            ],
        ),
        group(weighted(WeightedDraw::PerQuery), vec![(BranchKey::Weight(3), 4), (BranchKey::Weight(1), 5)]),
        group(weighted(WeightedDraw::PerClient), vec![(BranchKey::Weight(1), 4), (BranchKey::Weight(1), 6)]),
        group(Policy::Failover, vec![(BranchKey::Primary, 7), (BranchKey::Secondary, 8)]),
        addresses(&["198.51.100.1", "198.51.100.2", "2001:db8:1::1"]),
        addresses(&["198.51.100.3"]),
        addresses(&["2001:db8:1::2"]),
        record(RecordTarget::LoadBalancer(LoadBalancerIndex(1))),
        record(RecordTarget::Accelerator(AcceleratorIndex(0))),
        group(Policy::Multivalue, (4..8).map(|node| (BranchKey::Value, node)).collect()),
        record(RecordTarget::Name("www.perigee-file.test".into())),
    ];
    let name =
        |zone, name: &str, root| PolicyName { zone: ZoneIndex(zone), name: name.into(), root: PolicyNodeIndex(root) };
    snapshot.dns.policy_names = vec![
        name(0, "geo.perigee.test", 0),
        name(0, "many.perigee.test", 9),
        name(0, "taken.perigee.test", 10),
        name(2, "geo.signed.test", 0),
        name(3, "geo.wild.test", 0),
    ];
}

fn change(snapshot: &mut Snapshot) {
    zones(snapshot);
    policies(snapshot);
    let mut name = |label: &str, load_balancer: &str, ttl| {
        let load_balancer = LoadBalancerName::new(load_balancer);
        snapshot.dns.latency_names.push(LatencyName { label: label.into(), load_balancer, ttl });
    };
    name("deep.down.here", "shop", Duration::from_secs(7));
    name("nowhere", "no-such-load-balancer", Duration::from_secs(30));
    for (position, load_balancer) in snapshot.load_balancers.iter_mut().enumerate() {
        if let Some(node) = load_balancer.nodes.get(1).cloned() {
            let address = format!("2001:db8::{position}").parse().unwrap();
            load_balancer.nodes.push(perigee_model::LoadBalancerNode { address, ..node });
        }
    }
}

/// Draws; the same at every run.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 += 1;
        scrambled(self.0)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let position = self.below(all.len());
        &all[position]
    }
}

const NAMES: [&str; 45] = [
    "geo.perigee.test",
    "many.perigee.test",
    "taken.perigee.test",
    "_why.geo.perigee.test",
    "geo.signed.test",
    "geo.wild.test",
    "www.perigee-file.test",
    "perigee-file.test",
    "host.perigee-file.test",
    "b.c.perigee-file.test",
    "alias.perigee-file.test",
    "nothing.perigee-file.test",
    "www.signed.test",
    "signed.test",
    "nothing.signed.test",
    "x.any.wild.test",
    "nothing.wild.test",
    "x.cut.wild.test",
    "x.old.wild.test",
    "app.perigee.test",
    "deep.down.here.perigee.test",
    "down.here.perigee.test",
    "nowhere.perigee.test",
    "_why.app.perigee.test",
    "_why.perigee.test",
    "shop.accelerator.perigee.test",
    "accelerator.perigee.test",
    "shop.ap-northeast-1.elb.perigee.test",
    "ap-northeast-1.elb.perigee.test",
    "ns1.perigee.test",
    "x.ns1.perigee.test",
    "xns1.perigee.test",
    "hostmaster.perigee.test",
    "a.b.hostmaster.perigee.test",
    "perigee.test",
    "notperigee.test",
    "app.perigee.test.perigee.test",
    "absent.perigee.test",
    "a.rather.long.name.of.many.labels.that.are.not.there.perigee.test",
    "example.com",
    "test",
    "",
    "app.perigee.tes",
    "a0123456789a0123456789a0123456789a0123456789a0123456789a0123.perigee.test",
    "app",
];
const TYPES: [u16; 36] = [
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 28, 28, 28, 2, 5, 6, 15, 16, 33, 41, 43, 46, 48, 65, 128,
    250, 255, 4_242,
];
const SOURCES: [&str; 7] = [
    "127.82.200.9:4000",
    "127.81.200.9:53",
    "127.44.200.1:1",
    "8.8.8.8:1",
    "[2406:da18::1]:9",
    "[::ffff:127.82.200.9]:5",
    "10.0.0.1:5",
];

fn name(draws: &mut Draws) -> Vec<u8> {
    let known = draws.one_in(2);
    let mut name = if known { draws.of(&NAMES[..31]) } else { draws.of(&NAMES) }.to_string();
    if draws.one_in(8) {
        name = format!("{:x}.{name}", draws.next() & 0xffff);
    }
    if draws.one_in(3) {
        let bits = draws.next();
        let flip = |(i, c): (usize, char)| if bits >> (i % 64) & 1 == 1 { c.to_ascii_uppercase() } else { c };
        name = name.chars().enumerate().map(flip).collect();
    }
    let mut wire = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len() as u8);
        wire.extend(label.bytes());
    }
    wire.push(0);
    wire
}

fn subnet(draws: &mut Draws) -> Vec<u8> {
    let family = *draws.of(&[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 0, 3]);
    let source = match family {
        1 => draws.below(34),
        2 => draws.below(130),
        _ => draws.below(3),
    };
    let mut address = match family {
        1 => draws.next().to_be_bytes()[..4].to_vec(),
        _ => {
            let mut address = [draws.next().to_be_bytes(), draws.next().to_be_bytes()].concat();
            let firsts: [&[u8]; 4] = [&[0x20, 0x01], &[0x24, 0x06, 0xda], &[0x20, 0x02], &[0; 10]];
            let first = *draws.of(&firsts);
            address[..first.len()].copy_from_slice(first);
            address
        }
    };
    if family == 1 && draws.one_in(3) {
        address.copy_from_slice(&[127, *draws.of(&[82, 81, 1, 44, 9]), 200, 7]);
    }
    address.resize(source.div_ceil(8), 0);
    if !draws.one_in(40) && !source.is_multiple_of(8) {
        let last = address.len() - 1;
        address[last] &= 0xff << (8 - source % 8);
    }
    if draws.one_in(30) {
        address.push(0);
    }
    let scope = if draws.one_in(30) { 24 } else { 0 };
    [&[0, family, source as u8, scope][..], &address].concat()
}

fn message(draws: &mut Draws) -> Vec<u8> {
    if draws.one_in(50) {
        let len = draws.below(60);
        return (0..len).map(|_| draws.next() as u8).collect();
    }
    let mut message = draws.next().to_be_bytes()[..2].to_vec();
    let flags = if draws.one_in(30) { draws.next() as u16 } else { *draws.of(&[0, 0x0100, 0x0110, 0x0120]) };
    message.extend(flags.to_be_bytes());
    let mut counts = [1_u16, 0, 0, 0];
    if draws.one_in(40) {
        counts[draws.below(4)] = draws.below(3) as u16;
    }
    let mut rest = name(draws);
    rest.extend(draws.of(&TYPES).to_be_bytes());
    rest.extend(if draws.one_in(30) { *draws.of(&[3_u16, 255, 0]) } else { 1 }.to_be_bytes());
    for _ in 0..*draws.of(&[0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2]) {
        counts[3] += 1;
        rest.extend(if draws.one_in(50) { &b"\x01a\x00"[..] } else { b"\x00" });
        rest.extend(if draws.one_in(50) { 16_u16 } else { 41 }.to_be_bytes());
        rest.extend(draws.of(&[0_u16, 511, 512, 1_232, 1_232, 1_400, 4_096, 65_535]).to_be_bytes());
        let version = u8::from(draws.one_in(50));
        rest.extend([0, version]);
        rest.extend(draws.of(&[0_u16, 0, 0x8000, 0x4000, 0xffff]).to_be_bytes());
        let mut options = Vec::new();
        for _ in 0..*draws.of(&[0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2]) {
            let (code, data) = match draws.below(60) {
                0 => (10_u16, draws.next().to_be_bytes().to_vec()),
                1 => (3, Vec::new()),
                2 => (12, vec![0; draws.below(20)]),
                _ => (8, subnet(draws)),
            };
            options.extend(code.to_be_bytes());
            options.extend((data.len() as u16).to_be_bytes());
            options.extend(data);
        }
        let len = options.len() + if draws.one_in(60) { 1 } else { 0 };
        rest.extend((len as u16).to_be_bytes());
        rest.extend(options);
    }
    message.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
    message.extend(rest);
    if draws.one_in(60) {
        message.truncate(draws.below(message.len()));
    }
    if draws.one_in(60) {
        let at = draws.below(message.len().max(1));
        if let Some(octet) = message.get_mut(at) {
            *octet ^= 1 << draws.below(8);
        }
    }
    if draws.one_in(60) {
        message.push(draws.next() as u8);
    }
    message
}

#[test]
fn a_million_queries_are_answered_octet_for_octet_as_the_slow_path_does() {
    let mut world = World::new();
    let (responder, _registry) = world.responder();
    let mut fast = FastPath::new(responder.clone(), Arc::default(), 0);
    let mut draws = Draws(0);
    let mut room = [0; MAX_ANSWER];
    let mut by_kind: BTreeMap<(bool, u8, bool), u32> = BTreeMap::new();
    for number in 0..QUERIES {
        match number % 100_000 {
            10_000 => world.force("ap-northeast-2", true),
            30_000 => world.sample(|address| !address.to_string().ends_with(".2")),
            50_000 => REGIONS.iter().for_each(|(region, ..)| world.force(region, true)),
            70_000 => REGIONS.iter().for_each(|(region, ..)| world.force(region, false)),
            90_000 => world.sample(|_| true),
            _ => {}
        }
        if number % 10_000 == 0 {
            fast.refresh();
        }
        let message = message(&mut draws);
        let source: SocketAddr = draws.of(&SOURCES).parse().unwrap();
        let draw = draws.next();
        // What a former answer left behind must not matter.
        room.fill(number as u8);
        let Some(Outcome::Answered(len)) = fast.answer_with_draw(&message, source, &mut room, draw) else {
            *by_kind.entry((false, 0, false)).or_default() += 1;
            continue;
        };
        let answer = &room[..len];
        let slow = responder.answer_with_draw(&message, source, draw).expect("the slow path answers it too");
        assert_eq!(answer, slow, "query {number}, {message:02x?} from {source} with draw {draw}");
        *by_kind.entry((true, answer[3], answer[7] > 0)).or_default() += 1;
    }
    // Answers, no data and no such name: each often enough to mean something, and most of all queries.
    let count = |key| by_kind.get(&key).copied().unwrap_or(0);
    assert!(count((true, 0, true)) > QUERIES / 20, "{by_kind:?}");
    assert!(count((true, 0, false)) > QUERIES / 20, "{by_kind:?}");
    assert!(count((true, 3, false)) > QUERIES / 20, "{by_kind:?}");
}

#[test]
fn plain_queries_are_never_slow() {
    let world = World::new();
    let (responder, _registry) = world.responder();
    let mut fast = FastPath::new(responder, Arc::default(), 0);
    let mut room = [0; MAX_ANSWER];
    for name in ["app", "APP", "deep.down.here", "ns1", "shop.accelerator", "absent", "down.here"] {
        for qtype in [A, AAAA, 15, 16, 65] {
            for edns in [&[][..], &[0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0, 8, 8, 8]] {
                if name == "ns1" && ![A, AAAA].contains(&qtype) {
                    continue;
                }
                let mut message = vec![1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(!edns.is_empty())];
                for label in name.split('.').chain(["perigee", "test"]) {
                    message.push(label.len() as u8);
                    message.extend(label.bytes());
                }
                message.extend([0, 0, qtype as u8, 0, 1]);
                message.extend(edns);
                let source = "127.82.200.9:4000".parse().unwrap();
                assert!(matches!(fast.answer(&message, source, &mut room), Outcome::Answered(_)), "{name} {qtype}");
            }
        }
    }
}

#[test]
fn both_paths_count_alike() {
    let world = World::with(|snapshot| snapshot.dns.server.rate_limit.enabled = false);
    let ((slow, slow_registry), (responder, fast_registry)) = (world.responder(), world.responder());
    let mut fast = FastPath::new(responder.clone(), Arc::default(), 0);
    let mut draws = Draws(7_000_000);
    let mut room = [0; MAX_ANSWER];
    for _ in 0..20_000 {
        let message = message(&mut draws);
        let source: SocketAddr = draws.of(&SOURCES).parse().unwrap();
        slow.answer(&message, source, Transport::Udp);
        if fast.answer(&message, source, &mut room) == Outcome::Slow {
            responder.answer(&message, source, Transport::Udp);
        }
    }
    fast.flush();
    let shown = |registry: &Registry| {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        let mut lines: Vec<String> =
            text.lines().filter(|line| !line.starts_with('#') && !line.contains("seconds")).map(Into::into).collect();
        lines.sort();
        lines
    };
    assert_eq!(shown(&fast_registry), shown(&slow_registry));
}

#[test]
fn a_new_view_is_followed_at_the_next_batch_and_names_are_kept_with_their_snapshot() {
    let mut world = World::new();
    let (responder, _registry) = world.responder();
    let shared = Arc::new(Shared::default());
    let mut fast = FastPath::new(responder.clone(), shared.clone(), 0);
    let mut other = FastPath::new(responder, shared, 1);
    let before = fast.tables.clone();
    world.force("ap-northeast-2", true);
    fast.refresh();
    other.refresh();
    assert!(!Arc::ptr_eq(&before, &fast.tables), "the tables are those of the old view");
    assert!(Arc::ptr_eq(&before.names, &fast.tables.names), "names were made anew for the same snapshot");
    assert!(Arc::ptr_eq(&fast.tables, &other.tables), "each worker made tables of its own");
}

#[test]
fn a_flood_is_limited_here_as_on_the_slow_path_and_loopback_is_not() {
    let world = World::with(|snapshot| snapshot.dns.server.rate_limit.answers_per_second = 3);
    let (responder, _registry) = world.responder();
    let mut fast = FastPath::new(responder, Arc::default(), 0);
    let mut room = [0; MAX_ANSWER];
    let message = b"\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03geo\x07perigee\x04test\x00\x00\x01\x00\x01";
    let mut outcomes = |source: &str| -> Vec<Outcome> {
        let source = source.parse().unwrap();
        (0..9).map(|_| fast.answer(message, source, &mut room)).collect()
    };
    let flooded = outcomes("192.0.2.1:5");
    assert!(flooded[..3].iter().all(|outcome| matches!(outcome, Outcome::Answered(_))), "{flooded:?}");
    assert!(flooded[3..].iter().all(|outcome| matches!(outcome, Outcome::Limited(_))), "{flooded:?}");
    assert!(flooded.contains(&Outcome::Limited(Verdict::Slip)) && flooded.contains(&Outcome::Limited(Verdict::Drop)));
    assert!(outcomes("127.0.0.1:5").iter().all(|outcome| matches!(outcome, Outcome::Answered(_))));
}
