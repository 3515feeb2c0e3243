use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use perigee_model::dns::{HostedZone, SigningAlgorithm, ZoneSigning};

use crate::keys::{KeyError, KeyInfo, KeyRole, KeyState, anchors, check, ds, generate, list, set_state};

const ORIGIN: &str = "perigee.test";

/// A directory that goes with the test.
pub(super) struct Directory(pub(super) PathBuf);

impl Directory {
    pub(super) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("perigee-keys-{}-{count}", std::process::id())))
    }

    pub(super) fn key(&self, algorithm: SigningAlgorithm, role: KeyRole, state: KeyState) -> KeyInfo {
        generate(&self.0, ORIGIN, algorithm, role, state).unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

use KeyRole::{Csk, Ksk, Zsk};
use KeyState::{Active, Published, Retired};
use SigningAlgorithm::{EcdsaP256Sha256 as P256, Ed25519};

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_generated_key_is_listed_again_and_nobody_else_may_read_it() {
    let directory = Directory::new();
    assert_eq!(list(&directory.0, ORIGIN).unwrap(), []);
    let mut keys = vec![directory.key(P256, Csk, Active), directory.key(Ed25519, Csk, Active)];
    keys.push(directory.key(P256, Zsk, Published));
    keys.sort_by_key(|key| key.secret.clone());
    assert_eq!(list(&directory.0, ORIGIN).unwrap(), keys);
    assert_eq!(mode(&directory.0), 0o700);
    assert!(keys.iter().all(|key| mode(&key.secret) == 0o600));
    generate(&directory.0, "other.test", P256, Csk, Active).unwrap();
    assert_eq!(list(&directory.0, ORIGIN).unwrap(), keys, "another zone's keys are not its own");
    assert_eq!(list(&directory.0, "test").unwrap(), []);
    assert_eq!((ds(&directory.0, ORIGIN).unwrap().len(), anchors(&directory.0, ORIGIN).unwrap().len()), (2, 2));
    let moved = set_state(&directory.0, ORIGIN, keys[0].tag, Retired).unwrap();
    assert_eq!(moved.state, Retired);
    assert_eq!(list(&directory.0, ORIGIN).unwrap()[0], moved);
}

#[test]
fn a_secret_that_others_may_read_or_replace_is_refused() {
    let directory = Directory::new();
    let key = directory.key(P256, Csk, Active);
    for bits in [0o040, 0o004, 0o020, 0o002, 0o001] {
        chmod(&key.secret, 0o600 | bits);
        let error = list(&directory.0, ORIGIN).unwrap_err();
        assert!(matches!(error, KeyError::Mode { .. }), "{bits:o}: {error}");
        assert!(error.to_string().contains("chmod it to 600"), "{error}");
    }
    chmod(&key.secret, 0o400);
    assert!(list(&directory.0, ORIGIN).is_ok());
    chmod(&directory.0, 0o770);
    assert!(matches!(list(&directory.0, ORIGIN), Err(KeyError::Mode { .. })));
    chmod(&directory.0, 0o750);
    assert!(list(&directory.0, ORIGIN).is_ok());
}

#[test]
fn damaged_files_are_refused_with_their_name() {
    let directory = Directory::new();
    let key = directory.key(P256, Csk, Active);
    let words = key.secret.with_extension("toml");
    let good = fs::read_to_string(&words).unwrap();
    assert_eq!(good, "role = \"csk\"\nstate = \"active\"\n");
    for bad in [
        "",
        "role = \"csk\"\n",
        "state = \"active\"\n",
        "role = \"boss\"\nstate = \"active\"\n",
        "role = csk\nstate = \"active\"\n",
        "role = \"csk\"\nstate = \"active\"\nstate = \"retired\"\n",
        "role = \"csk\"\nstate = \"active\"\nuntil = \"tomorrow\"\n",
        "role \"csk\"\n",
        // A key's tag depends on its flags, and so on its role.
        "role = \"zsk\"\nstate = \"active\"\n",
    ] {
        fs::write(&words, bad).unwrap();
        let error = list(&directory.0, ORIGIN).unwrap_err();
        assert!(matches!(error, KeyError::Malformed { .. }), "{bad:?}: {error}");
        assert!(error.to_string().contains("Kperigee.test.+013+"), "{error}");
    }
    fs::write(&words, "# by hand\n\n role=\"csk\" # as ever\nstate =\"active\"").unwrap();
    assert!(list(&directory.0, ORIGIN).is_ok());
    fs::remove_file(&words).unwrap();
    assert!(matches!(list(&directory.0, ORIGIN), Err(KeyError::Io { .. })));
    fs::write(&words, &good).unwrap();
    let secret = fs::read(&key.secret).unwrap();
    for bad in [&b""[..], b"\xff\xfe", &secret[..secret.len() / 2], &vec![b'x'; 20_000]] {
        fs::write(&key.secret, bad).unwrap();
        assert!(list(&directory.0, ORIGIN).is_err(), "{} octets", bad.len());
    }
    fs::write(&key.secret, &secret).unwrap();
    let renamed = directory.0.join("Kperigee.test.+013+00001.pem");
    fs::rename(&key.secret, &renamed).unwrap();
    fs::rename(&words, renamed.with_extension("toml")).unwrap();
    assert!(matches!(list(&directory.0, ORIGIN), Err(KeyError::Malformed { .. })));
}

#[test]
fn keys_that_validators_could_not_follow_are_refused() {
    let zone = |directory: &Directory| {
        let mut zone = HostedZone::new(ORIGIN);
        let key_directory = Some(directory.0.clone());
        zone.signing = Some(ZoneSigning { algorithm: P256, key_directory, nsec3: false });
        zone
    };
    for (keys, problem) in [
        (vec![], Some("there are none")),
        (vec![(P256, Csk, Active)], None),
        (vec![(P256, Csk, Published)], Some("no active csk or ksk")),
        (vec![(P256, Csk, Retired)], Some("no active csk or ksk")),
        (vec![(P256, Ksk, Active)], Some("no active csk or zsk")),
        (vec![(P256, Zsk, Active)], Some("no active csk or ksk")),
        (vec![(P256, Ksk, Active), (P256, Zsk, Active)], None),
        (vec![(P256, Ksk, Active), (Ed25519, Zsk, Active)], Some("no active")),
        (vec![(P256, Csk, Active), (P256, Csk, Published), (P256, Csk, Retired)], None),
        (vec![(P256, Csk, Active), (Ed25519, Csk, Published)], Some("algorithm 15 has no active")),
        (vec![(P256, Csk, Active), (Ed25519, Csk, Active)], None),
        (vec![(P256, Csk, Active); 7], Some("octets")),
    ] {
        let directory = Directory::new();
        for (algorithm, role, state) in &keys {
            directory.key(*algorithm, *role, *state);
        }
        match (check(&zone(&directory)), problem) {
            (Ok(()), None) => {}
            (Err(error), Some(problem)) => assert!(error.to_string().contains(problem), "{keys:?}: {error}"),
            (result, _) => panic!("{keys:?}: {result:?}"),
        }
    }
    let directory = Directory::new();
    for _ in 0..8 {
        directory.key(Ed25519, Zsk, Active);
    }
    assert!(generate(&directory.0, ORIGIN, Ed25519, Zsk, Active).is_err(), "a ninth");
    for origin in ["", ".", "../etc", "a/b", "perigee\0test"] {
        assert!(matches!(generate(&directory.0, origin, P256, Csk, Active), Err(KeyError::Origin(_))), "{origin:?}");
    }
    assert!(matches!(set_state(&directory.0, "other.test", 1, Active), Err(KeyError::Missing { .. })));
    assert!(check(&HostedZone::new(ORIGIN)).is_ok());
}
