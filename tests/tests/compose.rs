//! The stack of containers loses a region in three ways while a client in Seoul measures.
//!
//! Run by `cargo xtask compose test`. The figures are those of a user: what happened to the requests of a client
//! container, by its own clock and count.

mod compose {
    use std::time::Duration;

    use perigee_tests::compose::{Measured, SEOUL, STATIC_URLS, Stack, TOKYO, unix_ms};

    /// How long the load of a test goes on, and when its region goes.
    const LOAD: [&str; 3] = ["--rate=200", "--for=20", STATIC_URLS[0]];
    const SECONDS_BEFORE: usize = 4;

    /// The DNS server of each client place.
    const SEOULS_DNS: &str = "10.82.200.53:53";
    const TOKYOS_DNS: &str = "10.81.200.53:53";

    /// Traffic must be home by then (issue's figure for a restored region).
    const HOME: Duration = Duration::from_secs(30);

    /// Runs the load, does `harm` in the middle, and gives what the client measured and when the harm was done.
    fn measure(stack: &Stack, harm: impl FnOnce()) -> (Measured, u64) {
        let mut load = stack.load("client-seoul", &LOAD);
        load.await_seconds(SECONDS_BEFORE);
        harm();
        let done_ms = unix_ms();
        let measured = load.finish();
        println!("{}", measured.line());
        (measured, done_ms)
    }

    /// What must hold of every way to lose a region.
    fn assert_traffic_moved(measured: &Measured, done_ms: u64) {
        let failed = measured.failures_after(done_ms);
        assert!(failed.is_empty(), "{} requests failed after it, first {}", failed.len(), failed[0]);
        assert_eq!(measured.answers_after(SEOUL, done_ms + 1_000), 0, "the dead region answers");
        let moved = measured.answers_after(TOKYO, done_ms + 1_000);
        assert!(moved > 1_000, "only {moved} answers from Tokyo in the rest of the run");
    }

    fn assert_traffic_comes_home(stack: &Stack) {
        let (took, failed) = stack.await_region(SEOUL, HOME);
        println!("home after {} ms, {failed} failed", took.as_millis());
        assert_eq!(failed, 0, "requests failed while traffic came home");
    }

    #[test]
    fn a_killed_region_costs_no_new_connection() {
        let stack = Stack::start();
        assert_eq!(stack.dns_answer("client-seoul", SEOULS_DNS), ["10.82.1.1", "10.82.3.1"]);
        assert_eq!(stack.dns_answer("client-tokyo", TOKYOS_DNS), ["10.81.1.1", "10.81.3.1"]);
        let (measured, done_ms) = measure(&stack, || stack.kill_seoul());
        assert_traffic_moved(&measured, done_ms);
        assert_eq!(stack.dns_answer("client-seoul", SEOULS_DNS), ["10.81.1.1", "10.81.3.1"]);
        stack.start_seoul();
        assert_traffic_comes_home(&stack);
    }

    #[test]
    fn a_paused_region_delays_no_new_connection_by_more_than_a_second() {
        let stack = Stack::start();
        let (measured, done_ms) = measure(&stack, || stack.pause_seoul());
        assert_traffic_moved(&measured, done_ms);
        assert!(measured.new_connection_max_ms() <= 1_000.0, "{}", measured.line());
        stack.unpause_seoul();
        assert_traffic_comes_home(&stack);
    }

    #[test]
    fn a_region_cut_off_delays_no_new_connection_by_more_than_a_second() {
        let stack = Stack::start();
        let (measured, done_ms) = measure(&stack, || stack.cut_off_seoul());
        assert_traffic_moved(&measured, done_ms);
        assert!(measured.new_connection_max_ms() <= 1_000.0, "{}", measured.line());
        stack.reconnect_seoul();
        assert_traffic_comes_home(&stack);
    }
}
