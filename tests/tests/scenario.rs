//! Plays the files of `tests/scenarios/` on real sockets.

mod scenario {
    use std::collections::BTreeMap;
    use std::process::{Command, Stdio};

    use perigee_sim::LoadSummary;
    use perigee_tests::figures::Figures;
    use perigee_tests::play::{play, read};
    use perigee_tests::stack::{Files, Setup, binary, without_configuration};

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
    fn the_command_plays_a_scenario_by_itself_and_judges_it_as_the_tests_do() {
        let files = Files::write(&Setup::default());
        let mut command = Command::new(binary());
        without_configuration(&mut command);
        command.args(["sim", "live", "crash", "--json", "--config"]).arg(files.dir()).stdin(Stdio::null());
        let output = command.output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        let played: serde_json::Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {complaint}"));
        let loads: BTreeMap<String, LoadSummary> = serde_json::from_value(played["loads"].clone()).unwrap();
        let events: BTreeMap<String, u64> = serde_json::from_value(played["events"].clone()).unwrap();
        let scenario = read("crash");
        assert_eq!(loads["seoul"].requests, 8_000);
        assert_eq!(loads["seoul"].regions.len(), 2, "{complaint}");
        let judged: Vec<_> = scenario.must_hold.iter().map(|bound| bound.judge(&loads, &events)).collect();
        assert_eq!(serde_json::json!(judged), played["bounds"]);
        assert_eq!(output.status.success(), judged.iter().all(|bound| bound.holds), "{complaint}");
    }

    #[test]
    fn a_restored_region_gets_its_traffic_back_within_thirty_seconds_and_loses_nothing() {
        play("restore");
    }
}
