//! Scenarios by chance, written as files are.

use std::fmt::Write;

use super::FuzzGround;
use crate::engine::{healed_s, patience};
use crate::stack::settled;
use crate::{Scenario, Stream, World};

/// Seconds of calm at the end.
const CALM_S: f64 = 6.0;
/// Ways of chance that are tried until one has its last fault mended in time; after them there is none.
const CHANCES: u64 = 40;

/// One seed's world while it is being drawn.
struct Draw<'a> {
    chance: Stream,
    regions: &'a [&'a str],
    zones: u64,
    targets: u64,
    /// Length of the time of faults, seconds.
    faults_s: f64,
    edges: Vec<String>,
}

/// The scenario of a seed. Errors: in words; the ground lacks something.
pub(super) fn of(ground: &FuzzGround, seed: u64) -> Result<String, String> {
    let mut chance = Stream::named(seed, "fuzz");
    let regions = ground.regions(chance.below(ground.sets() as u64) as usize);
    let (zones, targets) = (1 + chance.below(3), 1 + chance.below(3));
    let faults_s = 20.0 + chance.below(41) as f64;
    let mut draw = Draw { chance, regions, zones, targets, faults_s, edges: Vec::new() };
    let head = draw.head(seed);
    let loads = draw.loads(&ground.places());
    // Edges are named by the places that the loads' clients come in by.
    let world = ground.world(&draft(&head, &loads, "", 1.0)?)?;
    let pops = |load: &crate::LoadModel| {
        let place = world.atlas.find_place(&load.from)?;
        let mut near = Vec::new();
        world.atlas.pops_by_distance(place, &mut near);
        Some(near.into_iter().take(2).map(|p| world.atlas.pops()[p.0].code.to_string()).collect::<Vec<_>>())
    };
    draw.edges = draft(&head, &loads, "", 1.0)?.load.iter().filter_map(pops).flatten().collect();
    let events = draw.events();
    let random = draw.random();
    finish(&world, seed, &head, &loads, &events, &random)
}

fn draft(head: &str, loads: &str, faults: &str, for_s: f64) -> Result<Scenario, String> {
    let text = format!("{}{faults}", with_length(head, loads, for_s));
    Scenario::parse(&text).map_err(|e| format!("{e} in\n{text}"))
}

fn with_length(head: &str, loads: &str, for_s: f64) -> String {
    format!("for_s = {for_s}\n{head}{}", loads.replace("LENGTH", &for_s.to_string()))
}

/// Puts the parts together: with chance's own faults if some way of theirs has an end in time, and with the calm.
fn finish(world: &World, seed: u64, head: &str, loads: &str, events: &str, random: &str) -> Result<String, String> {
    let pops: Vec<String> = world.atlas.pops().iter().map(|p| p.code.to_string()).collect();
    let without = draft(head, loads, events, 3_600.0)?;
    let snapshot = settled(&world.snapshot, &without)?;
    let end = |scenario: &Scenario| healed_s(scenario, &snapshot, &pops, seed);
    let healed_s = end(&without);
    let for_s = (healed_s + patience(&snapshot, &without).as_secs_f64() + CALM_S).ceil();
    for n in (0..CHANCES).filter(|_| !random.is_empty()) {
        let faults = format!("{events}{}", random.replace("NUMBER", &n.to_string()));
        // Faults of chance go on as long as the scenario does: only one whose last is mended early enough will do.
        if end(&draft(head, loads, &faults, for_s)?) <= healed_s {
            return Ok(format!("{}{faults}", with_length(head, loads, for_s)));
        }
    }
    Ok(format!("{}{events}", with_length(head, loads, for_s)))
}

impl Draw<'_> {
    fn below(&mut self, n: u64) -> u64 {
        self.chance.below(n)
    }

    fn one_of<'b>(&mut self, list: &[&'b str]) -> &'b str {
        list[self.below(list.len() as u64) as usize]
    }

    /// Everything but loads and faults.
    fn head(&mut self, seed: u64) -> String {
        let mut text = format!("story = \"Whatever seed {seed} brings\"\n");
        let measured = self.chance.chance(0.1);
        let aws = self.chance.chance(0.4);
        let mut timing = Vec::new();
        if aws {
            timing.push(("lb_health_poll_ms", 1_000 * (1 + self.below(3))));
            timing.push(("lb_health_timeout_ms", 1_000 + 500 * self.below(3)));
            timing.push(("lb_health_misses", 1 + self.below(3)));
            timing.push(("connect_timeout_ms", 1_000 * (1 + self.below(4))));
        } else if self.chance.chance(0.5) {
            timing.push(("lb_health_poll_ms", 500 * (1 + self.below(4))));
            timing.push(("lb_health_misses", 1 + self.below(3)));
            timing.push(("recovery_hold_ms", 500 * self.below(5)));
            timing.push(("connect_timeout_ms", 1_000 * (1 + self.below(4))));
        }
        let behaviour = if aws { "aws" } else { "fast" };
        let _ = writeln!(text, "behaviour = \"{behaviour}\"\n\n[timing]");
        for (key, value) in timing {
            let _ = writeln!(text, "{key} = {value}");
        }
        let quoted: Vec<String> = self.regions.iter().map(|r| format!("\"{r}\"")).collect();
        let affinity = if self.chance.chance(0.3) { "SOURCE_IP" } else { "NONE" };
        let (ttl_s, interval_s) = (5 + self.below(8), 5 + self.below(3));
        let _ = writeln!(
            text,
            "\n[stack]\nregions = [{}]\nzones = {}\ntargets_per_zone = {}\nttl_s = {}\nhealth_check_interval_s = {}\n\
             client_affinity = \"{affinity}\"\n\n[stack.dials]",
            quoted.join(", "),
            self.zones,
            self.targets,
            ttl_s,
            interval_s,
        );
        for region in self.regions {
            if self.chance.chance(0.4) {
                let _ = writeln!(text, "{region} = {}", self.percent());
            }
        }
        let _ = writeln!(text, "\n[network]\nlatency = \"{}\"", if measured { "measured" } else { "none" });
        // Where nothing is certain no sample can be left out, of a hundred edges each.
        if !measured && self.chance.chance(0.2) {
            let _ = writeln!(text, "jitter = {}", self.one_of(&["0.1", "0.5", "2.0"]));
        }
        if !measured && self.chance.chance(0.2) {
            let _ = writeln!(text, "loss = {}", self.one_of(&["0.001", "0.01", "0.05"]));
        }
        // Nobody looks at the figures.
        text + "\n[report]\nstep_s = 60\nmaps = [0]\n\n"
    }

    fn percent(&mut self) -> u64 {
        if self.chance.chance(0.3) { 0 } else { 5 * (1 + self.below(19)) }
    }

    fn loads(&mut self, places: &[String]) -> String {
        let mut text = String::new();
        for n in 0..1 + self.below(3) {
            let from = &places[self.below(places.len() as u64) as usize];
            // Mostly slow ones.
            let rate = 5.0 + (55.0 * self.chance.unit() * self.chance.unit() * self.chance.unit()).round();
            let connections = self.one_of(&["new", "mixed", "keep"]);
            let entry = self.one_of(&["accelerator", "accelerator", "dns", "dns"]);
            let poisson = self.chance.chance(0.3);
            let timeout = 1 + self.below(4);
            let _ = writeln!(
                text,
                "[[load]]\nname = \"load-{n}\"\nfrom = \"{from}\"\nrate = {rate}\nconnections = \"{connections}\"\n\
                 entry = \"{entry}\"\npoisson = {poisson}\ntimeout_s = {timeout}\nfor_s = LENGTH\n"
            );
        }
        text
    }

    /// A moment of the time of faults, by tenths of a second.
    fn moment(&mut self, from: f64, until: f64) -> f64 {
        ((from + self.chance.unit() * (until - from)) * 10.0).round() / 10.0
    }

    fn region(&mut self) -> String {
        self.one_of(self.regions).to_owned()
    }

    fn edge(&mut self) -> String {
        let at = self.below(self.edges.len() as u64) as usize;
        self.edges.get(at).cloned().unwrap_or_else(|| "ICN".to_owned())
    }

    /// A machine and whether it is an edge.
    fn machine(&mut self) -> (String, bool) {
        let region = self.below(self.regions.len() as u64);
        let zone = self.below(self.zones);
        match self.below(7) {
            0 | 1 => (self.regions[region as usize].to_owned(), false),
            2 | 3 => (format!("{}{}", self.regions[region as usize], char::from(b'a' + zone as u8)), false),
            4 => (self.edge(), true),
            _ => {
                let target = 10 + self.below(self.targets);
                (format!("10.{region}.{}.{target}:9000", zone * 8), false)
            }
        }
    }

    /// One end of a way.
    fn end(&mut self) -> String {
        match self.below(6) {
            0 => "*".to_owned(),
            1 => self.one_of(&["KR", "JP", "US", "GB", "DE"]).to_owned(),
            2 => self.edge(),
            _ => self.region(),
        }
    }

    /// The events, in the order of time.
    fn events(&mut self) -> String {
        let mut events: Vec<(f64, String)> = Vec::new();
        for n in 0..1 + self.below(6) {
            let at = self.moment(1.0, self.faults_s * 0.8);
            self.event(n, at, &mut events);
        }
        events.sort_by(|a, b| a.0.total_cmp(&b.0));
        events.into_iter().map(|(_, text)| text).collect()
    }

    fn event(&mut self, n: u64, at: f64, events: &mut Vec<(f64, String)>) {
        let mut text = format!("[[at]]\nname = \"fault-{n}\"\ns = {at}\n");
        let end = self.moment(at + 0.2, self.faults_s);
        let for_s = ((end - at) * 10.0).round() / 10.0;
        match self.below(10) {
            0 => {
                let (region, percent) = (self.region(), self.percent());
                let _ = writeln!(text, "dial = \"{region}\"\npercent = {percent}\n");
                return events.push((at, text));
            }
            1 => {
                let [a, b] = [self.end(), self.end()];
                let _ = writeln!(text, "partition = [\"{a}\", \"{b}\"]");
            }
            2 => {
                let ([a, b], ms) = ([self.end(), self.end()], 10 + self.below(400));
                let _ = writeln!(text, "cable = [\"{a}\", \"{b}\"]\nadd_ms = {ms}");
            }
            3 => {
                text += "control = \"away\"\n";
                // Somebody turns a dial meanwhile.
                let (region, percent, when) = (self.region(), self.percent(), self.moment(at, end));
                let dial =
                    format!("[[at]]\nname = \"dial-{n}\"\ns = {when}\ndial = \"{region}\"\npercent = {percent}\n\n");
                events.push((when, dial));
            }
            _ => {
                let (what, is_edge) = self.machine();
                let hows = ["crash", "blackhole", "error", "slow", "gray", "unhealthy"];
                let how = self.one_of(if is_edge { &hows[..2] } else { &hows });
                // An operator's word is about a region.
                let what = if how == "unhealthy" { self.region() } else { what };
                let _ = writeln!(text, "kill = \"{what}\"\nhow = \"{how}\"");
                let partial = matches!(how, "error" | "slow" | "gray");
                if partial && self.chance.chance(0.5) {
                    let _ = writeln!(text, "share = {}", self.one_of(&["0.1", "0.5", "0.9", "1.0"]));
                }
                if matches!(how, "slow" | "gray") {
                    let _ = writeln!(text, "delay_ms = {}", 100 + self.below(4_000));
                }
                if partial && self.chance.chance(0.4) {
                    let _ = writeln!(text, "ramp_s = {}", 1 + self.below(10));
                }
                // Mended by an event of its own, by the machine's name or by the fault's.
                if self.chance.chance(0.3) {
                    let mended = if self.chance.chance(0.5) { what } else { format!("fault-{n}") };
                    let restore = format!("[[at]]\nname = \"mend-{n}\"\ns = {end}\nrestore = \"{mended}\"\n\n");
                    events.push((end, restore));
                    text.push('\n');
                    return events.push((at, text));
                }
            }
        }
        let _ = writeln!(text, "for_s = {for_s}");
        if self.chance.chance(0.3) {
            let _ = writeln!(text, "flap_s = {}", self.one_of(&["0.5", "2", "5", "9"]));
        }
        text.push('\n');
        events.push((at, text));
    }

    /// Faults by chance, sometimes.
    fn random(&mut self) -> String {
        if !self.chance.chance(0.3) {
            return String::new();
        }
        let of = self.one_of(&["region", "zone", "target", "edge"]);
        let how = if of == "edge" {
            self.one_of(&["crash", "blackhole"])
        } else {
            self.one_of(&["crash", "blackhole", "error", "slow"])
        };
        format!(
            "[[random]]\nname = \"chance-NUMBER\"\nof = \"{of}\"\nhow = \"{how}\"\nper_hour = {}\nmend_s = {}\n",
            40 + self.below(80),
            1 + self.below(5)
        )
    }
}
