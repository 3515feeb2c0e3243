//! What holds of every flow, whatever the weights, dials and health.

use std::net::{Ipv4Addr, SocketAddr};

use perigee_health::HealthState;
use perigee_model::ClientAffinity;
use proptest::prelude::*;

use super::world::*;
use crate::*;

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
fn shares_tend_to_the_weights() {
    let n = 100_000;
    for weights in [&[1_u8, 255][..], &[128, 128, 128], &[10, 20, 70, 0], &[255, 1, 1, 1, 1]] {
        let total: f64 = weights.iter().map(|w| f64::from(*w)).sum();
        let count = World::new(1).weights(weights).count(n);
        for (endpoint, weight) in weights.iter().enumerate() {
            within(count.get(&(0, endpoint)).copied().unwrap_or(0), n, f64::from(*weight) / total);
        }
    }
}

#[test]
fn one_load_balancer_twice_in_a_group_is_two_endpoints_with_shares_by_weight() {
    let n = 100_000;
    let mut world = World::new(1).weights(&[30, 70]);
    let endpoints = &mut world.listener_mut().endpoint_groups[0].endpoints;
    endpoints[1].target = endpoints[0].target;
    endpoints[1].client_ip_preservation = false;
    within(world.count(n)[&(0, 0)], n, 0.3);
}

#[test]
fn dials_and_weights_do_not_disturb_each_other() {
    let n = 100_000;
    let count = World::new(2).weights(&[64, 192]).dials(&[40.0, 100.0]).count(n);
    within(count[&(0, 0)], n, 0.4 * 0.25);
    within(count[&(0, 1)], n, 0.4 * 0.75);
    within(count[&(1, 0)], n, 0.6);
}

#[test]
fn source_ip_affinity_holds_over_ports_protocols_and_what_happens_elsewhere() {
    let mut world = World::new(2).weights(&[10, 100, 255, 30]).dials(&[70.0, 100.0]);
    world.listener_mut().client_affinity = ClientAffinity::SourceIp;
    let of = |world: &World, client: u32, port: u16, udp: bool| {
        let client = SocketAddr::new(Ipv4Addr::from(0x0a00_0000 + client).into(), port);
        let destination = ([127, 75, 2, 1], 8080).into();
        let flow = if udp { Flow::udp(client, destination) } else { Flow::tcp(client, destination) };
        world.decide_flow(&flow).outcome
    };
    let first: Vec<Outcome> = (0..300).map(|client| of(&world, client, 1, false)).collect();
    for port in 2..40 {
        for client in 0..300 {
            assert_eq!(of(&world, client, port, port % 2 == 0), first[client as usize], "client {client} moved");
        }
    }
    // An endpoint's death moves its own clients and nobody else's, and its return brings them back.
    world.fail(2);
    let dead = Outcome::Endpoint { group: 0, endpoint: 0 };
    for client in 0..300 {
        let now = of(&world, client, 9, false);
        assert!(now == first[client as usize] || first[client as usize] == dead);
        assert_ne!(now, dead);
    }
    world.health.load_balancers[2].measured = HealthState::Healthy;
    assert!((0..300).all(|client| of(&world, client, 9, true) == first[client as usize]));
}

/// A world drawn at random: weights of group 0, dials, and which load balancers are dead.
fn world() -> impl Strategy<Value = World> {
    let weights = proptest::collection::vec(any::<u8>(), 1..6);
    let dials = proptest::collection::vec(prop_oneof![Just(0.0), Just(100.0), 0.0..100.0_f64], 4);
    (weights, dials, proptest::collection::vec(any::<bool>(), 10), any::<bool>()).prop_map(
        |(weights, dials, dead, affine)| {
            let mut world = World::new(4).weights(&weights).dials(&dials);
            for lb in (0..world.health.load_balancers.len()).filter(|lb| dead[*lb]) {
                world.fail(lb);
            }
            if affine {
                world.listener_mut().client_affinity = ClientAffinity::SourceIp;
            }
            world
        },
    )
}

proptest! {
    #[test]
    fn raising_a_dial_only_adds_clients_to_its_group(n: u32, dials in proptest::collection::vec(1.0..99.0_f64, 3), which in 0_usize..3, by in 0.0..60.0_f64) {
        let n = n % 0x0100_0000;
        let before = World::new(3).dials(&dials);
        let mut raised = dials.clone();
        raised[which] = (raised[which] + by).min(100.0);
        let after = World::new(3).dials(&raised);
        let (was, is) = (before.decide(n).outcome, after.decide(n).outcome);
        let its = Outcome::Endpoint { group: which, endpoint: 0 };
        prop_assert!(was == is || is == its, "{was:?} -> {is:?}");
    }

    #[test]
    fn removing_an_endpoint_moves_only_its_own_clients(n: u32, weights in proptest::collection::vec(1_u8..=255, 2..6), gone in 0_usize..6) {
        let n = n % 0x0100_0000;
        let gone = gone % weights.len();
        let before = World::new(1).weights(&weights);
        let mut after = World::new(1).weights(&weights);
        after.listener_mut().endpoint_groups[0].endpoints.remove(gone);
        let endpoint = |decision: Decision| match decision.outcome {
            Outcome::Endpoint { endpoint, .. } => endpoint,
            Outcome::Refuse => usize::MAX,
        };
        let (was, is) = (endpoint(before.decide(n)), endpoint(after.decide(n)));
        let is = if is >= gone { is + 1 } else { is };
        prop_assert!(was == is || was == gone);
    }

    #[test]
    fn two_edges_with_one_snapshot_agree(world in world(), n: u32) {
        let n = n % 0x0100_0000;
        let other = World {
            snapshot: world.snapshot.clone(),
            health: world.health.clone(),
            order: world.order.clone(),
            seed: perigee_balance::Seed::derive("shop"),
        };
        prop_assert_eq!(world.decide(n), other.decide(n));
        prop_assert_eq!(world.candidate(&flow(n)), other.candidate(&flow(n)));
    }

    /// The algorithm of section 9 said backwards: who is chosen is eligible, or nobody close is.
    #[test]
    fn whoever_is_chosen_is_eligible_unless_nobody_close_is(world in world(), n: u32) {
        let flow = flow(n % 0x0100_0000);
        let groups = world.groups();
        let router = world.router(&groups);
        let decision = router.decide(&flow, &mut ());
        let Outcome::Endpoint { group, endpoint } = decision.outcome else { return Err(TestCaseError::fail("refused")) };
        if decision.reason == RouteReason::FailOpen {
            prop_assert_eq!(groups.closest().next(), Some(group));
            prop_assert!(groups.closest().take(3).all(|g| router.eligible(&flow, g).is_empty()));
        } else {
            prop_assert!(router.is_eligible(&flow, group, endpoint));
            prop_assert_eq!(router.eligible(&flow, group)[0], endpoint);
        }
    }

    #[test]
    fn an_endpoints_failure_moves_only_its_own_flows(n: u32, dead in 0_usize..3) {
        let n = n % 0x0100_0000;
        let before = World::new(1).weights(&[10, 100, 255]);
        let mut after = World::new(1).weights(&[10, 100, 255]);
        after.fail(1 + dead);
        let (was, is) = (before.decide(n).outcome, after.decide(n).outcome);
        let lost = Outcome::Endpoint { group: 0, endpoint: dead };
        prop_assert!(was == is || was == lost);
    }

    #[test]
    fn a_healthy_close_endpoint_is_never_passed_over_for_a_dead_one(n: u32, dead in proptest::collection::vec(any::<bool>(), 3)) {
        let n = n % 0x0100_0000;
        let mut world = World::new(3);
        for (i, _) in dead.iter().enumerate().filter(|(_, d)| **d) {
            world.fail(i);
        }
        if let Outcome::Endpoint { group, .. } = world.decide(n).outcome {
            prop_assert!(!dead[group] || dead.iter().all(|d| *d));
        }
    }
}
