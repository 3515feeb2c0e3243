//! A whole stack, `perigee up`, in a process of its own on loopback addresses of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::http::{Answer, Client};
use crate::slot::Slot;
use crate::wait::{unix_ms, until};

pub use crate::compose::{SEOUL, TOKYO};

/// The port of the accelerator's UDP listener, if it has one.
pub const UDP_PORT: u16 = 5353;
/// The network of the first further region, see [`Slot::node`].
pub const FURTHER_NETWORK: u8 = 101;

/// How long a stack may take to serve: its first health checks take a moment.
const START: Duration = Duration::from_secs(20);
/// How long it may take to end; its own drain takes 30 s at most.
const END: Duration = Duration::from_secs(40);
/// Log lines kept for the message of a failed test.
const LOG_LINES: usize = 2_000;

/// The `perigee` under test: `TEST_PERIGEE`, or the one of the profile that the test itself was built with.
///
/// (A variable that began with `PERIGEE_` would be configuration of the program.) Panics when there is none.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("TEST_PERIGEE") {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "TEST_PERIGEE: {} is no program", path.display());
        return path;
    }
    let exe = std::env::current_exe().unwrap_or_else(|e| panic!("a test without a path: {e}"));
    let path = exe.ancestors().nth(2).map(|profile| profile.join("perigee")).unwrap_or_default();
    assert!(path.is_file(), "{} is missing: `cargo build -p perigee`, or name one in TEST_PERIGEE", path.display());
    path
}

/// Takes every `PERIGEE_*` variable away from `command`: the tests bring their whole configuration.
pub fn without_configuration(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PERIGEE_") {
            command.env_remove(name);
        }
    }
}

/// How a stack differs from the usual two regions.
#[derive(Clone, Debug)]
pub struct Setup {
    /// `fast` or `aws`.
    pub behaviour: String,
    /// Traffic dials of Seoul and Tokyo, percent.
    pub dials: [u8; 2],
    /// More tables of `perigee.toml`, such as `[timing]` or `[limits]`.
    pub tables: String,
    /// More lines of the table `[accelerators.shop]`, such as `flow_logs_enabled`.
    pub accelerator: String,
    /// More regions by their codes, each with a load balancer `shop` for DNS alone; their nodes are in
    /// [`FURTHER_NETWORK`] and the networks behind it, in this order.
    pub further_regions: Vec<String>,
    /// More lines of the table `[dns]`, such as `zone`.
    pub dns: String,
    /// At how many addresses DNS listens: hosts 1 and on of network 53.
    pub dns_hosts: u8,
    /// Whether there is a UDP listener too, on [`UDP_PORT`], with an instance in each region: [`Slot::instance`].
    pub udp: bool,
    /// The port of DNS; 5300 unless a judge knows no other than its own.
    pub dns_port: u16,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            behaviour: "fast".to_owned(),
            dials: [100, 100],
            tables: String::new(),
            accelerator: String::new(),
            further_regions: Vec::new(),
            dns: String::new(),
            dns_hosts: 1,
            udp: false,
            dns_port: 5_300,
        }
    }
}

/// A running stack. Dropping it ends its process, whatever the test's end.
pub struct Stack {
    child: Child,
    files: Files,
    log: Arc<Mutex<Vec<String>>>,
    /// From the start of the process to the line that says where it listens.
    pub served_after: Duration,
}

impl Stack {
    /// Starts one as usual.
    pub fn start() -> Self {
        Self::with(&Setup::default())
    }

    /// Starts one and waits until it is ready: every node and target has been looked at and is healthy.
    ///
    /// Panics when it does not come up; the message has its log.
    pub fn with(setup: &Setup) -> Self {
        let files = Files::write(setup);
        let mut command = Command::new(binary());
        without_configuration(&mut command);
        command.args(["up", "--json", "--config"]).arg(files.dir()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let began = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start perigee: {e}"));
        let log = collect_log(&mut child);
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        let mut stack = Self { child, files, log, served_after: began.elapsed() };
        assert!(serde_json::from_str::<Value>(&line).is_ok(), "perigee up said {line:?}");
        until("the stack is ready", START, || {
            if let Ok(Some(status)) = stack.child.try_wait() {
                panic!("perigee up ended: {status}");
            }
            stack.ask("/readyz").is_ok_and(|a| a.status == 200) && stack.is_all_healthy()
        });
        stack
    }

    /// The loopback addresses of this stack.
    pub fn slot(&self) -> &Slot {
        &self.files.slot
    }

    /// The directory of its configuration, which goes with it.
    pub fn directory(&self) -> &Path {
        self.files.dir()
    }

    /// The URL of a static address, 0 or 1.
    pub fn url(&self, which: u8) -> String {
        format!("http://{}/", self.slot().accelerator(which))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Resident memory, KB.
    pub fn resident_kb(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or_default();
        line.split_whitespace()
            .next()
            .and_then(|kb| kb.parse().ok())
            .unwrap_or_else(|| panic!("no VmRSS in {status:?}"))
    }

    /// Processor time used so far.
    pub fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        // Fields 14 and 15 of proc(5), in ticks of 10 ms on Linux; the name and its number are already gone.
        let ticks: u64 = fields.iter().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
        Duration::from_millis(10 * ticks)
    }

    /// Starts `perigee load` with these arguments, from `place`.
    pub fn load(&self, place: &str, args: &[&str]) -> crate::load::Load {
        let mut all = vec![format!("--from={place}")];
        all.extend(args.iter().map(|a| (*a).to_owned()));
        crate::load::Load::start(&all)
    }

    /// A connection of a client at the tenth address of Seoul's prefix to a static address.
    pub fn client_in_seoul(&self) -> std::io::Result<Client> {
        Client::open(self.slot().accelerator(0), Some(IpAddr::from([127, 82, 200, 10])))
    }

    /// Breaks something; gives the millisecond at which every new connect met the fault.
    pub fn kill(&self, what: &str, how: &str) -> u64 {
        self.must_post("/v1/kill", &json!({ "what": what, "how": how }));
        unix_ms()
    }

    /// The same with the delay of `slow`.
    pub fn slow_down(&self, what: &str, delay_ms: u64) -> u64 {
        self.must_post("/v1/kill", &json!({ "what": what, "how": "slow", "delay_ms": delay_ms }));
        unix_ms()
    }

    /// Mends it.
    pub fn restore(&self, what: &str) -> u64 {
        self.must_post("/v1/restore", &json!({ "what": what }));
        unix_ms()
    }

    /// What `perigee status` shows.
    pub fn status(&self) -> Value {
        self.ask("/v1/status").unwrap_or_else(|e| panic!("no status: {e}")).json()
    }

    /// What counts for a region's load balancer: `healthy`, `unhealthy` or `initial`.
    pub fn effective(&self, region: &str) -> String {
        let status = self.status();
        let lbs = status["load_balancers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let lb = lbs.iter().find(|lb| lb["region"] == region).unwrap_or_else(|| panic!("no {region} in {status}"));
        lb["effective"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether every load balancer, node and target counts as healthy.
    pub fn is_all_healthy(&self) -> bool {
        let status = self.status();
        let all = |list: &str, key: &str| {
            let rows = status[list].as_array().map(Vec::as_slice).unwrap_or_default();
            !rows.is_empty() && rows.iter().all(|row| row[key] == "healthy")
        };
        all("load_balancers", "effective") && all("targets", "state")
    }

    /// The sum of the samples of a metric whose labels hold all of `labels`.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = self.ask("/metrics").unwrap_or_else(|e| panic!("no metrics: {e}")).text();
        let samples = text.lines().filter(|l| {
            let rest = l.strip_prefix(name).unwrap_or_default();
            rest.starts_with(['{', ' ']) && labels.iter().all(|label| l.contains(label))
        });
        let values: Vec<f64> = samples.filter_map(|l| l.rsplit(' ').next()?.parse().ok()).collect();
        assert!(!values.is_empty() || text.contains("# EOF"), "the metrics are cut off");
        values.iter().fold(0.0, |sum, value| sum + value)
    }

    /// Runs a command of `perigee` against this stack, such as `["reload"]`.
    pub fn command(&self, args: &[&str]) -> Output {
        let mut command = Command::new(binary());
        without_configuration(&mut command);
        command.args(args).args(["--admin", &self.slot().admin().to_string()]).stdin(Stdio::null());
        command.output().unwrap_or_else(|e| panic!("cannot run perigee {args:?}: {e}"))
    }

    /// Writes another configuration where this stack reads its own.
    pub fn write(&self, setup: &Setup) {
        write_configuration(&self.files.dir, self.slot(), setup);
    }

    /// Asks the admin API.
    pub fn ask(&self, path: &str) -> std::io::Result<Answer> {
        Client::open(self.slot().admin(), None)?.get(path)
    }

    /// Sends its process a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap_or_else(|_| panic!("no process id")));
        kill(pid, signal).unwrap_or_else(|e| panic!("cannot signal {pid}: {e}"));
    }

    /// Waits for its end. Panics when it does not end.
    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        until("the stack has ended", END, || {
            status = self.child.try_wait().unwrap_or_else(|e| panic!("cannot wait: {e}"));
            status.is_some()
        });
        status.unwrap_or_else(|| panic!("no exit status"))
    }

    /// Its log so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn must_post(&self, path: &str, body: &Value) -> Value {
        let client = Client::open(self.slot().admin(), None).and_then(|c| c.patient(Duration::from_secs(10)));
        let answer = client.and_then(|mut c| c.post(path, body)).unwrap_or_else(|e| panic!("{path} {body}: {e}"));
        assert_eq!(answer.status, 200, "{path} {body}: {}", answer.text());
        answer.json()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            for line in self.log().iter().rev().take(30).rev() {
                println!("perigee: {line}");
            }
        }
    }
}

/// The configuration of a stack with addresses that are free, in a directory that goes with it.
#[derive(Debug)]
pub struct Files {
    slot: Slot,
    dir: PathBuf,
}

impl Files {
    /// Takes addresses and writes it.
    pub fn write(setup: &Setup) -> Self {
        let slot = Slot::take();
        let name = format!("perigee-test-{}-{}", std::process::id(), slot.admin().ip());
        let dir = std::env::temp_dir().join(name);
        write_configuration(&dir, &slot, setup);
        Self { slot, dir }
    }

    /// What `--config` takes.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Reads the log as long as the process writes, so that it never waits for the test.
fn collect_log(child: &mut Child) -> Arc<Mutex<Vec<String>>> {
    let log: Arc<Mutex<Vec<String>>> = Arc::default();
    if let Some(stderr) = child.stderr.take() {
        let log = log.clone();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stderr);
            let mut line = Vec::new();
            while matches!((&mut lines).take(1 << 20).read_until(b'\n', &mut line), Ok(1..)) {
                let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                if log.len() < LOG_LINES {
                    log.push(String::from_utf8_lossy(&line).trim_end().to_owned());
                }
                line.clear();
            }
        });
    }
    log
}

fn write_configuration(dir: &Path, slot: &Slot, setup: &Setup) {
    let group = |region: &str, dial: u8| {
        format!(
            "[[accelerators.shop.listeners.endpoint_groups]]\nregion = \"{region}\"\n\
             traffic_dial_percentage = {dial}\nendpoints = [{{ endpoint_id = \"shop\" }}]\n"
        )
    };
    let listen: Vec<String> =
        (1..=setup.dns_hosts).map(|host| format!("\"{}:{}\"", slot.address(53, host), setup.dns_port)).collect();
    let main = format!(
        "behaviour = \"{}\"\n[dns]\nlisten = [{}]\n{}[admin]\nlisten = \"{}\"\n{}\n[accelerators.shop]\n\
         addresses = [\"{}\", \"{}\"]\n{}[[accelerators.shop.listeners]]\n\
         port_ranges = [{{ from_port = 8080, to_port = 8080 }}]\n{}{}",
        setup.behaviour,
        listen.join(", "),
        setup.dns,
        slot.admin(),
        setup.tables,
        slot.accelerator(0).ip(),
        slot.accelerator(1).ip(),
        setup.accelerator,
        group(SEOUL, setup.dials[0]),
        group(TOKYO, setup.dials[1]),
    );
    let main = if setup.udp { main + &udp_listener() } else { main };
    let further = setup.further_regions.iter().map(String::as_str).zip(FURTHER_NETWORK..);
    let mut regions = [(SEOUL, 82), (TOKYO, 81)].into_iter().chain(further);
    let written = fs::create_dir_all(dir.join("regions"))
        .and_then(|()| fs::write(dir.join("perigee.toml"), main))
        .and_then(|()| {
            regions.try_for_each(|(code, network)| {
                let mut text = region(slot, code, network);
                if setup.udp {
                    let address = slot.instance(network);
                    text += &format!("[instances.{}]\naddress = \"{address}\"\n", instance_of(code));
                }
                fs::write(dir.join(format!("regions/{code}.toml")), text)
            })
        });
    written.unwrap_or_else(|e| panic!("cannot write {}: {e}", dir.display()));
}

/// The id of a region's instance.
fn instance_of(code: &str) -> &'static str {
    if code == SEOUL { "i-00000082" } else { "i-00000081" }
}

fn udp_listener() -> String {
    let group = |region: &str| {
        format!(
            "[[accelerators.shop.listeners.endpoint_groups]]\nregion = \"{region}\"\n\
             endpoints = [{{ endpoint_id = \"{}\" }}]\n",
            instance_of(region)
        )
    };
    format!(
        "[[accelerators.shop.listeners]]\nprotocol = \"UDP\"\n\
         port_ranges = [{{ from_port = {UDP_PORT}, to_port = {UDP_PORT} }}]\n{}{}",
        group(SEOUL),
        group(TOKYO)
    )
}

/// A region's file: zones `a` and `c` with a node and a target each; checks as quick as the original allows.
fn region(slot: &Slot, code: &str, network: u8) -> String {
    let zones = [('a', 1), ('c', 3)];
    let join = |lines: Vec<String>| lines.concat();
    let names = join(zones.map(|(letter, _)| format!("[[zones]]\nname = \"{code}{letter}\"\n")).to_vec());
    let nodes = zones.map(|(letter, n)| {
        let address: SocketAddr = slot.node(network, n);
        format!("    {{ zone = \"{code}{letter}\", address = \"{}\" }},\n", address.ip())
    });
    let targets = zones.map(|(letter, n)| {
        let target = slot.target(network, n);
        format!(
            "    {{ id = \"{}\", port = {}, availability_zone = \"{code}{letter}\" }},\n",
            target.ip(),
            target.port()
        )
    });
    format!(
        "{names}[load_balancers.shop]\nnodes = [\n{}]\n[[load_balancers.shop.listeners]]\nprotocol = \"HTTP\"\n\
         port = 8080\ndefault_actions = [{{ type = \"forward\", target_group = \"web\" }}]\n[target_groups.web]\n\
         protocol = \"HTTP\"\ntarget_type = \"ip\"\nhealth_check_path = \"/check\"\n\
         health_check_interval_seconds = 5\nhealth_check_timeout_seconds = 2\nhealthy_threshold_count = 2\n\
         unhealthy_threshold_count = 2\ntargets = [\n{}]\n",
        join(nodes.to_vec()),
        join(targets.to_vec()),
    )
}
