//! How long a decision takes: a latency tree of 32 regions, and geolocation over weighted.
//!
//! `cargo run --release -p perigee-steering --example decide_time`
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement for people")]

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use perigee_geo::{Atlas, Database, Overlay, Tables, shipped};
use perigee_health::{LoadBalancerHealth, View};
use perigee_model::dns::*;
use perigee_model::{PolicyNameIndex, PolicyNodeIndex, RegionIndex, ZoneIndex, fixtures};
use perigee_steering::{DnsClient, RecordKind, TreeStates, Trees};

const COUNTRIES: [&str; 12] = ["KR", "JP", "US", "GB", "DE", "FR", "BR", "IN", "ZA", "AU", "CA", "SG"];
const CLIENTS: usize = 10_000;
const ROUNDS: usize = 200;
const NAMES: usize = 100_000;

/// Time that this thread has had a processor (Linux), so that a busy machine does not count.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or_default())
}

fn record(address: [u8; 4]) -> PolicyNode {
    let target = RecordTarget::Addresses(vec![address.into()]);
    PolicyNode::Record(PolicyRecord { ttl: Duration::from_secs(30), target, others: Vec::new() })
}

fn branch(id: usize, key: BranchKey, node: usize) -> PolicyBranch {
    let (health_check, evaluate_target_health) = (None, true);
    PolicyBranch {
        set_identifier: format!("b{id}"),
        key,
        node: PolicyNodeIndex(node),
        health_check,
        evaluate_target_health,
    }
}

fn main() {
    let tables = Tables::parse(shipped::REGIONS, shipped::REGION_RTT, shipped::EDGES).unwrap();
    let codes: Vec<&str> = tables.regions().iter().map(|r| r.code.as_str()).collect();
    let regions: Vec<_> = tables.regions().iter().map(|r| (r.code.clone(), r.location)).collect();
    let database = Arc::new(Database::load(shipped::CITY).unwrap());
    let overlay = Overlay::parse(shipped::OVERLAY).unwrap();
    let atlas = Atlas::build(&database, &tables, &overlay, &regions, "Seoul").unwrap();
    let mut snapshot = fixtures::snapshot(&codes);
    let nodes = &mut snapshot.dns.policy_nodes;
    for name in 0..NAMES {
        // The root, then two nodes and two leaves for each area; one name in two is a latency tree.
        let root = nodes.len();
        if name % 2 == 0 {
            // The first name is the one that is measured; the mass is smaller.
            let areas = if name == 0 { COUNTRIES.len() } else { 2 };
            let area = |at: usize| match COUNTRIES[..areas].get(at) {
                Some(code) => GeoLocation::Country((*code).into()),
                None => GeoLocation::Default,
            };
            let branches = (0..=areas).map(|at| branch(at, BranchKey::Location(area(at)), root + 1 + 3 * at)).collect();
            nodes.push(PolicyNode::Group(PolicyGroup { policy: Policy::Geolocation, branches }));
            for at in 0..=areas {
                let weighted = nodes.len();
                let branches = (1..3).map(|i| branch(i, BranchKey::Weight(i as u8), weighted + i)).collect();
                let policy = Policy::Weighted { draw: WeightedDraw::PerQuery };
                nodes.push(PolicyNode::Group(PolicyGroup { policy, branches }));
                nodes.extend([record([192, 0, 2, at as u8]), record([192, 0, 3, at as u8])]);
            }
        } else {
            let branches = (0..3).map(|at| branch(at, BranchKey::Region(RegionIndex(at * 7)), root + 1 + at)).collect();
            nodes.push(PolicyNode::Group(PolicyGroup { policy: Policy::Latency, branches }));
            nodes.extend((0..3).map(|at| record([192, 0, 4, at])));
        }
        let name = format!("n{name}.perigee.test");
        snapshot.dns.policy_names.push(PolicyName { zone: ZoneIndex(0), name, root: PolicyNodeIndex(root) });
    }
    let began = processor_time();
    let trees = Trees::build(&snapshot, &atlas);
    println!("{NAMES} names, {:?} nodes and tables: built in {:?}", trees.counts(), (processor_time() - began));
    println!("tables of clients' places: {} KiB", trees.table_size() / 1024);
    let load_balancers = codes.iter().map(|_| LoadBalancerHealth::unknown(2)).collect();
    let view = View { load_balancers, checks: Vec::new(), probed: Default::default() };
    let began = processor_time();
    let states = TreeStates::new(&trees, &view);
    println!("states of all nodes: {:?}", (processor_time() - began));

    let ipv4 = |i: u32| IpAddr::from((i.wrapping_mul(2_654_435_761) & 0xffff_ff00).to_be_bytes());
    let ipv6 = |i: u32| IpAddr::from((u128::from(i.wrapping_mul(2_654_435_761)) << 84 | 1 << 125).to_be_bytes());
    for (title, tree) in [
        ("latency, 32 regions", trees.of_latency_name(0)),
        ("geolocation > weighted", trees.of_policy_name(PolicyNameIndex(0))),
    ] {
        for (family, len, address) in [("IPv4", 24, &ipv4 as &dyn Fn(u32) -> IpAddr), ("IPv6", 48, &ipv6)] {
            let clients: Vec<DnsClient> = (0..CLIENTS as u32)
                .map(|i| DnsClient { network: Some((address(i), len)), resolver: [8, 8, 8, 8].into() })
                .collect();
            let began = processor_time();
            let mut draw = 1_u64;
            for _ in 0..ROUNDS {
                for client in &clients {
                    draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    black_box(trees.decide(&states, tree, RecordKind::A, client, draw, &mut ()));
                }
            }
            let each = (processor_time() - began) / (ROUNDS * CLIENTS) as u32;
            println!("{title}, {family}, {CLIENTS} networks: {each:?} a decision");
        }
    }
}
