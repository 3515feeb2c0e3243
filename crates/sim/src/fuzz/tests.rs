use std::sync::OnceLock;

use super::*;

fn ground() -> &'static FuzzGround {
    static GROUND: OnceLock<FuzzGround> = OnceLock::new();
    GROUND.get_or_init(|| FuzzGround::new().unwrap())
}

#[test]
fn three_hundred_worlds_break_no_rule_and_reach_every_state_worth_reaching() {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    let mut wrong = Vec::new();
    for seed in 1..=300 {
        match fuzz(ground(), seed) {
            Ok(report) => report.reached.into_iter().for_each(|(name, n)| *sums.entry(name).or_default() += n),
            Err(violation) => wrong.push(violation.to_string()),
        }
    }
    assert!(wrong.is_empty(), "{} violations:\n{}", wrong.len(), wrong.join("\n"));
    let missed: Vec<&&str> = NAMES.iter().filter(|name| sums.get(**name).is_none_or(|n| *n == 0)).collect();
    assert!(missed.is_empty(), "never reached: {missed:?} of {sums:#?}");
}

#[test]
fn a_seed_gives_one_scenario_and_one_run() {
    let text = fuzz_scenario(ground(), 7).unwrap();
    assert_eq!(text, fuzz_scenario(ground(), 7).unwrap());
    assert_ne!(text, fuzz_scenario(ground(), 8).unwrap());
    assert_eq!(fuzz(ground(), 7), fuzz(ground(), 7));
    let scenario = Scenario::parse(&text).unwrap();
    let world = ground().world(&scenario).unwrap();
    let options = Options { seed: 7, ..Options::default() };
    let unaudited = crate::run(&scenario, &world, &options, &mut ()).unwrap();
    assert_eq!(unaudited.trace_hash, fuzz(ground(), 7).unwrap().trace_hash, "looking on changes nothing");
}

#[test]
fn nodes_that_are_told_lies_about_their_targets_are_caught_and_the_line_names_the_seed() {
    let caught = (1..=50).find_map(|seed| {
        let (scenario, world) = drawn(ground(), seed).unwrap();
        play(&scenario, &world, seed, Tamper::ChecksPass).err()
    });
    let violation = caught.expect("fifty worlds with failing targets");
    assert_eq!(violation.rule, "no request to a target known dead");
    let line = violation.to_string();
    assert!(line.starts_with(&format!("perigee sim fuzz --seed {}   # ", violation.seed)), "{line}");
    assert!(line.contains("failures in a row") && line.contains("\n    "), "{line}");
}

#[test]
fn a_world_that_stays_broken_is_caught() {
    let (mut scenario, world) = drawn(ground(), 3).unwrap();
    let code = world.snapshot.regions[0].code.to_string();
    let forever = crate::Event {
        name: "forever".to_owned(),
        s: Some(1.0),
        kill: Some(code),
        how: Some(crate::How::Blackhole),
        ..crate::Event::default()
    };
    scenario.at.push(forever);
    let violation = play(&scenario, &world, 3, Tamper::Nothing).unwrap_err();
    assert_eq!(violation.rule, "everything comes back after the last fault", "{violation}");
}

#[test]
#[ignore = "explore"]
fn explore() {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    let text = std::fs::read_to_string("/tmp/h/h2seeds").unwrap();
    let (a, b) = text.trim().split_once("..").unwrap();
    let (mut bad, mut events, mut requests) = (0, 0, 0);
    let began = std::time::Instant::now();
    for seed in a.parse().unwrap()..=b.parse().unwrap() {
        let t = std::time::Instant::now();
        match std::panic::catch_unwind(|| fuzz(ground(), seed)) {
            Ok(Ok(report)) => {
                events += report.events;
                requests += report.requests;
                report.reached.into_iter().for_each(|(name, n)| *sums.entry(name).or_default() += n);
            }
            Ok(Err(violation)) => {
                bad += 1;
                println!("{violation}")
            }
            Err(_) => {
                bad += 1;
                println!("PANIC {seed}")
            }
        }
        let ms = t.elapsed().as_millis();
        if ms > 40 {
            println!("slow {seed} {ms}");
        }
    }
    println!("{bad} bad, {events} events {requests} requests {:?}\n{sums:#?}", began.elapsed());
}

#[test]
#[ignore = "explore"]
fn print() {
    let text = std::fs::read_to_string("/tmp/h/h2seeds").unwrap();
    let (a, _) = text.trim().split_once("..").unwrap();
    println!("{}", fuzz_scenario(ground(), a.parse().unwrap()).unwrap());
}
