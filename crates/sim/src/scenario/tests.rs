use super::*;

const GOOD: &str = r#"
story = "x"
[[load]]
name = "l"
from = "Seoul"
rate = 10
for_s = 2
[[at]]
name = "killed"
s = 1.0
kill = "r"
how = "crash"
[[must_hold]]
load = "l"
measure = "failed"
since = "killed"
at_most = 0
"#;

#[test]
fn a_scenario_that_refers_to_nothing_or_says_too_much_is_refused() {
    assert!(Scenario::parse(GOOD).is_ok());
    for (old, new) in [
        ("since = \"killed\"", "since = \"restored\""),
        ("load = \"l\"", "load = \"m\""),
        ("at_most = 0", ""),
        ("how = \"crash\"", ""),
        ("how = \"crash\"", "how = \"meteor\""),
        ("how = \"crash\"", "how = \"crash\"\nshare = 0.5"),
        ("how = \"crash\"", "how = \"crash\"\nrestore = \"r\""),
        ("how = \"crash\"", "how = \"crash\"\nflap_s = 3"),
        ("s = 1.0", "clock = \"25:00\""),
        ("s = 1.0", ""),
        ("measure = \"failed\"", "measure = \"settled_ms\""),
        ("measure = \"failed\"", "measure = \"not_sent\"\nkind = \"status\""),
        ("rate = 10", "rate = 10\ncolour = 1"),
        ("rate = 10", "rate = 0"),
        ("measure = \"failed\"", "measure = \"feeling\""),
        ("story = \"x\"", "story = \"x\"\nbehaviour = \"slow\""),
        ("story = \"x\"", "story = \"x\"\nbegins = \"noon\""),
        ("story = \"x\"", "story = \"x\"\nnetwork = { loss = 0.9 }"),
    ] {
        let text = GOOD.replacen(old, new, 1);
        assert_ne!(text, GOOD);
        assert!(Scenario::parse(&text).is_err(), "{new:?} was accepted");
    }
}

#[test]
fn the_wall_clock_names_moments() {
    let text = GOOD.replacen("s = 1.0", "clock = \"09:00\"", 1).replacen("story", "begins = \"00:00+09:00\"\nstory", 1);
    let scenario = Scenario::parse(&text).unwrap();
    assert_eq!(scenario.at[0].begins_s(), 9.0 * 3_600.0);
    assert_eq!(scenario.wall_clock().unwrap().begins_utc_s(), 15.0 * 3_600.0);
}

#[test]
fn what_only_virtual_time_knows_is_not_played_on_sockets() {
    assert!(Scenario::parse(GOOD).unwrap().playable_live().is_ok());
    for (old, new) in [
        ("kill = \"r\"\nhow = \"crash\"", "partition = [\"a\", \"b\"]"),
        ("how = \"crash\"", "how = \"gray\""),
        ("how = \"crash\"", "how = \"crash\"\nfor_s = 2"),
        ("rate = 10", "rate = 10\npoisson = true"),
        ("story = \"x\"", "story = \"x\"\nstack = {}"),
        ("story = \"x\"", "story = \"x\"\nnetwork = { latency = \"measured\" }"),
    ] {
        let text = GOOD.replacen(old, new, 1);
        assert_ne!(text, GOOD);
        assert!(Scenario::parse(&text).unwrap().playable_live().is_err(), "{new:?}");
    }
}

#[test]
fn what_an_event_broke_is_mended_by_its_name() {
    let scenario = Scenario::parse(GOOD).unwrap();
    assert_eq!((scenario.mended_by("killed"), scenario.mended_by("ap-northeast-2a")), ("r", "ap-northeast-2a"));
}
