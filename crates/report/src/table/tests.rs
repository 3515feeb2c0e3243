use std::collections::BTreeMap;
use std::path::PathBuf;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use perigee_sim::Outcome;

use super::*;
use crate::sample;

/// A file that goes away with its test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("perigee-table-{}-{name}.parquet", std::process::id())))
    }

    fn rows(&self) -> Vec<Row> {
        let reader = SerializedFileReader::new(File::open(&self.0).unwrap()).unwrap();
        reader.get_row_iter(None).unwrap().map(Result::unwrap).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn parameters(list: &[(&str, &str)]) -> BTreeMap<String, Parameter> {
    list.iter().map(|(k, v)| ((*k).to_owned(), Parameter::read(v))).collect()
}

fn field(row: &Row, name: &str) -> Field {
    row.get_column_iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("no column {name}")).1.clone()
}

#[test]
fn a_table_reads_back_as_it_was_written() {
    let file = Scratch::new("back");
    let day = sample::outcome();
    let first = SweepRow::of(&day, parameters(&[("ttl", "30"), ("policy", "nearest")]));
    let second = SweepRow { seed: u64::MAX, ..SweepRow::of(&Outcome::default(), parameters(&[("ttl", "60")])) };
    write_parquet(&[first, second], &file.0).unwrap();
    let rows = file.rows();
    assert_eq!(rows.len(), 2);
    assert_eq!(field(&rows[0], "scenario"), Field::Str("tokyo-at-nine".into()));
    assert_eq!(field(&rows[0], "param_ttl"), Field::Double(30.0));
    assert_eq!(field(&rows[0], "requests"), Field::ULong(day.totals.requests));
    assert_eq!(field(&rows[0], "failed_timeout"), Field::ULong(158));
    assert_eq!(field(&rows[0], "dns_tail_s"), Field::Double(64.0));
    assert_eq!(field(&rows[0], "p50_ms"), Field::Double(31.0));
    assert_eq!(field(&rows[1], "seed"), Field::ULong(u64::MAX));
    for null in ["param_policy", "p50_ms", "dns_tail_s", "requests_lost"] {
        assert_eq!(field(&rows[1], null), Field::Null, "{null}");
    }
}

#[test]
fn a_parameter_that_is_not_always_a_number_is_text() {
    let file = Scratch::new("mixed");
    let row = |ttl: &str| SweepRow::of(&Outcome::default(), parameters(&[("ttl", ttl)]));
    write_parquet(&[row("30"), row("none"), row("inf")], &file.0).unwrap();
    let texts: Vec<Field> = file.rows().iter().map(|r| field(r, "param_ttl")).collect();
    assert_eq!(texts, ["30", "none", "inf"].map(|t| Field::Str(t.into())));
}

#[test]
fn a_sweep_of_no_runs_is_a_table_without_rows() {
    let file = Scratch::new("empty");
    write_parquet(&[], &file.0).unwrap();
    assert!(file.rows().is_empty());
}

#[test]
fn equal_rows_make_equal_files() {
    let (a, b) = (Scratch::new("a"), Scratch::new("b"));
    let rows = [SweepRow::of(&sample::outcome(), parameters(&[("x", "1")]))];
    write_parquet(&rows, &a.0).unwrap();
    write_parquet(&rows, &b.0).unwrap();
    assert_eq!(std::fs::read(&a.0).unwrap(), std::fs::read(&b.0).unwrap());
}

#[test]
fn every_kind_of_failure_has_a_column() {
    let file = Scratch::new("kinds");
    let mut row = SweepRow { failed: [("quota".to_owned(), 7)].into(), ..SweepRow::default() };
    row.parameters = parameters(&[("requests", "5")]);
    write_parquet(&[row, SweepRow::default()], &file.0).unwrap();
    let rows = file.rows();
    assert_eq!((field(&rows[0], "failed_quota"), field(&rows[0], "failed_status")), (Field::ULong(7), Field::ULong(0)));
    assert_eq!(field(&rows[1], "failed_quota"), Field::ULong(0));
    assert_eq!((field(&rows[0], "requests"), field(&rows[0], "param_requests")), (Field::ULong(0), Field::Double(5.0)));
}
