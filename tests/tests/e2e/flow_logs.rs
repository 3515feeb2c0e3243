//! The flow logs that a stack leaves behind.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::read::MultiGzDecoder;
use nix::sys::signal::Signal;
use perigee_flow_log::{Direction, FlowRecord};
use perigee_tests::stack::{Setup, Stack};
use perigee_tests::wait::unix_ms;

/// Runs a stack that logs its flows in `format`, lets two clients ask twice each, and ends it. Gives the stack, whose
/// directory holds the logs, and the seconds in which it ran.
fn after_two_clients(format: &str) -> (Stack, [u64; 2]) {
    let accelerator = format!(
        "flow_logs_enabled = true\nflow_logs_s3_bucket = \"bucket\"\nflow_logs_s3_prefix = \"logs\"\n\
         flow_logs_format = \"{format}\"\n"
    );
    let began = unix_ms() / 1_000;
    let mut stack = Stack::with(&Setup { accelerator, ..Setup::default() });
    for _ in 0..2 {
        let mut client = stack.client_in_seoul().unwrap();
        for _ in 0..2 {
            assert_eq!(client.get("/").unwrap().status, 200);
        }
    }
    stack.signal(Signal::SIGTERM);
    assert_eq!(stack.ended().code(), Some(0));
    (stack, [began, unix_ms() / 1_000])
}

/// Every file below `folder`, hidden ones included.
fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let kind = if entry.path().is_dir() { &mut folders } else { &mut found };
            kind.push(entry.path());
        }
    }
    found.sort();
    found
}

#[test]
fn a_stack_that_ends_leaves_whole_flow_logs_under_the_documented_keys() {
    let (stack, [began, ended]) = after_two_clients("text");
    let bucket = stack.directory().join("bucket");
    let mut records = Vec::new();
    // A test that runs over a full five minutes finds two.
    for file in files(&bucket) {
        let key = file.strip_prefix(&bucket).unwrap().to_str().unwrap();
        assert!(key.starts_with("logs/AWSLogs/000000000000/globalaccelerator/us-west-2/20"), "{key}");
        let name = key.rsplit('/').next().unwrap();
        assert!(name.starts_with("000000000000_globalaccelerator_") && name.ends_with(".log.gz"), "{name}");
        let mut text = String::new();
        MultiGzDecoder::new(File::open(&file).unwrap()).read_to_string(&mut text).unwrap();
        records.extend(text.lines().map(|line| FlowRecord::from_line(line).unwrap()));
    }
    assert_eq!(records.len(), 4, "{records:?}");
    for record in &records {
        let flow = &record.flow;
        assert_eq!(flow.client.ip().to_string(), "127.82.200.10");
        assert_eq!((flow.destination, flow.endpoint_region.as_str()), (stack.slot().accelerator(0), "ap-northeast-2"));
        assert_eq!((flow.version(), flow.edge.as_str(), flow.edge_end()), ("2.0", "ICN", None));
        assert!(record.packets >= 2 && record.bytes > 2 * 52, "{record}");
        assert!(began <= record.start_s && record.start_s <= record.end_s && record.end_s <= ended, "{record}");
    }
    let ways: Vec<Direction> = records.iter().map(|r| r.direction).collect();
    assert_eq!(ways, [Direction::Ingress, Direction::Egress, Direction::Ingress, Direction::Egress]);
}

/// What others make of a file; pyarrow, in whatever Python `TEST_PYTHON` names, else `python3`.
const READER: &str = "
import sys, pyarrow.parquet as parquet
table = parquet.read_table(sys.argv[1])
print(' '.join(table.schema.names))
print(' '.join(str(table.schema.field(name).type) for name in ('client_ip', 'client_port', 'protocol', 'bytes')))
for row in table.to_pylist():
    print(row['client_ip'], row['protocol'], row['endpoint_region'], row['direction'], row['packets'] > 0, row['vpc_id'])
";

#[test]
fn flow_logs_in_parquet_are_read_by_others() {
    let (stack, _) = after_two_clients("parquet");
    let files = files(&stack.directory().join("bucket"));
    assert!(files.iter().all(|f| f.to_str().unwrap().ends_with(".log.parquet")), "{files:?}");
    let mut rows = 0;
    for file in &files {
        let reader = parquet::file::reader::SerializedFileReader::new(File::open(file).unwrap()).unwrap();
        rows += reader.into_iter().map(Result::unwrap).count();
    }
    assert_eq!(rows, 4, "{files:?}");
    let python = std::env::var("TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_pyarrow = Command::new(&python).args(["-c", "import pyarrow.parquet"]).output();
    if !has_pyarrow.is_ok_and(|o| o.status.success()) {
        println!("SKIPPED: {python} has no pyarrow, so that only the parquet crate has read the files");
        return;
    }
    let mut said = String::new();
    for file in &files {
        let output = Command::new(&python).args(["-c", READER]).arg(file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        said += &String::from_utf8_lossy(&output.stdout);
    }
    let names = "version aws_account_id accelerator_id client_ip client_port accelerator_ip accelerator_port";
    assert!(said.starts_with(names) && said.contains("string uint16 uint8 uint64"), "{said}");
    let line = |way: &str| format!("127.82.200.10 6 ap-northeast-2 {way} True None");
    let count = |way: &str| said.lines().filter(|l| *l == line(way)).count();
    assert_eq!((count("INGRESS"), count("EGRESS")), (2, 2), "{said}");
}
