//! One small world for each kind of fault, and what must follow from it.

use perigee_sim::Outcome;

use crate::support::play;

/// Clients in Seoul and Tokyo over two regions for 30 s; `rest` is what happens.
fn world(latency: &str, connections: &str, regions: [&str; 2], rest: &str) -> Outcome {
    play(&format!(
        "story = \"x\"\nfor_s = 30\nnetwork = {{ latency = \"{latency}\" }}\nreport = {{ step_s = 1 }}\n\
         stack = {{ regions = {regions:?}, zones = 2 }}\n\
         targets = {{ service = {{ distribution = \"constant\", ms = 5 }}, concurrency = 100 }}\n\
         [[load]]\nname = \"seoul\"\nfrom = \"Seoul\"\nrate = 50\nfor_s = 30\nconnections = \"{connections}\"\n\
         [[load]]\nname = \"tokyo\"\nfrom = \"Tokyo\"\nrate = 50\nfor_s = 30\nconnections = \"{connections}\"\n{rest}"
    ))
}

const NEAR: [&str; 2] = ["ap-northeast-1", "ap-northeast-2"];
const FAR: [&str; 2] = ["ap-northeast-2", "us-east-1"];

/// Seoul's region broken like this from the tenth second to the twentieth.
fn seoul(latency: &str, how: &str) -> Outcome {
    let event = format!("[[at]]\nname = \"e\"\ns = 10\nfor_s = 10\nkill = \"ap-northeast-2\"\n{how}\n");
    world(latency, "new", NEAR, &event)
}

/// Answers that a load had from a region in the seconds from `from` (the first is 0) to before `until`.
fn answers(outcome: &Outcome, load: &str, region: &str, from: usize, until: usize) -> u64 {
    outcome.loads[load].seconds[from..until].iter().map(|s| s.regions.get(region).copied().unwrap_or(0)).sum()
}

fn is_seen(outcome: &Outcome) -> bool {
    outcome.moments.iter().any(|m| m.kind == "health")
}

#[test]
fn no_new_connection_fails_where_a_crash_refuses_it() {
    let outcome = seoul("none", "how = \"crash\"");
    assert_eq!(outcome.loads["seoul"].failed_by_kind.get("new_connection"), None);
    assert_eq!(answers(&outcome, "seoul", "ap-northeast-1", 11, 20), 450);
    assert_eq!(answers(&outcome, "seoul", "ap-northeast-2", 25, 30), 250, "it is back");
}

#[test]
fn a_blackhole_costs_time_until_it_is_known() {
    let outcome = seoul("none", "how = \"blackhole\"");
    assert!(is_seen(&outcome));
    assert_eq!(answers(&outcome, "seoul", "ap-northeast-1", 14, 20), 300);
    assert_eq!(answers(&outcome, "tokyo", "ap-northeast-1", 0, 30), 1_500);
}

#[test]
fn errors_hit_their_share_with_a_status() {
    let outcome = seoul("none", "how = \"error\"\nshare = 0.2");
    let failed = &outcome.loads["seoul"].failed_by_kind;
    // 500 requests at 0.2: deviation 9; or fewer once the checks have failed, of which there is one.
    assert_eq!(failed.keys().collect::<Vec<_>>(), ["status"]);
    assert!((60..=136).contains(&failed["status"]), "{failed:?}");
    assert_eq!(outcome.loads["tokyo"].failed, 0);
}

#[test]
fn a_slow_region_is_slow_for_everybody_in_it() {
    let outcome = seoul("none", "how = \"slow\"\ndelay_ms = 300");
    let p50 = |second: usize| outcome.series[second].regions[1].latency.p50_ms;
    assert!((p50(15) - p50(5) - 300.0).abs() < 8.0, "{} {}", p50(5), p50(15));
    assert!((p50(25) - p50(5)).abs() < 1.0);
}

#[test]
fn a_gray_failure_is_in_the_tail_and_in_no_health_check() {
    let outcome = seoul("none", "how = \"gray\"\nshare = 0.05");
    let latency = |second: usize| outcome.series[second].regions[1].latency;
    assert!((10..20).any(|s| latency(s).max_ms > 1_000.0));
    assert!((0..10).all(|s| latency(s).max_ms < 100.0));
    assert!((11..20).all(|s| latency(s).p50_ms < 10.0));
    assert!(!is_seen(&outcome));
}

#[test]
fn the_operators_word_moves_flows_without_a_failure() {
    let outcome = seoul("none", "how = \"unhealthy\"");
    assert_eq!(outcome.cost.requests_lost, 0);
    assert_eq!(answers(&outcome, "seoul", "ap-northeast-2", 11, 20), 0);
    assert_eq!(answers(&outcome, "seoul", "ap-northeast-2", 21, 30), 450);
}

#[test]
fn a_flap_comes_and_goes() {
    let outcome = seoul("none", "how = \"crash\"\nflap_s = 4");
    let begun = outcome.moments.iter().filter(|m| m.kind == "fault" && m.what == "e").count();
    assert_eq!(begun, 3, "{:?}", outcome.moments);
    assert_eq!(outcome.loads["seoul"].failed_by_kind.get("new_connection"), None);
}

#[test]
fn a_ramp_of_errors_grows() {
    let outcome = seoul("none", "how = \"error\"\nshare = 0.4\nramp_s = 8");
    let failed = |from: usize, until: usize| -> u64 {
        outcome.loads["seoul"].seconds[from..until].iter().map(|s| s.failed).sum()
    };
    assert_eq!(failed(0, 10) + failed(21, 30), 0);
    assert!(failed(10, 13) < failed(15, 18), "{} {}", failed(10, 13), failed(15, 18));
}

fn cut(a: &str, b: &str) -> Outcome {
    let event = format!("[[at]]\nname = \"e\"\ns = 10\npartition = [\"{a}\", \"{b}\"]\n");
    world("measured", "new", FAR, &event)
}

#[test]
fn an_edge_cut_off_from_a_region_uses_another_and_nobody_else_does() {
    let outcome = cut("ICN", "ap-northeast-2");
    assert_eq!(answers(&outcome, "seoul", "us-east-1", 16, 30), 700);
    assert_eq!(answers(&outcome, "tokyo", "ap-northeast-2", 16, 30), 700);
}

#[test]
fn a_country_cut_off_from_a_region_uses_another_and_nobody_else_does() {
    let outcome = cut("JP", "ap-northeast-2");
    assert_eq!(answers(&outcome, "tokyo", "us-east-1", 16, 30), 700);
    assert_eq!(answers(&outcome, "seoul", "ap-northeast-2", 16, 30), 700);
}

#[test]
fn a_cut_cable_is_a_longer_way() {
    let event = "[[at]]\nname = \"e\"\ns = 10\ncable = [\"ICN\", \"ap-northeast-2\"]\nadd_ms = 100\n";
    let outcome = world("measured", "keep", NEAR, event);
    let p50 = |second: usize| outcome.series[second].regions[1].latency.p50_ms;
    assert!((p50(20) - p50(5) - 100.0).abs() < 3.0, "{} {}", p50(5), p50(20));
    assert_eq!(outcome.cost.requests_lost, 0);
}

#[test]
fn clients_of_a_dead_edge_come_in_by_the_next() {
    for how in ["crash", "blackhole"] {
        let event = format!("[[at]]\nname = \"e\"\ns = 10\nkill = \"ICN\"\nhow = \"{how}\"\n");
        let outcome = world("measured", "new", NEAR, &event);
        let rows = &outcome.loads["seoul"].seconds;
        assert!(rows[12..30].iter().all(|s| s.failed == 0), "{how}");
        assert_eq!(outcome.loads["tokyo"].failed, 0, "{how}");
        // To the next edge and, as that one is in Japan, to the region there.
        assert!(answers(&outcome, "seoul", "ap-northeast-2", 0, 10) > 490, "{how}");
        assert_eq!(answers(&outcome, "seoul", "ap-northeast-1", 12, 29), 850, "{how}");
    }
}

#[test]
fn a_silent_resolver_fails_its_own_clients_only() {
    let outcome = play(
        "story = \"x\"\nfor_s = 120\nstack = { regions = [\"ap-northeast-2\"] }\nreport = { step_s = 10 }\n\
         clients = { count = 50000, sessions_per_day = 100, requests_per_session = 1, classes = 100, retries = 0, \
         weights = \"table\", table = { KR = 1 }, accelerator_share = 0, ignore_ttl_share = 0, diurnal = \"off\" }\n\
         resolver = [{ name = \"good\", share = 0.7 }, { name = \"bad\", share = 0.3, serve_stale_s = 86400 }]\n\
         [[at]]\nname = \"e\"\ns = 60\nresolver = \"bad\"\n",
    );
    assert_eq!(outcome.totals.failed.keys().collect::<Vec<_>>(), ["resolve"]);
    let failed = |from: usize, until: usize| -> f64 {
        let steps = &outcome.series[from..until];
        let lost: u64 = steps.iter().flat_map(|s| s.failed.values()).sum();
        lost as f64 / steps.iter().map(|s| s.requests).sum::<u64>() as f64
    };
    assert_eq!(failed(0, 6), 0.0);
    // 3,500 requests: deviation 0.8 %; four of them.
    assert!((failed(6, 12) - 0.3).abs() < 0.032, "{}", failed(6, 12));
}

const DIAL: &str = "[[at]]\nname = \"dial\"\ns = 10\ndial = \"ap-northeast-2\"\npercent = 0\n";

#[test]
fn a_dial_moves_flows_at_once_and_waits_while_the_control_side_is_away() {
    let outcome = world("none", "new", NEAR, DIAL);
    assert_eq!((answers(&outcome, "seoul", "ap-northeast-2", 11, 30), outcome.cost.requests_lost), (0, 0));
    let away = "[[at]]\nname = \"away\"\ns = 5\ncontrol = \"away\"\nfor_s = 15\n";
    let outcome = world("none", "new", NEAR, &format!("{away}{DIAL}"));
    assert_eq!(answers(&outcome, "seoul", "ap-northeast-2", 11, 20), 450, "it waits");
    assert_eq!(answers(&outcome, "seoul", "ap-northeast-2", 21, 30), 0, "it is made");
    assert_eq!(outcome.cost.requests_lost, 0);
}
