//! The table of UDP flows against a naive list: events at random, and those that fuzzing has found worth keeping.

#[path = "../../../../fuzz/checks/flow_table.rs"]
mod flow_table;

use std::panic::catch_unwind;
use std::path::Path;

use flow_table::{Event, check, check_events};
use proptest::prelude::*;

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..24_u8, 0..3_u8).prop_map(|(client, destination)| Event::Datagram { client, destination }),
        2 => any::<u8>().prop_map(|flow| Event::Reply { flow }),
        2 => any::<u16>().prop_map(|ms| Event::Pass { ms }),
        1 => Just(Event::Expire),
        1 => (0..8_u8, 0..40_u8).prop_map(|(flows, idle_s)| Event::Limits { flows, idle_s }),
        1 => (0..3_u8).prop_map(|destination| Event::Forget { destination }),
        1 => any::<u8>().prop_map(|flow| Event::Remove { flow }),
    ]
}

proptest! {
    #[test]
    fn the_table_does_what_a_list_searched_from_end_to_end_does(events in prop::collection::vec(event(), 0..200)) {
        check_events(events);
    }
}

#[test]
fn every_sequence_of_the_corpus_leaves_table_and_list_agreed() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus/flow_table");
    let mut files: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no files in {}", directory.display());
    let fails = |file: &&std::path::PathBuf| {
        let bytes = std::fs::read(file).unwrap();
        catch_unwind(|| check(&bytes)).is_err()
    };
    let failed: Vec<_> = files.iter().filter(fails).collect();
    assert!(failed.is_empty(), "table and list differ on {failed:?}");
}
