//! The servers, all with one worker on the first core and the same task: names whose answer depends on the client's
//! place, with weights and health where a server has them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use perigee_bench::{LOAD_CORE, Process, SERVER_CORE};

const IP: Ipv4Addr = Ipv4Addr::new(127, 7, 1, 2);

pub struct Server {
    pub name: String,
    pub address: SocketAddr,
    pub process: Process,
    _others: Vec<Process>,
}

/// What the servers are to answer.
pub struct Task<'a> {
    pub folder: &'a Path,
    pub mmdb: &'a Path,
    pub names: usize,
}

fn start(core: &str, log: &Path, command: &[&str]) -> Process {
    Process::start(Some(core), log, command).unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"))
}

fn names(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect()
}

const ZONE: &str =
    "$ORIGIN geo.example.\n@ 3600 SOA ns1 host 1 3600 900 86400 60\n@ 3600 NS ns1\nns1 3600 A 127.0.0.1\n";

fn folder_of(task: &Task<'_>, name: &str) -> PathBuf {
    let folder = task.folder.join(format!("{name}-{}", task.names));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Knot DNS with mod-geoip: continent and country; it has neither weights together with those nor health.
pub fn knot(task: &Task<'_>) -> Server {
    let folder = folder_of(task, "knot");
    fs::create_dir_all(folder.join("db")).unwrap();
    let (f, mmdb) = (folder.display(), task.mmdb.display());
    let zone = ZONE.to_owned() + &names(task.names, |i| format!("h{i} 60 A 192.0.2.1\n"));
    fs::write(folder.join("zone"), zone).unwrap();
    let places = [("NA;US", 1), ("EU;*", 2), ("AS;*", 3), ("*;*", 4)];
    let geo = names(task.names, |i| {
        let rows = places.map(|(place, n)| format!("  - geo: \"{place}\"\n    A: 192.0.2.{n}\n"));
        format!("h{i}.geo.example:\n{}", rows.concat())
    });
    fs::write(folder.join("geo.conf"), geo).unwrap();
    let conf = format!(
        "server:\n  rundir: {f}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n  listen: {IP}@5301\n\
         database:\n  storage: {f}/db\nlog:\n  - target: stderr\n    any: warning\n\
         mod-geoip:\n  - id: g\n    config-file: {f}/geo.conf\n    ttl: 60\n    mode: geodb\n    geodb-file: {mmdb}\n    \
         geodb-key: [ continent/code, country/iso_code ]\ntemplate:\n  - id: default\n    global-module: []\n\
         zone:\n  - domain: geo.example.\n    file: {f}/zone\n    module: mod-geoip/g\n"
    );
    let conf = conf
        .replace("template:\n  - id: default\n    global-module: []\n", "")
        .replace("  tcp-workers: 1\n", "  tcp-workers: 1\n  edns-client-subnet: on\n");
    fs::write(folder.join("knot.conf"), conf).unwrap();
    let path = folder.join("knot.conf");
    let process = start(SERVER_CORE, &folder.join("log"), &["knotd", "-c", path.to_str().unwrap()]);
    Server { name: "knot".into(), address: (IP, 5301).into(), process, _others: Vec::new() }
}

/// gdnsd: a map of continents, then weights; its health is static, as nothing is probed.
pub fn gdnsd(task: &Task<'_>) -> Server {
    let folder = folder_of(task, "gdnsd");
    for part in ["zones", "geoip", "run", "state"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    fs::copy(task.mmdb, folder.join("geoip/geo.mmdb")).unwrap();
    let zone = ZONE.to_owned() + &names(task.names, |i| format!("h{i} 60 DYNA geoip!r\n"));
    fs::write(folder.join("zones/geo.example"), zone).unwrap();
    let f = folder.display();
    let weighted = "weighted => { us => { a => [192.0.2.1, 2], b => [192.0.2.11, 1], multi => false }, \
         eu => { a => [192.0.2.2, 1], b => [192.0.2.12, 1], multi => false }, ap => { a => [192.0.2.3, 1] } }";
    let maps = "maps => { m => { geoip2_db => geo.mmdb, datacenters => [us, eu, ap], \
         map => { NA => [us, eu, ap], EU => [eu, us, ap], AS => [ap, us, eu], default => [us, eu, ap] } } }";
    let resources = "resources => { r => { map => m, service_types => up, \
         dcmap => { us => %weighted!us, eu => %weighted!eu, ap => %weighted!ap } } }";
    let config = format!(
        "options => {{ listen => {IP}:5302, run_dir => {f}/run, state_dir => {f}/state, udp_threads => 1, \
         tcp_threads => 1 }}\nplugins => {{ {weighted}, geoip => {{ {maps}, {resources} }} }}\n"
    );
    fs::write(folder.join("config"), config).unwrap();
    let process = start(SERVER_CORE, &folder.join("log"), &["gdnsd", "-c", folder.to_str().unwrap(), "start"]);
    Server { name: "gdnsd".into(), address: (IP, 5302).into(), process, _others: Vec::new() }
}

/// PowerDNS with its geoip backend: a country, its caches as they come.
pub fn pdns(task: &Task<'_>) -> Server {
    let folder = folder_of(task, "pdns");
    let f = folder.display();
    let mut zones = "domains:\n- domain: geo.example\n  ttl: 60\n  records:\n    geo.example:\n      - soa: \
         ns1.geo.example host.geo.example 1 3600 900 86400 60\n      - ns: ns1.geo.example\n"
        .to_owned();
    for country in ["us", "de", "jp", "br", "au", "za", "kr", "gb", "unknown"] {
        zones += &format!("    {country}.c.geo.example:\n      - a: 192.0.2.1\n");
    }
    zones += "  services:\n";
    zones += &names(task.names, |i| format!("    h{i}.geo.example: [ \"%cc.c.geo.example\" ]\n"));
    fs::write(folder.join("zones.yaml"), zones).unwrap();
    let conf = format!(
        "launch=geoip\ngeoip-database-files=mmdb:{}\ngeoip-zones-file={f}/zones.yaml\nlocal-address={IP}\n\
         local-port=5303\nsocket-dir={f}\nreceiver-threads=1\ndistributor-threads=1\nreuseport=yes\nguardian=no\n\
         daemon=no\ndisable-syslog=yes\nloglevel=3\nedns-subnet-processing=yes\n",
        task.mmdb.display()
    );
    fs::write(folder.join("pdns.conf"), conf).unwrap();
    let argument = format!("--config-dir={f}");
    let process = start(SERVER_CORE, &folder.join("log"), &["pdns_server", &argument]);
    Server { name: "pdns".into(), address: (IP, 5303).into(), process, _others: Vec::new() }
}

/// Regions of the shipped table, by their codes.
const REGIONS: [&str; 32] = [
    "us-east-1",
    "eu-west-1",
    "ap-northeast-2",
    "ap-northeast-1",
    "us-west-2",
    "eu-central-1",
    "sa-east-1",
    "ap-southeast-2",
    "ap-south-1",
    "af-south-1",
    "ca-central-1",
    "eu-west-2",
    "eu-west-3",
    "eu-north-1",
    "ap-southeast-1",
    "ap-east-1",
    "me-south-1",
    "us-west-1",
    "us-east-2",
    "eu-south-1",
    "ap-northeast-3",
    "ap-southeast-3",
    "me-central-1",
    "eu-central-2",
    "eu-south-2",
    "ap-south-2",
    "ap-southeast-4",
    "il-central-1",
    "ca-west-1",
    "ap-southeast-5",
    "mx-central-1",
    "ap-southeast-7",
];

/// Perigee as it is: names whose policy is latency over `regions` regions, and in each the weights of a load balancer,
/// which runs, is probed and healthy, and of an address. The load balancers run in a process of their own, which is not
/// measured. As with gdnsd, the names share what they lead to.
pub fn perigee(binary: &Path, task: &Task<'_>, regions: usize, instance: u16) -> Server {
    let folder = folder_of(task, &format!("perigee-{regions}"));
    fs::create_dir_all(folder.join("regions")).unwrap();
    for (i, code) in REGIONS.iter().take(regions).enumerate() {
        let net = format!("127.{}", 130 + i);
        fs::write(
            folder.join(format!("regions/{code}.toml")),
            format!(
                "[[zones]]\nname = \"{code}a\"\n[load_balancers.shop]\nnodes = [{{ zone = \"{code}a\", address = \
                 \"{net}.1.1\" }}]\n[[load_balancers.shop.listeners]]\nprotocol = \"HTTP\"\nport = 8080\n\
                 default_actions = [{{ type = \"forward\", target_group = \"web\" }}]\n[target_groups.web]\n\
                 protocol = \"HTTP\"\ntarget_type = \"ip\"\nhealth_check_path = \"/check\"\n\
                 targets = [{{ id = \"{net}.1.10\", port = 9000, availability_zone = \"{code}a\" }}]\n"
            ),
        )
        .unwrap();
    }
    let regions = REGIONS.iter().take(regions).enumerate().map(|(i, code)| {
        format!(
            "  {{ region = \"{code}\", policy = \"weighted\", records = [\n    {{ weight = 2, load_balancer = \"shop\" }},\n    \
             {{ weight = 1, addresses = [\"192.0.2.{}\"] }},\n  ] }},\n",
            i + 1
        )
    });
    let regions: String = regions.collect();
    let policies = format!("[dns.names.geo]\npolicy = \"latency\"\nttl_seconds = 60\nrecords = [\n{regions}]\n")
        + &names(task.names, |i| format!("[dns.names.h{i}]\npolicy = \"simple\"\nalias = \"geo\"\n"));
    started(binary, task, &folder, instance, "", &policies)
}

/// Perigee with names of a zone file alone, as many as the task has.
pub fn perigee_with_a_file(binary: &Path, task: &Task<'_>, instance: u16) -> Server {
    let folder = folder_of(task, "perigee-file");
    fs::write(folder.join("names.zone"), names(task.names, |i| format!("h{i} 60 A 192.0.2.1\n"))).unwrap();
    started(binary, task, &folder, instance, "file = \"names.zone\"\n", "")
}

fn started(binary: &Path, task: &Task<'_>, folder: &Path, instance: u16, zone: &str, policies: &str) -> Server {
    let port = 5310 + 2 * instance;
    let config = format!(
        "[dns]\nlisten = \"{IP}:{port}\"\nzone = \"geo.example\"\nworkers = 1\n{zone}[admin]\nlisten = \"{IP}:{}\"\n[geo]\nfile = \"{}\"\n{policies}",
        port + 1000,
        task.mmdb.display()
    );
    fs::write(folder.join("perigee.toml"), config).unwrap();
    let (binary, path) = (binary.to_str().unwrap(), folder.to_str().unwrap());
    let (dns, admin) = (format!("{IP}:{}", port + 1), format!("{IP}:{}", port + 1001));
    let up = [binary, "up", "--config", path, "--dns", &dns, "--admin", &admin];
    let others = vec![start(LOAD_CORE, &folder.join("up.log"), &up)];
    let process = start(SERVER_CORE, &folder.join("log"), &[binary, "run", "dns", "--config", path]);
    Server { name: "perigee".into(), address: (IP, port).into(), process, _others: others }
}

/// Waits until `server` answers `h0.geo.example` with a record. Panics with its log if it does not in time.
pub fn await_answer(server: &mut Server, ready: impl Fn(SocketAddr) -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !ready(server.address) {
        let (ended, words) = (server.process.ended(), server.process.last_words(20));
        assert!(ended.is_none() && Instant::now() < end, "{} does not answer: {ended:?}\n{words}", server.name);
        std::thread::sleep(Duration::from_millis(100));
    }
}
