//! The same scenario, world and seed are the same run, whatever the order in which events of one moment were planned
//! and whether samples without news are taken.

use std::collections::BTreeSet;

use perigee_sim::{Options, Outcome};

use crate::support::{Play, each};

/// Of everything a little: both entries, all kinds of connections, chance in the network, every kind of fault.
const EVENTFUL: &str = r#"
story = "everything at once"
for_s = 12

[stack]
regions = ["ap-northeast-1", "ap-northeast-2"]
zones = 2
ttl_s = 5
health_check_interval_s = 5

[network]
hop_us = 20000
jitter = 0.2
loss = 0.01

[targets]
concurrency = 2
queue = 20

[[load]]
name = "seoul"
from = "Seoul"
rate = 25
for_s = 12

[[load]]
name = "tokyo"
from = "Tokyo"
rate = 15
for_s = 12
entry = "dns"
connections = "new"

[[load]]
name = "london"
from = "London"
rate = 15
for_s = 12
connections = "keep"
poisson = true

[[at]]
name = "away"
s = 0.5
control = "away"
for_s = 5

[[at]]
name = "zone"
s = 1
kill = "ap-northeast-1a"
how = "crash"
for_s = 2

[[at]]
name = "dial"
s = 2
dial = "ap-northeast-2"
percent = 60

[[at]]
name = "gray"
s = 2
kill = "ap-northeast-2"
how = "gray"
share = 0.1
delay_ms = 300
for_s = 4

[[at]]
name = "flap"
s = 3
kill = "ap-northeast-1b"
how = "crash"
flap_s = 0.8
for_s = 3

[[at]]
name = "dark"
s = 5
kill = "ap-northeast-2"
how = "blackhole"
for_s = 2

[[at]]
name = "ramp"
s = 6
kill = "ap-northeast-1"
how = "error"
share = 0.5
ramp_s = 1
for_s = 2

[[at]]
name = "edge"
s = 7
kill = "ICN"
how = "crash"
for_s = 2

[[at]]
name = "cut"
s = 8.5
partition = ["ap-northeast-1", "KR"]
for_s = 1

[[random]]
name = "target"
of = "target"
how = "crash"
per_hour = 1200
mend_s = 2

[[random]]
name = "region"
of = "region"
how = "slow"
delay_ms = 150
per_hour = 600
mend_s = 1
"#;

/// A population and its resolvers beside it. Their places are looked up in the whole database for every run, which takes
/// longer than the run: fewer seeds have them.
const CLIENTS: &str = r#"
[clients]
count = 3000
sessions_per_day = 600
think_s = 1
classes = 100
weights = "table"
table = { JP = 1, KR = 1 }
ignore_ttl_s = 6

[[at]]
name = "resolver"
s = 9
resolver = "provider"
for_s = 2
"#;

fn options(seed: u64) -> Options {
    Options { seed, ..Options::default() }
}

#[test]
fn a_thousand_seeds_give_the_same_run_twice_and_in_contrary_order() {
    let play = Play::new(EVENTFUL);
    let hashes = each(1_000, |seed| {
        let once = play.seed(seed);
        assert!(once.totals.ok > 300 && once.cost.requests_lost > 0, "seed {seed}: nothing much happened");
        assert!(once == play.seed(seed), "seed {seed}: played again it is another run");
        let contrary = play.with(&Options { contrary: true, ..options(seed) });
        assert_eq!(once.trace_hash, contrary.trace_hash, "seed {seed}: the order of insertion shows");
        assert!(once == contrary, "seed {seed}: the order of insertion shows in the figures");
        once.trace_hash
    });
    assert_eq!(hashes.iter().collect::<BTreeSet<_>>().len(), 1_000, "two seeds gave one run");
}

/// The run of seed 1 on every platform. Whoever changes what runs do changes it too, knowingly.
#[test]
fn the_run_of_a_seed_is_written_down() {
    assert_eq!(Play::new(EVENTFUL).seed(1).trace_hash, "90495b1b170184d5f84580fb8bdfb6a6");
}

#[test]
fn sessions_and_resolvers_are_the_same_too() {
    let play = Play::new(&format!("{EVENTFUL}{CLIENTS}"));
    each(16, |seed| {
        let once = play.seed(seed);
        assert!(once.totals.sessions > 50 && once.totals.dns_from_cache > 0, "seed {seed}: {:?}", once.totals);
        assert!(once == play.with(&Options { contrary: true, ..options(seed) }), "seed {seed}");
    });
}

/// Nothing is left to chance between a sample and its answer, so a front tier may leave out samples without news; a poll
/// outlasts two of the longest round trips, so an answer is never overtaken by the next sample.
fn certain(latency: &str) -> String {
    let planned = EVENTFUL.split("[[random]]").next().unwrap();
    let network = format!("latency = \"{latency}\"");
    let text = planned.replace("hop_us = 20000\njitter = 0.2\nloss = 0.01", &network);
    assert_ne!(text, planned);
    text.replace("for_s = 12", "for_s = 30").replacen("[stack]", "[timing]\nlb_health_poll_ms = 1000\n\n[stack]", 1)
}

#[test]
fn leaving_out_samples_without_news_changes_nothing() {
    for (latency, seeds) in [("none", 20), ("measured", 8)] {
        let text = certain(latency);
        let mut parts = text.split("[[at]]");
        let before = parts.next().unwrap().to_owned();
        // Where ways take time, a front tier that slept may learn of a dead machine at another moment than one that did
        // not: answers that take longer than a poll shift the schedule. What samples do not see changes nothing.
        let unseen = |part: &&str| {
            latency == "none"
                || ["away", "dial", "gray", "edge"].iter().any(|n| part.contains(&format!("name = \"{n}\"")))
        };
        let play = Play::new(&parts.filter(unseen).fold(before, |text, part| format!("{text}[[at]]{part}")));
        let saved = each(seeds, |seed| {
            let lazy = play.seed(seed);
            let diligent = play.with(&Options { every_sample: true, ..options(seed) });
            let saved = diligent.events - lazy.events;
            assert_eq!(lazy.trace_hash, diligent.trace_hash, "{latency}, seed {seed}");
            assert!(lazy == Outcome { events: lazy.events, ..diligent }, "{latency}, seed {seed}: the figures differ");
            saved
        });
        assert!(saved.iter().all(|saved| *saved > 0), "{latency}: no sample was left out, so nothing was tested");
    }
}

#[test]
fn measured_ways_with_chance_in_them_give_the_same_run_too() {
    let play = Play::new(&EVENTFUL.replace("hop_us = 20000", "latency = \"measured\""));
    each(6, |seed| {
        let once = play.seed(seed);
        assert!(once == play.with(&Options { contrary: true, ..options(seed) }), "seed {seed}");
        let diligent = play.with(&Options { every_sample: true, ..options(seed) });
        assert!(once == diligent, "seed {seed}: where chance has a say no sample may be left out");
    });
}

/// Enough room and constant work: nobody waits for anybody.
const ROOMY: &str = r#"
story = "room for all"
for_s = 60
stack = { regions = ["ap-northeast-1", "ap-northeast-2"] }
targets = { service = { distribution = "constant", ms = 5 }, concurrency = 1000 }
report = { step_s = 1 }

[clients]
count = 3000
sessions_per_day = 300
think_s = 2
classes = 100
weights = "table"
table = { JP = 1, KR = 1 }

[[load]]
name = "steady"
from = "Seoul"
rate = 20
for_s = 60
poisson = true
"#;

#[test]
fn a_load_more_shifts_nobody_elses_chance() {
    let more = format!("{ROOMY}[[load]]\nname = \"more\"\nfrom = \"Tokyo\"\nrate = 30\nfor_s = 60\npoisson = true\n");
    let (without, with) = (Play::new(ROOMY).seed(1), Play::new(&more).seed(1));
    assert!(without.totals.sessions > 150);
    assert_eq!(without.totals.sessions, with.totals.sessions);
    assert_eq!(without.loads["steady"], with.loads["steady"]);
    for (i, (before, after)) in without.series.iter().zip(&with.series).enumerate() {
        let sent = with.loads["more"].seconds.get(i).map_or(0, |second| second.sent);
        assert_eq!(before.requests + sent, after.requests, "second {i}");
    }
}
