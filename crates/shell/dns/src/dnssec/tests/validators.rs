//! Validators of other makes: BIND's `delv`, and Unbound.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use perigee_model::dns::SigningAlgorithm;

use super::delv::{Verdict, anchors_file, delv, output};
use super::files::Directory;
use super::server::Server;
use super::world::{World, key_algorithm, signing};

use Verdict::{Bogus, Denied, Insecure, Secure};

/// Questions of every kind, and what is to be found.
const QUESTIONS: [(&str, &str, Verdict); 23] = [
    ("www.perigee.test", "A", Secure),
    ("WWW.PeriGee.test", "AAAA", Secure),
    ("perigee.test", "SOA", Secure),
    ("perigee.test", "NS", Secure),
    ("perigee.test", "DNSKEY", Secure),
    ("perigee.test", "CDS", Secure),
    ("perigee.test", "CDNSKEY", Secure),
    ("alias.perigee.test", "A", Secure),
    ("a.ent.perigee.test", "TXT", Secure),
    ("any.wild.perigee.test", "A", Secure),
    ("*.wild.perigee.test", "A", Secure),
    ("www.child.perigee.test", "A", Secure),
    ("friend.perigee.test", "DS", Secure),
    ("www.perigee.test", "MX", Denied),
    ("perigee.test", "MX", Denied),
    ("absent.perigee.test", "A", Denied),
    ("far.below.www.perigee.test", "A", Denied),
    ("absent.child.perigee.test", "A", Denied),
    ("ent.perigee.test", "A", Denied),
    ("any.wild.perigee.test", "AAAA", Denied),
    ("geo.perigee.test", "AAAA", Denied),
    ("stranger.perigee.test", "DS", Denied),
    ("www.open.perigee.test", "A", Insecure),
];

fn anchors_for(directory: &Directory, world: &World) -> PathBuf {
    anchors_file(&directory.0, world.keys("perigee.test").iter().map(ToString::to_string))
}

fn kinds() -> impl Iterator<Item = World> {
    let algorithms = [SigningAlgorithm::EcdsaP256Sha256, SigningAlgorithm::Ed25519];
    algorithms.into_iter().flat_map(|algorithm| [false, true].map(|nsec3| World::new(signing(algorithm, nsec3))))
}

#[test]
fn delv_follows_every_kind_of_answer() {
    for world in kinds() {
        let directory = Directory::new();
        let anchors = anchors_for(&directory, &world);
        let server = Server::start(world);
        for (name, qtype, verdict) in QUESTIONS {
            let (found, text) = delv(server.address, &anchors, "127.0.0.1", &[name, qtype]);
            assert_eq!(found, verdict, "{name} {qtype}: {text}");
        }
        let (found, text) = delv(server.address, &anchors, "127.0.0.1", &["www.perigee.test", "ANY"]);
        assert_eq!((found, text.contains("RFC8482")), (Secure, true), "{text}");
        for region in ["1", "2"] {
            let source = format!("127.0.0.{region}");
            let (found, text) = delv(server.address, &anchors, &source, &["geo.perigee.test", "A"]);
            assert_eq!((found, text.contains(&format!("192.0.2.10{region}"))), (Secure, true), "{text}");
        }
    }
}

#[test]
fn delv_refuses_what_another_key_signed() {
    let [right, wrong] = [0, 1].map(|_| World::new(signing(SigningAlgorithm::Ed25519, false)));
    assert_eq!(key_algorithm(&right.keys("perigee.test")[0]), key_algorithm(&wrong.keys("perigee.test")[0]));
    let directory = Directory::new();
    let anchors = anchors_for(&directory, &right);
    let server = Server::start(wrong);
    for (name, qtype, _) in QUESTIONS {
        let (found, text) = delv(server.address, &anchors, "127.0.0.1", &[name, qtype]);
        assert_eq!(found, Bogus, "{name} {qtype}: {text}");
    }
}

/// A validating resolver of our own that asks `server` about everything below `perigee.test`.
struct Unbound {
    process: Child,
    port: u16,
}

impl Unbound {
    fn start(directory: &Directory, world: &World, server: SocketAddr) -> Self {
        // It cannot choose a port by itself, and somebody may take this one between here and there.
        let mut attempts = (0..16).map(|_| {
            let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            Self::try_start(directory, world, server, port)
        });
        let mut said = None;
        attempts
            .find_map(|attempt| attempt.map_err(|words| said = Some(words)).ok())
            .unwrap_or_else(|| panic!("{said:?}"))
    }

    /// Errors: what it said before it ended because the port was taken.
    fn try_start(directory: &Directory, world: &World, server: SocketAddr, port: u16) -> Result<Self, String> {
        let anchors = world.keys("perigee.test").into_iter();
        let anchors: String = anchors.map(|key| format!("trust-anchor: \"perigee.test. DNSKEY {key}\"\n")).collect();
        let stub = format!("{}@{}", server.ip(), server.port());
        fs::create_dir_all(&directory.0).unwrap();
        let path = directory.0.join("unbound.conf");
        let text = format!(
            "server:\nchroot: \"\"\nusername: \"\"\npidfile: \"\"\ndirectory: \"{}\"\ninterface: 127.0.0.1\n\
             port: {port}\ndo-not-query-localhost: no\ndo-ip6: no\nnum-threads: 1\nuse-syslog: no\nlogfile: \"\"\n\
             verbosity: 1\nmodule-config: \"validator iterator\"\nlocal-zone: \"test.\" nodefault\n{anchors}\
             remote-control:\ncontrol-enable: no\nstub-zone:\nname: perigee.test\nstub-addr: {stub}\n",
            directory.0.display(),
        );
        fs::write(&path, text).unwrap();
        let mut command = Command::new("unbound");
        command.args(["-d", "-p", "-c"]).arg(&path).stderr(Stdio::piped()).stdout(Stdio::null());
        let mut process = command.spawn().unwrap_or_else(|e| panic!("cannot run unbound (Debian: unbound): {e}"));
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("start of service") {
            if log.read_line(&mut said).unwrap() == 0 {
                process.wait().unwrap();
                assert!(said.contains("Address already in use"), "unbound ended: {said}");
                return Err(said);
            }
        }
        // What it says from here on must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Ok(Self { process, port })
    }

    fn ask(&self, name: &str, qtype: &str) -> (Verdict, String) {
        let mut command = Command::new("kdig");
        command.args(["@127.0.0.1", "-p", &self.port.to_string(), "+dnssec", "+timeout=5", "+retry=3", name, qtype]);
        let text = output("knot-dnsutils", &mut command);
        let flags = text.lines().find_map(|line| line.strip_prefix(";; Flags: ")).unwrap_or_default();
        let is_authentic = flags.split(';').next().is_some_and(|flags| flags.split(' ').any(|flag| flag == "ad"));
        let verdict = match (text.contains("status: SERVFAIL"), is_authentic, text.contains("ANSWER: 0;")) {
            (true, _, _) => Bogus,
            (false, true, true) => Denied,
            (false, true, false) => Secure,
            (false, false, _) => Insecure,
        };
        (verdict, text)
    }
}

impl Drop for Unbound {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn unbound_follows_every_kind_of_answer() {
    for world in kinds() {
        let directory = Directory::new();
        let server = Server::start(world.clone());
        let unbound = Unbound::start(&directory, &world, server.address);
        for (name, qtype, verdict) in QUESTIONS {
            let (found, text) = unbound.ask(name, qtype);
            assert_eq!(found, verdict, "{name} {qtype}: {text}");
        }
    }
}

#[test]
fn unbound_refuses_what_another_key_signed() {
    let [right, wrong] = [0, 1].map(|_| World::new(signing(SigningAlgorithm::EcdsaP256Sha256, false)));
    let directory = Directory::new();
    let server = Server::start(wrong);
    let unbound = Unbound::start(&directory, &right, server.address);
    for (name, qtype) in [("www.perigee.test", "A"), ("absent.perigee.test", "A"), ("www.open.perigee.test", "A")] {
        let (found, text) = unbound.ask(name, qtype);
        assert_eq!(found, Bogus, "{name} {qtype}: {text}");
    }
}
