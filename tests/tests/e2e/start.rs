//! The first command of the README.

use std::time::Duration;

use perigee_tests::figures::Figures;
use perigee_tests::stack::{SEOUL, Stack};

#[test]
fn up_serves_within_a_second_and_idles_below_sixty_megabytes() {
    let stack = Stack::start();
    let answer = stack.client_in_seoul().unwrap().get("/check").unwrap();
    assert_eq!((answer.status, answer.region()), (200, SEOUL));
    assert!(answer.text().starts_with("this is "), "{}", answer.text());
    let uptime_ms = stack.status()["uptime_ms"].as_u64().unwrap();
    // Idle is measured over a while: health checks and samples go on.
    let (cpu, over) = (stack.cpu_time(), Duration::from_secs(2));
    std::thread::sleep(over);
    let busy = stack.cpu_time() - cpu;
    let resident_kb = stack.resident_kb();
    let mut figures = Figures::of("up_serves_within_a_second_and_idles_below_sixty_megabytes");
    figures.note("process start to listening", stack.served_after.as_millis() as u64, "ms");
    figures.note("process start to all targets healthy, at most", uptime_ms, "ms");
    figures.note("idle memory", resident_kb / 1_000, "MB");
    figures.note("idle processor time", busy.as_millis() as u64 / over.as_secs(), "ms per s");
    assert!(resident_kb < 60_000, "{resident_kb} KB resident");
    assert!(busy < over / 5, "an idle stack used {busy:?} in {over:?}");
    // Reading the database without optimisation takes a while; what users run is to be quick.
    let optimised = !cfg!(debug_assertions) || std::env::var_os("TEST_PERIGEE").is_some();
    assert!(!optimised || stack.served_after < Duration::from_secs(1), "listening after {:?}", stack.served_after);
}
