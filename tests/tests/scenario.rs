//! Plays the files of `tests/scenarios/` on real sockets.

mod scenario {
    use perigee_tests::figures::Figures;
    use perigee_tests::play::play;

    #[test]
    fn a_killed_region_costs_no_new_connection_anything() {
        play("crash");
    }

    #[test]
    fn a_blackholed_region_delays_no_new_connection_beyond_a_second() {
        play("blackhole");
    }

    #[test]
    fn in_aws_the_same_crash_costs_errors_until_the_health_checks_have_spoken() {
        let aws = play("crash-aws");
        let fast = play("crash");
        let mut figures = Figures::of("crash, aws beside fast");
        for (name, played) in [("aws", &aws), ("fast", &fast)] {
            let (seoul, killed) = (&played.loads["seoul"], played.events["killed"]);
            let failed = seoul.failures(None, killed).len();
            let span = seoul.failure_span_ms(None, killed);
            figures.note(&format!("{name}: errors after the kill"), failed, "requests");
            figures.note(&format!("{name}: last one after"), span, "ms");
            assert!(name == "aws" || span < 1_000, "errors for {span} ms in fast");
        }
    }

    #[test]
    fn a_restored_region_gets_its_traffic_back_within_thirty_seconds_and_loses_nothing() {
        play("restore");
    }
}
