//! The faults, one after the other, and what the client's notes say of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use perigee_bench::{Finding, conclude, load_average, own_network, raise_file_limit};
use perigee_tests::http::Client;
use perigee_tests::stack::{SEOUL, Setup, Stack};
use perigee_tests::wait::until;
use serde_json::{Value, json};

use crate::attempt::End;
use crate::client::{Load, Noted};

/// Load before a fault.
const BEFORE: Duration = Duration::from_secs(2);
/// `timing.recovery_hold_ms`: what damps flapping.
const HOLD: Duration = Duration::from_secs(1);
/// How long the flapping region is dead and alive, in turns: shorter and longer than the hold.
const FLAPS_MS: [u64; 8] = [300, 2_500, 200, 600, 700, 3_000, 100, 1_100];
/// The longest waits that are printed.
const SHOWN: usize = 3;
/// Longest wait of a new connection in a blackhole, from the issue of the edge.
const BLACKHOLE_WAIT_MS: f64 = 1_000.0;

struct Arguments {
    rate: u32,
    duration: Duration,
}

fn arguments() -> Arguments {
    let mut arguments = Arguments { rate: 5_000, duration: Duration::from_secs(10) };
    let mut given = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(key) = given.next() {
        let value = given.next().unwrap_or_else(|| panic!("{key} has no value"));
        match key.as_str() {
            "--rate" => arguments.rate = value.parse().unwrap(),
            "--secs" => arguments.duration = Duration::from_secs_f64(value.parse().unwrap()),
            _ => panic!("unknown argument {key}"),
        }
    }
    assert!(arguments.duration > BEFORE, "--secs has to be more than the {BEFORE:?} before each fault");
    arguments
}

/// Connections that were started once a fault was there.
struct Seen {
    connections: usize,
    failed: usize,
    errors: usize,
    longest_ms: f64,
    late_ms: f64,
    by_region: BTreeMap<String, usize>,
}

fn seen(notes: &[Noted], since: Instant) -> Seen {
    let new: Vec<&Noted> = notes.iter().filter(|noted| noted.started >= since).collect();
    let longest = |of: fn(&Noted) -> Duration| new.iter().map(|n| of(n)).max().unwrap_or_default().as_secs_f64() * 1e3;
    let mut by_region = BTreeMap::new();
    let mut errors = 0;
    for noted in &new {
        if let End::Answered { status, region } = &noted.end {
            errors += usize::from(*status != 200);
            *by_region.entry(region.clone()).or_insert(0) += 1;
        }
    }
    Seen {
        connections: new.len(),
        failed: new.iter().filter(|n| n.end == End::Failed).count(),
        errors,
        longest_ms: longest(|n| n.waited),
        late_ms: longest(|n| n.late),
        by_region,
    }
}

/// Posts to the admin API. Errors: what it says against it.
fn post(stack: &Stack, path: &str, body: &Value) -> Result<(), String> {
    let client = Client::open(stack.slot().admin(), None).and_then(|c| c.patient(Duration::from_secs(10)));
    let answer = client.and_then(|mut c| c.post(path, body)).map_err(|e| format!("{path} {body}: {e}"))?;
    if answer.status == 200 { Ok(()) } else { Err(format!("{path} {body}: {}", answer.text().trim())) }
}

struct Proof<'a> {
    stack: &'a Stack,
    arguments: Arguments,
    findings: Vec<Finding>,
}

impl Proof<'_> {
    /// Loads while `harm` is done, and notes what connections saw that were started after it had been done.
    fn play(
        &mut self,
        name: &str,
        to: Vec<SocketAddr>,
        harm: impl FnOnce(&Stack) -> Result<Instant, String>,
    ) -> Option<Seen> {
        let load = Load::start(to, self.arguments.rate, self.arguments.duration);
        sleep(BEFORE);
        let done = harm(self.stack);
        let notes = load.finish();
        let began = notes.iter().map(|noted| noted.started).min()?;
        let since = match done {
            Ok(since) => since,
            Err(error) => {
                eprintln!("# {name}: {error}");
                self.findings.push(Finding::new(format!("{name}: could not be done"), 1.0, "").at_most(0.0));
                return None;
            }
        };
        let (all, new) = (seen(&notes, began), seen(&notes, since));
        eprintln!(
            "# {name}: {} connections, {} after the fault: {} failed, {} answered with an error, by region {:?}; {} \
             failed that were open or just opening when it came",
            all.connections,
            new.connections,
            new.failed,
            new.errors,
            new.by_region,
            all.failed - new.failed,
        );
        let mut longest: Vec<&Noted> = notes.iter().filter(|noted| noted.started >= since).collect();
        longest.sort_by_key(|noted| std::cmp::Reverse(noted.waited));
        for noted in longest.iter().take(SHOWN) {
            let after = noted.started - since;
            eprintln!("#   {after:.1?} after the fault: waited {:.1?}, {:?}", noted.waited, noted.end);
        }
        self.find(&format!("{name}: the client itself was late by at most"), new.late_ms, "ms");
        Some(new)
    }

    fn find(&mut self, what: &str, figure: f64, unit: &'static str) {
        self.findings.push(Finding::new(what, figure, unit));
    }

    fn bound(&mut self, what: &str, figure: f64, unit: &'static str, most: f64) {
        self.findings.push(Finding::new(what, figure, unit).at_most(most));
    }

    fn one_address(&self) -> Vec<SocketAddr> {
        vec![self.stack.slot().accelerator(0)]
    }

    /// Loads without a fault. Whether the machine carries that, so that what faults do can be seen.
    fn calm(&mut self) -> bool {
        let before = self.stack.cpu_time();
        let Some(calm) = self.play("no fault", self.one_address(), |_| Ok(Instant::now())) else { return false };
        let spent = self.stack.cpu_time().saturating_sub(before).as_secs_f64();
        let all = f64::from(self.arguments.rate) * self.arguments.duration.as_secs_f64();
        self.find("no fault: CPU time of the whole stack per connection", spent / all * 1e6, "us");
        self.bound("no fault: failed new connections", calm.failed as f64, "", 0.0);
        self.find("no fault: longest wait of a new connection", calm.longest_ms, "ms");
        calm.failed == 0
    }

    /// Mends what was broken and waits until the stack is as before.
    fn mended(&self, what: &str) {
        self.stack.restore(what);
        until("everything is healthy again", Duration::from_secs(60), || self.stack.is_all_healthy());
        sleep(HOLD);
    }

    fn region(&mut self, how: &str) {
        let name = format!("region, {how}");
        let to = self.one_address();
        let harm = |stack: &Stack| {
            stack.kill(SEOUL, how);
            Ok(Instant::now())
        };
        let Some(new) = self.play(&name, to, harm) else { return };
        self.bound(&format!("{name}: failed new connections"), new.failed as f64, "", 0.0);
        let waited = format!("{name}: longest wait of a new connection");
        if how == "blackhole" {
            self.bound(&waited, new.longest_ms, "ms", BLACKHOLE_WAIT_MS);
        } else {
            self.find(&waited, new.longest_ms, "ms");
        }
        if how == "error" {
            self.find(&format!("{name}: answered with an error"), new.errors as f64, "");
        }
        self.mended(SEOUL);
    }

    /// The load balancer flaps and its targets stay: they would have to pass their checks first, which is damping
    /// enough by itself.
    fn flap(&mut self) {
        let what = format!("{SEOUL}/shop");
        let known = self.changes().len();
        let duration = self.arguments.duration;
        let to = self.one_address();
        let harm = |stack: &Stack| {
            let since = Instant::now();
            let end = since + duration - BEFORE;
            for (n, ms) in FLAPS_MS.iter().cycle().enumerate() {
                if Instant::now() >= end {
                    break;
                }
                if n % 2 == 0 {
                    stack.kill(&what, "crash");
                } else {
                    stack.restore(&what);
                }
                sleep(Duration::from_millis(*ms));
            }
            Ok(since)
        };
        let Some(new) = self.play("region, flapping", to, harm) else { return };
        let moments: Vec<u64> = self.changes().split_off(known);
        let most = moments.iter().map(|from| {
            let window = *from..from + HOLD.as_millis() as u64;
            moments.iter().filter(|at| window.contains(at)).count()
        });
        let most = most.max().unwrap_or(0);
        eprintln!("# region, flapping: its health changed at {moments:?} ms");
        // Connections are cut off by every crash of the region that they had just reached.
        self.find("region, flapping: connections cut off by its crashes", new.failed as f64, "");
        self.find("region, flapping: changes of decision", moments.len() as f64, "");
        self.bound("region, flapping: most changes within a damping window", most as f64, "", 1.0);
        self.mended(&what);
    }

    /// The moments at which Seoul's health changed, ms since the start of the stack.
    fn changes(&self) -> Vec<u64> {
        let events = self.stack.ask("/v1/events").unwrap().json();
        let events = events.as_array().cloned().unwrap_or_default();
        let seoul = events.iter().filter(|event| event["region"] == SEOUL);
        seoul.filter_map(|event| event["at_ms"].as_u64()).collect()
    }

    fn zone(&mut self, zone: &str, how: &str) {
        let name = format!("{zone}, {how}");
        let slot = self.stack.slot();
        // A client may begin with either address; the first one is the one that fails.
        let which = u8::from(zone == "zone-b");
        let to = vec![slot.accelerator(which), slot.accelerator(1 - which)];
        let harm = |stack: &Stack| {
            post(stack, "/v1/kill", &json!({ "what": zone, "how": how }))?;
            Ok(Instant::now())
        };
        let Some(new) = self.play(&name, to, harm) else { return };
        self.bound(&format!("{name}: failed connections of clients with two addresses"), new.failed as f64, "", 0.0);
        self.find(&format!("{name}: longest wait of such a connection"), new.longest_ms, "ms");
        self.mended(zone);
    }
}

pub fn main() -> ExitCode {
    let arguments = arguments();
    match own_network() {
        Ok(()) => eprintln!("# in a network namespace of its own"),
        Err(error) => eprintln!("# in the host's network: {error}"),
    }
    eprintln!("# load average before: {}", load_average());
    raise_file_limit(200_000).unwrap();
    let limits = "[limits]\nedge_flows = 50000\nnode_connections = 50000\n".to_owned();
    let stack = Stack::with(&Setup { tables: limits, ..Setup::default() });
    let mut proof = Proof { stack: &stack, arguments, findings: Vec::new() };
    if !proof.calm() {
        eprintln!("# the machine does not carry this load even without a fault: a lower --rate, or fewer neighbours");
        return conclude(&proof.findings);
    }
    for how in ["crash", "blackhole", "error"] {
        proof.region(how);
    }
    proof.flap();
    for (zone, how) in [("zone-a", "crash"), ("zone-b", "crash"), ("zone-a", "blackhole"), ("zone-b", "blackhole")] {
        proof.zone(zone, how);
    }
    conclude(&proof.findings)
}
