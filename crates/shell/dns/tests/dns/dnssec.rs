//! A signed zone on real sockets, as a validator sees it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use perigee_dns::keys::{self, KeyRole, KeyState};
use perigee_dns::{Config, Metrics, Server, Transport};
use perigee_model::Limits;
use perigee_model::dns::{SigningAlgorithm, ZoneSigning};
use perigee_net::{Host, Shutdown};
use prometheus_client::registry::Registry;

use crate::delv::Verdict::{Bogus, Denied, Secure};
use crate::delv::{anchors_file, delv};
use crate::support::{
    A, SEOUL, SEOUL_NODES, TOKYO, TOKYO_NODES, World, addresses, decode, in_seoul, options_of, query, subnet_of,
};

const ORIGIN: &str = "perigee.test";
const IN_SEOUL: &str = "127.82.200.9";
const IN_TOKYO: &str = "127.81.200.9";
const DNSKEY: u16 = 48;
/// The flags DO and CO of the OPT record.
const DO: u16 = 0x8000;
const CO: u16 = 0x4000;

struct Signed {
    world: World,
    directory: PathBuf,
    address: SocketAddr,
    registry: Registry,
    _server: Server,
    _shutdown: Shutdown,
}

impl Signed {
    async fn start(test: &str, algorithm: SigningAlgorithm) -> Self {
        let directory = std::env::temp_dir().join(format!("perigee-signed-{test}-{}", std::process::id()));
        keys::generate(&directory, ORIGIN, algorithm, KeyRole::Csk, KeyState::Active).unwrap();
        let world = World::with(|snapshot| {
            let key_directory = Some(directory.clone());
            snapshot.dns.zones[0].signing = Some(ZoneSigning { algorithm, key_directory, nsec3: false });
        });
        let shutdown = Shutdown::new();
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let listen = vec![([127, 0, 0, 1], 0).into()];
        let config = Config { listen, tls: None, query_log: None, host: Host::new("dns"), limits: Limits::default() };
        let server = Server::start(config, world.view.clone(), metrics, &shutdown).await.unwrap();
        let address = server.local_addrs()[0];
        Self { world, directory, address, registry, _server: server, _shutdown: shutdown }
    }

    /// Trusts the keys that the parent would be told of now.
    fn anchors(&self) -> PathBuf {
        let lines = keys::anchors(&self.directory, ORIGIN).unwrap();
        let data = lines.iter().map(|line| line.split(" DNSKEY ").nth(1).unwrap().to_owned());
        anchors_file(&self.directory, data)
    }

    /// As a reload does: the same configuration, read again.
    fn reload(&mut self) {
        let view = self.world.view.load_full();
        let mut snapshot = (*view.snapshot).clone();
        snapshot.generation += 1;
        self.world.edge.set_snapshot(Arc::new(snapshot), view.atlas.clone(), perigee_model::Instant::START);
        self.world.publish();
    }
}

impl Drop for Signed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn delv_follows_every_name_from_every_place_over_both_transports() {
    let signed = Signed::start("names", SigningAlgorithm::EcdsaP256Sha256).await;
    let anchors = signed.anchors();
    let elb = format!("shop.{SEOUL}.elb.{ORIGIN}");
    for (name, qtype, verdict) in [
        ("app.perigee.test", "A", Secure),
        ("_why.app.perigee.test", "TXT", Secure),
        ("shop.accelerator.perigee.test", "A", Secure),
        (&elb, "A", Secure),
        ("perigee.test", "SOA", Secure),
        ("perigee.test", "NS", Secure),
        ("perigee.test", "DNSKEY", Secure),
        ("perigee.test", "CDS", Secure),
        ("app.perigee.test", "ANY", Secure),
        ("app.perigee.test", "AAAA", Denied),
        ("perigee.test", "MX", Denied),
        ("accelerator.perigee.test", "A", Denied),
        ("nothing.perigee.test", "A", Denied),
        ("nothing.app.perigee.test", "A", Denied),
    ] {
        for source in [IN_SEOUL, IN_TOKYO] {
            for transport in ["+notcp", "+tcp"] {
                let (found, text) = delv(signed.address, &anchors, source, &[name, qtype, transport]);
                assert_eq!(found, verdict, "{name} {qtype} from {source} {transport}: {text}");
                let nodes = if source == IN_SEOUL { SEOUL_NODES } else { TOKYO_NODES };
                if name == "app.perigee.test" && qtype == "A" {
                    assert!(nodes.iter().all(|node| text.contains(node)), "{source}: {text}");
                }
            }
        }
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &signed.registry).unwrap();
    let count = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("perigee_dns_{name}_total ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    };
    assert!(count("signature_cache_hits") > 3 * count("signature_cache_misses"), "{text}");
    assert_eq!(count("signing_failures"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn keys_change_on_a_running_server() {
    let mut signed = Signed::start("keys", SigningAlgorithm::Ed25519).await;
    let old_anchors = std::fs::read(signed.anchors()).unwrap();
    let old = keys::list(&signed.directory, ORIGIN).unwrap()[0].tag;
    let new = keys::generate(&signed.directory, ORIGIN, SigningAlgorithm::Ed25519, KeyRole::Csk, KeyState::Published);
    let new = new.unwrap().tag;
    // What is done, and whether who trusts the old key alone still finds everything good.
    let steps: [(u16, KeyState, bool); 3] =
        [(new, KeyState::Published, true), (new, KeyState::Active, true), (old, KeyState::Retired, true)];
    let check = |signed: &Signed, old_is_good: bool, step: &str| {
        let trust_old = signed.directory.join("old-anchors");
        std::fs::write(&trust_old, &old_anchors).unwrap();
        for (anchors, is_good) in [(signed.anchors(), true), (trust_old, old_is_good)] {
            for (name, verdict) in [("app.perigee.test", Secure), ("nothing.perigee.test", Denied)] {
                let (found, text) = delv(signed.address, &anchors, IN_SEOUL, &[name, "A"]);
                assert_eq!(found, if is_good { verdict } else { Bogus }, "{step}, {}: {text}", anchors.display());
            }
        }
    };
    for (tag, state, old_is_good) in steps {
        keys::set_state(&signed.directory, ORIGIN, tag, state).unwrap();
        signed.reload();
        check(&signed, old_is_good, &format!("{tag} is {}", state.as_str()));
    }
    for extension in ["pem", "toml"] {
        let key = signed.directory.join(format!("K{ORIGIN}.+015+{old:05}.{extension}"));
        std::fs::remove_file(key).unwrap();
    }
    signed.reload();
    check(&signed, false, "the old one is gone");
}

#[tokio::test]
async fn flags_and_client_subnets_are_answered_as_they_should_be() {
    let signed = Signed::start("flags", SigningAlgorithm::Ed25519).await;
    let responder = signed.world.responder();
    let ask = |name: &str, qtype: u16, flags: u16| -> (Message, u16, Vec<u8>) {
        let question = query(name, qtype).opt(1_232, 0, flags, &[(8, &[0, 1, 24, 0, 133, 1, 2])]);
        let bytes = responder.answer(&question.bytes(), in_seoul(), Transport::Udp).unwrap();
        let opt = bytes.windows(3).rposition(|w| w == [0, 0, 41]).unwrap();
        let flags = u16::from_be_bytes([bytes[opt + 7], bytes[opt + 8]]);
        assert!(options_of(&bytes).is_some());
        (decode(&bytes), flags, bytes)
    };
    let has_signatures = |message: &Message| {
        message.answers.iter().chain(&message.authorities).any(|r| r.record_type() == RecordType::RRSIG)
    };
    for (name, qtype, flags, code, flags_back) in [
        ("nothing.perigee.test", A, 0, ResponseCode::NXDomain, 0),
        ("nothing.perigee.test", A, CO, ResponseCode::NXDomain, 0),
        ("nothing.perigee.test", A, DO, ResponseCode::NoError, DO),
        ("nothing.perigee.test", A, DO | CO, ResponseCode::NXDomain, DO | CO),
        ("app.perigee.test", A, DO | CO, ResponseCode::NoError, DO | CO),
        ("app.perigee.test", A, DO | 0x2fff, ResponseCode::NoError, DO),
        ("example.com", A, DO | CO, ResponseCode::Refused, DO),
        ("perigee.test", DNSKEY, DO, ResponseCode::NoError, DO),
    ] {
        let (message, back, bytes) = ask(name, qtype, flags);
        assert_eq!(message.metadata.response_code, code, "{name} {flags:x}");
        assert_eq!(back, flags_back, "{name} {flags:x}");
        assert_eq!(has_signatures(&message), flags & DO != 0 && name != "example.com", "{name} {flags:x}");
        let scope = subnet_of(&bytes).expect("the client subnet is always there")[3];
        if name == "app.perigee.test" {
            assert!(scope > 0, "tailored, and its signature with it");
        } else {
            assert_eq!(scope, 0, "{name} {qtype}: the same for everyone");
        }
    }
    let (app, _, _) = ask("app.perigee.test", A, DO);
    let tokyo: Vec<String> = addresses(&app).into_iter().filter(|data| data.len() < 16).collect();
    assert_eq!(tokyo, TOKYO_NODES, "{TOKYO}");
}
