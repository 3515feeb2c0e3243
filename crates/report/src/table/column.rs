use std::collections::BTreeSet;
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, Type as PhysicalType};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedColumnWriter;
use parquet::schema::types::{Type, TypePtr};

use super::{Parameter, SweepRow};

/// Kinds of failures that have a column even where nothing failed by them, so that tables of two sweeps agree.
const KINDS: [&str; 5] = ["in_flight", "new_connection", "resolve", "status", "timeout"];

/// A column of the table.
pub(super) struct Column {
    pub(super) name: String,
    values: Values,
}

enum Values {
    /// Whole numbers, unsigned.
    Counts(Vec<Option<u64>>),
    Numbers(Vec<Option<f64>>),
    Texts(Vec<Option<String>>),
}

/// All columns, in the order of the file.
pub(super) fn columns(rows: &[SweepRow]) -> Vec<Column> {
    let texts = |name: &str, of: &dyn Fn(&SweepRow) -> String| Column {
        name: name.into(),
        values: Values::Texts(rows.iter().map(|r| Some(of(r))).collect()),
    };
    let counts = |name: &str, of: &dyn Fn(&SweepRow) -> Option<u64>| Column {
        name: name.into(),
        values: Values::Counts(rows.iter().map(of).collect()),
    };
    let numbers = |name: &str, of: &dyn Fn(&SweepRow) -> Option<f64>| Column {
        name: name.into(),
        values: Values::Numbers(rows.iter().map(of).collect()),
    };
    let mut all = vec![
        texts("scenario", &|r| r.scenario.clone()),
        texts("behaviour", &|r| r.behaviour.clone()),
        counts("seed", &|r| Some(r.seed)),
    ];
    all.extend(parameters(rows));
    all.extend([counts("requests", &|r| Some(r.requests)), counts("ok", &|r| Some(r.ok))]);
    let known = KINDS.into_iter().chain(rows.iter().flat_map(|r| r.failed.keys().map(String::as_str)));
    for kind in known.collect::<BTreeSet<_>>() {
        all.push(counts(&format!("failed_{kind}"), &|r| Some(r.failed.get(kind).copied().unwrap_or_default())));
    }
    all.extend([
        numbers("lost_percent", &|r| Some(r.lost_percent)),
        numbers("p50_ms", &|r| r.p50_ms),
        numbers("p99_ms", &|r| r.p99_ms),
        numbers("p999_ms", &|r| r.p999_ms),
        numbers("bad_minutes", &|r| Some(r.bad_minutes)),
        numbers("overload_minutes", &|r| Some(r.overload_minutes)),
        numbers("first_detected_s", &|r| r.first_detected_s),
        numbers("all_detected_s", &|r| r.all_detected_s),
        numbers("dns_tail_s", &|r| r.dns_tail_s),
        numbers("last_failure_s", &|r| r.last_failure_s),
        counts("requests_lost", &|r| r.requests_lost),
        numbers("trusted_again_s", &|r| r.trusted_again_s),
        counts("events", &|r| Some(r.events)),
        texts("trace_hash", &|r| r.trace_hash.clone()),
    ]);
    all
}

fn parameters(rows: &[SweepRow]) -> Vec<Column> {
    let names: BTreeSet<&String> = rows.iter().flat_map(|r| r.parameters.keys()).collect();
    let column = |name: &String| {
        let values = || rows.iter().map(|r| r.parameters.get(name));
        let numbers: Option<Vec<Option<f64>>> = values()
            .map(|v| match v {
                None => Some(None),
                Some(Parameter::Number(n)) => Some(Some(*n)),
                Some(Parameter::Text(_)) => None,
            })
            .collect();
        let text = |v: &Parameter| match v {
            Parameter::Number(n) => n.to_string(),
            Parameter::Text(t) => t.clone(),
        };
        let texts = || Values::Texts(values().map(|v| v.map(text)).collect());
        Column { name: format!("param_{name}"), values: numbers.map_or_else(texts, Values::Numbers) }
    };
    names.into_iter().map(column).collect()
}

impl Column {
    /// Its place in the schema: a value that may be null.
    pub(super) fn schema(&self) -> Result<TypePtr, ParquetError> {
        let (physical, logical) = match &self.values {
            Values::Counts(_) => (PhysicalType::INT64, Some(LogicalType::integer(64, false))),
            Values::Numbers(_) => (PhysicalType::DOUBLE, None),
            Values::Texts(_) => (PhysicalType::BYTE_ARRAY, Some(LogicalType::String)),
        };
        let column = Type::primitive_type_builder(&self.name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical);
        Ok(Arc::new(column.build()?))
    }

    pub(super) fn write(&self, out: &mut SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        match &self.values {
            // The bits of an unsigned number; the logical type says how to read them.
            Values::Counts(values) => write::<Int64Type, _>(out, values, |n| n.cast_signed()),
            Values::Numbers(values) => write::<DoubleType, _>(out, values, |n| *n),
            Values::Texts(values) => write::<ByteArrayType, _>(out, values, |t| ByteArray::from(t.as_str())),
        }
    }
}

/// The values that are there, and for every row whether one is.
fn write<D: DataType, V>(
    out: &mut SerializedColumnWriter<'_>,
    values: &[Option<V>],
    convert: impl Fn(&V) -> D::T,
) -> Result<(), ParquetError> {
    let there: Vec<D::T> = values.iter().flatten().map(convert).collect();
    let levels: Vec<i16> = values.iter().map(|v| i16::from(v.is_some())).collect();
    out.typed::<D>().write_batch(&there, Some(&levels), None)?;
    Ok(())
}
