//! Events of the table of UDP flows: what is checked is in `checks/flow_table.rs`.
#![no_main]

#[path = "../checks/flow_table.rs"]
mod flow_table;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|events: &[u8]| flow_table::check(events));
