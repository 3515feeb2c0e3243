//! Plays a file of `tests/scenarios/` on real sockets: the stack and each load in a process of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use perigee_sim::{Bound, Connections, Entry, Event, How, LoadModel, LoadSummary, Scenario};
use serde_json::Value;

use crate::figures::Figures;
use crate::load::{Load, Summary};
use crate::slot::PORT;
use crate::stack::{Setup, Stack};

/// What came of it.
#[derive(Debug)]
pub struct Played {
    /// The summaries of the loads, by name.
    pub loads: BTreeMap<String, Summary>,
    /// When the events were done, milliseconds since 1970.
    pub events: BTreeMap<String, u64>,
}

/// Where the scenarios are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

/// Reads the file of that name. Panics when there is none or it is wrong, and says where.
pub fn read(name: &str) -> Scenario {
    let path = folder().join(format!("{name}.toml"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    Scenario::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Starts a stack, plays the scenario called `name`, notes its figures and asserts what must hold.
pub fn play(name: &str) -> Played {
    let scenario = read(name);
    scenario.playable_live().unwrap_or_else(|why| panic!("{name}: {why}"));
    assert!(!scenario.must_hold.is_empty(), "{name}: nothing must hold");
    let mut tables = String::from("[timing]\n");
    for (key, value) in &scenario.timing {
        tables += &format!("{key} = {value}\n");
    }
    let stack = Stack::with(&Setup { behaviour: scenario.behaviour.clone(), tables, ..Setup::default() });
    let began = Instant::now();
    let loads: Vec<_> = scenario.load.iter().map(|load| (load.name.clone(), start(&stack, load))).collect();
    let mut events = BTreeMap::new();
    for event in &scenario.at {
        // The moment itself is part of the scenario; there is no state to wait for.
        std::thread::sleep(Duration::from_secs_f64(event.begins_s()).saturating_sub(began.elapsed()));
        events.insert(event.name.clone(), happen(&stack, &scenario, event));
    }
    let loads = loads.into_iter().map(|(name, load)| (name, load.finish())).collect();
    let played = Played { loads, events };
    played.judge(name, &scenario);
    played
}

fn start(stack: &Stack, load: &LoadModel) -> Load {
    let mut args = vec![
        format!("--rate={}", load.rate),
        format!("--for={}s", load.for_s),
        format!("--timeout={}s", load.timeout_s),
        match load.entry {
            Entry::Accelerator => format!("http://{}{}", stack.slot().accelerator(0), load.path),
            Entry::Dns => format!("http://app.perigee.test:{PORT}{}", load.path),
        },
    ];
    if load.entry == Entry::Dns {
        args.push(format!("--server={}", stack.slot().dns()));
    }
    match load.connections {
        Connections::New => args.push("--new".to_owned()),
        Connections::Keep => args.push("--keep".to_owned()),
        Connections::Mixed => {}
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    stack.load(&load.from, &args)
}

/// Makes it happen; gives when it was done.
fn happen(stack: &Stack, scenario: &Scenario, event: &Event) -> u64 {
    match (&event.kill, event.how, &event.restore) {
        (Some(what), Some(How::Slow), _) if event.delay_ms.is_some() => {
            stack.slow_down(what, event.delay_ms.unwrap_or_default())
        }
        (Some(what), Some(how), _) => stack.kill(what, how.name()),
        (_, _, Some(what)) => stack.restore(scenario.mended_by(what)),
        _ => unreachable!("other events are not played live"),
    }
}

impl Played {
    fn judge(&self, name: &str, scenario: &Scenario) {
        let mut figures = Figures::of(name);
        for (load, summary) in &self.loads {
            figures.note(&format!("{load}: requests"), summary.number("requests"), "");
            figures.note(&format!("{load}: failed"), summary.failed_by_kind(), "");
            figures.note(&format!("{load}: longest gap"), summary.number("longest_gap_ms"), "ms");
            figures.note(&format!("{load}: slowest new connection"), summary.slowest_new_connection_ms(), "ms");
        }
        let loads = self.figures();
        let mut broken = Vec::new();
        for judged in scenario.must_hold.iter().map(|bound: &Bound| bound.judge(&loads, &self.events)) {
            figures.note(&judged.words, judged.value.map_or(Value::Null, Value::from), &judged.unit);
            if !judged.holds {
                broken.push(format!("{}: {:?}", judged.words, judged.value));
            }
        }
        drop(figures);
        if !broken.is_empty() {
            for (load, summary) in &self.loads {
                println!("{load}, seconds: {}", summary.raw()["seconds"]);
                println!("{load}, failures: {}", summary.failure_list());
            }
            panic!("{name}: does not hold:\n{}", broken.join("\n"));
        }
    }

    /// What bounds are about.
    fn figures(&self) -> BTreeMap<String, LoadSummary> {
        self.loads.iter().map(|(name, summary)| (name.clone(), (**summary).clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_a_scenario_and_some_are_played_on_sockets() {
        let files = std::fs::read_dir(folder()).unwrap().map(|f| f.unwrap().path());
        let names: Vec<String> = files
            .filter(|f| f.extension().is_some_and(|e| e == "toml"))
            .map(|f| f.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        let live = names.iter().filter(|name| read(name).playable_live().is_ok()).count();
        assert!(live >= 4, "{live} of {names:?}");
    }
}
