use std::time::Duration;

use perigee_model::dns::EndpointProtocol;
use perigee_model::{HealthCheckIndex, fixtures};
use proptest::prelude::*;

use super::verdict::{children_first, has_quorum, is_met};
use super::*;

mod detection;

const FAIL: Result<(), ProbeFailure> = Err(ProbeFailure::Timeout);
const PASS: Result<(), ProbeFailure> = Ok(());

fn endpoint(interval_s: u64, threshold: u8, checkers: u8) -> EndpointCheck {
    EndpointCheck {
        protocol: EndpointProtocol::Http,
        address: Some([192, 0, 2, 1].into()),
        domain_name: None,
        port: 80,
        path: "/".into(),
        search: None,
        interval: Duration::from_secs(interval_s),
        threshold,
        sni: true,
        checkers,
    }
}

fn check(name: &str, kind: DnsCheckKind) -> DnsHealthCheck {
    DnsHealthCheck { name: name.into(), kind, inverted: false, disabled: false }
}

fn probing(name: &str, threshold: u8, checkers: u8) -> DnsHealthCheck {
    check(name, DnsCheckKind::Endpoint(endpoint(10, threshold, checkers)))
}

fn calculated(name: &str, threshold: u16, children: &[usize]) -> DnsHealthCheck {
    let children = children.iter().copied().map(HealthCheckIndex).collect();
    check(name, DnsCheckKind::Calculated { threshold, children })
}

fn inverted(check: DnsHealthCheck) -> DnsHealthCheck {
    DnsHealthCheck { inverted: true, ..check }
}

fn disabled(check: DnsHealthCheck) -> DnsHealthCheck {
    DnsHealthCheck { disabled: true, ..check }
}

fn snapshot(checks: Vec<DnsHealthCheck>) -> Snapshot {
    let mut snapshot = fixtures::snapshot(&["a"]);
    snapshot.dns.health_checks = checks;
    snapshot
}

fn machine(checks: Vec<DnsHealthCheck>) -> DnsChecks {
    DnsChecks::new(&snapshot(checks), Instant::START)
}

/// Makes every probe that is due at `now`, each answered at once by what `answer` says of check and prober.
fn round(checks: &mut DnsChecks, now: Instant, answer: impl Fn(&str, u8) -> Result<(), ProbeFailure>) -> usize {
    let mut made = 0;
    while let Some(probe) = checks.poll_probe(now) {
        checks.probed(&probe, answer(&probe.check, probe.prober), now);
        made += 1;
    }
    made
}

/// A moment in the `round`th interval of 10 s at which every prober has another probe due.
fn later(round: u64) -> Instant {
    Instant::START + Duration::from_secs(10) * u32::try_from(round).unwrap()
}

#[test]
fn more_than_eighteen_percent_of_the_probers_make_a_quorum() {
    // Probers, and the fewest votes that are enough.
    let table = [(1, 1), (2, 1), (3, 1), (5, 1), (6, 2), (11, 2), (12, 3), (16, 3), (17, 4), (50, 10), (64, 12)];
    for (probers, enough) in table {
        for votes in 0..=probers {
            assert_eq!(has_quorum(votes, probers), votes >= enough, "{votes} of {probers}");
        }
    }
    assert!(!has_quorum(18, 100), "exactly 18 % is not more than 18 %");
}

#[test]
fn a_calculated_check_counts_its_healthy_children() {
    // Threshold, which of three children are unhealthy, whether the check is healthy.
    let table: [(u16, &[usize], bool); 9] = [
        (0, &[0, 1, 2], true),
        (1, &[0, 1], true),
        (1, &[0, 1, 2], false),
        (2, &[], true),
        (2, &[1], true),
        (2, &[0, 1], false),
        (3, &[2], false),
        (4, &[], false),
        (256, &[], false),
    ];
    for (threshold, sick, healthy) in table {
        let children = ["a", "b", "c"].map(|name| probing(name, 1, 1));
        let mut checks = machine([&children[..], &[calculated("d", threshold, &[0, 1, 2])]].concat());
        for child in sick {
            checks.force(["a", "b", "c"][*child], Some(Forced::Unhealthy));
        }
        assert_eq!(checks.verdicts()[3], healthy, "threshold {threshold}, sick {sick:?}");
    }
    assert!(is_met(0, 0), "zero is always healthy, without children too");
}

#[test]
fn nested_checks_are_judged_leaves_first_wherever_they_stand() {
    // The names force the parents to stand before their children.
    let mut checks = machine(vec![
        calculated("a-top", 2, &[1, 3]),
        inverted(calculated("b-middle", 1, &[2])),
        probing("c-leaf", 1, 1),
        probing("d-leaf", 1, 1),
    ]);
    assert_eq!(checks.verdicts(), [false, false, true, true]);
    assert!(checks.force("c-leaf", Some(Forced::Unhealthy)));
    assert_eq!(checks.verdicts(), [true, true, false, true]);
}

#[test]
fn children_stand_before_parents_and_a_circle_ends() {
    let chain: Vec<_> = (0..500).map(|i| calculated(&format!("{i:03}"), 1, &[(i + 1) % 500])).collect();
    let mut order = children_first(&chain);
    assert_eq!(order[0], 499, "the last of the chain closes the circle");
    order.sort_unstable();
    assert_eq!(order, (0..500).collect::<Vec<_>>());
}

#[test]
fn disabled_is_healthy_and_inversion_comes_last_of_all() {
    let sick = |_: &str, _: u8| FAIL;
    let well = |_: &str, _: u8| PASS;
    // Disabled, inverted, what the endpoint says, the verdict.
    for (is_disabled, is_inverted, healthy, verdict) in [
        (false, false, true, true),
        (false, false, false, false),
        (false, true, true, false),
        (false, true, false, true),
        (true, false, false, true),
        (true, true, false, false),
        (true, true, true, false),
    ] {
        let plain = probing("a", 1, 5);
        let kind = DnsHealthCheck { disabled: is_disabled, inverted: is_inverted, ..plain };
        let mut checks = machine(vec![kind]);
        let made = round(&mut checks, later(1), if healthy { well } else { sick });
        assert_eq!(made, if is_disabled { 0 } else { 5 }, "a disabled check is not probed");
        assert_eq!(checks.verdicts(), [verdict], "disabled {is_disabled}, inverted {is_inverted}, {healthy}");
    }
    let top = [disabled(calculated("a", 2, &[1])), probing("b", 1, 1)];
    assert_eq!(machine(top.to_vec()).verdicts(), [true, true], "a disabled calculated check is healthy");
}

#[test]
fn a_new_check_is_healthy_until_there_is_enough_data_and_unhealthy_if_inverted() {
    let mut checks = machine(vec![probing("a", 2, 3), inverted(probing("b", 2, 3))]);
    assert_eq!(checks.verdicts(), [true, false]);
    assert_eq!(checks.statuses()[0].undecided, 3);
    round(&mut checks, later(1), |_, _| FAIL);
    assert_eq!(checks.verdicts(), [true, false], "one failure of two is not enough data");
    round(&mut checks, later(2), |_, _| FAIL);
    assert_eq!(checks.verdicts(), [false, true]);
    assert_eq!(checks.statuses()[0].undecided, 0);
}

#[test]
fn a_threshold_counts_in_a_row_and_in_both_directions() {
    for threshold in 1..=10 {
        let mut checks = machine(vec![probing("a", threshold, 1)]);
        let mut at = 0;
        let mut ask = |checks: &mut DnsChecks, result| {
            at += 1;
            assert_eq!(round(checks, later(at), |_, _| result), 1);
            checks.verdicts()[0]
        };
        assert!(ask(&mut checks, PASS));
        for (result, from) in [(FAIL, true), (PASS, false), (FAIL, true)] {
            for _ in 1..threshold {
                assert_eq!(ask(&mut checks, result), from, "threshold {threshold}");
            }
            if threshold > 1 {
                // One contrary result, and the count begins again.
                assert_eq!(ask(&mut checks, if from { PASS } else { FAIL }), from);
                for _ in 1..threshold {
                    assert_eq!(ask(&mut checks, result), from, "threshold {threshold}, counted over a gap");
                }
            }
            assert_eq!(ask(&mut checks, result), !from, "threshold {threshold}");
        }
    }
}

#[test]
fn one_isolated_prober_of_five_cannot_fail_a_check_and_one_of_five_holds_it() {
    let mut checks = machine(vec![probing("a", 1, 5)]);
    round(&mut checks, later(1), |_, prober| if prober == 0 { FAIL } else { PASS });
    assert_eq!(checks.verdicts(), [true]);
    round(&mut checks, later(2), |_, prober| if prober == 4 { PASS } else { FAIL });
    let status = &checks.statuses()[0];
    assert_eq!((status.votes, status.voters, status.healthy), (1, 5, true));
    round(&mut checks, later(3), |_, _| FAIL);
    assert_eq!(checks.verdicts(), [false]);
}

#[test]
fn the_operators_word_stands_above_inversion_and_outlives_a_reload() {
    let before = snapshot(vec![inverted(probing("a", 1, 1)), calculated("b", 1, &[0])]);
    let mut checks = DnsChecks::new(&before, Instant::START);
    assert_eq!(checks.verdicts(), [false, false]);
    assert!(checks.force("a", Some(Forced::Healthy)));
    assert!(!checks.force("a", Some(Forced::Healthy)), "the same word changes nothing");
    assert_eq!(checks.verdicts(), [true, true], "parents see what counts");
    checks.set_snapshot(&before, later(1));
    assert_eq!(checks.verdicts(), [true, true]);
    let status = &checks.statuses()[0];
    assert_eq!((status.measured, status.forced, status.healthy), (false, Some(Forced::Healthy), true));
    assert!(checks.force("a", None));
    assert_eq!(checks.verdicts(), [false, false]);
    assert!(!checks.force("nobody", Some(Forced::Unhealthy)));
}

#[test]
fn the_probers_own_trouble_counts_neither_way() {
    let mut checks = machine(vec![probing("a", 2, 1)]);
    round(&mut checks, later(1), |_, _| FAIL);
    round(&mut checks, later(2), |_, _| Err(ProbeFailure::Internal));
    assert_eq!(checks.verdicts(), [true]);
    assert_eq!(checks.statuses()[0].last_failure.unwrap().failure, ProbeFailure::Internal);
    round(&mut checks, later(3), |_, _| FAIL);
    assert_eq!(checks.verdicts(), [false], "the row goes on over it");
}

#[test]
fn a_reload_keeps_what_is_known_unless_an_immutable_field_changed() {
    type Change = fn(&mut EndpointCheck);
    let table: [(&str, Change, bool); 10] = [
        ("nothing", |_| {}, true),
        ("threshold", |e| e.threshold = 5, true),
        ("address", |e| e.address = Some([192, 0, 2, 9].into()), true),
        ("port", |e| e.port = 81, true),
        ("path", |e| e.path = "/other".into(), true),
        ("domain name", |e| e.domain_name = Some("a.test".into()), true),
        ("checkers", |e| e.checkers = 2, true),
        ("interval", |e| e.interval = Duration::from_secs(30), false),
        ("protocol", |e| e.protocol = EndpointProtocol::Tcp, false),
        ("string match", |e| e.search = Some("ok".into()), false),
    ];
    for (what, change, is_kept) in table {
        let mut checks = machine(vec![probing("a", 1, 3), probing("b", 1, 3)]);
        round(&mut checks, later(1), |_, _| FAIL);
        let mut after = endpoint(10, 1, 3);
        change(&mut after);
        checks.set_snapshot(&snapshot(vec![check("b", DnsCheckKind::Endpoint(after))]), later(1));
        assert_eq!(checks.verdicts(), [!is_kept], "{what}");
        assert_eq!(checks.statuses()[0].last_failure.is_some(), is_kept, "{what}");
    }
}

#[test]
fn a_check_that_is_enabled_again_starts_anew() {
    let plain = probing("a", 1, 1);
    let mut checks = machine(vec![plain.clone()]);
    round(&mut checks, later(1), |_, _| FAIL);
    checks.set_snapshot(&snapshot(vec![disabled(plain.clone())]), later(1));
    assert_eq!((checks.verdicts(), checks.poll_timeout()), (&[true][..], None));
    checks.set_snapshot(&snapshot(vec![plain]), later(2));
    assert_eq!(checks.verdicts(), [true]);
    assert_eq!(round(&mut checks, later(3), |_, _| FAIL), 1);
    assert_eq!(checks.verdicts(), [false]);
}

#[test]
fn a_result_about_an_endpoint_that_has_changed_is_dropped() {
    let mut checks = machine(vec![probing("a", 1, 1)]);
    let probe = checks.poll_probe(later(1)).unwrap();
    let mut moved = endpoint(10, 1, 1);
    moved.address = Some([192, 0, 2, 2].into());
    checks.set_snapshot(&snapshot(vec![check("a", DnsCheckKind::Endpoint(moved))]), later(1));
    assert!(!checks.probed(&probe, FAIL, later(1)));
    assert_eq!(checks.verdicts(), [true]);
    let next = checks.poll_probe(later(2)).expect("another probe is due within an interval");
    assert_eq!(next.endpoint.address, Some([192, 0, 2, 2].into()));
    assert!(!checks.probed(&probe, FAIL, later(2)), "the old one is nobody's");
    assert!(checks.probed(&next, FAIL, later(2)));
    assert!(!checks.probed(&next, PASS, later(2)), "a result counts once");
    checks.set_snapshot(&snapshot(Vec::new()), later(2));
    assert!(!checks.probed(&next, PASS, later(2)), "the check is gone");
}

#[test]
fn a_probe_under_way_survives_a_reload_that_does_not_touch_its_endpoint() {
    let mut checks = machine(vec![probing("a", 3, 1)]);
    let probe = checks.poll_probe(later(1)).unwrap();
    checks.set_snapshot(&snapshot(vec![probing("a", 1, 1)]), later(1));
    assert!(checks.poll_probe(later(9)).is_none(), "one probe of a prober at a time");
    assert!(checks.probed(&probe, FAIL, later(9)), "with the threshold of now");
}

#[test]
fn probers_begin_all_over_the_interval_and_ask_at_the_same_rate_whatever_they_hear() {
    let interval = Duration::from_secs(10);
    let mut checks = machine(vec![probing("a", 3, 64)]);
    let mut quarters = [0; 4];
    let mut at = Instant::START;
    while let Some(due) = checks.poll_timeout().filter(|due| *due < Instant::START + interval) {
        at = due;
        let probe = checks.poll_probe(at).unwrap();
        quarters[usize::try_from((at - Instant::START).as_millis() / 2_500).unwrap()] += 1;
        checks.probed(&probe, if probe.prober.is_multiple_of(2) { PASS } else { FAIL }, at);
    }
    assert!(quarters.iter().all(|count| (6..=28).contains(count)), "uneven phases: {quarters:?}");
    assert_eq!(quarters.iter().sum::<i32>(), 64);
    // Constant work: the second interval has as many probes as the first, whatever the endpoint said.
    assert_eq!(round(&mut checks, at + interval, |_, _| FAIL), 64);
}

proptest! {
    #[test]
    fn the_quorum_is_monotone(probers in 1usize..=64, votes in 0usize..=64, more in 0usize..=64) {
        let (votes, more) = (votes.min(probers), more.min(probers));
        if votes <= more && has_quorum(votes, probers) {
            prop_assert!(has_quorum(more, probers));
        }
        prop_assert!(has_quorum(probers, probers) && !has_quorum(0, probers));
        prop_assert_eq!(has_quorum(votes, probers), votes as f64 / probers as f64 > 0.18);
    }

    #[test]
    fn inverted_is_the_negation_whatever_is_heard(
        heard in prop::collection::vec(prop::collection::vec(any::<bool>(), 4), 1..20),
        threshold in 1u8..=4,
        is_disabled in any::<bool>(),
    ) {
        // One name, so that both ask in the same phases.
        let plain = DnsHealthCheck { disabled: is_disabled, ..probing("a", threshold, 4) };
        let mut straight = machine(vec![plain.clone()]);
        let mut turned = machine(vec![inverted(plain)]);
        for (i, results) in (1..).zip(&heard) {
            let answer = |_: &str, prober: u8| if results[usize::from(prober)] { PASS } else { FAIL };
            round(&mut straight, later(i), answer);
            round(&mut turned, later(i), answer);
            prop_assert_ne!(straight.verdicts()[0], turned.verdicts()[0]);
        }
    }

    #[test]
    fn the_order_in_which_probers_report_is_irrelevant(
        rounds in prop::collection::vec(prop::collection::vec((any::<bool>(), any::<u32>()), 6), 1..12),
        threshold in 1u8..=3,
    ) {
        let checks = vec![calculated("a", 1, &[1]), probing("b", threshold, 6)];
        let (mut sorted, mut shuffled) = (machine(checks.clone()), machine(checks));
        for (i, heard) in (1..).zip(&rounds) {
            let now = later(i);
            let probes = |checks: &mut DnsChecks| std::iter::from_fn(|| checks.poll_probe(now)).collect::<Vec<_>>();
            let result = |probe: &DnsProbe| if heard[usize::from(probe.prober)].0 { PASS } else { FAIL };
            for probe in probes(&mut sorted) {
                sorted.probed(&probe, result(&probe), now);
            }
            let mut late = probes(&mut shuffled);
            late.sort_by_key(|probe| heard[usize::from(probe.prober)].1);
            for probe in late {
                shuffled.probed(&probe, result(&probe), now);
            }
            prop_assert_eq!(sorted.verdicts(), shuffled.verdicts());
            prop_assert_eq!(sorted.statuses()[1].votes, shuffled.statuses()[1].votes);
        }
    }
}
