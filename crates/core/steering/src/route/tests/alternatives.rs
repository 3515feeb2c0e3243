//! Where `fast` turns when a connect fails.

use std::net::SocketAddr;

use super::world::*;
use crate::*;

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
