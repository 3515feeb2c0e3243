//! A failover as clients behind resolvers see it, whose caches keep the old answer for what is left of its TTL.

use std::time::Duration;

use perigee_tests::cache::{Kind, Manner};
use perigee_tests::failover::{Course, play};
use perigee_tests::figures::Figures;

/// What a busy machine may add: a question is put every 100 ms, and its answer fetched meanwhile.
const SLACK_MS: u64 = 700;
/// unbound counts in whole seconds, and takes an answer for fresh to the end of the second in which it expires.
const WHOLE_SECOND_MS: u64 = 1_000;
const TTL_S: u32 = 5;

const KINDS: [Kind; 7] = [
    Kind::Unbound(Manner::Plain),
    Kind::Unbound(Manner::AtLeast(7)),
    Kind::Unbound(Manner::Stale),
    Kind::Unbound(Manner::StaleInNeed),
    Kind::Dnsmasq(Manner::Plain),
    Kind::Dnsmasq(Manner::AtLeast(7)),
    Kind::Dnsmasq(Manner::Stale),
];

fn mean(of: &[u64]) -> u64 {
    of.iter().sum::<u64>() / of.len() as u64
}

/// Asserts `spec/dns.md` section 3: after the server's own change, at `changed_ms`, an answer of `lifetime_s` leaves
/// a cache in 0 to that many seconds, half of it on average.
fn is_the_residue_of_a_ttl(what: &str, residues_ms: &[u64], lifetime_s: u32) {
    let lifetime_ms = 1_000 * u64::from(lifetime_s);
    let longest = residues_ms.iter().max().copied().unwrap_or(u64::MAX);
    assert!(longest <= lifetime_ms + WHOLE_SECOND_MS + SLACK_MS, "{what}: {residues_ms:?} ms of {lifetime_s} s");
    // Ten names' entries came at ten times of one life; a second's rounding draws them together to seconds.
    let (least, most) = (lifetime_ms / 4, lifetime_ms * 3 / 4 + WHOLE_SECOND_MS + SLACK_MS);
    assert!((least..=most).contains(&mean(residues_ms)), "{what}: {residues_ms:?} ms of {lifetime_s} s");
}

#[test]
fn clients_behind_unbound_and_dnsmasq_follow_within_detection_and_ttl() {
    let played = play(&KINDS, TTL_S, Duration::ZERO);
    let mut figures = Figures::of("clients_behind_unbound_and_dnsmasq_follow_within_detection_and_ttl");
    figures.note("kill to the server's new answer", played.detect_ms, "ms");
    let residue =
        |course: &Course| -> Vec<u64> { course.away_ms.iter().map(|ms| ms.saturating_sub(played.detect_ms)).collect() };
    for course in &played.courses {
        let Some(kind) = course.kind else { continue };
        let (away, back) = (residue(course), &course.back_ms);
        let least_to_most = |of: &[u64]| format!("{:?} to {:?}", of.iter().min().unwrap(), of.iter().max().unwrap());
        figures.note(&format!("{}: residue, mean", kind.name()), mean(&away), "ms");
        figures.note(&format!("{}: residue", kind.name()), least_to_most(&away), "ms");
        figures.note(&format!("{}: residue of the way back", kind.name()), least_to_most(back), "ms");
        figures.note(&format!("{}: dead region after a pause", kind.name()), course.stale_after_pause, "");
    }
    drop(figures);
    assert!(played.detect_ms < 2_500, "two samples of 500 ms miss at the latest: {} ms", played.detect_ms);
    // Half of 5 s would be less than the least TTL of a degraded answer.
    assert_eq!((played.ttl_s, played.degraded_ttl_s), (TTL_S, 5));
    for course in &played.courses {
        assert_eq!(course.failed, 0, "{:?}: a cache was without an answer", course.kind);
        let Some(kind) = course.kind else { continue };
        is_the_residue_of_a_ttl(&format!("{}, away", kind.name()), &residue(course), kind.lifetime_s(TTL_S));
        is_the_residue_of_a_ttl(&format!("{}, back", kind.name()), &course.back_ms, kind.lifetime_s(5));
        // Who answers with what has expired sends a client that was silent for long to the dead region, once.
        let stale = matches!(kind, Kind::Unbound(Manner::Stale) | Kind::Dnsmasq(Manner::Stale));
        assert_eq!(course.stale_after_pause, stale, "{}", kind.name());
    }
}
