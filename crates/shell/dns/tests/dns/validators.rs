//! Validators of other makes ask a server on real sockets.

use std::path::PathBuf;

use perigee_dns::keys::{self, KeyRole, KeyState};
use perigee_model::dns::SigningAlgorithm;

use crate::delv::Verdict::{Bogus, Denied, Secure};
use crate::delv::{anchors_file, delv};
use crate::dnssec::{ORIGIN, Signed};
use crate::support::{SEOUL, SEOUL_NODES, TOKYO_NODES};

const IN_SEOUL: &str = "127.82.200.9";
const IN_TOKYO: &str = "127.81.200.9";

impl Signed {
    /// Trusts the keys that the parent would be told of now.
    fn anchors(&self) -> PathBuf {
        let lines = keys::anchors(&self.directory, ORIGIN).unwrap();
        let data = lines.iter().map(|line| line.split(" DNSKEY ").nth(1).unwrap().to_owned());
        anchors_file(&self.directory, data)
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
