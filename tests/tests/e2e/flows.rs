//! Established flows, and the operator's word.

use std::time::Duration;

use perigee_tests::figures::Figures;
use perigee_tests::stack::{SEOUL, Stack, TOKYO};
use perigee_tests::wait::until;

#[test]
fn an_established_flow_stays_where_it_is_when_the_nearer_region_comes_back() {
    let stack = Stack::start();
    stack.kill(SEOUL, "crash");
    let mut kept = stack.client_in_seoul().unwrap();
    assert_eq!(kept.get("/").unwrap().region(), TOKYO);
    stack.restore(SEOUL);
    let home = until("new flows are home", Duration::from_secs(30), || {
        assert_eq!(kept.get("/").unwrap().region(), TOKYO, "an established flow moved");
        stack.client_in_seoul().unwrap().get("/").unwrap().region() == SEOUL
    });
    let mut figures = Figures::of("an_established_flow_stays_where_it_is_when_the_nearer_region_comes_back");
    for _ in 0..50 {
        assert_eq!(kept.get("/").unwrap().region(), TOKYO, "an established flow moved");
    }
    figures.note("restore to a new flow in Seoul", home.as_millis() as u64, "ms");
}

#[test]
fn the_operators_word_moves_new_flows_with_no_fault() {
    let stack = Stack::start();
    let mut kept = stack.client_in_seoul().unwrap();
    assert_eq!(kept.get("/").unwrap().region(), SEOUL);
    let mut load = stack.load("Seoul", &["--rate=200", "--for=4", &stack.url(0)]);
    load.await_seconds(1);
    let said = stack.kill(SEOUL, "unhealthy");
    assert_eq!(stack.client_in_seoul().unwrap().get("/").unwrap().region(), TOKYO);
    assert_eq!(kept.get("/").unwrap().region(), SEOUL, "nothing is broken: an established flow stays");
    let status = stack.status();
    let seoul = &status["load_balancers"][1];
    let values = ["measured", "forced", "effective"].map(|key| seoul[key].as_str().unwrap());
    assert_eq!(values, ["healthy", "unhealthy", "unhealthy"]);
    load.await_seconds(1);
    stack.restore(SEOUL);
    assert_eq!(stack.client_in_seoul().unwrap().get("/").unwrap().region(), SEOUL);
    let summary = load.finish();
    let mut figures = Figures::of("the_operators_word_moves_new_flows_with_no_fault");
    figures.note("requests", summary.number("requests"), "").note("failed", summary.failed_by_kind(), "");
    figures.note("answers from Tokyo after the word", summary.answered(Some(TOKYO), said - 1_000), "");
    assert_eq!(summary.number("failed"), 0, "{}", summary.failure_list());
    assert!(summary.answered(Some(TOKYO), said - 1_000) > 50);
}
