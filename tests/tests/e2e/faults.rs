//! Parts of a region, edges, and applications that err or are slow.

use std::io::ErrorKind;
use std::time::Duration;

use perigee_tests::dig::dig;
use perigee_tests::figures::Figures;
use perigee_tests::http::connect;
use perigee_tests::load::Summary;
use perigee_tests::stack::{SEOUL, Stack, TOKYO};
use perigee_tests::wait::{unix_ms, until};

/// Two checks, 5 s apart, the second with its time-out of 2 s, a sample of the node, and a second for the rest.
const THRESHOLDS_MS: u64 = 13_500;

fn note(test: &str, summary: &Summary, since: u64) -> Figures {
    let mut figures = Figures::of(test);
    figures.note("requests", summary.number("requests"), "").note("failed", summary.failed_by_kind(), "");
    figures.note("last failure after", summary.failure_span_ms(None, since), "ms");
    figures.note("slowest new connection", summary.slowest_new_connection_ms(), "ms");
    figures
}

#[test]
fn a_dead_zone_costs_no_new_connection_and_leaves_the_region_in_service() {
    let stack = Stack::start();
    let mut load = stack.load("Seoul", &["--rate=200", "--for=17", &stack.url(0)]);
    load.await_seconds(1);
    let killed = stack.kill("ap-northeast-2a", "crash");
    let name = format!("shop.{SEOUL}.elb.perigee.test");
    until("the region's own name has the living zone alone", Duration::from_secs(5), || {
        dig(stack.slot().dns(), &name, "A", None, None).data() == [stack.slot().node(82, 3).ip().to_string()]
    });
    assert_eq!(stack.effective(SEOUL), "healthy");
    let summary = load.finish();
    let mut figures = note("a_dead_zone_costs_no_new_connection_and_leaves_the_region_in_service", &summary, killed);
    figures.note("share of Seoul after it", summary.share_percent(SEOUL, killed), "%");
    drop(figures);
    assert_eq!(summary.failures(Some("new_connection"), killed).len(), 0, "{}", summary.failure_list());
    // The living node goes on to try the dead zone's target until its checks have spoken, as the original does.
    assert!(summary.failures(None, killed + THRESHOLDS_MS).is_empty(), "{}", summary.failure_list());
    assert_eq!(summary.answered(Some(TOKYO), killed), 0, "the region has a living zone");
}

#[test]
fn a_dead_target_is_left_out_once_its_checks_have_spoken() {
    let stack = Stack::start();
    let target = stack.slot().target(82, 1).to_string();
    let mut load = stack.load("Seoul", &["--rate=100", "--for=16", &stack.url(0)]);
    load.await_seconds(1);
    let killed = stack.kill(&target, "crash");
    let took = until("the target is unhealthy", Duration::from_millis(THRESHOLDS_MS), || {
        let status = stack.status();
        let targets = status["targets"].as_array().unwrap();
        targets.iter().any(|t| t["target"] == target.as_str() && t["state"] == "unhealthy")
    });
    let summary = load.finish();
    let mut figures = note("a_dead_target_is_left_out_once_its_checks_have_spoken", &summary, killed);
    figures.note("kill to unhealthy", took.as_millis() as u64, "ms");
    drop(figures);
    assert_eq!(summary.failures(Some("new_connection"), killed).len(), 0, "{}", summary.failure_list());
    assert!(!summary.failures(Some("status"), killed).is_empty(), "a refused connect to a target is a 502");
    assert!(summary.failures(None, killed + THRESHOLDS_MS).is_empty(), "{}", summary.failure_list());
}

#[test]
fn a_dead_edge_leaves_its_clients_to_the_next_one() {
    let stack = Stack::start();
    let mut kept = stack.client_in_seoul().unwrap();
    assert_eq!(kept.get("/").unwrap().region(), SEOUL);
    let mut load = stack.load("Seoul", &["--rate=300", "--for=4", &stack.url(0)]);
    load.await_seconds(1);
    // After Incheon, Osaka is the edge nearest to Seoul (geo/edge-locations.csv), and Tokyo the region nearest to Osaka.
    let through_osaka = || stack.metric("perigee_edge_new_flows_total", &["pop=\"KIX\"", TOKYO]);
    assert_eq!(through_osaka(), 0.0);
    let killed = stack.kill("ICN", "crash");
    assert!(kept.get("/").is_err(), "a flow outlived its edge");
    load.await_seconds(1);
    let moved = through_osaka();
    stack.restore("ICN");
    assert_eq!(stack.client_in_seoul().unwrap().get("/").unwrap().region(), SEOUL, "the edge is back");
    let summary = load.finish();
    let mut figures = note("a_dead_edge_leaves_its_clients_to_the_next_one", &summary, killed);
    figures.note("flows through KIX within a second", moved, "");
    drop(figures);
    let flows = stack.ask("/metrics").unwrap().text();
    let flows: Vec<&str> = flows.lines().filter(|l| l.starts_with("perigee_edge_new_flows_total")).collect();
    assert!(moved > 50.0, "{moved} flows through the next edge: {flows:?}");
    assert_eq!(summary.failures(Some("new_connection"), killed).len(), 0, "{}", summary.failure_list());
    assert!(summary.failures(None, killed + 1_000).is_empty(), "{}", summary.failure_list());
}

#[test]
fn a_dead_network_zone_fails_nobody_who_uses_the_other_address() {
    let stack = Stack::start();
    for (zone, how, dead, alive) in [("zone-a", "crash", 0, 1), ("zone-b", "blackhole", 1, 0)] {
        let mut load = stack.load("Seoul", &["--rate=200", "--for=3", &stack.url(alive)]);
        load.await_seconds(1);
        let killed = stack.kill(zone, how);
        let lost = connect(stack.slot().accelerator(dead), None, Duration::from_millis(300)).map_err(|e| e.kind());
        let expected = if how == "crash" { ErrorKind::ConnectionRefused } else { ErrorKind::TimedOut };
        assert_eq!(lost.err(), Some(expected), "{zone}");
        assert_eq!(stack.status()["faults"][zone], how);
        let summary = load.finish();
        drop(note(&format!("a_dead_network_zone_fails_nobody_who_uses_the_other_address, {zone}"), &summary, killed));
        assert_eq!(summary.number("failed"), 0, "{zone}: {}", summary.failure_list());
        stack.restore(zone);
        assert!(connect(stack.slot().accelerator(dead), None, Duration::from_secs(5)).is_ok(), "{zone} is back");
    }
}

#[test]
fn a_dead_load_balancer_moves_its_region_away_at_once() {
    let stack = Stack::start();
    let mut load = stack.load("Seoul", &["--rate=300", "--for=4", &stack.url(0)]);
    load.await_seconds(1);
    let killed = stack.kill(&format!("{SEOUL}/shop"), "crash");
    let summary = load.finish();
    drop(note("a_dead_load_balancer_moves_its_region_away_at_once", &summary, killed));
    assert_eq!(summary.failures(Some("new_connection"), killed).len(), 0, "{}", summary.failure_list());
    assert!(summary.last_answer_ms(SEOUL, killed) <= 1_000);
    assert!(summary.answered(Some(TOKYO), killed) > 500);
}

#[test]
fn a_living_region_answers_although_everything_counts_as_unhealthy() {
    let stack = Stack::start();
    stack.kill(TOKYO, "unhealthy");
    let mut load = stack.load("Seoul", &["--rate=100", "--for=5", "--new", &stack.url(0)]);
    load.await_seconds(1);
    stack.kill(SEOUL, "blackhole");
    until("Seoul counts as unhealthy too", Duration::from_secs(5), || stack.effective(SEOUL) == "unhealthy");
    let failed_open = unix_ms();
    let summary = load.finish();
    drop(note("a_living_region_answers_although_everything_counts_as_unhealthy", &summary, failed_open));
    assert!(summary.failures(None, failed_open).is_empty(), "{}", summary.failure_list());
    assert!(summary.slowest_new_connection_ms() <= 1_000.0);
    assert!(summary.answered(Some(TOKYO), failed_open) > 150);
}

/// Loads from Seoul while its region's application misbehaves, until its checks have drained it.
fn drained(test: &str, harm: impl FnOnce(&Stack) -> u64) -> (Summary, u64) {
    let stack = Stack::start();
    let mut load = stack.load("Seoul", &["--rate=100", "--for=16", "--new", &stack.url(0)]);
    load.await_seconds(1);
    let done = harm(&stack);
    let took = until("health has drained the region", Duration::from_millis(THRESHOLDS_MS), || {
        stack.effective(SEOUL) == "unhealthy"
    });
    let summary = load.finish();
    let mut figures = note(test, &summary, done);
    figures.note("fault to unhealthy region", took.as_millis() as u64, "ms");
    drop(figures);
    assert!(summary.failures(None, done + THRESHOLDS_MS).is_empty(), "{}", summary.failure_list());
    assert!(summary.answered(Some(TOKYO), done) > 50, "nothing moved to Tokyo");
    assert_eq!(
        summary.failures(Some("new_connection"), done).len() + summary.failures(Some("status"), done).len(),
        summary.failures(None, done).len(),
        "{}",
        summary.failure_list()
    );
    (summary, done)
}

#[test]
fn a_region_that_answers_errors_is_drained_within_its_thresholds() {
    let test = "a_region_that_answers_errors_is_drained_within_its_thresholds";
    let (summary, done) = drained(test, |stack| stack.kill(SEOUL, "error"));
    let errors = summary.failures(Some("status"), done);
    assert!(!errors.is_empty(), "an application's error reaches its client until the checks have spoken");
    assert!(errors.iter().all(|f| f["region"] == SEOUL || f["region"].is_null()), "{}", summary.failure_list());
    assert!(summary.failures(Some("new_connection"), done).is_empty(), "{}", summary.failure_list());
}

#[test]
fn a_region_slower_than_its_checks_allow_is_drained_within_its_thresholds() {
    let test = "a_region_slower_than_its_checks_allow_is_drained_within_its_thresholds";
    drained(test, |stack| stack.slow_down(SEOUL, 3_000));
}

#[test]
fn a_region_that_is_a_little_slow_is_left_in_service() {
    let stack = Stack::start();
    let mut load = stack.load("Seoul", &["--rate=50", "--for=8", &stack.url(0)]);
    load.await_seconds(1);
    let done = stack.slow_down(SEOUL, 400);
    let summary = load.finish();
    drop(note("a_region_that_is_a_little_slow_is_left_in_service", &summary, done));
    assert_eq!(summary.number("failed"), 0, "{}", summary.failure_list());
    assert_eq!(summary.answered(Some(TOKYO), done), 0, "slow is not dead");
    assert!(summary.slowest_new_connection_ms() >= 400.0, "nothing was slow");
}
