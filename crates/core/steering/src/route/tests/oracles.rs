//! The oracles of `global-accelerator.md` section 20 and the worked examples of its sections 5 and 9, as far as the
//! decision alone answers them.

use std::net::{Ipv4Addr, SocketAddr};

use perigee_health::HealthState;
use perigee_model::{ClientAffinity, TransportProtocol};

use super::world::*;
use crate::*;

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
                    protocol: if port % 2 == 0 { TransportProtocol::Tcp } else { TransportProtocol::Udp },
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
fn t13_a_port_override_sends_the_traffic_to_another_port() {
    let mut world = World::new(1).of_instances();
    let group = &mut world.listener_mut().endpoint_groups[0];
    group.port_overrides = vec![perigee_model::PortOverride { listener_port: 8080, endpoint_port: 480 }];
    assert_eq!(world.candidate(&flow(1)).map(|c| c.address), Some(([127, 0, 0, 20], 480).into()));
    assert_eq!(world.snapshot.accelerators[0].listeners[0].endpoint_groups[0].health_check.port, 8080);
}

#[test]
fn t17_a_group_that_has_just_come_back_takes_flows_only_when_nobody_else_can() {
    let mut world = World::new(2).of_instances();
    let decided = |world: &World| (world.decide(1).outcome, world.decide(1).reason);
    let to = |group| Outcome::Endpoint { group, endpoint: 0 };
    world.probed(vec![group(HealthState::Unhealthy, false), group(HealthState::Healthy, false)]);
    assert_eq!(decided(&world), (to(1), RouteReason::Failover));
    world.probed(vec![group(HealthState::Healthy, true), group(HealthState::Healthy, false)]);
    assert_eq!(decided(&world), (to(1), RouteReason::Failover), "it is held");
    let mut notes = Vec::new();
    world.router(&world.groups()).decide(&flow(1), &mut notes);
    assert_eq!(notes, [(0, Note::HeldBack), (1, Note::Chosen)]);
    world.probed(vec![group(HealthState::Healthy, true), group(HealthState::Unhealthy, false)]);
    assert_eq!(decided(&world), (to(0), RouteReason::Closest), "before failing open holds are ignored");
    world.probed(vec![group(HealthState::Healthy, false), group(HealthState::Healthy, false)]);
    assert_eq!(decided(&world), (to(0), RouteReason::Closest));
}

#[test]
fn section_5_the_table_of_dials_holds_for_100_000_flows() {
    let n = 100_000;
    let table: [(&[f64], &[f64]); 7] = [
        (&[50.0, 50.0, 50.0], &[0.5, 0.25, 0.25]),
        (&[20.0, 100.0], &[0.2, 0.8]),
        (&[0.0, 100.0], &[0.0, 1.0]),
        (&[100.0, 0.0, 0.0], &[1.0, 0.0, 0.0]),
        (&[50.0], &[1.0]),
        (&[30.0, 0.0], &[1.0, 0.0]),
        (&[30.0, 1.0], &[0.3, 0.7]),
    ];
    for (dials, shares) in table {
        let count = World::new(dials.len()).dials(dials).count(n);
        for (group, share) in shares.iter().enumerate() {
            within(count.get(&(group, 0)).copied().unwrap_or(0), n, *share);
        }
    }
    assert_eq!(World::new(2).dials(&[0.0, 0.0]).decide(1).reason, RouteReason::Failover);
}

#[test]
fn section_5_two_coasts_at_half_dials_serve_half_each() {
    let n = 100_000;
    let mut world = World::new(2).dials(&[50.0, 50.0]);
    let west = world.count(n);
    world.order.reverse();
    let east = world.count(n);
    for group in 0..2 {
        within(west[&(group, 0)], n, 0.5);
        within(east[&(group, 0)], n, 0.5);
    }
}

#[test]
fn section_9_an_original_group_that_is_dead_fails_over_ignoring_dials() {
    let mut world = World::new(3).dials(&[100.0, 0.0, 100.0]);
    world.fail(0);
    assert_eq!(world.decide(1).outcome, Outcome::Endpoint { group: 1, endpoint: 0 });
    world.fail(1);
    assert_eq!(world.decide(1).outcome, Outcome::Endpoint { group: 2, endpoint: 0 });
}

#[test]
fn section_9_zero_weights_take_part_when_the_law_fails_open() {
    let n = 40_000;
    let mut world = World::new(2).weights(&[0, 200]);
    [1, 3].into_iter().for_each(|lb| world.fail(lb));
    let count = world.count(n);
    within(count[&(0, 0)], n, 0.5);
    within(count[&(0, 1)], n, 0.5);
}
