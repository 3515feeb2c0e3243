//! Virtual time by the command that people use, beside the sockets where both can play.

mod scenario {
    use std::process::{Command, Output};

    use perigee_tests::figures::Figures;
    use perigee_tests::stack::{binary, without_configuration};
    use serde_json::Value;

    fn perigee(args: &[&str]) -> Output {
        let mut command = Command::new(binary());
        without_configuration(&mut command);
        command.args(args).output().unwrap_or_else(|e| panic!("cannot run perigee: {e}"))
    }

    fn json(args: &[&str]) -> Value {
        let output = perigee(args);
        let text = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "perigee {}: {complaint}\n{text}", args.join(" "));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("perigee {}: {e} in {text}", args.join(" ")))
    }

    #[test]
    fn every_scenario_holds_in_virtual_time_and_gives_the_same_hash_again() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let files = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path());
        let names: Vec<String> = files
            .filter(|f| f.extension().is_some_and(|e| e == "toml"))
            .map(|f| f.file_stem().unwrap().to_string_lossy().into_owned())
            .filter(|name| name != "tokyo-dies-at-nine")
            .collect();
        assert!(names.len() >= 11, "{names:?}");
        for name in names {
            let hash = || json(&["sim", "run", &name, "--json"])["trace_hash"].as_str().unwrap().to_owned();
            assert_eq!(hash(), hash(), "{name}");
        }
    }

    #[test]
    fn a_day_of_ten_million_clients_fits_into_two_gigabytes() {
        let day = json(&["sim", "run", "tokyo-dies-at-nine", "--json"]);
        let mut figures = Figures::of("Tokyo dies at nine");
        for (name, unit) in [("elapsed_s", "s"), ("events_per_s", "1/s"), ("peak_rss_bytes", "bytes")] {
            figures.note(name, day["run"][name].clone(), unit);
        }
        assert!(day["run"]["peak_rss_bytes"].as_u64().unwrap() < 2 << 30, "{}", day["run"]);
        assert_eq!(day["regions"].as_array().unwrap().len(), 32);
        assert_eq!(day["clients"], 10_000_000);
        assert!(day["totals"]["sessions"].as_u64().unwrap() > 9_900_000);
        let anatomy = &day["anatomies"][0];
        // Two samples half a second apart, each given up after a second.
        assert!(anatomy["all_detected_s"].as_f64().unwrap() < 3.0, "{anatomy}");
        assert!(anatomy["trusted_again_s"].as_f64().is_some(), "{anatomy}");
    }

    #[test]
    fn ten_thousand_random_worlds_keep_the_rules_and_heal() {
        let sums = json(&["sim", "fuzz", "--seeds", "10000", "--json"]);
        let mut figures = Figures::of("ten thousand worlds");
        figures.note("what was reached", sums["reached"].to_string(), "");
        assert_eq!(sums["violations"].as_array().map(Vec::len), Some(0), "{sums}");
    }
}
