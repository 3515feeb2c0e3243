use perigee_health::{Forced, LoadBalancerHealth, NodeHealth, Reach};
use perigee_model::{LoadBalancerName, fixtures};

use super::*;

fn order(regions: &[usize]) -> Vec<Leg> {
    regions.iter().map(|i| Leg { region: RegionIndex(*i), rtt_ms: *i as f32, measured: true }).collect()
}

fn healthy() -> LoadBalancerHealth {
    let node = NodeHealth { reach: Reach::Up, in_service: true, failure: None };
    LoadBalancerHealth { measured: HealthState::Healthy, forced: None, nodes: vec![node; 2] }
}

fn world(health: &[HealthState]) -> (Snapshot, View) {
    let codes = &["a", "b", "c"][..health.len()];
    let health = health.iter().map(|state| LoadBalancerHealth { measured: *state, ..healthy() }).collect();
    (fixtures::snapshot(codes), View { load_balancers: health, checks: Vec::new(), probed: Default::default() })
}

fn ask(health: &[HealthState], by_distance: &[usize]) -> Answer {
    let (snapshot, health) = world(health);
    answer(&snapshot, &snapshot.dns.latency_names[0], &order(by_distance), &health)
}

use HealthState::{Healthy, Initial, Unhealthy};

#[test]
fn the_nearest_healthy_region_is_named() {
    let answer = ask(&[Healthy, Healthy], &[1, 0]);
    assert_eq!((answer.region, answer.reason), (Some(RegionIndex(1)), AnswerReason::LowestRoundTrip));
    assert_eq!(answer.addresses, [IpAddr::from([127, 0, 1, 1]), IpAddr::from([127, 0, 1, 2])]);
    assert_eq!(answer.ttl, Duration::from_secs(30));
}

#[test]
fn a_dead_region_is_passed_over_and_halves_the_ttl() {
    let answer = ask(&[Healthy, Unhealthy], &[1, 0]);
    assert_eq!((answer.region, answer.reason), (Some(RegionIndex(0)), AnswerReason::NextHealthy));
    assert!(answer.degraded);
    assert_eq!(answer.ttl, Duration::from_secs(15));
}

#[test]
fn all_regions_dead_count_as_healthy() {
    let answer = ask(&[Unhealthy, Unhealthy], &[1, 0]);
    assert_eq!((answer.region, answer.reason), (Some(RegionIndex(1)), AnswerReason::FailOpen));
    assert_eq!(answer.addresses.len(), 2);
}

#[test]
fn regions_not_judged_yet_count_as_healthy_while_none_is_known_to_be() {
    assert_eq!(ask(&[Initial, Initial], &[0, 1]).reason, AnswerReason::LowestRoundTrip);
    assert_eq!(ask(&[Initial, Unhealthy], &[1, 0]).region, Some(RegionIndex(0)));
    assert_eq!(ask(&[Initial, Healthy], &[0, 1]).region, Some(RegionIndex(1)));
}

#[test]
fn the_ttl_of_a_degraded_answer_is_never_raised_and_never_below_five_seconds() {
    for (configured, degraded) in [(5, 5), (8, 5), (10, 5), (60, 30), (300, 150)] {
        let (mut snapshot, health) = world(&[Healthy, Unhealthy]);
        snapshot.dns.latency_names[0].ttl = Duration::from_secs(configured);
        let answer = answer(&snapshot, &snapshot.dns.latency_names[0], &order(&[0, 1]), &health);
        assert_eq!(answer.ttl, Duration::from_secs(degraded), "configured {configured}");
    }
}

#[test]
fn a_name_without_a_load_balancer_has_no_answer_and_a_forced_region_is_passed_over() {
    let (mut snapshot, mut health) = world(&[Healthy, Healthy]);
    health.load_balancers[0].forced = Some(Forced::Unhealthy);
    let name = snapshot.dns.latency_names[0].clone();
    assert_eq!(answer(&snapshot, &name, &order(&[0, 1]), &health).region, Some(RegionIndex(1)));
    snapshot.dns.latency_names[0].load_balancer = LoadBalancerName::new("nothing");
    let none = answer(&snapshot, &snapshot.dns.latency_names[0], &order(&[0, 1]), &health);
    assert_eq!((none.load_balancer, none.reason), (None, AnswerReason::NoRegion));
    assert!(none.addresses.is_empty());
}

#[test]
fn a_zone_out_of_service_leaves_the_answer_unless_all_are() {
    let (snapshot, mut health) = world(&[Healthy]);
    health.load_balancers[0].nodes[0].in_service = false;
    assert_eq!(load_balancer_addresses(&snapshot, LoadBalancerIndex(0), &health), (vec![[127, 0, 0, 2].into()], true));
    health.load_balancers[0].nodes[1].in_service = false;
    assert_eq!(load_balancer_addresses(&snapshot, LoadBalancerIndex(0), &health).0.len(), 2);
}
