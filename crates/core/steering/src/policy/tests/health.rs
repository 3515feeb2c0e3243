use std::time::Duration;

use perigee_health::HealthState::{Initial, Unhealthy};
use perigee_model::dns::BranchKey;

use super::super::*;
use super::world::*;

fn pair(primary: T, secondary: T) -> T {
    failover(b(BranchKey::Primary, primary), b(BranchKey::Secondary, secondary))
}

#[test]
fn failover_goes_to_the_secondary_and_back_to_the_primary_when_both_are_down() {
    let tree = || [pair(T::Lb(0), T::Lb(1))];
    assert_eq!(World::new(&tree()).answer(SEOUL), "lb 0");
    let one_down = World::new(&tree()).force_down(0);
    assert_eq!(one_down.answer(SEOUL), "lb 1");
    assert_eq!(one_down.ask(SEOUL).reason, PolicyReason::NextHealthy);
    let both = World::new(&tree()).lb(0, Unhealthy).lb(1, Unhealthy);
    assert_eq!(both.answer(SEOUL), "lb 0");
    assert!(both.ask(SEOUL).failed_open);
    assert_eq!(both.ask(SEOUL).scope, 0);
}

#[test]
fn a_secondary_without_a_check_is_always_usable() {
    let tree = failover(b(BranchKey::Primary, ip("192.0.2.1")).check(0), b(BranchKey::Secondary, ip("192.0.2.2")));
    let world = World::new(&[tree]).failing(&[0]);
    assert_eq!(world.answer(SEOUL), "192.0.2.2");
    assert!(!world.ask(SEOUL).failed_open);
}

#[test]
fn what_is_not_judged_yet_counts_while_nothing_is_known_to_be_healthy() {
    let tree = || [pair(T::Lb(0), T::Lb(1))];
    assert_eq!(World::new(&tree()).lb(0, Initial).answer(SEOUL), "lb 1");
    let nothing_known = World::new(&tree()).lb(0, Initial).lb(1, Initial);
    assert_eq!(nothing_known.answer(SEOUL), "lb 0");
    assert!(!nothing_known.ask(SEOUL).degraded);
    assert_eq!(World::new(&tree()).lb(0, Unhealthy).lb(1, Initial).answer(SEOUL), "lb 1");
}

#[test]
fn an_alias_not_evaluated_is_healthy_unless_its_check_fails() {
    let tree = |primary: B| [failover(primary, b(BranchKey::Secondary, T::Lb(1)))];
    let primary = || b(BranchKey::Primary, T::Lb(0)).check(0);
    assert_eq!(World::new(&tree(primary().not_evaluated())).force_down(0).answer(SEOUL), "lb 0");
    assert_eq!(World::new(&tree(primary().not_evaluated())).failing(&[0]).answer(SEOUL), "lb 1");
    // Evaluated: the check and the target.
    assert_eq!(World::new(&tree(primary())).answer(SEOUL), "lb 0");
    assert_eq!(World::new(&tree(primary())).force_down(0).answer(SEOUL), "lb 1");
    assert_eq!(World::new(&tree(primary())).failing(&[0]).answer(SEOUL), "lb 1");
}

#[test]
fn a_degraded_answer_has_half_the_ttl_not_below_five_seconds_unless_the_zone_is_route_53_s_like() {
    let tree = || {
        [failover(b(BranchKey::Primary, ip("192.0.2.1")).check(0), b(BranchKey::Secondary, ip("192.0.2.2")).check(1))]
    };
    assert_eq!(World::new(&tree()).ask(SEOUL).ttl, Duration::from_secs(40));
    let degraded = World::new(&tree()).failing(&[1]).ask(SEOUL);
    assert_eq!((degraded.ttl, degraded.degraded), (Duration::from_secs(20), true));
    for (configured, lowered) in [(300, 150), (10, 5), (8, 5), (3, 3)] {
        assert_eq!(degraded.ttl_of(Duration::from_secs(configured)).as_secs(), lowered);
    }
    let parity = World::with(&tree(), |snapshot| snapshot.dns.zones[0].route53_parity = true).failing(&[1]);
    assert_eq!(parity.ask(SEOUL).ttl, Duration::from_secs(40));
}

#[test]
fn aliases_have_the_ttl_of_their_targets() {
    for (tree, ttl) in [(T::Lb(0), 60), (T::Accelerator, 300), (T::Alias(1), 40), (ip("192.0.2.1"), 40)] {
        let world = World::new(&[tree.clone(), ip("192.0.2.9")]);
        assert_eq!(world.ask(SEOUL).ttl.as_secs(), ttl, "{tree:?}");
    }
}
