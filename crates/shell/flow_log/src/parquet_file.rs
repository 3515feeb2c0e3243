use std::fs::File;
use std::io;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as PhysicalType};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};

use crate::FlowRecord;
use crate::record::ACTION;

/// Records that are held back until their columns are written (Perigee's choice: under two megabytes).
const GROUP_ROWS: usize = 16_384;

/// A file of columns, named as the fields: texts are UTF8, numbers unsigned integers, times seconds since 1970 in 64
/// bits, and a field that does not apply is null. `vpc_id` is there in both versions.
pub(crate) struct ParquetFile {
    out: SerializedFileWriter<File>,
    rows: Vec<FlowRecord>,
}

impl ParquetFile {
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let fields = COLUMNS.iter().map(Column::schema).collect::<Result<Vec<_>, _>>()?;
        let schema = Arc::new(Type::group_type_builder("flow_log").with_fields(fields).build()?);
        let properties = WriterProperties::builder()
            .set_created_by("perigee".into())
            .set_compression(Compression::GZIP(parquet::basic::GzipLevel::default()))
            .build();
        let out = SerializedFileWriter::new(file, schema, Arc::new(properties))?;
        Ok(Self { out, rows: Vec::new() })
    }

    pub(crate) fn write(&mut self, record: FlowRecord) -> io::Result<()> {
        self.rows.push(record);
        if self.rows.len() < GROUP_ROWS {
            return Ok(());
        }
        self.write_group()
    }

    /// Bytes of the groups that are written; what is held back is not among them.
    pub(crate) fn bytes(&self) -> u64 {
        self.out.bytes_written() as u64
    }

    pub(crate) fn finish(mut self) -> io::Result<File> {
        self.write_group()?;
        Ok(self.out.into_inner()?)
    }

    fn write_group(&mut self) -> io::Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut group = self.out.next_row_group()?;
        for column in &COLUMNS {
            column.write(&mut group, &self.rows)?;
        }
        group.close()?;
        self.rows.clear();
        Ok(())
    }
}

impl std::fmt::Debug for ParquetFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetFile").field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}

/// A field of the record as a column; none is null.
struct Column {
    name: &'static str,
    values: Values,
}

enum Values {
    Text(fn(&FlowRecord) -> Option<String>),
    /// So many bits.
    Small(i8, fn(&FlowRecord) -> Option<u16>),
    Large(fn(&FlowRecord) -> u64),
}

const fn text(name: &'static str, value: fn(&FlowRecord) -> Option<String>) -> Column {
    Column { name, values: Values::Text(value) }
}

const fn port(name: &'static str, value: fn(&FlowRecord) -> Option<u16>) -> Column {
    Column { name, values: Values::Small(16, value) }
}

const fn count(name: &'static str, value: fn(&FlowRecord) -> u64) -> Column {
    Column { name, values: Values::Large(value) }
}

/// The fields in their order (`global-accelerator.md` section 12).
const COLUMNS: [Column; 24] = [
    text("version", |r| Some(r.flow.version().into())),
    text("aws_account_id", |r| Some(r.flow.account.to_string())),
    text("accelerator_id", |r| Some(r.flow.accelerator.to_string())),
    text("client_ip", |r| Some(r.flow.client.ip().to_string())),
    port("client_port", |r| Some(r.flow.client.port())),
    text("accelerator_ip", |r| Some(r.flow.destination.ip().to_string())),
    port("accelerator_port", |r| Some(r.flow.destination.port())),
    text("endpoint_ip", |r| Some(r.flow.endpoint.ip().to_string())),
    port("endpoint_port", |r| Some(r.flow.endpoint.port())),
    Column { name: "protocol", values: Values::Small(8, |r| Some(r.flow.protocol.into())) },
    text("ip_address_type", |r| Some(r.flow.ip_address_type().into())),
    count("packets", |r| r.packets),
    count("bytes", |r| r.bytes),
    count("start_time", |r| r.start_s),
    count("end_time", |r| r.end_s),
    text("action", |_| Some(ACTION.into())),
    text("log-status", |r| Some(r.status.name().into())),
    text("globalaccelerator_source_ip", |r| r.flow.edge_end().map(|end| end.ip().to_string())),
    port("globalaccelerator_source_port", |r| Some(r.flow.edge_end().map_or(0, |end| end.port()))),
    text("endpoint_region", |r| Some(r.flow.endpoint_region.to_string())),
    text("globalaccelerator_region", |r| Some(r.flow.edge.to_string())),
    text("direction", |r| Some(r.direction.name().into())),
    text("vpc_id", |r| r.flow.vpc_id().map(Into::into)),
    text("reject_reason", |_| None),
];

impl Column {
    fn schema(&self) -> Result<TypePtr, ParquetError> {
        let (physical, logical) = match self.values {
            Values::Text(_) => (PhysicalType::BYTE_ARRAY, LogicalType::String),
            Values::Small(bits, _) => (PhysicalType::INT32, LogicalType::integer(bits, false)),
            Values::Large(_) => (PhysicalType::INT64, LogicalType::integer(64, false)),
        };
        let column = Type::primitive_type_builder(self.name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(Some(logical));
        Ok(Arc::new(column.build()?))
    }

    fn write(&self, group: &mut SerializedRowGroupWriter<'_, File>, rows: &[FlowRecord]) -> Result<(), ParquetError> {
        match self.values {
            Values::Text(of) => put::<ByteArrayType>(group, rows, |r| of(r).map(|t| ByteArray::from(t.into_bytes()))),
            Values::Small(_, of) => put::<Int32Type>(group, rows, |r| of(r).map(i32::from)),
            // The bits of an unsigned number; the logical type says how to read them.
            Values::Large(of) => put::<Int64Type>(group, rows, |r| Some(of(r).cast_signed())),
        }
    }
}

/// Writes the next column: the values that are there, and for every row whether one is.
fn put<D: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    rows: &[FlowRecord],
    of: impl Fn(&FlowRecord) -> Option<D::T>,
) -> Result<(), ParquetError> {
    let missing = || ParquetError::General("more columns than the schema has".into());
    let mut column = group.next_column()?.ok_or_else(missing)?;
    let values: Vec<Option<D::T>> = rows.iter().map(of).collect();
    let levels: Vec<i16> = values.iter().map(|v| i16::from(v.is_some())).collect();
    let there: Vec<D::T> = values.into_iter().flatten().collect();
    column.typed::<D>().write_batch(&there, Some(&levels), None)?;
    column.close()
}
