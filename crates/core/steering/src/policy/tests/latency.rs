use perigee_health::HealthState;
use perigee_model::{LoadBalancerName, RegionIndex};
use proptest::prelude::*;

use super::super::*;
use super::world::*;
use crate::{AnswerReason, answer};

const STATES: [HealthState; 3] = [HealthState::Healthy, HealthState::Initial, HealthState::Unhealthy];

/// What both laws say of a client.
fn compare(world: &World, client: DnsClient, all_regions: bool) -> Result<(), TestCaseError> {
    let (address, len) = client.network.unwrap();
    let tree = world.trees.of_latency_name(0);
    let decision = world.trees.decide(&world.states(), tree, RecordKind::A, &client, 0, &mut ());
    let known = if atlas().knows_network(address) { address } else { client.resolver };
    let expected =
        answer(&world.snapshot, &world.snapshot.dns.latency_names[0], atlas().order_of_network(known), &world.health);
    let region = decision.leaves.as_slice().first().and_then(|leaf| world.trees.leaf(*leaf).region);
    let reason = match expected.reason {
        AnswerReason::LowestRoundTrip => PolicyReason::FirstChoice,
        AnswerReason::NextHealthy => PolicyReason::NextHealthy,
        AnswerReason::FailOpen => PolicyReason::FailOpen,
        AnswerReason::NoRegion => PolicyReason::NoType,
    };
    prop_assert_eq!(decision.reason, reason);
    prop_assert_eq!(region, expected.region);
    if expected.region.is_some() {
        prop_assert_eq!((decision.ttl, decision.degraded), (expected.ttl, expected.degraded));
    }
    let scope = atlas().scope(address, len);
    if all_regions {
        prop_assert_eq!(decision.scope, scope);
    } else {
        prop_assert!(
            decision.scope <= scope,
            "fewer regions are never told apart better: {} {}",
            decision.scope,
            scope
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_tree_of_the_latency_policy_answers_as_the_latency_law_does(
        states in prop::collection::vec(0_usize..3, REGIONS.len()),
        without in prop::option::of(0..REGIONS.len()),
        clients in prop::collection::vec((any::<u32>(), 0_u8..=32), 40),
        clients_v6 in prop::collection::vec((any::<u64>(), 0_u8..=64), 20),
    ) {
        let mut world = World::with(&[], |snapshot| {
            if let Some(region) = without {
                snapshot.load_balancers[region].name = LoadBalancerName::new("other");
            }
        });
        for (at, state) in states.iter().enumerate() {
            world = world.lb(at, STATES[*state]);
        }
        let resolver = "8.8.8.8".parse().unwrap();
        for (bits, len) in clients {
            let address = super::super::draw::cut(std::net::IpAddr::from(bits.to_be_bytes()), len);
            // Below the bound of a /24 the majority of a block may be another with fewer regions.
            if without.is_none() || atlas().order(atlas().locate(address).place_index) == atlas().order_of_network(address) {
                compare(&world, DnsClient { network: Some((address, len)), resolver }, without.is_none())?;
            }
        }
        for (high, len) in clients_v6 {
            let high = u128::from(high & 0x0fff_ffff_ffff_ffff | 0x2000_0000_0000_0000) << 64;
            let address = super::super::draw::cut(std::net::IpAddr::from(high.to_be_bytes()), len);
            if without.is_none() {
                compare(&world, DnsClient { network: Some((address, len)), resolver }, true)?;
            }
        }
    }
}

#[test]
fn an_unknown_network_is_answered_by_the_resolver_with_its_own_scope_and_an_unknown_resolver_by_the_lowest_code() {
    let world = World::with(
        &[T::Group(
            perigee_model::dns::Policy::Latency,
            vec![b(region(3), T::Lb(3)), b(region(1), T::Lb(1)), b(region(2), T::Lb(2))],
        )],
        |_| {},
    );
    assert_eq!(world.answer(SEOUL), "lb 1");
    assert_eq!(world.answer(LONDON), "lb 2");
    let mut client = subnet(NOWHERE, 24);
    assert_eq!(world.answers(&world.decide(RecordKind::A, &client, 0)), ["lb 1"], "ap-northeast-2 is the lowest");
    client.resolver = NEW_YORK.parse().unwrap();
    let decision = world.decide(RecordKind::A, &client, 0);
    assert_eq!(world.answers(&decision), ["lb 3"]);
    assert!(decision.scope > 8, "10.1/16 to 10.4/16 are told other things: {}", decision.scope);
    assert_eq!(world.trees.leaf(decision.leaves.as_slice()[0]).region, Some(RegionIndex(3)));
}
