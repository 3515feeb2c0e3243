//! Drives the stack of `compose/compose.yaml`: starts it, takes a region away in three ways, measures from a client
//! container, and takes everything down again.
//!
//! Needs the image `perigee:local` and a Docker engine on this machine; `cargo xtask compose test` sees to both. What
//! the stack says is awaited, never slept for.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

/// The accelerator's two static addresses, as URLs.
pub const STATIC_URLS: [&str; 2] = ["http://198.51.100.1:8080/", "http://203.0.113.1:8080/"];

/// Seoul's region.
pub const SEOUL: &str = "ap-northeast-2";

/// Tokyo's region.
pub const TOKYO: &str = "ap-northeast-1";

/// The edges and DNS servers that reach into Seoul's network, with their addresses there. Without them the region is
/// cut off.
const INTO_SEOUL: [(&str, &str); 4] =
    [("edge-icn", "10.82.0.11"), ("edge-nrt", "10.82.0.12"), ("dns-seoul", "10.82.0.53"), ("dns-tokyo", "10.82.0.54")];

/// The admin API of every role that watches others, at an address that this machine's bridges reach.
const READY: [&str; 8] = [
    "10.82.0.11:7070",
    "10.82.0.12:7070",
    "10.82.0.53:7070",
    "10.82.0.54:7070",
    "10.82.1.1:7071",
    "10.82.3.1:7071",
    "10.81.1.1:7071",
    "10.81.3.1:7071",
];

/// How long anything awaited may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A running stack with a project name of its own. Dropping it takes it down, whatever the test's end.
pub struct Stack {
    project: String,
    tool: Vec<String>,
}

impl Stack {
    /// Starts the stack and waits until both regions serve their own clients with all of their targets.
    ///
    /// Panics: no Docker, no compose tool, no image, or not ready within a minute; the message says which.
    pub fn start() -> Self {
        let stack = Self { project: format!("perigee-test-{}", std::process::id()), tool: compose_tool() };
        must(stack.compose(&["up", "--detach", "--no-build"]));
        await_state("every role answers /readyz with 200", || READY.iter().all(|address| is_ready(address)));
        for (client, region) in [("client-seoul", SEOUL), ("client-tokyo", TOKYO)] {
            await_state(&format!("{client} is served by all four targets of {region}"), || {
                STATIC_URLS.iter().all(|url| {
                    let slice = stack.load(client, &["--rate=40", "--for=1", "--new", url]).finish();
                    slice.failed() == 0 && slice.served_only_by(region) && slice.targets() == 4
                })
            });
        }
        stack
    }

    /// Kills every container of Seoul's region, as a crash would: SIGKILL, no goodbye.
    pub fn kill_seoul(&self) {
        must(docker(["kill"]).args(self.region_containers(SEOUL)));
    }

    /// Starts them again.
    pub fn start_seoul(&self) {
        must(docker(["start"]).args(self.region_containers(SEOUL)));
    }

    /// Freezes every container of Seoul's region. Their kernel still answers: connections open, and nothing follows.
    pub fn pause_seoul(&self) {
        must(docker(["pause"]).args(self.region_containers(SEOUL)));
    }

    /// Lets them go on.
    pub fn unpause_seoul(&self) {
        must(docker(["unpause"]).args(self.region_containers(SEOUL)));
    }

    /// Takes edges and DNS servers off Seoul's network, one after the other. The region goes on inside.
    pub fn cut_off_seoul(&self) {
        for (service, _) in INTO_SEOUL {
            must(docker(["network", "disconnect", &self.seoul_network()]).arg(self.container(service)));
        }
    }

    /// Puts them back, at the addresses they had.
    pub fn reconnect_seoul(&self) {
        for (service, address) in INTO_SEOUL {
            must(docker(["network", "connect", "--ip", address, &self.seoul_network()]).arg(self.container(service)));
        }
    }

    /// Starts `perigee load` with these arguments in a client container; it runs beside the test.
    pub fn load(&self, client: &str, args: &[&str]) -> Load {
        let mut exec = docker(["exec", &self.container(client), "/perigee", "load", "--json"]);
        exec.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = exec.spawn().unwrap_or_else(|e| panic!("cannot start docker: {e}"));
        let lines = BufReader::new(child.stdout.take().unwrap_or_else(|| panic!("docker has no output")));
        Load { child, lines }
    }

    /// What the DNS server of the client's place answers it for `app.perigee.test`: the addresses, once all queries of
    /// half a second agree. Panics if they do not within a minute.
    pub fn dns_answer(&self, client: &str, server: &str) -> Vec<String> {
        let mut answer = Vec::new();
        await_state(&format!("{server} gives {client} one answer"), || {
            let args = ["--dns=app.perigee.test", "--rate=20", "--for=0.5", "--server", server];
            let summary = self.load(client, &args).summary();
            answer = match summary["answers"].as_array().map(Vec::as_slice) {
                Some([only]) if summary["failed"] == 0 => strings(&only["addresses"]),
                _ => Vec::new(),
            };
            !answer.is_empty()
        });
        answer.sort();
        answer
    }

    /// New connections from Seoul in slices of two seconds until all of a slice comes from `region`.
    ///
    /// Gives the time that took and the slices' failed requests in all. Panics after `limit`.
    pub fn await_region(&self, region: &str, limit: Duration) -> (Duration, u64) {
        let began = Instant::now();
        let mut failed = 0;
        loop {
            let slice = self.load("client-seoul", &["--rate=100", "--for=2", "--new", STATIC_URLS[0]]).finish();
            failed += slice.failed();
            if slice.served_only_by(region) && slice.failed() == 0 {
                return (began.elapsed(), failed);
            }
            assert!(began.elapsed() < limit, "after {limit:?} not all traffic in {region}: {}", slice.0);
        }
    }

    fn region_containers(&self, region: &str) -> Vec<String> {
        let project = format!("label=com.docker.compose.project={}", self.project);
        let region = format!("label=perigee.region={region}");
        let output = must(&mut docker(["ps", "--all", "--quiet", "--filter", &project, "--filter", &region]));
        let containers: Vec<String> = output.lines().map(str::to_owned).collect();
        assert_eq!(containers.len(), 6, "a region has two nodes and four targets");
        containers
    }

    fn container(&self, service: &str) -> String {
        let project = format!("label=com.docker.compose.project={}", self.project);
        let label = format!("label=com.docker.compose.service={service}");
        let output = must(&mut docker(["ps", "--all", "--quiet", "--filter", &project, "--filter", &label]));
        output.lines().next().unwrap_or_else(|| panic!("no container for {service}")).to_owned()
    }

    fn seoul_network(&self) -> String {
        format!("{}_seoul", self.project)
    }

    fn compose(&self, args: &[&str]) -> Command {
        let mut compose = Command::new(&self.tool[0]);
        compose.args(&self.tool[1..]).args(["--project-name", &self.project, "--file", "compose/compose.yaml"]);
        compose.args(args).current_dir(root()).stdin(Stdio::null());
        compose
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(Output { stdout, .. }) = self.compose(&["logs", "--tail=20", "--no-color"]).output()
        {
            eprintln!("{}", String::from_utf8_lossy(&stdout));
        }
        // Paused containers take no signals.
        let _ = docker(["unpause"]).args(self.paused()).output();
        if let Err(error) = self.compose(&["down", "--timeout=1", "--volumes", "--remove-orphans"]).output() {
            eprintln!("cannot take the stack {} down: {error}", self.project);
        }
    }
}

impl Stack {
    fn paused(&self) -> Vec<String> {
        let project = format!("label=com.docker.compose.project={}", self.project);
        let output = docker(["ps", "--quiet", "--filter", "status=paused", "--filter", &project]).output();
        let stdout = output.map(|o| o.stdout).unwrap_or_default();
        String::from_utf8_lossy(&stdout).lines().map(str::to_owned).collect()
    }
}

/// A `perigee load` that runs in a client container.
pub struct Load {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Load {
    /// Waits until `count` of its seconds are over. Panics if it ends before that.
    pub fn await_seconds(&mut self, count: usize) {
        for _ in 0..count {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line).unwrap_or_else(|e| panic!("cannot read from docker: {e}"));
            assert!(read > 0, "the load ended early: {}", self.complaint());
        }
    }

    /// Waits for its end and gives its summary. Panics if it printed none.
    pub fn finish(self) -> Measured {
        let summary = self.summary();
        assert!(summary["requests"].is_u64(), "no summary of a load: {summary}");
        Measured(summary)
    }

    fn summary(mut self) -> Value {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap_or_else(|e| panic!("cannot read from docker: {e}"));
        let last = rest.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        match serde_json::from_str::<Value>(last) {
            Ok(mut last) if last["summary"].is_object() => {
                let _ = self.child.wait();
                last["summary"].take()
            }
            _ => panic!("the load printed no summary but {last:?}: {}", self.complaint()),
        }
    }

    fn complaint(&mut self) -> String {
        let _ = self.child.kill();
        let mut text = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            let _ = stderr.read_to_string(&mut text);
        }
        text
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // The process in the container ends by itself: every load has a length.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The summary of a load, as `perigee load --json` prints it last.
#[derive(Debug)]
pub struct Measured(Value);

impl Measured {
    /// Requests that failed.
    pub fn failed(&self) -> u64 {
        self.number("failed")
    }

    /// Requests that were answered.
    pub fn ok(&self) -> u64 {
        self.number("ok")
    }

    /// Longest wait of a request on a new connection, from its moment in the schedule to the whole answer, ms.
    pub fn new_connection_max_ms(&self) -> f64 {
        self.0["new_connection_latency"]["max_ms"].as_f64().unwrap_or_else(|| panic!("no maximum: {}", self.0))
    }

    /// How many targets answered.
    pub fn targets(&self) -> usize {
        self.0["targets"].as_object().map_or(0, serde_json::Map::len)
    }

    /// Whether there were answers and all came from this region.
    pub fn served_only_by(&self, region: &str) -> bool {
        let regions = self.0["regions"].as_object();
        regions.is_some_and(|r| r.len() == 1 && r.contains_key(region)) && self.ok() > 0
    }

    /// The failures of requests started at or after this moment, milliseconds since 1970, but those in flight: on a kept
    /// connection into the dead region, or with part of their answer here.
    pub fn failures_after(&self, unix_ms: u64) -> Vec<&Value> {
        assert_eq!(self.number("failures_not_kept"), 0, "more failures than the list holds");
        let failures = self.0["failures"].as_array().unwrap_or_else(|| panic!("no failures: {}", self.0));
        let late = |f: &&Value| f["at_unix_ms"].as_u64().is_some_and(|at| at >= unix_ms) && f["kind"] != "in_flight";
        failures.iter().filter(late).collect()
    }

    /// The answers of one region that completed in seconds that began at or after this moment.
    pub fn answers_after(&self, region: &str, unix_ms: u64) -> u64 {
        let started = self.number("started_unix_ms");
        let seconds = self.0["seconds"].as_array().unwrap_or_else(|| panic!("no seconds: {}", self.0));
        seconds
            .iter()
            .filter(|s| s["second"].as_u64().is_some_and(|n| started + (n.max(1) - 1) * 1_000 >= unix_ms))
            .filter_map(|s| s["regions"][region].as_u64())
            .sum()
    }

    /// A line for the test's output: what happened, for a person.
    pub fn line(&self) -> String {
        format!(
            "{} requests, failed {}, longest new connection {:.0} ms, longest gap {} ms",
            self.number("requests"),
            self.0["failed_by_kind"],
            self.new_connection_max_ms(),
            self.number("longest_gap_ms"),
        )
    }

    fn number(&self, key: &str) -> u64 {
        self.0[key].as_u64().unwrap_or_else(|| panic!("no {key}: {}", self.0))
    }
}

/// Milliseconds since 1970. Containers share the machine's clock, so a client's times can be compared with it.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn await_state(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "after {LIMIT:?} it is still not so that {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn is_ready(address: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let address: SocketAddr = address.parse().map_err(std::io::Error::other)?;
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn compose_tool() -> Vec<String> {
    let candidates: [&[&str]; 2] = [&["docker", "compose"], &["docker-compose"]];
    let works = |tool: &&[&str]| {
        Command::new(tool[0]).args(&tool[1..]).arg("version").output().is_ok_and(|output| output.status.success())
    };
    let tool = candidates.into_iter().find(works);
    tool.unwrap_or_else(|| panic!("neither `docker compose` nor `docker-compose` works"))
        .iter()
        .map(|word| (*word).to_owned())
        .collect()
}

fn docker<const N: usize>(args: [&str; N]) -> Command {
    let mut docker = Command::new("docker");
    docker.args(args).stdin(Stdio::null());
    docker
}

/// Runs a command and gives what it printed; its complaint is the panic's message.
fn must(mut command: impl std::borrow::BorrowMut<Command>) -> String {
    let command = command.borrow_mut();
    let output = command.output().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{complaint}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The part of `compose.yaml` that describes one service.
    fn service<'a>(text: &'a str, name: &str) -> &'a str {
        let section = text.split(&format!("\n  {name}:\n")).nth(1).unwrap_or_else(|| panic!("no service {name}"));
        section.split("\n\n").next().unwrap_or_default()
    }

    fn config() -> perigee_config::Config {
        let sources = perigee_config::Sources { dir: Some(root().join("compose/config")), ..Default::default() };
        perigee_config::load(&sources).unwrap_or_else(|problems| panic!("{problems}"))
    }

    #[test]
    fn every_node_and_target_of_the_compose_configuration_has_its_container() {
        let yaml = std::fs::read_to_string(root().join("compose/compose.yaml")).unwrap();
        let snapshot = config().snapshot;
        let nodes = snapshot.load_balancers.iter().flat_map(|lb| lb.nodes.iter().map(move |n| (lb.region, n.address)));
        let targets = snapshot.target_groups.iter().flat_map(|g| g.targets.iter().map(move |t| (g.region, t.address)));
        let mut count = 0;
        for (region, address) in nodes.chain(targets) {
            let region = &snapshot.region(region).code;
            let sections: Vec<&str> =
                yaml.split("\n\n").filter(|s| s.contains(&format!("ipv4_address: {address} }}"))).collect();
            assert_eq!(sections.len(), 1, "{address} of {region} has one container");
            assert!(sections[0].contains(&format!("--region={region},")), "{address} is not in {region}");
            count += 1;
        }
        assert_eq!(count, 12, "two regions of two nodes and four targets");
    }

    #[test]
    fn both_edges_hold_the_static_addresses_and_every_client_has_a_route_for_them() {
        let yaml = std::fs::read_to_string(root().join("compose/compose.yaml")).unwrap();
        let snapshot = config().snapshot;
        let [accelerator] = snapshot.accelerators.as_slice() else { panic!("one accelerator is expected") };
        for (address, url) in accelerator.addresses.iter().zip(STATIC_URLS) {
            assert_eq!(url, format!("http://{address}:8080/"));
            for edge in ["edge-icn", "edge-nrt"] {
                assert!(service(&yaml, edge).contains(&format!("--address={address}/32")), "{edge} lacks {address}");
            }
            let network = address.to_string().rsplit_once('.').map(|(net, _)| format!("{net}.0/24")).unwrap();
            for client in ["client-seoul", "client-tokyo"] {
                assert!(service(&yaml, client).contains(&format!("--route={network}=")), "{client} lacks {network}");
            }
        }
    }

    #[test]
    fn exactly_the_edges_may_speak_for_others() {
        let yaml = std::fs::read_to_string(root().join("compose/compose.yaml")).unwrap();
        let trusted: BTreeSet<String> =
            config().snapshot.settings.trusted_proxies.iter().map(|net| net.addr().to_string()).collect();
        let held: BTreeSet<String> = ["edge-icn", "edge-nrt"]
            .into_iter()
            .flat_map(|edge| service(&yaml, edge).lines())
            .filter(|line| line.contains("seoul: {") || line.contains("tokyo: {"))
            .filter(|line| !line.contains("clients-"))
            .filter_map(|line| Some(line.split("ipv4_address: ").nth(1)?.split(' ').next()?.to_owned()))
            .collect();
        assert_eq!(trusted, held);
        assert_eq!(held.len(), 4);
    }

    #[test]
    fn a_summary_tells_failures_by_kind_and_time_and_answers_by_region() {
        let measured = Measured(serde_json::json!({
            "started_unix_ms": 10_000, "requests": 10, "ok": 6, "failed": 4, "failures_not_kept": 0,
            "regions": { SEOUL: { "answers": 2 }, TOKYO: { "answers": 4 } }, "targets": { "a": {}, "b": {} },
            "failures": [
                { "at_unix_ms": 11_999, "kind": "new_connection" },
                { "at_unix_ms": 12_000, "kind": "new_connection" },
                { "at_unix_ms": 12_500, "kind": "in_flight" },
                { "at_unix_ms": 12_600, "kind": "status" },
            ],
            "seconds": [
                { "second": 1, "regions": { SEOUL: 2 } },
                { "second": 2, "regions": { TOKYO: 1 } },
                { "second": 3, "regions": { TOKYO: 3 } },
            ],
        }));
        assert_eq!(measured.failures_after(12_000).len(), 2);
        assert_eq!(measured.answers_after(TOKYO, 11_001), 3);
        assert_eq!(measured.answers_after(SEOUL, 10_000), 2);
        assert_eq!((measured.failed(), measured.targets()), (4, 2));
        assert!(!measured.served_only_by(SEOUL) && !measured.served_only_by(TOKYO));
    }
}
