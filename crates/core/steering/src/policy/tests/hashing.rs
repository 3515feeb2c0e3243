use std::collections::BTreeMap;

use perigee_model::dns::{BranchKey, Policy};

use super::super::*;
use super::world::*;

fn sticky(weights: [u8; 3]) -> T {
    let addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
    let branch = |(i, weight)| b(BranchKey::Weight(weight), ip(addresses[i])).check(i);
    T::Group(STICKY, weights.into_iter().enumerate().map(branch).collect())
}

fn clients() -> impl Iterator<Item = String> {
    (0..6_000_u32).map(|i| format!("100.{}.{}.0", 64 + i / 256, i % 256))
}

#[test]
fn a_clients_network_keeps_its_branch_and_shares_tend_to_the_weights() {
    let world = World::new(&[sticky([1, 2, 0])]);
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for client in clients() {
        let answer = world.answer(&client);
        let another_draw = world.decide(RecordKind::A, &subnet(&client, 24), 12_345);
        assert_eq!(answer, world.answers(&another_draw).join(","));
        *counts.entry(answer).or_default() += 1;
    }
    assert_eq!(counts.len(), 2, "{counts:?}");
    assert!((f64::from(counts["192.0.2.1"]) / 6_000.0 - 1.0 / 3.0).abs() < 0.03, "{counts:?}");
}

#[test]
fn the_loss_of_a_branch_moves_its_own_clients_only() {
    let (before, after) = (World::new(&[sticky([1, 1, 1])]), World::new(&[sticky([1, 1, 1])]).failing(&[1]));
    let mut moved = 0;
    for client in clients() {
        let (was, is) = (before.answer(&client), after.answer(&client));
        if was == "192.0.2.2" {
            moved += 1;
            assert_ne!(is, was);
        } else {
            assert_eq!(is, was, "{client}");
        }
    }
    assert!(moved > 1_500, "{moved}");
}

#[test]
fn the_hashed_length_is_the_scope_and_at_most_24_or_48() {
    let world = World::new(&[sticky([1, 1, 1])]);
    for (address, len, scope) in [("8.8.8.0", 24, 24), ("8.8.8.8", 32, 24), ("8.8.0.0", 16, 16), ("2001:db8::", 56, 48)]
    {
        assert_eq!(world.decide(RecordKind::A, &subnet(address, len), 0).scope, scope, "{address}/{len}");
    }
    let of_resolver = DnsClient { network: None, resolver: "8.8.8.8".parse().unwrap() };
    assert_eq!(world.decide(RecordKind::A, &of_resolver, 0).scope, 0);
    let neighbour = DnsClient { network: None, resolver: "8.8.8.200".parse().unwrap() };
    let of = |client| world.decide(RecordKind::A, client, 0).leaves;
    assert_eq!(of(&of_resolver), of(&neighbour));
}

const TWELVE: [&str; 12] = [
    "192.0.2.0",
    "192.0.2.1",
    "192.0.2.2",
    "192.0.2.3",
    "192.0.2.4",
    "192.0.2.5",
    "192.0.2.6",
    "192.0.2.7",
    "192.0.2.8",
    "192.0.2.9",
    "192.0.2.10",
    "192.0.2.11",
];

fn multivalue(count: usize) -> T {
    let branch = |i: usize| b(BranchKey::Value, ip(TWELVE[i])).check(i);
    T::Group(Policy::Multivalue, (0..count).map(branch).collect())
}

fn by_resolver(world: &World, resolver: &str) -> Vec<String> {
    let client = DnsClient { network: None, resolver: resolver.parse().unwrap() };
    world.answers(&world.decide(RecordKind::A, &client, 0))
}

#[test]
fn a_multivalue_answer_has_every_healthy_value_up_to_eight() {
    let world = World::new(&[multivalue(5)]).failing(&[1, 3]);
    assert_eq!(by_resolver(&world, "8.8.8.8"), ["192.0.2.0", "192.0.2.2", "192.0.2.4"]);
    let all_down = World::new(&[multivalue(3)]).failing(&[0, 1, 2]);
    assert_eq!(by_resolver(&all_down, "8.8.8.8").len(), 3);
}

#[test]
fn of_more_than_eight_values_each_resolver_network_keeps_its_own_eight() {
    let world = World::new(&[multivalue(12)]);
    let eight = by_resolver(&world, "8.8.8.8");
    assert_eq!(eight.len(), 8);
    let distinct: std::collections::BTreeSet<_> = eight.iter().collect();
    assert_eq!(distinct.len(), 8);
    assert_eq!(by_resolver(&world, "8.8.8.200"), eight);
    let others = (0..50).filter(|i| by_resolver(&world, &format!("9.9.{i}.1")) != eight).count();
    assert!(others > 45, "{others}");
    // Every value is given to somebody.
    let seen: std::collections::BTreeSet<String> =
        (0..50).flat_map(|i| by_resolver(&world, &format!("9.9.{i}.1"))).collect();
    assert_eq!(seen.len(), 12);
    let with_subnet = world.decide(RecordKind::A, &subnet("1.2.3.0", 24), 0);
    assert_eq!(with_subnet.scope, 0);
}
