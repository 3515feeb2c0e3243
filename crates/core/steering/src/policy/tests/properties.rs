use std::net::IpAddr;

use perigee_health::HealthState;
use perigee_model::Location;
use perigee_model::dns::{BranchKey, GeoLocation, Policy};
use proptest::prelude::*;

use super::super::draw::cut;
use super::super::*;
use super::world::*;

const ADDRESSES: [&str; 6] = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2", "192.0.2.6"];

fn leaf() -> impl Strategy<Value = T> {
    prop_oneof![
        (0..ADDRESSES.len()).prop_map(|at| ip(ADDRESSES[at])),
        (0..REGIONS.len()).prop_map(T::Lb),
        Just(T::Accelerator),
    ]
}

fn branches(
    keys: impl Strategy<Value = Vec<BranchKey>>,
    below: impl Strategy<Value = T>,
) -> impl Strategy<Value = Vec<B>> {
    let rest = (below, prop::option::of(0_usize..8), prop::bool::weighted(0.8));
    (keys, prop::collection::vec(rest, 5)).prop_map(|(keys, below)| {
        let branch = |(key, (tree, check, evaluate))| B { key, tree, check, evaluate };
        keys.into_iter().zip(below).map(branch).collect()
    })
}

fn areas() -> impl Strategy<Value = Vec<BranchKey>> {
    let all = vec![
        country("KR"),
        country("US"),
        continent("AS"),
        continent("EU"),
        EVERYWHERE,
        BranchKey::Location(GeoLocation::Subdivision("CA".into())),
    ];
    prop::sample::subsequence(all, 1..=5)
}

fn networks() -> impl Strategy<Value = Vec<BranchKey>> {
    let all = vec![
        nets(&["10.0.0.0/8"]),
        nets(&["10.1.0.0/16", "10.3.128.0/17"]),
        nets(&["10.1.2.0/24", "128.0.0.0/1"]),
        BranchKey::AnyNetwork,
        nets(&["2000::/3"]),
    ];
    prop::sample::subsequence(all, 1..=5)
}

fn locations() -> impl Strategy<Value = Vec<BranchKey>> {
    let point = |latitude, longitude, bias| BranchKey::Proximity { location: Location { latitude, longitude }, bias };
    let all = vec![point(37.5, 127.0, 0), point(50.1, 8.7, 30), point(38.9, -77.0, -40), point(-33.9, 18.4, 0)];
    prop::sample::subsequence(all, 1..=4)
}

/// Trees of every policy but the draw per query.
fn tree() -> impl Strategy<Value = T> {
    leaf().prop_recursive(3, 12, 4, |below| {
        let group = |policy: Policy| move |branches| T::Group(policy, branches);
        let weights = prop::collection::vec(prop::sample::select(vec![0_u8, 1, 3, 255]), 1..=4)
            .prop_map(|weights| weights.into_iter().map(BranchKey::Weight).collect());
        let regions = prop::sample::subsequence((0..REGIONS.len()).collect::<Vec<_>>(), 1..=5)
            .prop_map(|regions| regions.into_iter().map(region).collect());
        prop_oneof![
            branches(weights, below.clone()).prop_map(group(STICKY)),
            branches(regions, below.clone()).prop_map(group(Policy::Latency)),
            branches(Just(vec![BranchKey::Primary, BranchKey::Secondary]), below.clone())
                .prop_map(group(Policy::Failover)),
            branches(areas(), below.clone()).prop_map(group(Policy::Geolocation)),
            branches(locations(), below.clone()).prop_map(group(Policy::Geoproximity { legacy_bias: false })),
            branches(networks(), below.clone()).prop_map(group(Policy::IpBased)),
            branches(Just(vec![BranchKey::Value; 4]), below).prop_map(group(Policy::Multivalue)),
        ]
    })
}

#[derive(Clone, Debug)]
struct Health {
    lbs: Vec<usize>,
    checks: Vec<bool>,
}

fn health() -> impl Strategy<Value = Health> {
    (prop::collection::vec(0_usize..3, REGIONS.len()), prop::collection::vec(any::<bool>(), 8))
        .prop_map(|(lbs, checks)| Health { lbs, checks })
}

impl World {
    fn set(&mut self, health: &Health) {
        for (lb, state) in self.health.load_balancers.iter_mut().zip(&health.lbs) {
            lb.measured = [HealthState::Healthy, HealthState::Initial, HealthState::Unhealthy][*state];
        }
        self.health.checks[..8].copy_from_slice(&health.checks);
    }
}

/// Networks near the configured ones and all over the world.
fn client() -> impl Strategy<Value = (IpAddr, u8)> {
    let near = (0_u32..8, any::<u16>()).prop_map(|(second, low)| 10 << 24 | second << 16 | u32::from(low));
    let ipv4 = prop_oneof![near, any::<u32>()].prop_map(|bits| IpAddr::from(bits.to_be_bytes()));
    let ipv6 = any::<u64>().prop_map(|high| IpAddr::from((u128::from(high) << 64 >> 3 | 1 << 125).to_be_bytes()));
    prop_oneof![
        (ipv4, 8_u8..=32).prop_map(|(address, len)| (cut(address, len), len)),
        (ipv6, 16_u8..=64).prop_map(|(address, len)| (cut(address, len), len)),
    ]
}

fn with_bits_behind(address: IpAddr, scope: u8, noise: u128) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shr(scope.into()).unwrap_or(0);
            IpAddr::from(((v4.to_bits() & !mask) | (noise as u32 & mask)).to_be_bytes())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shr(scope.into()).unwrap_or(0);
            IpAddr::from(((v6.to_bits() & !mask) | (noise & mask)).to_be_bytes())
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn scopes_are_sound_and_independent_of_health_and_every_server_says_the_same(
        tree in tree(),
        states in prop::collection::vec(health(), 3),
        asked in prop::collection::vec((client(), any::<u128>()), 12),
        resolver in client(),
        draws in any::<[u64; 2]>(),
    ) {
        let mut world = World::with(&[tree], |snapshot| snapshot.dns.latency_names.clear());
        let other_server = Trees::build(&world.snapshot, atlas());
        let root = world.trees.of_policy_name(perigee_model::PolicyNameIndex(0));
        let mut scopes: Vec<Option<u8>> = vec![None; asked.len() * 2];
        for health in &states {
            world.set(health);
            let states = world.states();
            for (i, ((address, len), noise)) in asked.iter().enumerate() {
                for (k, kind) in [RecordKind::A, RecordKind::AAAA].into_iter().enumerate() {
                    let of = |trees: &Trees, address, draw| {
                        let client = DnsClient { network: Some((address, *len)), resolver: resolver.0 };
                        trees.decide(&states, root, kind, &client, draw, &mut ())
                    };
                    let decision = of(&world.trees, *address, draws[0]);
                    prop_assert_eq!(decision.leaves.as_slice().is_empty(), !world.trees.has_kind(root, kind));
                    prop_assert_eq!(decision, of(&other_server, *address, draws[1]));
                    let known = *scopes[2 * i + k].get_or_insert(decision.scope);
                    prop_assert_eq!(known, decision.scope, "health changed the scope");
                    // Another network in the scope, of the same source length.
                    let near = cut(with_bits_behind(*address, decision.scope, *noise), *len);
                    let of_near = of(&world.trees, near, draws[0]);
                    prop_assert_eq!(of_near.leaves, decision.leaves, "{} and {} of /{}", address, near, decision.scope);
                    prop_assert_eq!(of_near.scope, decision.scope);
                    if decision.failed_open {
                        prop_assert!(decision.degraded);
                    }
                    for leaf in decision.leaves.as_slice() {
                        prop_assert!(decision.ttl <= world.trees.leaf(*leaf).ttl_of(kind));
                    }
                }
            }
        }
    }
}
