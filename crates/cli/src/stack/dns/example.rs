//! The example of `docs/examples/dns`, as people get it.

use std::fs;
use std::path::{Path, PathBuf};

use perigee_admin::ExplainName;
use perigee_config::{Config, Problems, Sources};
use perigee_dns::keys;
use perigee_model::dns::SigningAlgorithm;

use super::zone_problems;
use crate::stack::offline_name;

const IN_SEOUL: &str = "\
DNS      www.example.org A for resolver 127.82.200.9 in Seoul, KR
           -> load balancer shop in ap-northeast-2 for 60 s, scope /0: the policies' first choice
           geolocation, counting healthy:
           -> country-KR       country KR, healthy: picked
              default          everywhere, healthy: larger area
              country-JP       country JP, healthy: not for this client
           weighted, drawn once for a client, counting healthy:
              next             weight 10 of 100, healthy: lost the draw
           -> release          weight 90 of 100, healthy: picked
           failover, counting healthy:
           -> primary          primary, healthy: picked
              secondary        secondary, healthy: not needed";

const IN_NEW_YORK: &str = "\
DNS      www.example.org A for resolver 127.1.200.9 in New York, US
           -> accelerator shop for 300 s, scope /0: the policies' first choice
           geolocation, counting healthy:
           -> default          everywhere, healthy: picked
              country-JP       country JP, healthy: not for this client
              country-KR       country KR, healthy: not for this client";

/// A copy of the example, gone with this value.
struct Example(PathBuf);

impl Example {
    fn copy(test: &str) -> Self {
        let to = std::env::temp_dir().join(format!("perigee-example-{}-{test}", std::process::id()));
        fs::create_dir_all(&to).unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/dns");
        for file in ["perigee.toml", "example.org.zone"] {
            fs::copy(from.join(file), to.join(file)).unwrap();
        }
        Self(to)
    }

    fn with_key(self) -> Self {
        let algorithm = SigningAlgorithm::default();
        keys::generate(&self.0.join("keys"), "example.org", algorithm, keys::KeyRole::Csk, keys::KeyState::Active)
            .unwrap();
        self
    }

    fn load(&self) -> Result<Config, Problems> {
        perigee_config::load(&Sources { dir: Some(self.0.clone()), ..Sources::default() })
    }

    fn problems(&self) -> Vec<String> {
        zone_problems(&self.load().unwrap().snapshot)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_example_is_served_as_soon_as_its_zone_has_a_key() {
    let example = Example::copy("served");
    let missing = example.load().unwrap_err().to_string();
    assert!(missing.contains("perigee dns keys generate --directory"), "{missing}");
    fs::create_dir(example.0.join("keys")).unwrap();
    assert_eq!(example.problems(), ["the keys of example.org cannot sign it: there are none"]);
    assert_eq!(example.with_key().problems(), Vec::<String>::new());
}

#[test]
fn a_mistake_in_the_examples_zone_file_is_told_with_file_and_line() {
    let example = Example::copy("mistake").with_key();
    let path = example.0.join("example.org.zone");
    let text = fs::read_to_string(&path).unwrap().replace("192.0.2.25", "192.0.2.256");
    fs::write(&path, text).unwrap();
    assert_eq!(
        example.problems(),
        ["example.org.zone:10: mail.example.org.: `192.0.2.256` is no IPv4 address".to_owned()]
    );
}

#[test]
fn the_examples_tree_is_explained_choice_by_choice() {
    let example = Example::copy("explained").with_key();
    let config = example.load().unwrap();
    let explained = |client: &str| {
        let asked = ExplainName { name: "www.example.org".to_owned(), record_type: "A".to_owned(), resolver: None };
        offline_name(&config, client.parse().unwrap(), &asked).unwrap().explanation.to_string()
    };
    assert_eq!(explained("127.82.200.9"), IN_SEOUL);
    assert_eq!(explained("127.1.200.9"), IN_NEW_YORK);
}
