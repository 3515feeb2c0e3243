//! A signed zone: what its answers say beside their data.

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

use crate::support::{A, TOKYO_NODES, World, addresses, decode, in_seoul, query, subnet_of};

pub const ORIGIN: &str = "perigee.test";
const DNSKEY: u16 = 48;
/// The flags DO and CO of the OPT record.
const DO: u16 = 0x8000;
const CO: u16 = 0x4000;

/// A server of a zone whose keys are in a directory of its own.
pub struct Signed {
    pub world: World,
    pub directory: PathBuf,
    pub address: SocketAddr,
    pub registry: Registry,
    _server: Server,
    _shutdown: Shutdown,
}

impl Signed {
    pub async fn start(test: &str, algorithm: SigningAlgorithm) -> Self {
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
        let config = Config {
            listen,
            tls: None,
            query_log: None,
            host: Host::new("dns"),
            limits: Limits::default(),
            workers: 1,
        };
        let server = Server::start(config, world.view.clone(), metrics, &shutdown).await.unwrap();
        let address = server.local_addrs()[0];
        Self { world, directory, address, registry, _server: server, _shutdown: shutdown }
    }

    /// As a reload does: the same configuration, read again.
    pub fn reload(&mut self) {
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

#[tokio::test]
async fn flags_and_client_subnets_are_answered_as_they_should_be() {
    let signed = Signed::start("flags", SigningAlgorithm::Ed25519).await;
    let responder = signed.world.responder();
    let ask = |name: &str, qtype: u16, flags: u16| -> (Message, u16, Vec<u8>) {
        let question = query(name, qtype).opt(1_232, 0, flags, &[(8, &[0, 1, 24, 0, 133, 1, 2])]);
        let bytes = responder.answer(&question.bytes(), in_seoul(), Transport::Udp).unwrap();
        let opt = bytes.windows(3).rposition(|w| w == [0, 0, 41]).unwrap();
        let flags = u16::from_be_bytes([bytes[opt + 7], bytes[opt + 8]]);
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
    assert_eq!(tokyo, TOKYO_NODES);
}
