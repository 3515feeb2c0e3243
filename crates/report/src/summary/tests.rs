use super::*;
use crate::sample;

#[test]
fn a_summary_has_the_seed_the_hash_and_every_verdict() {
    let text = summary(&sample::outcome()).to_string();
    for part in ["seed 7", "9f86d081884c7d659a2feaa0c55ad015", "18,234,567 events", "00:00:00 UTC+9", "DOES NOT HOLD"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let tail = text.lines().find(|l| l.contains("tail of the DNS caches")).unwrap();
    assert!(tail.ends_with("64.0 s"), "{tail}");
}

#[test]
fn eight_regions_and_the_rest_make_all_answers() {
    let outcome = sample::outcome();
    let all = region_totals(&outcome);
    assert_eq!(all.iter().map(|r| r.ok).sum::<u64>(), outcome.totals.ok);
    let table = regions(&outcome);
    assert_eq!(table.lines().count(), 1 + 8 + 1);
    assert!(table.lines().last().unwrap().contains("24 others"));
}

#[test]
fn a_run_without_faults_says_nothing_of_failovers() {
    let text = summary(&Outcome::default()).to_string();
    assert!(!text.contains("first edge knew") && !text.contains("bound"), "{text}");
    assert!(!text.contains("NaN"));
}

#[test]
fn no_line_ends_in_blanks() {
    assert!(summary(&sample::outcome()).to_string().lines().all(|l| l == l.trim_end()));
}
