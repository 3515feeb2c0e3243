//! How long it takes until a fault is seen, on a virtual clock.

use super::*;

/// An endpoint that fails from `fault` on, each failure after `takes`; before, it answers at once. Gives how long after
/// the fault the check turned unhealthy.
fn detection(check: EndpointCheck, fault: Instant, takes: Duration) -> Duration {
    let mut checks = machine(vec![super::check("a", DnsCheckKind::Endpoint(check))]);
    // Results on their way, by time.
    let mut running: Vec<(Instant, DnsProbe, Result<(), ProbeFailure>)> = Vec::new();
    for _ in 0..100_000 {
        let result = running.iter().map(|(at, ..)| *at).min();
        let now = result.into_iter().chain(checks.poll_timeout()).min().expect("something is always to come");
        while let Some(at) = running.iter().position(|(at, ..)| *at == now) {
            let (_, probe, result) = running.swap_remove(at);
            checks.probed(&probe, result, now);
            if !checks.verdicts()[0] {
                return now - fault;
            }
        }
        while let Some(probe) = checks.poll_probe(now) {
            let (after, result) = if now >= fault { (takes, FAIL) } else { (Duration::ZERO, PASS) };
            running.push((now + after, probe, result));
        }
    }
    panic!("the fault was never seen");
}

/// The moment at which the only prober of a healthy check begins its tenth probe.
fn tenth_probe(check: &EndpointCheck) -> Instant {
    Instant::START + phase("a", 0, check.interval) + check.interval * 9
}

#[test]
fn one_prober_sees_a_fault_within_the_times_of_the_table() {
    let (s, ns) = (Duration::from_secs, Duration::from_nanos(1));
    // Interval and threshold, best and worst case in seconds: a silent endpoint takes the connect time-out of 4 s.
    for (interval, threshold, best, worst) in [(10, 1, 0, 14), (10, 3, 20, 42), (30, 3, 60, 102)] {
        let check = endpoint(interval, threshold, 1);
        let probe = tenth_probe(&check);
        // Best: the fault comes just before a probe, and fails at once.
        assert_eq!(detection(check.clone(), probe, Duration::ZERO), s(best), "{interval} x {threshold}");
        // Worst: just after one, and every failure takes as long as it may.
        assert_eq!(detection(check.clone(), probe + ns, s(4)), s(worst) - ns, "{interval} x {threshold}");
    }
}

#[test]
fn time_outs_add_to_every_round_because_the_interval_begins_with_the_response() {
    let s = Duration::from_secs;
    let check = endpoint(10, 3, 1);
    let probe = tenth_probe(&check);
    // Three time-outs and the two intervals between them.
    assert_eq!(detection(check, probe, s(4)), s(3 * 4 + 2 * 10));
}

proptest! {
    #[test]
    fn every_fault_is_seen_between_the_best_and_the_worst_case(
        after_ms in 100_000u64..200_000,
        takes_ms in 0u64..=4_000,
        threshold in 1u8..=4,
        checkers in 1u8..=8,
        interval in prop::sample::select(vec![10u64, 30]),
    ) {
        let (fault, takes) = (Instant::START + Duration::from_millis(after_ms), Duration::from_millis(takes_ms));
        let took = detection(endpoint(interval, threshold, checkers), fault, takes);
        let interval = Duration::from_secs(interval);
        prop_assert!(took >= interval * u32::from(threshold - 1) + takes, "{took:?}");
        prop_assert!(took <= (interval + takes) * u32::from(threshold), "{took:?}");
    }
}
