//! Zone files and keys of a running stack: changed, broken, mended.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use perigee_tests::dig::dig;
use perigee_tests::program::{Folder, printed, program};
use perigee_tests::stack::{Setup, Stack, binary, without_configuration};
use serde_json::Value;

const ZONE: &str = "$ORIGIN shop.test.\n$TTL 60\n@ SOA ns1 hostmaster 1 7200 3600 1209600 30\n@ NS ns1\nns1 A 127.0.0.1\n\
                    mail A 192.0.2.25\n";

/// A stack with a zone of that file, signed if `signing` says with what.
fn setup(file: &Path, signing: &str) -> Setup {
    let tables = format!("[dns.zones.\"shop.test\"]\nfile = \"{}\"\n{signing}", file.display());
    Setup { tables, ..Setup::default() }
}

fn signed_with(keys: &Path) -> String {
    format!("[dns.zones.\"shop.test\".signing]\nkey_directory = \"{}\"\n", keys.display())
}

fn perigee(args: &[&str]) -> Output {
    let mut command = Command::new(binary());
    without_configuration(&mut command);
    command.args(args).stdin(Stdio::null());
    command.output().unwrap_or_else(|e| panic!("cannot run perigee {args:?}: {e}"))
}

/// `perigee dns keys` with these words and the directory; what it printed, which must be a success.
fn keys(directory: &Path, words: &[&str]) -> String {
    let output = keys_output(directory, words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn keys_output(directory: &Path, words: &[&str]) -> Output {
    let directory = directory.to_string_lossy();
    let (verb, rest) = words.split_first().unwrap();
    perigee(&[&["dns", "keys", verb, "--directory", &directory, "--zone", "Shop.Test."], rest].concat())
}

fn made(directory: &Path, words: &[&str]) -> Value {
    let text = keys(directory, &[&["generate", "--json"], words].concat());
    let value: Value = serde_json::from_str(&text).unwrap();
    value["keys"][0].clone()
}

#[test]
fn a_changed_zone_file_is_served_after_a_reload_and_a_broken_one_refused_whole() {
    let folder = Folder::make("changed-zone");
    let file = folder.write("shop.test.zone", ZONE);
    let stack = Stack::with(&setup(&file, ""));
    let mail = || dig(stack.slot().dns(), "mail.shop.test", "A", None, None).data().concat();
    assert_eq!(mail(), "192.0.2.25");
    folder.write("shop.test.zone", &ZONE.replace("192.0.2.25", "192.0.2.26"));
    assert_eq!(mail(), "192.0.2.25", "nothing changes before somebody says so");
    assert!(stack.command(&["reload"]).status.success());
    assert_eq!(mail(), "192.0.2.26");

    folder.write("shop.test.zone", &format!("{ZONE}new A 192.0.2.27\nwww A 192.0.2\nftp CNAME\n"));
    let refused = stack.command(&["reload"]);
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{words}");
    for part in ["shop.test.zone:8: www.shop.test.", "shop.test.zone:9: ftp.shop.test."] {
        assert!(words.contains(part), "{part:?} is not in:\n{words}");
    }
    assert_eq!(mail(), "192.0.2.26");
    assert_eq!(dig(stack.slot().dns(), "new.shop.test", "A", None, None).code, "NXDOMAIN");
    assert_eq!(stack.status()["generation"], 2);
}

#[test]
fn keys_are_made_listed_and_told_to_the_parent_as_ldns_would() {
    let folder = Folder::make("keys-told");
    let directory = folder.path().join("keys");
    assert_eq!(keys(&directory, &["list"]), "", "no directory is no key");
    let csk = made(&directory, &[]);
    assert_eq!((csk["role"].as_str(), csk["state"].as_str()), (Some("csk"), Some("active")));
    assert_eq!(csk["algorithm"], "ecdsap256sha256");
    let tag = csk["tag"].to_string();
    let next = made(&directory, &["--state", "published"])["tag"].to_string();
    let listed = keys(&directory, &["list"]);
    for word in [&tag, &next, "published", "active", "ecdsap256sha256"] {
        assert!(listed.contains(word), "{word:?} is not in:\n{listed}");
    }

    let anchors = keys(&directory, &["anchors"]);
    assert_eq!(anchors.lines().count(), 1, "a published key is no anchor: {anchors}");
    let file = folder.write("Kshop.test.key", &anchors);
    let theirs = printed(program("ldns-key2ds").args(["-n", "-2"]).arg(&file), Duration::from_secs(10));
    let ours = keys(&directory, &["ds"]);
    // Owner and TTL are each program's own; what is behind the type is the record.
    let data = |text: &str| -> Vec<String> {
        let words = text.split_whitespace().skip_while(|word| *word != "DS").skip(1);
        words.map(str::to_ascii_lowercase).collect()
    };
    assert_eq!(data(&ours), data(&theirs), "{ours} {theirs}");
    assert_eq!(data(&ours)[0], tag);

    // The second takes over.
    keys(&directory, &["state", &next, "active"]);
    keys(&directory, &["state", &tag, "retired"]);
    assert_eq!(data(&keys(&directory, &["ds"]))[0], next);
    let missing = keys_output(&directory, &["state", "1", "active", "--json"]);
    let words = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(!missing.status.success() && words.contains("has no key 1 of shop.test"), "{words}");
}

#[test]
fn keys_that_cannot_sign_are_refused_by_check_up_and_reload() {
    let folder = Folder::make("keys-refused");
    let file = folder.write("shop.test.zone", ZONE);
    let directory = folder.path().join("keys");
    let setup = setup(&file, &signed_with(&directory));
    let files = perigee_tests::stack::Files::write(&setup);
    let at = files.dir().to_string_lossy().into_owned();
    let refused = |args: &[&str], part: &str| {
        let output = perigee(&[args, &["--config", &at]].concat());
        let words = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{words}");
        assert!(words.contains(part), "{part:?} is not in:\n{words}");
    };
    fs::create_dir(&directory).unwrap();
    for args in [&["check"][..], &["check", "--json"], &["up"]] {
        refused(args, "the keys of shop.test cannot sign it");
    }
    let key = made(&directory, &[]);
    assert!(perigee(&["check", "--config", &at]).status.success());
    drop(files);

    let stack = Stack::with(&setup);
    let signed = || dig(stack.slot().dns(), "shop.test", "DNSKEY", None, None).data().len();
    assert_eq!(signed(), 1);
    let secret = Path::new(key["file"].as_str().unwrap());
    fs::set_permissions(secret, fs::Permissions::from_mode(0o644)).unwrap();
    let output = stack.command(&["reload"]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && words.contains("mode 644 lets others read the secret"), "{words}");
    assert_eq!((signed(), stack.status()["generation"].as_u64()), (1, Some(1)));
    fs::set_permissions(secret, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(stack.command(&["reload"]).status.success());
}
