//! What happens to the endpoints, the configuration and the edge.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use perigee_bench::{Edge, Process};
use perigee_tests::http::Client;
use serde_json::{Value, json};

use crate::draws::Draws;
use crate::journal::{Broken, Journal};

/// The point of presence that the edge plays.
const POP: &str = "ICN";

/// An endpoint of the soak: its process, unless it is dead.
struct Endpoint {
    number: u64,
    lives: u64,
    process: Option<Process>,
}

/// Everything that can be done to the stack.
pub struct Chaos<'a> {
    draws: Draws,
    edge: Edge,
    endpoints: Vec<Endpoint>,
    journal: &'a Journal,
    /// How often each thing was done.
    pub done: std::collections::BTreeMap<&'static str, u64>,
    /// What the edge refused to do, which it should not.
    pub refused: Vec<String>,
}

impl<'a> Chaos<'a> {
    /// Starts the endpoints of `edge`'s groups.
    pub fn start(edge: Edge, seed: u64, journal: &'a Journal) -> Self {
        let count = edge.groups.iter().map(|group| group.endpoints.len()).sum::<usize>() as u64;
        let endpoints = (0..count).map(|number| Endpoint { number, lives: 0, process: None }).collect();
        let (done, refused) = Default::default();
        let mut chaos = Self { draws: Draws::new(seed, 1), edge, endpoints, journal, done, refused };
        for place in 0..chaos.endpoints.len() {
            chaos.give_life(place);
        }
        chaos
    }

    /// Does one thing after the other until `end`; then everything is alive again.
    pub fn run(&mut self, end: Instant, mut still_well: impl FnMut()) {
        while Instant::now() < end {
            sleep(Duration::from_millis(self.draws.between(300, 3_000)));
            still_well();
            let place = self.draws.between(0, self.endpoints.len() as u64 - 1) as usize;
            match self.draws.between(0, 99) {
                0..25 => self.kill(place),
                25..50 => self.restore(place),
                50..65 => self.stop(place),
                65..95 => self.reload(),
                _ => self.leave(),
            }
        }
        for place in 0..self.endpoints.len() {
            self.restore(place);
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.done.entry(what).or_insert(0) += 1;
    }

    fn give_life(&mut self, place: usize) {
        let at = self.edge.groups.iter().flat_map(|group| &group.endpoints).nth(place).unwrap();
        let address = SocketAddr::from((at.address, self.edge.port)).to_string();
        let endpoint = &mut self.endpoints[place];
        endpoint.lives += 1;
        let (number, life) = (endpoint.number.to_string(), endpoint.lives.to_string());
        let program = std::env::current_exe().unwrap();
        let log = self.edge.folder.join(format!("endpoint-{number}.log"));
        let command = [program.to_str().unwrap(), "--endpoint", &number, &life, &address];
        endpoint.process = Some(Process::start(None, &log, &command).unwrap());
        let began = Instant::now();
        while Client::open(address.parse().unwrap(), None).is_err() {
            assert!(began.elapsed() < Duration::from_secs(10), "endpoint {number} does not listen on {address}");
            sleep(Duration::from_millis(10));
        }
    }

    /// A crash: the kernel resets its connections and refuses others. One endpoint is always left.
    fn kill(&mut self, place: usize) {
        if self.endpoints.iter().filter(|endpoint| endpoint.process.is_some()).count() < 2 {
            return;
        }
        if self.endpoints[place].process.is_some() {
            self.journal.breaks(Broken::Endpoint(self.endpoints[place].number));
            self.endpoints[place].process = None;
            self.count("kills");
        }
    }

    fn restore(&mut self, place: usize) {
        if self.endpoints[place].process.is_none() {
            self.give_life(place);
            self.journal.mended(Broken::Endpoint(self.endpoints[place].number));
            self.count("restores");
        }
    }

    /// The endpoint does nothing for a while; its kernel goes on for it. Nothing is lost by that.
    fn stop(&mut self, place: usize) {
        let pause = Duration::from_millis(self.draws.between(50, 1_500));
        if let Some(process) = &self.endpoints[place].process {
            let _ = process.signal(Signal::SIGSTOP);
            sleep(pause);
            let _ = process.signal(Signal::SIGCONT);
            self.count("stops");
        }
    }

    /// Other dials and weights, and an endpoint that is not there any more; flows that are there stay.
    fn reload(&mut self) {
        let mut edge = self.edge.clone();
        for group in &mut edge.groups {
            group.dial = *self.draws.one(&[0, 10, 50, 90, 100, 100, 100]);
            for endpoint in &mut group.endpoints {
                endpoint.weight = self.draws.between(1, 255) as u8;
            }
            if self.draws.between(0, 3) == 0 {
                let gone = self.draws.between(0, group.endpoints.len() as u64 - 1) as usize;
                group.endpoints.remove(gone);
            }
        }
        edge.write().unwrap();
        self.post("/v1/reload", &json!({}));
        self.count("reloads");
    }

    /// The edge leaves the anycast, with its flows, and comes back.
    fn leave(&mut self) {
        self.journal.breaks(Broken::Edge);
        self.post("/v1/kill", &json!({ "what": POP, "how": "crash" }));
        sleep(Duration::from_millis(self.draws.between(50, 1_000)));
        self.post("/v1/restore", &json!({ "what": POP }));
        self.journal.mended(Broken::Edge);
        self.count("edges killed");
    }

    fn post(&mut self, path: &str, body: &Value) {
        let client = Client::open(self.edge.admin, None).and_then(|c| c.patient(Duration::from_secs(20)));
        let said = match client.and_then(|mut client| client.post(path, body)) {
            Ok(answer) if answer.status == 200 => return,
            Ok(answer) => answer.text(),
            Err(error) => error.to_string(),
        };
        self.refused.push(format!("{path} {body}: {}", said.trim()));
    }
}

/// Where the run's files are. They go with it.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("perigee-bench-soak-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
