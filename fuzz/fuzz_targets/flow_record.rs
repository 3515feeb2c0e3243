//! Lines of flow logs: no text panics, and what is read is written and read again as the same record.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perigee_flow_log::{FlowRecord, LINE_MAX};

fuzz_target!(|data: &str| {
    let Ok(record) = FlowRecord::from_line(data) else { return };
    let line = record.to_string();
    assert!(line.len() <= LINE_MAX && !line.contains('\n'), "{line}");
    assert!(line.split(' ').count() == if line.starts_with("2.0 ") { 24 } else { 23 }, "{line}");
    assert_eq!(FlowRecord::from_line(&line), Ok(record));
});
