use perigee_model::PolicyNameIndex;
use perigee_model::dns::{BranchKey, Policy};

use super::super::*;
use super::world::*;

fn kinds(world: &World) -> Vec<String> {
    let tree = world.trees.of_policy_name(PolicyNameIndex(0));
    world.trees.kinds(tree).map(|kind| world.trees.mnemonic(kind).to_owned()).collect()
}

#[test]
fn a_types_group_is_the_tree_without_the_leaves_that_lack_it() {
    let tree = failover(
        b(BranchKey::Primary, ip("192.0.2.1")),
        b(BranchKey::Secondary, T::Ips(vec!["192.0.2.2", "2001:db8::2"])),
    );
    let world = World::new(&[tree]);
    assert_eq!(kinds(&world), ["A", "AAAA"]);
    let aaaa = world.decide(RecordKind::AAAA, &subnet(SEOUL, 24), 0);
    assert_eq!(world.answers(&aaaa), ["192.0.2.2 2001:db8::2"]);
    assert!(!aaaa.failed_open && !aaaa.degraded);
    assert_eq!(aaaa.reason, PolicyReason::FirstChoice);
}

#[test]
fn a_type_that_no_leaf_has_is_no_data_and_no_failure() {
    let world = World::new(&[T::Lb(0), T::With("192.0.2.1", "HTTPS")]);
    let aaaa = world.decide(RecordKind::AAAA, &subnet(SEOUL, 24), 0);
    assert_eq!((aaaa.leaves.as_slice().len(), aaaa.reason), (0, PolicyReason::NoType));
    let https = world.trees.kind("HTTPS").unwrap();
    assert!(!world.trees.has_kind(world.trees.of_policy_name(PolicyNameIndex(0)), https));
    assert!(world.trees.has_kind(world.trees.of_policy_name(PolicyNameIndex(1)), https));
    assert_eq!(world.trees.kind("MX"), None);
}

#[test]
fn a_name_of_a_zone_file_counts_as_having_every_type_and_promises_none() {
    let tree = T::Group(
        Policy::Multivalue,
        vec![b(BranchKey::Value, T::File("static.test")), b(BranchKey::Value, ip("192.0.2.1"))],
    );
    let world = World::new(&[tree]);
    let mx = world.trees.kind("MX").unwrap();
    assert_eq!(mx, RecordKind::OTHER);
    assert_eq!(world.decide(mx, &subnet(SEOUL, 24), 0).leaves.as_slice().len(), 1);
    assert_eq!(kinds(&world), ["A"]);
    assert_eq!(world.trees.file_names(world.trees.of_policy_name(PolicyNameIndex(0))), ["static.test"]);
}

#[test]
fn other_types_follow_the_same_choice_as_the_addresses() {
    let tree = || {
        [failover(
            b(BranchKey::Primary, T::With("192.0.2.1", "HTTPS")).check(0),
            b(BranchKey::Secondary, T::With("192.0.2.2", "HTTPS")),
        )]
    };
    for world in [World::new(&tree()), World::new(&tree()).failing(&[0])] {
        let https = world.trees.kind("HTTPS").unwrap();
        let (a, https) = (world.ask(SEOUL), world.decide(https, &subnet(SEOUL, 24), 0));
        assert_eq!((a.leaves, a.ttl, a.scope), (https.leaves, https.ttl, https.scope));
    }
}
