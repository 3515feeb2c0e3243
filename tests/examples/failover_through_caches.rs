//! Prints the tables of `docs/failover-through-caches.md`:
//! `cargo build -p perigee && cargo run -p perigee-tests --example failover_through_caches -- TTL_SECONDS RUNS`.
#![expect(clippy::print_stdout, reason = "a measurement for people")]

use std::time::Duration;

use perigee_tests::cache::{Kind, Manner};
use perigee_tests::failover::{Failover, play};

const KINDS: [Kind; 7] = [
    Kind::Unbound(Manner::Plain),
    Kind::Unbound(Manner::AtLeast(10)),
    Kind::Unbound(Manner::Stale),
    Kind::Unbound(Manner::StaleInNeed),
    Kind::Dnsmasq(Manner::Plain),
    Kind::Dnsmasq(Manner::AtLeast(10)),
    Kind::Dnsmasq(Manner::Stale),
];

/// From run to run, the region dies so much later: no whole number of seconds or of health samples.
const PHASE: Duration = Duration::from_millis(370);

fn main() {
    let numbers: Vec<u32> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let [ttl_s @ 5..=300, count @ 1..=100] = numbers[..] else {
        panic!("what is wanted is a TTL of 5 to 300 seconds and a number of runs, 1 to 100");
    };
    let runs: Vec<Failover> = (0..count).map(|n| play(&KINDS, ttl_s, PHASE * n)).collect();
    let degraded_ttl_s = runs[0].degraded_ttl_s;
    println!("{count} failovers, TTL {ttl_s} s, {degraded_ttl_s} s while the region is down; seconds\n");
    println!(
        "| asked | kill to new answer: min, median, max | arithmetic | way back: min, median, max | arithmetic | to the dead region after a pause |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut detects: Vec<u64> = runs.iter().map(|run| run.detect_ms).collect();
    detects.sort_unstable();
    let detect = [detects[0], detects[detects.len() / 2], detects[detects.len() - 1]];
    for n in 0..=KINDS.len() {
        let courses = || runs.iter().map(|run| &run.courses[n]);
        let (away, back) = (spread(courses().flat_map(|c| &c.away_ms)), spread(courses().flat_map(|c| &c.back_ms)));
        let stale = courses().filter(|c| c.stale_after_pause).count();
        let failed: u64 = courses().map(|c| c.failed).sum();
        assert_eq!(failed, 0, "questions without an answer");
        let Some(kind) = runs[0].courses[n].kind else {
            println!("| the server itself | {away} | detection | - | - | {stale} of {count} |");
            continue;
        };
        let lives = [ttl_s, degraded_ttl_s].map(|ttl_s| 1_000 * u64::from(kind.lifetime_s(ttl_s)));
        let away_by = detect.iter().zip([0, lives[0] / 2, lives[0]]).map(|(detect, life)| detect + life);
        let back_by = [0, lives[1] / 2, lives[1]];
        println!(
            "| {} | {away} | {} | {back} | {} | {stale} of {count} |",
            kind.name(),
            seconds(away_by),
            seconds(back_by)
        );
    }
}

/// Least, median and most.
fn spread<'a>(of: impl Iterator<Item = &'a u64>) -> String {
    let mut all: Vec<u64> = of.copied().collect();
    all.sort_unstable();
    seconds([all[0], all[all.len() / 2], all[all.len() - 1]])
}

fn seconds(ms: impl IntoIterator<Item = u64>) -> String {
    let all: Vec<String> = ms.into_iter().map(|ms| format!("{:.1}", ms as f64 / 1_000.0)).collect();
    all.join(", ")
}
