use perigee_model::PolicyNameIndex;
use perigee_model::dns::{BranchKey, Policy, PolicyName, RecordTarget};

use super::super::*;
use super::world::*;

/// Korea: three quarters and a quarter of two failover pairs; the rest of the world: one address.
fn three_levels() -> T {
    let pair = |a: usize, c: usize| failover(b(BranchKey::Primary, T::Lb(a)), b(BranchKey::Secondary, T::Lb(c)));
    T::Group(
        Policy::Geolocation,
        vec![
            b(
                country("KR"),
                T::Group(WEIGHTED, vec![b(BranchKey::Weight(3), pair(0, 1)), b(BranchKey::Weight(1), pair(2, 3))]),
            ),
            b(EVERYWHERE, ip("192.0.2.1")),
        ],
    )
}

fn drawn(world: &World, client: &str) -> std::collections::BTreeSet<String> {
    let one = |draw: u64| world.answers(&world.decide(RecordKind::A, &subnet(client, 24), draw << 40)).join(",");
    (0..2_000).map(one).collect()
}

#[test]
fn geolocation_over_weighted_over_failover_fails_from_the_leaves_up() {
    let set = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    let cases: [(&[usize], &str, &[&str]); 6] = [
        (&[], SEOUL, &["lb 0", "lb 2"]),
        (&[0], SEOUL, &["lb 1", "lb 2"]),
        // A pair that is down altogether: the weighted policy draws without it.
        (&[0, 1], SEOUL, &["lb 2"]),
        // Everything in Korea down: the next area.
        (&[0, 1, 2, 3], SEOUL, &["192.0.2.1"]),
        (&[], LONDON, &["192.0.2.1"]),
        (&[0, 2], SEOUL, &["lb 1", "lb 3"]),
    ];
    for (down, client, expected) in cases {
        let world = down.iter().fold(World::new(&[three_levels()]), |world, lb| world.force_down(*lb));
        let expected: std::collections::BTreeSet<String> = set(expected);
        assert_eq!(drawn(&world, client), expected, "down {down:?}, {client}");
        assert!(!world.ask(client).failed_open);
    }
}

#[test]
fn only_the_root_fails_open() {
    let pair = |a: usize, c: usize| failover(b(BranchKey::Primary, T::Lb(a)), b(BranchKey::Secondary, T::Lb(c)));
    let tree = failover(b(BranchKey::Primary, pair(0, 1)), b(BranchKey::Secondary, pair(2, 3)));
    let world = World::new(std::slice::from_ref(&tree)).force_down(0).force_down(1);
    assert_eq!(world.answer(SEOUL), "lb 2");
    let world = World::new(&[tree]).force_down(0).force_down(1).force_down(2).force_down(3);
    assert_eq!(world.answer(SEOUL), "lb 0");
    assert!(world.ask(SEOUL).failed_open);
}

#[test]
fn a_branch_that_has_nothing_healthy_for_this_client_hands_on_to_the_parents_next() {
    let geography = T::Group(
        Policy::Geolocation,
        vec![b(country("KR"), ip("192.0.2.1")).check(0), b(country("GB"), ip("192.0.2.2")).check(1)],
    );
    let tree = failover(b(BranchKey::Primary, geography), b(BranchKey::Secondary, ip("192.0.2.9")));
    let world = World::new(&[tree]).failing(&[0]);
    assert_eq!(world.answer(SEOUL), "192.0.2.9");
    assert_eq!(world.answer(LONDON), "192.0.2.2");
}

#[test]
fn a_tree_not_evaluated_fails_open_on_its_own() {
    let inner = failover(b(BranchKey::Primary, T::Lb(0)), b(BranchKey::Secondary, T::Lb(1)));
    let tree = failover(b(BranchKey::Primary, inner).not_evaluated(), b(BranchKey::Secondary, T::Lb(2)));
    let world = World::new(&[tree]).force_down(0).force_down(1);
    let decision = world.ask(SEOUL);
    assert_eq!(world.answers(&decision), ["lb 0"]);
    assert!(decision.failed_open && decision.degraded);
}

#[test]
fn an_alias_goes_on_in_the_other_names_tree() {
    let tree = failover(b(BranchKey::Primary, T::Alias(1)), b(BranchKey::Secondary, ip("192.0.2.9")));
    let other = T::Group(Policy::Latency, vec![b(region(1), T::Lb(1)), b(region(2), T::Lb(2))]);
    let world = World::new(&[tree, other]);
    assert_eq!(world.answer(SEOUL), "lb 1");
    assert_eq!(world.answer(LONDON), "lb 2");
    assert!(world.ask(SEOUL).scope > 0);
    let world = world.force_down(1).force_down(2);
    assert_eq!(world.answer(SEOUL), "192.0.2.9");
}

#[test]
fn a_scope_is_that_of_the_nodes_this_client_can_come_to() {
    // Europe alone is told apart further.
    let tree = || {
        T::Group(
            Policy::Geolocation,
            vec![
                b(continent("EU"), T::Group(Policy::Latency, vec![b(region(2), T::Lb(2)), b(region(3), T::Lb(3))])),
                b(EVERYWHERE, ip("192.0.2.1")),
            ],
        )
    };
    let outer =
        T::Group(Policy::Geolocation, vec![b(continent("EU"), ip("192.0.2.3")), b(EVERYWHERE, ip("192.0.2.1"))]);
    let (nested, flat) = (World::new(&[tree()]), World::new(&[outer]));
    let asked = (0..2_000_u32).map(|i| std::net::IpAddr::from((i * 2_147_483).to_be_bytes()).to_string());
    let (mut deeper, mut equal) = (0, 0);
    for client in asked {
        let (nested, flat) = (nested.ask(&client), flat.ask(&client));
        assert!(nested.scope >= flat.scope);
        deeper += u32::from(nested.scope > flat.scope);
        equal += u32::from(nested.scope == flat.scope);
    }
    assert!(equal > 1_000, "outside Europe nothing is added: {equal}, {deeper} deeper");
}

#[test]
fn names_in_a_circle_and_too_deep_ones_have_no_records_and_end() {
    let circle = World::new(&[T::Alias(1), T::Alias(0)]);
    assert_eq!(circle.ask(SEOUL).reason, PolicyReason::NoType);
    let chain: Vec<T> = (0..200).map(|i| if i == 199 { ip("192.0.2.1") } else { T::Alias(i + 1) }).collect();
    let world = World::new(&chain);
    assert_eq!(world.ask(SEOUL).reason, PolicyReason::NoType);
    let near = world.trees.of_policy_name(PolicyNameIndex(150));
    let decision = world.trees.decide(&world.states(), near, RecordKind::A, &subnet(SEOUL, 24), 0, &mut ());
    assert_eq!(decision.leaves.as_slice().len(), 1);
}

#[test]
fn names_that_alias_each_other_twice_at_every_step_are_answered_in_bounded_time() {
    let twice = |to: usize| {
        T::Group(
            Policy::Geolocation,
            vec![b(country("KR"), T::Alias(to)), b(EVERYWHERE, T::Alias(to)), b(continent("AS"), T::Alias(to))],
        )
    };
    let mut names: Vec<T> = (0..25).map(|i| twice(i + 1)).collect();
    names.push(T::Group(
        Policy::Geolocation,
        vec![b(country("KR"), ip("192.0.2.1")).check(0), b(country("GB"), ip("192.0.2.2"))],
    ));
    let world = World::new(&names).failing(&[0]);
    // Healthy for London, so that every way down looks usable, and none is for Seoul.
    assert_eq!(world.answer(SEOUL), "192.0.2.1");
    assert!(world.ask(SEOUL).failed_open);
    assert_eq!(world.answer(LONDON), "192.0.2.2");
}

#[test]
fn equal_shapes_share_their_tables() {
    let names: Vec<T> = (0..300)
        .map(|i| {
            if i % 2 == 0 {
                three_levels()
            } else {
                T::Group(Policy::Latency, vec![b(region(1), T::Lb(1)), b(region(2), T::Lb(2))])
            }
        })
        .collect();
    let world = World::with(&names, |snapshot| snapshot.dns.latency_names.clear());
    assert_eq!(world.trees.counts().1, 2);
}

#[test]
fn an_explanation_tells_the_path_and_what_was_passed_over() {
    let world = World::new(&[three_levels()]).force_down(0);
    let tree = world.trees.of_policy_name(PolicyNameIndex(0));
    let explain = |client: &str| {
        let (states, client) = (world.states(), subnet(client, 24));
        world.trees.explain(&world.snapshot, atlas(), &states, tree, RecordKind::A, &client, 0)
    };
    let explanation = explain(SEOUL);
    let policies: Vec<&str> = explanation.path.iter().map(|step| step.policy.as_str()).collect();
    assert_eq!(policies, ["geolocation", "weighted, drawn for every query", "failover"]);
    assert_eq!(explanation.place, "Seoul, KR");
    let text = explanation.to_string();
    for part in [
        "n0.perigee.test A for 10.1.0.1/24 in Seoul, KR",
        "country KR",
        "weight 3 of 4",
        "everywhere, healthy: larger area",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let london = explain(LONDON).to_string();
    assert!(london.contains("country KR, healthy: not for this client"), "{london}");
    let failing: Vec<String> = (0..16)
        .map(|draw: u64| {
            world
                .trees
                .explain(&world.snapshot, atlas(), &world.states(), tree, RecordKind::A, &subnet(SEOUL, 24), draw << 59)
                .to_string()
        })
        .collect();
    assert!(failing.iter().any(|text| text.contains("primary, unhealthy: passed over: unhealthy")), "{failing:?}");
}

#[test]
fn an_alias_beside_values_of_another_type_keeps_them() {
    let world = World::with(&[T::With("192.0.2.1", "TXT"), ip("192.0.2.2")], |snapshot| {
        let PolicyName { root, .. } = snapshot.dns.policy_names[0];
        if let perigee_model::dns::PolicyNode::Record(record) = &mut snapshot.dns.policy_nodes[root.0] {
            record.target = RecordTarget::PolicyName(PolicyNameIndex(1));
        }
    });
    assert_eq!(world.answer(SEOUL), "192.0.2.2");
    let txt = world.decide(world.trees.kind("TXT").unwrap(), &subnet(SEOUL, 24), 0);
    assert_eq!(world.trees.leaf(txt.leaves.as_slice()[0]).others[0].record_type, "TXT");
}
