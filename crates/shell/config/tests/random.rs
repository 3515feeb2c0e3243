//! Random configurations: nothing panics, and what is accepted holds together.
#![allow(clippy::unwrap_used, reason = "the functions that the tests share fail them by a panic")]

use perigee_config::Layers;
use perigee_model::{Action, Snapshot};
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
        assert!(group.endpoints.iter().all(|e| s.load_balancer(e.load_balancer).region == group.region));
    }
    for name in &s.dns.latency_names {
        assert!(s.load_balancers.iter().any(|lb| lb.name == name.load_balancer));
    }
}

const MAIN: &str = include_str!("../../../../perigee.toml");
const REGION: &str = include_str!("../../../../regions/ap-northeast-2.toml");
/// The main file refers to this region too: without it nothing would be accepted.
const OTHER: &str = include_str!("../../../../regions/ap-northeast-1.toml");

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
