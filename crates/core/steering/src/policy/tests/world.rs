//! A small world to ask questions in: five regions, placed private networks, and trees written as values.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use perigee_geo::{Atlas, Database, Overlay, OverlayEntry, Place, Tables, shipped};
use perigee_health::{Forced, HealthState, LoadBalancerHealth, NodeHealth, Reach, View};
use perigee_model::dns::*;
use perigee_model::{
    AcceleratorIndex, HealthCheckIndex, LoadBalancerIndex, Location, PolicyNameIndex, PolicyNodeIndex, RegionCode,
    RegionIndex, Snapshot, ZoneIndex, fixtures,
};

use super::super::*;

/// In order: Tokyo, Seoul, Frankfurt, Virginia, Oregon.
pub(super) const REGIONS: [&str; 5] = ["ap-northeast-1", "ap-northeast-2", "eu-central-1", "us-east-1", "us-west-2"];

/// Clients: Seoul 10.1/16, Tokyo 10.2/16, London 10.3/16, New York 10.4/16; 10.9/16 is nobody's.
const PLACES: [(&str, &str, &str, f64, f64); 4] = [
    ("10.1.0.0/16", "Seoul", "KR", 37.57, 126.98),
    ("10.2.0.0/16", "Tokyo", "JP", 35.68, 139.65),
    ("10.3.0.0/16", "London", "GB", 51.51, -0.13),
    ("10.4.0.0/16", "New York", "US", 40.71, -74.01),
];

pub(super) const SEOUL: &str = "10.1.0.1";
pub(super) const TOKYO: &str = "10.2.0.1";
pub(super) const LONDON: &str = "10.3.0.1";
pub(super) const NEW_YORK: &str = "10.4.0.1";
pub(super) const NOWHERE: &str = "10.9.0.1";

pub(super) fn atlas() -> &'static Atlas {
    static ATLAS: OnceLock<Atlas> = OnceLock::new();
    ATLAS.get_or_init(|| {
        let tables = Tables::parse(shipped::REGIONS, shipped::REGION_RTT, shipped::EDGES).unwrap();
        let entries = PLACES.map(|(prefix, city, country, latitude, longitude)| OverlayEntry {
            prefix: prefix.parse().unwrap(),
            place: Some(Place {
                city: city.into(),
                country: country.into(),
                location: Some(Location { latitude, longitude }),
            }),
        });
        let regions = REGIONS.map(|code| (RegionCode::new(code), tables.region(code).unwrap().location));
        let database = Arc::new(Database::load(shipped::CITY).unwrap());
        Atlas::build(&database, &tables, &Overlay { entries: entries.into() }, &regions, "Seoul").unwrap()
    })
}

/// A tree as a value.
#[derive(Clone, Debug)]
pub(super) enum T {
    Group(Policy, Vec<B>),
    Ips(Vec<&'static str>),
    Lb(usize),
    Accelerator,
    Alias(usize),
    File(&'static str),
    /// IPv4 address with values of another type.
    With(&'static str, &'static str),
}

/// A branch as a value.
#[derive(Clone, Debug)]
pub(super) struct B {
    pub(super) key: BranchKey,
    pub(super) tree: T,
    pub(super) check: Option<usize>,
    pub(super) evaluate: bool,
}

pub(super) fn b(key: BranchKey, tree: T) -> B {
    B { key, tree, check: None, evaluate: true }
}

impl B {
    pub(super) fn check(mut self, check: usize) -> Self {
        self.check = Some(check);
        self
    }

    pub(super) fn not_evaluated(mut self) -> Self {
        self.evaluate = false;
        self
    }
}

pub(super) fn ip(address: &'static str) -> T {
    T::Ips(vec![address])
}

pub(super) const WEIGHTED: Policy = Policy::Weighted { draw: WeightedDraw::PerQuery };
pub(super) const STICKY: Policy = Policy::Weighted { draw: WeightedDraw::PerClient };

pub(super) fn weighted(weights: &[(u8, &'static str)]) -> T {
    T::Group(WEIGHTED, weights.iter().map(|(weight, address)| b(BranchKey::Weight(*weight), ip(address))).collect())
}

pub(super) fn failover(primary: B, secondary: B) -> T {
    T::Group(Policy::Failover, vec![primary, secondary])
}

pub(super) fn country(code: &str) -> BranchKey {
    BranchKey::Location(GeoLocation::Country(code.into()))
}

pub(super) fn continent(code: &str) -> BranchKey {
    BranchKey::Location(GeoLocation::Continent(code.into()))
}

pub(super) const EVERYWHERE: BranchKey = BranchKey::Location(GeoLocation::Default);

pub(super) fn region(at: usize) -> BranchKey {
    BranchKey::Region(RegionIndex(at))
}

pub(super) fn nets(list: &[&str]) -> BranchKey {
    BranchKey::Cidrs(list.iter().map(|net| net.parse().unwrap()).collect())
}

/// Trees, a configuration around them, and health; the first tree is the one that is asked.
pub(super) struct World {
    pub(super) snapshot: Snapshot,
    pub(super) trees: Trees,
    pub(super) health: View,
}

impl World {
    pub(super) fn new(trees: &[T]) -> Self {
        Self::with(trees, |_| {})
    }

    pub(super) fn with(trees: &[T], change: impl FnOnce(&mut Snapshot)) -> Self {
        let mut snapshot = fixtures::snapshot(&REGIONS);
        for (i, tree) in trees.iter().enumerate() {
            let root = add(&mut snapshot, tree);
            snapshot.dns.policy_names.push(PolicyName { zone: ZoneIndex(0), name: format!("n{i}.perigee.test"), root });
        }
        change(&mut snapshot);
        let node = NodeHealth { reach: Reach::Up, in_service: true, failure: None };
        let healthy = LoadBalancerHealth { measured: HealthState::Healthy, forced: None, nodes: vec![node; 2] };
        let health =
            View { load_balancers: vec![healthy; REGIONS.len()], checks: vec![true; 16], probed: Default::default() };
        Self { trees: Trees::build(&snapshot, atlas()), snapshot, health }
    }

    pub(super) fn lb(mut self, at: usize, state: HealthState) -> Self {
        self.health.load_balancers[at].measured = state;
        self
    }

    pub(super) fn force_down(mut self, at: usize) -> Self {
        self.health.load_balancers[at].forced = Some(Forced::Unhealthy);
        self
    }

    pub(super) fn failing(mut self, checks: &[usize]) -> Self {
        checks.iter().for_each(|check| self.health.checks[*check] = false);
        self
    }

    pub(super) fn states(&self) -> TreeStates {
        TreeStates::new(&self.trees, &self.health)
    }

    pub(super) fn decide(&self, kind: RecordKind, client: &DnsClient, draw: u64) -> PolicyDecision {
        let tree = self.trees.of_policy_name(PolicyNameIndex(0));
        self.trees.decide(&self.states(), tree, kind, client, draw, &mut ())
    }

    /// What the A record is for a client network of 24 bits.
    pub(super) fn ask(&self, client: &str) -> PolicyDecision {
        self.decide(RecordKind::A, &subnet(client, 24), 0)
    }

    /// The answers as text: addresses, or `lb N`.
    pub(super) fn answers(&self, decision: &PolicyDecision) -> Vec<String> {
        let text = |leaf: &LeafIndex| match &self.trees.leaf(*leaf).target {
            RecordTarget::Addresses(list) => list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            RecordTarget::LoadBalancer(lb) => format!("lb {}", lb.0),
            other => format!("{other:?}"),
        };
        decision.leaves.as_slice().iter().map(text).collect()
    }

    /// The one answer to [`Self::ask`]; empty if there is none.
    pub(super) fn answer(&self, client: &str) -> String {
        self.answers(&self.ask(client)).join(", ")
    }
}

pub(super) fn subnet(address: &str, len: u8) -> DnsClient {
    DnsClient { network: Some((address.parse().unwrap(), len)), resolver: NOWHERE.parse::<IpAddr>().unwrap() }
}

fn add(snapshot: &mut Snapshot, tree: &T) -> PolicyNodeIndex {
    let at = snapshot.dns.policy_nodes.len();
    let record = |target, others| PolicyNode::Record(PolicyRecord { ttl: Duration::from_secs(40), target, others });
    let addresses = |list: &[&str]| RecordTarget::Addresses(list.iter().map(|a| a.parse().unwrap()).collect());
    // Holds the place, so that what stands below stands behind.
    snapshot.dns.policy_nodes.push(record(RecordTarget::Addresses(Vec::new()), Vec::new()));
    let node = match tree {
        T::Group(policy, branches) => {
            let branch = |(i, branch): (usize, &B)| PolicyBranch {
                set_identifier: format!("b{i:02}"),
                key: branch.key.clone(),
                node: add(snapshot, &branch.tree),
                health_check: branch.check.map(HealthCheckIndex),
                evaluate_target_health: branch.evaluate,
            };
            let branches = branches.iter().enumerate().map(branch).collect();
            PolicyNode::Group(PolicyGroup { policy: *policy, branches })
        }
        T::Ips(list) => record(addresses(list), Vec::new()),
        T::Lb(at) => record(RecordTarget::LoadBalancer(LoadBalancerIndex(*at)), Vec::new()),
        T::Accelerator => record(RecordTarget::Accelerator(AcceleratorIndex(0)), Vec::new()),
        T::Alias(at) => record(RecordTarget::PolicyName(PolicyNameIndex(*at)), Vec::new()),
        T::File(name) => record(RecordTarget::Name((*name).into()), Vec::new()),
        T::With(address, record_type) => record(
            addresses(&[address]),
            vec![RecordValues { record_type: (*record_type).into(), values: vec!["value".into()] }],
        ),
    };
    snapshot.dns.policy_nodes[at] = node;
    PolicyNodeIndex(at)
}
