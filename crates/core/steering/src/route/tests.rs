//! The oracles of `global-accelerator.md` section 20 that the decision alone can answer.

use std::net::Ipv4Addr;

use perigee_geo::Leg;
use perigee_health::{HealthState, LoadBalancerHealth, ProbedView};
use perigee_model::{LoadBalancerIndex, LoadBalancerName, RegionIndex, TrafficDial, Weight, fixtures};
use proptest::prelude::*;

use super::*;

/// A world of regions a, b, c ... in order of distance.
struct World {
    snapshot: Snapshot,
    health: View,
    order: Vec<Leg>,
    seed: Seed,
}

impl World {
    fn new(regions: usize) -> Self {
        let codes = &["a", "b", "c", "d", "e"][..regions];
        let snapshot = fixtures::snapshot(codes);
        let healthy = LoadBalancerHealth { measured: HealthState::Healthy, ..LoadBalancerHealth::unknown(2) };
        Self {
            health: View { load_balancers: vec![healthy; regions], checks: Vec::new(), probed: ProbedView::default() },
            order: (0..regions).map(|i| Leg { region: RegionIndex(i), rtt_ms: i as f32, measured: true }).collect(),
            seed: Seed::derive("shop"),
            snapshot,
        }
    }

    fn dials(mut self, dials: &[f64]) -> Self {
        for (group, dial) in self.listener_mut().endpoint_groups.iter_mut().zip(dials) {
            group.traffic_dial = TrafficDial::new(*dial).expect("a dial");
        }
        self
    }

    /// Gives group 0 endpoints of the given weights, all in region a, and everything a load balancer of its own.
    fn weights(mut self, weights: &[u8]) -> Self {
        let base = self.snapshot.load_balancers.len();
        let mut endpoints = Vec::new();
        for (i, weight) in weights.iter().enumerate() {
            let mut lb = self.snapshot.load_balancers[0].clone();
            lb.name = LoadBalancerName::new(&format!("lb{i}"));
            self.snapshot.load_balancers.push(lb);
            self.health.load_balancers.push(self.health.load_balancers[0].clone());
            endpoints.push(Endpoint {
                target: EndpointTarget::LoadBalancer(LoadBalancerIndex(base + i)),
                weight: Weight::new(*weight),
                client_ip_preservation: true,
            });
        }
        self.listener_mut().endpoint_groups[0].endpoints = endpoints;
        self
    }

    fn listener_mut(&mut self) -> &mut AcceleratorListener {
        &mut self.snapshot.accelerators[0].listeners[0]
    }

    fn fail(&mut self, lb: usize) {
        self.health.load_balancers[lb].measured = HealthState::Unhealthy;
    }

    fn groups(&self) -> GroupOrder {
        GroupOrder::new(&self.snapshot.accelerators[0].listeners[0], &self.order)
    }

    fn router<'a>(&'a self, groups: &'a GroupOrder) -> Router<'a> {
        Router::new(&self.snapshot, (AcceleratorIndex(0), 0), groups, &self.health, &self.seed)
    }

    fn decide(&self, n: u32) -> Decision {
        self.router(&self.groups()).decide(&flow(n), &mut ())
    }

    /// How many of `n` flows each (group, endpoint) gets.
    fn count(&self, n: u32) -> std::collections::BTreeMap<(usize, usize), u32> {
        let mut count = std::collections::BTreeMap::new();
        for i in 0..n {
            match self.decide(i).outcome {
                Outcome::Endpoint { group, endpoint } => *count.entry((group, endpoint)).or_insert(0) += 1,
                Outcome::Refuse => panic!("flow {i} was refused"),
            }
        }
        count
    }
}

fn flow(n: u32) -> Flow {
    let client =
        SocketAddr::new(Ipv4Addr::from(0x0a00_0000 + n / 50).into(), 1024 + u16::try_from(n % 50).unwrap_or(0));
    Flow::tcp(client, ([127, 75, 2, 1], 8080).into())
}

fn within(got: u32, n: u32, share: f64) {
    let expected = f64::from(n) * share;
    let sigma = (expected * (1.0 - share)).sqrt();
    assert!((f64::from(got) - expected).abs() <= 3.3 * sigma, "{got} of {n}, expected {expected} +- {}", 3.3 * sigma);
}

#[test]
fn t1_with_full_dials_everything_goes_to_the_closest() {
    let world = World::new(2);
    assert_eq!(world.count(1_000).into_iter().collect::<Vec<_>>(), [((0, 0), 1_000)]);
    assert_eq!(world.decide(0).reason, RouteReason::Closest);
}

#[test]
fn t2_two_half_dials_split_each_coast_in_half() {
    let n = 100_000;
    let mut world = World::new(2).dials(&[50.0, 50.0]);
    within(world.count(n)[&(0, 0)], n, 0.5);
    world.order.reverse();
    within(world.count(n)[&(1, 0)], n, 0.5);
}

#[test]
fn t5_a_group_with_dial_zero_is_a_failover_candidate() {
    let mut world = World::new(2).dials(&[100.0, 0.0]);
    world.fail(0);
    let decision = world.decide(1);
    assert_eq!(decision.outcome, Outcome::Endpoint { group: 1, endpoint: 0 });
    assert_eq!(decision.reason, RouteReason::Failover);
}

#[test]
fn t6_with_the_closest_three_dead_a_healthy_fourth_is_not_used() {
    let mut world = World::new(5);
    for lb in 0..3 {
        world.fail(lb);
    }
    let mut notes = Vec::new();
    let decision = world.router(&world.groups()).decide(&flow(1), &mut notes);
    assert_eq!(
        (decision.outcome, decision.reason),
        (Outcome::Endpoint { group: 0, endpoint: 0 }, RouteReason::FailOpen)
    );
    assert_eq!(notes.last(), Some(&(0, Note::FailedOpen)));
    assert!(!notes.iter().any(|(group, _)| *group == 3), "the fourth group was looked at");
}

#[test]
fn an_original_group_outside_the_closest_three_costs_none_of_them() {
    // Dials pass everything on to the fourth group, which is dead, as are the first two: the third still counts.
    let mut world = World::new(4).dials(&[0.0, 0.0, 0.0, 100.0]);
    for lb in [0, 1, 3] {
        world.fail(lb);
    }
    assert_eq!(world.decide(1).outcome, Outcome::Endpoint { group: 2, endpoint: 0 });
}

#[test]
fn t7_all_weights_zero_is_uniform_over_the_closest_group() {
    let n = 40_000;
    let world = World::new(1).weights(&[0, 0, 0, 0]);
    let count = world.count(n);
    for endpoint in 0..4 {
        within(count[&(0, endpoint)], n, 0.25);
    }
    assert_eq!(world.decide(0).reason, RouteReason::FailOpen);
}

#[test]
fn t8_a_healthy_endpoint_of_weight_zero_loses_to_the_second_group() {
    let mut world = World::new(2).weights(&[0, 128]);
    world.fail(3);
    assert_eq!(world.count(100).into_iter().collect::<Vec<_>>(), [((1, 0), 100)]);
}

#[test]
fn t11_source_ip_affinity_keeps_one_group_over_ports_and_both_addresses() {
    let mut world = World::new(2).dials(&[50.0, 50.0]);
    world.listener_mut().client_affinity = ClientAffinity::SourceIp;
    let mut groups_seen = std::collections::BTreeSet::new();
    for client in 0..200_u32 {
        let mut groups = std::collections::BTreeSet::new();
        for port in 1..50 {
            for address in [[127, 75, 2, 1], [127, 99, 83, 1]] {
                let flow = Flow {
                    protocol: TransportProtocol::Tcp,
                    client: SocketAddr::new(Ipv4Addr::from(0x0a00_0000 + client).into(), 1000 + port),
                    destination: (address, 8080).into(),
                };
                if let Outcome::Endpoint { group, .. } = world.router(&world.groups()).decide(&flow, &mut ()).outcome {
                    groups.insert(group);
                }
            }
        }
        assert_eq!(groups.len(), 1, "client {client} was split over groups");
        groups_seen.extend(groups);
    }
    assert_eq!(groups_seen.len(), 2, "all clients landed in one group: the test shows nothing");
}

#[test]
fn t12_weights_1_and_255_share_as_1_to_255() {
    let n = 100_000;
    let count = World::new(1).weights(&[1, 255]).count(n);
    within(count[&(0, 0)], n, 1.0 / 256.0);
}

#[test]
fn all_dials_zero_walks_the_groups_as_if_there_were_no_dials() {
    let mut world = World::new(2).dials(&[0.0, 0.0]);
    assert_eq!(world.decide(1).outcome, Outcome::Endpoint { group: 0, endpoint: 0 });
    world.fail(0);
    assert_eq!(world.decide(1).outcome, Outcome::Endpoint { group: 1, endpoint: 0 });
}

#[test]
fn a_listener_without_endpoints_refuses() {
    let mut world = World::new(1);
    world.listener_mut().endpoint_groups[0].endpoints.clear();
    assert_eq!(world.decide(1), Decision { outcome: Outcome::Refuse, reason: RouteReason::NoEndpoint });
}

#[test]
fn an_endpoint_not_judged_yet_only_takes_part_in_fail_open() {
    let mut world = World::new(2);
    world.health.load_balancers[0].measured = HealthState::Initial;
    assert_eq!(world.decide(1).outcome, Outcome::Endpoint { group: 1, endpoint: 0 });
    world.health.load_balancers[1].measured = HealthState::Initial;
    assert_eq!(world.decide(1).reason, RouteReason::FailOpen);
}

#[test]
fn the_alternatives_reach_another_region_at_the_second_step_and_name_nothing_twice() {
    let world = World::new(3);
    let groups = world.groups();
    let router = world.router(&groups);
    let decision = router.decide(&flow(9), &mut ());
    let first = router.candidate(&flow(9), &decision).expect("a candidate");
    let rest = router.alternatives(&flow(9), &first);
    assert_eq!(rest.len(), 5);
    assert_eq!((rest[0].group, rest[1].group, rest[2].group), (0, 1, 2));
    let mut all: Vec<SocketAddr> = rest.iter().chain([&first]).map(|c| c.address).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 6);
}

#[test]
fn after_failing_open_the_alternatives_still_reach_another_region() {
    let mut world = World::new(2);
    (0..2).for_each(|region| world.fail(region));
    let groups = world.groups();
    let router = world.router(&groups);
    let decision = router.decide(&flow(9), &mut ());
    assert_eq!(decision.reason, RouteReason::FailOpen);
    let first = router.candidate(&flow(9), &decision).expect("a candidate");
    let groups: Vec<usize> = router.alternatives(&flow(9), &first).iter().map(|c| c.group).collect();
    assert_eq!((first.group, groups), (0, vec![0, 1, 1]));
}

#[test]
fn what_is_not_eligible_comes_last_among_the_alternatives() {
    let mut world = World::new(3);
    world.fail(1);
    let groups = world.groups();
    let router = world.router(&groups);
    let decision = router.decide(&flow(9), &mut ());
    let first = router.candidate(&flow(9), &decision).expect("a candidate");
    let groups: Vec<usize> = router.alternatives(&flow(9), &first).iter().map(|c| c.group).collect();
    assert_eq!(groups, [0, 2, 2, 1, 1]);
}

proptest! {
    #[test]
    fn an_endpoints_failure_moves_only_its_own_flows(n: u32, dead in 0_usize..3) {
        let before = World::new(1).weights(&[10, 100, 255]);
        let mut after = World::new(1).weights(&[10, 100, 255]);
        after.fail(1 + dead);
        let (was, is) = (before.decide(n).outcome, after.decide(n).outcome);
        let lost = Outcome::Endpoint { group: 0, endpoint: dead };
        prop_assert!(was == is || was == lost);
    }

    #[test]
    fn a_healthy_close_endpoint_is_never_passed_over_for_a_dead_one(n: u32, dead in proptest::collection::vec(any::<bool>(), 3)) {
        let mut world = World::new(3);
        for (i, _) in dead.iter().enumerate().filter(|(_, d)| **d) {
            world.fail(i);
        }
        if let Outcome::Endpoint { group, .. } = world.decide(n).outcome {
            prop_assert!(!dead[group] || dead.iter().all(|d| *d));
        }
    }
}
