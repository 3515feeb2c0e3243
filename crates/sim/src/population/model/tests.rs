use super::*;

fn read(text: &str) -> Result<PopulationModel, String> {
    toml_edit::de::from_str(text).map_err(|e| e.to_string())
}

#[test]
fn a_model_is_read_from_a_scenario_and_its_defaults_can_be_used() {
    assert_eq!(read(""), Ok(PopulationModel::default()));
    assert_eq!(PopulationModel::default().check(), Ok(()));
    let text = "count = 10_000_000\nweights = \"table\"\nthink_s = 5\ntable = { KR = 51, JP = 123.5 }\n\
        diurnal = { peak_hour = 21 }\n";
    let model = read(text).unwrap();
    let table = BTreeMap::from([("KR".to_owned(), 51.0), ("JP".to_owned(), 123.5)]);
    let diurnal = Diurnal::Curve(DiurnalCurve { peak_hour: 21.0, trough: 0.3 });
    let expected =
        PopulationModel { count: 10_000_000, weights: Weights::Table, think_s: 5.0, diurnal, ..Default::default() };
    assert_eq!(model, PopulationModel { table: Some(table), ..expected });
    assert_eq!(model.check(), Ok(()));
    assert_eq!(read("diurnal = \"off\"").unwrap().diurnal, Diurnal::Off);
}

#[test]
fn what_is_no_model_is_not_read() {
    for (text, expected) in [
        ("clients = 5", "unknown field `clients`"),
        ("count = -1", "invalid value"),
        ("diurnal = \"on\"", "\"off\" or a table with peak_hour and trough"),
        ("diurnal = 3", "\"off\" or a table with peak_hour and trough"),
        ("diurnal = { peak = 20 }", "unknown field `peak`"),
        ("weights = \"users\"", "unknown variant `users`"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn every_field_has_its_range() {
    for (text, expected) in [
        ("count = 0", "clients.count: must be 1 to 1000000000"),
        ("count = 1000000001", "clients.count: must be 1 to 1000000000"),
        ("sessions_per_day = 0", "clients.sessions_per_day: must be above 0 and up to 10000"),
        ("sessions_per_day = nan", "clients.sessions_per_day: must be above 0 and up to 10000"),
        ("requests_per_session = 0.5", "clients.requests_per_session: must be 1 to 10000"),
        ("think_s = -1", "clients.think_s: must be 0 to 86400"),
        ("accelerator_share = 1.1", "clients.accelerator_share: must be 0 to 1"),
        ("ignore_ttl_share = nan", "clients.ignore_ttl_share: must be 0 to 1"),
        ("ignore_ttl_s = inf", "clients.ignore_ttl_s: must be 0 to 604800"),
        ("happy_eyeballs_ms = 1", "clients.happy_eyeballs_ms: must be 10 to 10000"),
        ("timeout_s = 0", "clients.timeout_s: must be 0.1 to 600"),
        ("retries = 11", "clients.retries: must be 0 to 10"),
        ("classes = 99", "clients.classes: must be 100 to 100000"),
        ("diurnal = { peak_hour = 25 }", "clients.diurnal.peak_hour: must be 0 to 24"),
        ("diurnal = { trough = 1.5 }", "clients.diurnal.trough: must be 0 to 1"),
        ("weights = \"table\"", "clients.table: is needed for weights = \"table\""),
        ("table = { KR = 1 }", "clients.table: is read only with weights = \"table\""),
        (
            "weights = \"table\"\ntable = { KOR = 1 }",
            "clients.table: \"KOR\" is no country code: two capital letters are expected",
        ),
        ("weights = \"table\"\ntable = { KR = -1 }", "clients.table: the weight of KR must be 0 to 1e15"),
        ("weights = \"table\"\ntable = { KR = 0 }", "clients.table: no country has a weight above 0"),
    ] {
        let error = read(text).unwrap().check().unwrap_err();
        assert_eq!(error.to_string(), expected, "{text}");
    }
}

#[test]
fn the_daily_curve_has_mean_one_and_its_peak_at_the_local_hour() {
    for (longitude, peak_hour, trough) in [(0.0, 20.0, 0.3), (139.65, 20.0, 0.0), (-74.0, 9.5, 0.8), (180.0, 24.0, 1.0)]
    {
        let curve = Diurnal::Curve(DiurnalCurve { peak_hour, trough });
        let factors: Vec<f64> = (0..1_440).map(|m| curve.factor(longitude, f64::from(m) * 60.0)).collect();
        let mean = factors.iter().sum::<f64>() / 1_440.0;
        assert!((mean - 1.0).abs() < 1e-9, "{mean}");
        let peak_utc_s = (peak_hour - longitude / 15.0) * 3_600.0;
        let at = |s: f64| curve.factor(longitude, s.rem_euclid(86_400.0));
        assert!((at(peak_utc_s) - (2.0 - trough)).abs() < 1e-9);
        assert!((at(peak_utc_s + 43_200.0) - trough).abs() < 1e-9);
        assert!(factors.iter().all(|f| *f > trough - 1e-9 && *f < 2.0 - trough + 1e-9));
    }
    assert_eq!(Diurnal::Off.factor(77.0, 12_345.0), 1.0);
    // Eight in the evening in Tokyo is before noon in Greenwich.
    let tokyo = Diurnal::default();
    assert!(tokyo.factor(139.65, 10.69 * 3_600.0) > 1.699 && tokyo.factor(139.65, 22.69 * 3_600.0) < 0.301);
}
