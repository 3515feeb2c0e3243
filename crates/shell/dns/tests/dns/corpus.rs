//! What fuzzing has found worth keeping, replayed: `fuzz/README.md` says where it comes from.

#[path = "../../../../../fuzz/checks/dns_message.rs"]
mod dns_message;
#[path = "../../../../../fuzz/checks/dns_zone.rs"]
mod dns_zone;
#[path = "../../../../../fuzz/checks/message_world.rs"]
mod message_world;
#[path = "../../../../../fuzz/checks/world.rs"]
mod world;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Calls `check` with every file of the corpus `target`, and fails with the names of all that it failed on.
fn replay(target: &str, check: impl Fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 20, "{} files in {}", files.len(), directory.display());
    let fails = |path: &&std::path::PathBuf| {
        let bytes = fs::read(path).unwrap();
        catch_unwind(AssertUnwindSafe(|| check(&bytes))).is_err()
    };
    let failed: Vec<_> = files.iter().filter(fails).collect();
    assert!(failed.is_empty(), "{target} fails on {failed:?}");
}

#[test]
fn every_message_of_the_corpus_is_dropped_or_answered_as_it_should_be() {
    replay("dns_message", dns_message::check);
}

#[test]
fn every_zone_file_of_the_corpus_is_refused_or_served() {
    // As libFuzzer does: what is no text is no input.
    replay("dns_zone", |bytes| {
        if let Ok(text) = std::str::from_utf8(bytes) {
            dns_zone::check(text);
        }
    });
}
