//! Random configurations: nothing panics, and what is accepted holds together.
#![allow(clippy::unwrap_used, reason = "the functions that the tests share fail them by a panic")]

use std::collections::BTreeSet;

use perigee_config::Layers;
use perigee_model::dns::{BranchKey, DnsCheckKind, Policy, PolicyName, PolicyNode, PolicyRecord, RecordTarget};
use perigee_model::{Action, DnsZone, EndpointTarget, PolicyNodeIndex, Snapshot};
use proptest::prelude::*;

/// Every reference resolves, every list has the order that the model promises.
fn holds_together(s: &Snapshot) {
    assert!(s.regions.windows(2).all(|w| w[0].code < w[1].code));
    assert!(s.accelerators.windows(2).all(|w| w[0].name < w[1].name));
    for (i, region) in s.regions.iter().enumerate() {
        assert!(region.load_balancers.iter().all(|lb| s.load_balancer(*lb).region.0 == i));
        assert!(region.target_groups.iter().all(|tg| s.target_group(*tg).region.0 == i));
        assert!(!region.zones.is_empty() && region.zones.windows(2).all(|w| w[0] < w[1]));
    }
    let listed: usize = s.regions.iter().map(|r| r.load_balancers.len()).sum();
    assert_eq!(listed, s.load_balancers.len());
    for (i, lb) in s.load_balancers.iter().enumerate() {
        let region = s.region(lb.region);
        assert!(region.load_balancers.iter().any(|index| index.0 == i));
        assert_eq!(s.find_load_balancer(lb.region, &lb.name).map(|index| index.0), Some(i));
        assert!(lb.nodes.iter().all(|n| region.zones.contains(&n.zone)) && !lb.nodes.is_empty());
        for listener in &lb.listeners {
            for action in listener.rules.iter().map(|r| r.action).chain([listener.default_action]) {
                let Action::Forward { target_group } = action;
                assert_eq!(s.target_group(target_group).region, lb.region);
            }
            assert!(listener.rules.windows(2).all(|w| w[0].priority < w[1].priority));
        }
    }
    for group in &s.target_groups {
        assert!(group.targets.iter().all(|t| s.region(group.region).zones.contains(&t.zone)));
        assert!(group.health_check.timeout < group.health_check.interval);
    }
    for group in s.accelerators.iter().flat_map(|a| &a.listeners).flat_map(|l| &l.endpoint_groups) {
        let region = |target| match target {
            EndpointTarget::LoadBalancer(index) => s.load_balancer(index).region,
            EndpointTarget::Instance(index) => s.instance(index).region,
            EndpointTarget::ElasticIp(index) => s.elastic_ip(index).region,
        };
        assert!(group.endpoints.iter().all(|e| region(e.target) == group.region));
    }
    for name in &s.dns.latency_names {
        assert!(s.load_balancers.iter().any(|lb| lb.name == name.load_balancer));
    }
    dns_holds_together(s);
}

/// What the model promises of zones, names, trees and health checks.
fn dns_holds_together(s: &Snapshot) {
    let dns = &s.dns;
    assert_eq!(dns.zones[0].origin, dns.origin);
    assert!(dns.zones[1..].windows(2).all(|w| w[0].origin < w[1].origin));
    let key = |n: &PolicyName| (n.zone, n.name.clone());
    assert!(dns.policy_names.windows(2).all(|w| key(&w[0]) < key(&w[1])));
    assert!(dns.health_checks.windows(2).all(|w| w[0].name < w[1].name));
    // Each node but the roots is the child of one group that stands before it.
    let mut parents = vec![0; dns.policy_nodes.len()];
    for (i, node) in dns.policy_nodes.iter().enumerate() {
        match node {
            PolicyNode::Group(group) => {
                let max = if matches!(group.policy, Policy::Geoproximity { .. }) { 30 } else { 100 };
                assert!((1..=max).contains(&group.branches.len()));
                let ids: BTreeSet<&str> = group.branches.iter().map(|b| b.set_identifier.as_str()).collect();
                assert_eq!(ids.len(), group.branches.len());
                for branch in &group.branches {
                    assert!(branch.node.0 > i && (1..=128).contains(&branch.set_identifier.chars().count()));
                    assert!(
                        fits(group.policy, &branch.key)
                            && branch.health_check.is_none_or(|c| c.0 < dns.health_checks.len())
                    );
                    parents[branch.node.0] += 1;
                }
            }
            PolicyNode::Record(record) => {
                assert!((5..=300).contains(&record.ttl.as_secs()));
                match &record.target {
                    RecordTarget::Addresses(list) => assert!(!list.is_empty() || !record.others.is_empty()),
                    RecordTarget::LoadBalancer(lb) => assert!(lb.0 < s.load_balancers.len()),
                    RecordTarget::Accelerator(accelerator) => assert!(accelerator.0 < s.accelerators.len()),
                    RecordTarget::PolicyName(name) => assert!(name.0 < dns.policy_names.len()),
                    RecordTarget::Name(_) => assert!(dns.zones.iter().any(|z| z.file.is_some())),
                }
            }
        }
    }
    for (i, name) in dns.policy_names.iter().enumerate() {
        assert!(name.zone.0 < dns.zones.len() && name.name.ends_with(&dns.zones[name.zone.0].origin));
        parents[name.root.0] += 1;
        assert!(!reaches(dns, name.root, i, 0), "{} leads to itself", name.name);
    }
    assert!(parents.iter().all(|count| *count == 1), "a node with {parents:?} parents");
    for check in &dns.health_checks {
        if let DnsCheckKind::Calculated { children, .. } = &check.kind {
            assert!(children.iter().all(|c| c.0 < dns.health_checks.len() && dns.health_checks[c.0] != *check));
        }
    }
}

/// Whether a tree leads to the name by its aliases.
fn reaches(dns: &DnsZone, node: PolicyNodeIndex, name: usize, depth: usize) -> bool {
    assert!(depth < 400, "deeper than the limits allow");
    match dns.policy_node(node) {
        PolicyNode::Group(group) => group.branches.iter().any(|b| reaches(dns, b.node, name, depth + 1)),
        PolicyNode::Record(PolicyRecord { target: RecordTarget::PolicyName(to), .. }) => {
            to.0 == name || reaches(dns, dns.policy_name(*to).root, name, depth + 1)
        }
        PolicyNode::Record(_) => false,
    }
}

fn fits(policy: Policy, key: &BranchKey) -> bool {
    matches!(
        (policy, key),
        (Policy::Weighted { .. }, BranchKey::Weight(_))
            | (Policy::Latency, BranchKey::Region(_))
            | (Policy::Failover, BranchKey::Primary | BranchKey::Secondary)
            | (Policy::Geolocation, BranchKey::Location(_))
            | (Policy::Geoproximity { .. }, BranchKey::Proximity { .. })
            | (Policy::Multivalue, BranchKey::Value)
            | (Policy::IpBased, BranchKey::Cidrs(_) | BranchKey::AnyNetwork)
    )
}

const MAIN: &str = include_str!("../../../../perigee.toml");
const REGION: &str = include_str!("../../../../regions/ap-northeast-2.toml");
/// The main file refers to this region too: without it nothing would be accepted.
const OTHER: &str = include_str!("../../../../regions/ap-northeast-1.toml");

/// Every kind of DNS name, zone and health check.
const DNS: &str = include_str!("accepted/perigee.toml");

/// The text of [`DNS`] with some values replaced, those within its records among them: by others of the text, half of
/// them by one of the same key, so that they are often of the right kind.
fn mutated_dns() -> impl Strategy<Value = String> {
    let text = dns();
    let spans: Vec<(usize, usize)> = text
        .match_indices(" = ")
        .map(|(at, _)| at + 3)
        .map(|from| (from, from + text[from..].find([',', '}', '\n']).unwrap()))
        .collect();
    let count = spans.len();
    let edit = (0..count, 0..count, any::<bool>());
    prop::collection::vec(edit, 0..4).prop_map(move |mut edits| {
        edits.sort_by(|a, b| b.cmp(a));
        edits.dedup_by_key(|(at, ..)| *at);
        let mut mutated = text.clone();
        for (at, with, same_key) in edits {
            let key = |span: &(usize, usize)| text[..span.0 - 3].rsplit([' ', '\n']).next().unwrap().to_owned();
            let alike: Vec<_> = spans.iter().filter(|s| !same_key || key(s) == key(&spans[at])).collect();
            let ((from, to), (start, end)) = (spans[at], *alike[with % alike.len()]);
            mutated.replace_range(from..to, &text[start..end]);
        }
        mutated
    })
}

/// [`DNS`] with its zone file where the tests find it.
fn dns() -> String {
    DNS.replace("\"lab.zone\"", "\"tests/accepted/lab.zone\"")
}

/// The text with some lines left out, doubled or with another value: mostly TOML, often nearly right.
fn mutated(text: &'static str) -> impl Strategy<Value = String> {
    let lines: Vec<&str> = text.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).collect();
    let value = prop_oneof![
        4 => Just("2".to_owned()),
        2 => Just("128".to_owned()),
        2 => Just("\"shop\"".to_owned()),
        2 => Just("\"web\"".to_owned()),
        1 => Just("[]".to_owned()),
        1 => Just("{}".to_owned()),
        1 => Just("nan".to_owned()),
        1 => Just("true".to_owned()),
        1 => any::<i64>().prop_map(|n| n.to_string()),
        1 => "[ -~]{0,12}".prop_map(|s| format!("'{}'", s.replace('\'', ""))),
    ];
    let count = lines.len();
    prop::collection::vec((0..count, 0..4u8, value), 0..4).prop_map(move |edits| {
        let mut text: Vec<String> = lines.iter().map(|l| (*l).to_owned()).collect();
        for (line, how, value) in edits {
            let old = text[line].clone();
            text[line] = match (how, old.split_once(" = ")) {
                (0, _) => String::new(),
                (1, _) => format!("{old}\n{old}"),
                (_, Some((key, _))) => format!("{key} = {value}"),
                (_, None) => old,
            };
        }
        text.join("\n")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_text_never_panics(main in "\\PC{0,200}", region in "[\\[\\]{}=\"'a-z0-9.,\\n #_-]{0,300}") {
        let _ = Layers::from_strings(Some(&main), &[("ap-northeast-2", &region)]).load();
    }

    #[test]
    fn random_variables_and_flags_never_panic(name in "[A-Z_0-9]{0,40}", value in "\\PC{0,60}", key in "\\PC{0,20}") {
        let variable = format!("PERIGEE_{name}");
        let _ = Layers::from_strings(None, &[]).env(&[(&variable, &value)]).load();
        let _ = Layers::from_strings(None, &[]).flags(&[(&key, &value, "--x")]).load();
    }

    #[test]
    fn what_is_accepted_holds_together(main in mutated(MAIN), region in mutated(REGION), both in any::<bool>()) {
        let regions: &[(&str, &str)] = if both { &[("ap-northeast-1", OTHER), ("ap-northeast-2", &region)] } else { &[] };
        match Layers::from_strings(Some(&main), regions).load() {
            Ok(config) => holds_together(&config.snapshot),
            Err(problems) => prop_assert!(problems.iter().count() > 0),
        }
    }

    #[test]
    fn dns_that_is_accepted_holds_together(main in mutated_dns()) {
        match Layers::from_strings(Some(&main), &[]).load() {
            Ok(config) => holds_together(&config.snapshot),
            Err(problems) => prop_assert!(problems.iter().count() > 0),
        }
    }
}

#[test]
fn the_mutations_of_dns_reach_accepted_and_refused_configurations() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..300 {
        let main = mutated_dns().new_tree(&mut runner).unwrap().current();
        match Layers::from_strings(Some(&main), &[]).load() {
            Ok(config) => {
                holds_together(&config.snapshot);
                accepted += usize::from(main != dns());
            }
            Err(_) => refused += 1,
        }
    }
    assert!(accepted > 10 && refused > 10, "{accepted} accepted, {refused} refused");
}

#[test]
fn the_built_in_configuration_holds_together() {
    holds_together(&Layers::from_strings(None, &[]).load().unwrap().snapshot);
}

#[test]
fn the_mutations_reach_accepted_and_refused_configurations() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..200 {
        let region = mutated(REGION).new_tree(&mut runner).unwrap().current();
        match Layers::from_strings(Some(MAIN), &[("ap-northeast-1", OTHER), ("ap-northeast-2", &region)]).load() {
            Ok(config) => {
                holds_together(&config.snapshot);
                accepted += 1;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(accepted > 10 && refused > 10, "{accepted} accepted, {refused} refused");
}
