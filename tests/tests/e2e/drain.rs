//! The end of a stack.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use perigee_tests::figures::Figures;
use perigee_tests::load::Summary;
use perigee_tests::stack::{Setup, Stack};
use perigee_tests::wait::unix_ms;

/// Failures that are not a refused connect of a request that began after the signal: nobody listens any more then.
fn lost(summary: &Summary, signal: u64) -> Vec<String> {
    let all = summary.failures(None, 0);
    let refused = |f: &serde_json::Value| {
        f["at_unix_ms"].as_u64().is_some_and(|at| at >= signal)
            && f["kind"] == "new_connection"
            && f["phase"] == "connect"
    };
    all.into_iter().filter(|f| !refused(f)).map(ToString::to_string).collect()
}

#[test]
fn sigterm_under_load_drains_without_a_failed_request() {
    let mut stack = Stack::start();
    let mut quick = stack.load("Seoul", &["--rate=300", "--for=4", &stack.url(0)]);
    let slow_url = format!("{}slow?ms=700", stack.url(1));
    let slow = stack.load("Tokyo", &["--rate=20", "--for=4", "--new", &slow_url]);
    quick.await_seconds(2);
    let (signal, began) = (unix_ms(), Instant::now());
    stack.signal(Signal::SIGTERM);
    let status = stack.ended();
    let took = began.elapsed();
    let (quick, slow) = (quick.finish(), slow.finish());
    let mut figures = Figures::of("sigterm_under_load_drains_without_a_failed_request");
    figures.note("answered, 300/s", quick.number("ok"), "").note("answered, slow ones", slow.number("ok"), "");
    figures.note("refused after the signal", quick.failures(None, signal).len(), "");
    let (lost_quick, lost_slow) = (lost(&quick, signal), lost(&slow, signal));
    figures.note("lost", lost_quick.len() + lost_slow.len(), "requests");
    figures.note("signal to end", took.as_millis() as u64, "ms");
    figures.note("exit status", status.code(), "");
    assert_eq!(status.code(), Some(0), "ended with {status}");
    assert!(
        lost_quick.is_empty() && lost_slow.is_empty(),
        "lost:\n{}\n{}",
        lost_quick.join("\n"),
        lost_slow.join("\n")
    );
    assert!(slow.number("ok") >= 40, "the slow ones under way at the signal were to be answered");
    assert!(took.as_secs() < 10, "a drain with no long requests took {took:?}");
}

#[test]
fn a_client_that_never_closes_does_not_hold_the_drain_up() {
    let mut stack = Stack::with(&Setup::default());
    let mut kept = stack.client_in_seoul().unwrap();
    assert_eq!(kept.get("/").unwrap().status, 200);
    let began = Instant::now();
    stack.signal(Signal::SIGTERM);
    let status = stack.ended();
    let took = began.elapsed();
    let mut figures = Figures::of("a_client_that_never_closes_does_not_hold_the_drain_up");
    figures.note("signal to end", took.as_millis() as u64, "ms").note("exit status", status.code(), "");
    assert_eq!(status.code(), Some(0), "ended with {status}");
    assert!(took < Duration::from_secs(15), "an idle client held a drain of at most 30 s for {took:?}");
    assert!(kept.get("/").is_err(), "a connection outlived its process");
}
