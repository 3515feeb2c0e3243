use std::io::Read;

use flate2::read::MultiGzDecoder;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use perigee_model::{AcceleratorId, AccountId, FlowLogs};

use super::*;
use crate::{Direction, LogStatus};

const NOON: u64 = 1_700_000_100;

/// A directory that goes away with its test.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("perigee-flow-log-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    pub(crate) fn destination(&self, format: FlowLogFormat) -> Destination {
        let logs = FlowLogs { bucket: self.0.clone(), prefix: "flow".into(), format };
        Destination::new(&logs, AccountId::default(), AcceleratorId::from_bits(7))
    }

    /// Every file below it, hidden ones included.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let (mut found, mut folders) = (Vec::new(), vec![self.0.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let kind = if entry.path().is_dir() { &mut folders } else { &mut found };
                kind.push(entry.path());
            }
        }
        found.sort();
        found
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn lines(path: &Path) -> Vec<FlowRecord> {
    let mut text = String::new();
    MultiGzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(|line| FlowRecord::from_line(line).unwrap()).collect()
}

fn pair(packets: u64) -> [FlowRecord; 2] {
    let record = crate::line::tests::record();
    let egress = FlowRecord { direction: Direction::Egress, packets: packets + 1, ..record.clone() };
    [FlowRecord { packets, ..record }, egress]
}

fn write(files: &mut Files, destination: &Destination, packets: u64, now_s: u64) {
    let outcome = files.write(destination, pair(packets), now_s);
    assert!(matches!(outcome, Outcome::Written), "{outcome:?}");
}

fn published(ended: Vec<io::Result<PathBuf>>) -> Vec<PathBuf> {
    ended.into_iter().map(Result::unwrap).collect()
}

#[test]
fn a_file_is_hidden_until_its_five_minutes_are_over_and_then_whole() {
    let scratch = Scratch::new("whole");
    let destination = scratch.destination(FlowLogFormat::Text);
    let mut files = Files::new(1);
    write(&mut files, &destination, 1, NOON + 10);
    write(&mut files, &destination, 3, NOON + 299);
    assert!(files.rotate(NOON + 299, false).is_empty());
    assert_eq!(files.next_end_s(), Some(NOON + 300));
    let hidden = scratch.files();
    assert!(hidden.len() == 1 && hidden[0].file_name().unwrap().to_str().unwrap().starts_with('.'), "{hidden:?}");
    let paths = published(files.rotate(NOON + 300, false));
    assert_eq!(scratch.files(), paths);
    assert!(
        paths[0].starts_with(scratch.path().join("flow/AWSLogs/000000000000/globalaccelerator/us-west-2/2023/11/14"))
    );
    let packets: Vec<u64> = lines(&paths[0]).iter().map(|r| r.packets).collect();
    assert_eq!((packets, files.next_end_s()), (vec![1, 2, 3, 4], None));
}

#[test]
fn without_traffic_there_is_no_file_and_no_directory() {
    let scratch = Scratch::new("quiet");
    let mut files = Files::new(1);
    assert!(files.rotate(NOON, false).is_empty() && files.rotate(NOON + 300, true).is_empty());
    assert!(!scratch.path().exists());
}

#[test]
fn the_records_of_the_next_five_minutes_are_in_the_next_file() {
    let scratch = Scratch::new("next");
    let destination = scratch.destination(FlowLogFormat::Text);
    let mut files = Files::new(1);
    write(&mut files, &destination, 1, NOON);
    let first = published(files.rotate(NOON + 300, false));
    write(&mut files, &destination, 5, NOON + 300);
    let second = published(files.rotate(NOON + 301, true));
    assert!(
        first[0].to_str().unwrap().contains("T2215Z_") && second[0].to_str().unwrap().contains("T2220Z_"),
        "{first:?} {second:?}"
    );
    assert_eq!((lines(&first[0])[0].packets, lines(&second[0])[0].packets), (1, 5));
}

#[test]
fn two_files_of_one_time_have_names_of_their_own() {
    let scratch = Scratch::new("names");
    let destination = scratch.destination(FlowLogFormat::Text);
    let mut files = Files::new(1);
    let mut paths = Vec::new();
    for _ in 0..2 {
        write(&mut files, &destination, 1, NOON);
        paths.extend(published(files.rotate(NOON, true)));
    }
    assert_eq!(paths.len(), 2);
    assert_ne!(paths[0], paths[1]);
}

#[test]
fn a_parquet_file_has_the_fields_as_typed_columns() {
    let scratch = Scratch::new("parquet");
    let destination = scratch.destination(FlowLogFormat::Parquet);
    let mut files = Files::new(1);
    write(&mut files, &destination, 1, NOON);
    let paths = published(files.rotate(NOON, true));
    let reader = SerializedFileReader::new(File::open(&paths[0]).unwrap()).unwrap();
    let names: Vec<String> =
        reader.metadata().file_metadata().schema().get_fields().iter().map(|f| f.name().to_owned()).collect();
    let expected = "version aws_account_id accelerator_id client_ip client_port accelerator_ip accelerator_port \
        endpoint_ip endpoint_port protocol ip_address_type packets bytes start_time end_time action log-status \
        globalaccelerator_source_ip globalaccelerator_source_port endpoint_region globalaccelerator_region direction \
        vpc_id reject_reason";
    assert_eq!(names.join(" "), expected);
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2);
    let field = |row: usize, name: &str| rows[row].get_column_iter().find(|(n, _)| *n == name).unwrap().1.clone();
    for (name, value) in [
        ("version", Field::Str("1.0".into())),
        ("client_ip", Field::Str("203.0.113.7".into())),
        ("client_port", Field::UShort(50_412)),
        ("protocol", Field::UByte(6)),
        ("packets", Field::ULong(1)),
        ("bytes", Field::ULong(1_028)),
        ("start_time", Field::ULong(1_542_931_500)),
        ("log-status", Field::Str("OK".into())),
        ("direction", Field::Str("INGRESS".into())),
        ("vpc_id", Field::Null),
        ("reject_reason", Field::Null),
    ] {
        assert_eq!(field(0, name), value, "{name}");
    }
    assert_eq!((field(1, "packets"), field(1, "direction")), (Field::ULong(2), Field::Str("EGRESS".into())));
}

#[test]
fn many_records_fill_many_groups_of_a_parquet_file() {
    let scratch = Scratch::new("groups");
    let destination = scratch.destination(FlowLogFormat::Parquet);
    let mut files = Files::new(1);
    for i in 0..10_000 {
        write(&mut files, &destination, i, NOON);
    }
    let paths = published(files.rotate(NOON, true));
    let reader = SerializedFileReader::new(File::open(&paths[0]).unwrap()).unwrap();
    let groups: Vec<i64> = reader.metadata().row_groups().iter().map(|g| g.num_rows()).collect();
    assert_eq!((groups.len(), groups.iter().sum::<i64>()), (2, 20_000));
    assert_eq!(reader.get_row_iter(None).unwrap().map(Result::unwrap).count(), 20_000);
}

#[test]
fn a_destination_that_fails_is_tried_again_later() {
    let scratch = Scratch::new("fails");
    let destination = scratch.destination(FlowLogFormat::Text);
    // A file where the directory should be.
    fs::write(scratch.path(), "in the way").unwrap();
    let mut files = Files::new(1);
    assert!(matches!(files.write(&destination, pair(1), NOON), Outcome::Failed(_)));
    assert!(matches!(files.write(&destination, pair(1), NOON + 1), Outcome::Skipped));
    fs::remove_file(scratch.path()).unwrap();
    assert!(matches!(files.write(&destination, pair(1), NOON + 9), Outcome::Skipped));
    write(&mut files, &destination, 2, NOON + 10);
    let paths = published(files.rotate(NOON + 10, true));
    assert_eq!(lines(&paths[0])[0].status, LogStatus::Ok);
}
