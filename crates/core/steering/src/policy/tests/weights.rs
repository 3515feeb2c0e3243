use super::super::draw::split;
use perigee_model::PolicyNameIndex;
use perigee_model::dns::BranchKey;

use super::super::*;
use super::world::*;

/// How many of `draws` go to each address.
fn shares(world: &World, draws: u64) -> std::collections::BTreeMap<String, u64> {
    let states = world.states();
    let tree = world.trees.of_policy_name(PolicyNameIndex(0));
    let client = subnet(SEOUL, 24);
    let mut counts = std::collections::BTreeMap::new();
    for i in 0..draws {
        let decision = world.trees.decide(&states, tree, RecordKind::A, &client, split(7, i), &mut ());
        *counts.entry(world.answers(&decision).join(",")).or_default() += 1;
    }
    counts
}

fn assert_shares(world: &World, expected: &[(&str, f64)]) {
    let draws = 40_000;
    let got = shares(world, draws);
    assert_eq!(got.len(), expected.len(), "{got:?}");
    for (address, share) in expected {
        let part = got.get(*address).copied().unwrap_or(0) as f64 / draws as f64;
        // Five standard deviations of a share of a half.
        assert!((part - share).abs() < 0.0125, "{address}: {part}, expected {share}");
    }
}

#[test]
fn shares_tend_to_the_weights() {
    let world = World::new(&[weighted(&[(1, "192.0.2.1"), (3, "192.0.2.2"), (0, "192.0.2.3")])]);
    assert_shares(&world, &[("192.0.2.1", 0.25), ("192.0.2.2", 0.75)]);
    assert_eq!(world.ask(SEOUL).scope, 0, "location plays no part");
}

#[test]
fn all_weights_zero_have_equal_odds() {
    let world = World::new(&[weighted(&[(0, "192.0.2.1"), (0, "192.0.2.2")])]);
    assert_shares(&world, &[("192.0.2.1", 0.5), ("192.0.2.2", 0.5)]);
}

fn checked() -> T {
    let branch = |weight, address, check| b(BranchKey::Weight(weight), ip(address)).check(check);
    T::Group(
        WEIGHTED,
        vec![
            branch(1, "192.0.2.1", 0),
            branch(3, "192.0.2.2", 1),
            branch(0, "192.0.2.3", 2),
            branch(0, "192.0.2.4", 3),
        ],
    )
}

#[test]
fn an_unhealthy_branch_s_share_is_drawn_among_the_rest() {
    assert_shares(&World::new(&[checked()]).failing(&[1]), &[("192.0.2.1", 1.0)]);
}

#[test]
fn zeros_are_considered_when_every_other_record_is_unhealthy_and_only_then() {
    assert_shares(&World::new(&[checked()]).failing(&[0, 1]), &[("192.0.2.3", 0.5), ("192.0.2.4", 0.5)]);
    assert_shares(&World::new(&[checked()]).failing(&[0, 1, 2]), &[("192.0.2.4", 1.0)]);
}

#[test]
fn with_everything_unhealthy_the_zeros_stay_out() {
    let world = World::new(&[checked()]).failing(&[0, 1, 2, 3]);
    assert_shares(&world, &[("192.0.2.1", 0.25), ("192.0.2.2", 0.75)]);
    let decision = world.ask(SEOUL);
    assert!(decision.failed_open && decision.degraded);
    assert_eq!(decision.reason, PolicyReason::FailOpen);
}

#[test]
fn draws_at_two_levels_of_a_tree_are_independent() {
    let inner = |a, b| weighted(&[(1, a), (1, b)]);
    let world = World::new(&[T::Group(
        WEIGHTED,
        vec![
            b(BranchKey::Weight(1), inner("192.0.2.1", "192.0.2.2")),
            b(BranchKey::Weight(1), inner("192.0.2.3", "192.0.2.4")),
        ],
    )]);
    let quarters = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"].map(|address| (address, 0.25));
    assert_shares(&world, &quarters);
}
