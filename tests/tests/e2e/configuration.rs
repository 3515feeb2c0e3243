//! A changed configuration, good and bad, under load.

use std::time::Duration;

use nix::sys::signal::Signal;
use perigee_tests::figures::Figures;
use perigee_tests::stack::{SEOUL, Setup, Stack, TOKYO};
use perigee_tests::wait::until;

const SOON: Duration = Duration::from_secs(5);

#[test]
fn a_wrong_configuration_is_refused_and_the_old_one_stays() {
    let mut stack = Stack::start();
    let mut load = stack.load("Seoul", &["--rate=300", "--for=5", &stack.url(0)]);
    load.await_seconds(1);
    stack.write(&Setup { dials: [101, 100], tables: "[limits]\nedge_flow = 7\n".to_owned(), ..Setup::default() });
    let refused = stack.command(&["reload"]);
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{words}");
    // File, line and key of both mistakes.
    for part in ["perigee.toml:7: limits.edge_flow", "perigee.toml:15: ", "traffic_dial_percentage"] {
        assert!(words.contains(part), "{part:?} is not in:\n{words}");
    }
    stack.signal(Signal::SIGHUP);
    until("the log says that the file was refused", SOON, || {
        let log = stack.log().join("\n");
        log.contains("the new configuration is refused") && log.contains("perigee.toml:7: limits.edge_flow")
    });
    assert_eq!(stack.status()["generation"], 1);
    // Right again, but for something that cannot change while it runs.
    stack.write(&Setup { tables: "[geo]\nfile = \"../perigee.toml\"\n".to_owned(), ..Setup::default() });
    assert_eq!(stack.command(&["reload"]).status.code(), Some(1));
    stack.write(&Setup::default());
    assert_eq!(stack.command(&["reload"]).status.code(), Some(0));
    stack.signal(Signal::SIGHUP);
    until("both good reloads are in force", SOON, || stack.status()["generation"] == 3);
    let summary = load.finish();
    let mut figures = Figures::of("a_wrong_configuration_is_refused_and_the_old_one_stays");
    figures.note("requests", summary.number("requests"), "").note("failed", summary.failed_by_kind(), "");
    figures.note("reloads refused", 3, "").note("reloads done", 2, "");
    assert_eq!(summary.number("failed"), 0, "{}", summary.failure_list());
    assert!(stack.is_alive());
}

#[test]
fn a_changed_configuration_is_applied_without_dropping_a_connection() {
    let stack = Stack::start();
    let mut kept = stack.client_in_seoul().unwrap();
    assert_eq!(kept.get("/").unwrap().region(), SEOUL);
    let mut load = stack.load("Seoul", &["--rate=300", "--for=7", &stack.url(0)]);
    load.await_seconds(1);
    stack.write(&Setup { dials: [0, 100], ..Setup::default() });
    stack.signal(Signal::SIGHUP);
    until("the new dial is in force", SOON, || stack.status()["generation"] == 2);
    assert_eq!(stack.client_in_seoul().unwrap().get("/").unwrap().region(), TOKYO, "a new flow follows the dial");
    assert_eq!(kept.get("/").unwrap().region(), SEOUL, "an established flow stays");
    load.await_seconds(1);
    stack.write(&Setup { dials: [30, 100], ..Setup::default() });
    assert_eq!(stack.command(&["reload"]).status.code(), Some(0));
    let mut in_seoul = 0;
    for _ in 0..200 {
        in_seoul += usize::from(stack.client_in_seoul().unwrap().get("/").unwrap().region() == SEOUL);
    }
    assert_eq!(kept.get("/").unwrap().region(), SEOUL);
    let summary = load.finish();
    let mut figures = Figures::of("a_changed_configuration_is_applied_without_dropping_a_connection");
    figures.note("requests", summary.number("requests"), "").note("failed", summary.failed_by_kind(), "");
    figures.note("dial 30: new flows in Seoul", in_seoul, "of 200");
    assert_eq!(summary.number("failed"), 0, "{}", summary.failure_list());
    // Binomial, n = 200, p = 0.3: 60 and a standard deviation of 6.5; five of them.
    assert!((28..=92).contains(&in_seoul), "{in_seoul} of 200 new flows went to Seoul at dial 30");
}
