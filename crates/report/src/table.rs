//! The runs of a sweep as one table.

mod column;
mod row;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;

pub use row::{Parameter, SweepRow};

use crate::ReportError;
use column::{Column, columns};

/// Writes the runs of a sweep as a Parquet file, a row each, in their order; a file of that name is replaced.
///
/// One column per figure, named as the fields of [`SweepRow`]: failures as `failed_KIND`, parameters as `param_NAME`.
/// A parameter is a number where it is one in every row, else text; a value that a row lacks is null. Plain columns
/// without compression, one row group: any reader of Parquet opens it. Equal rows make equal files.
///
/// Errors: a file that cannot be written.
pub fn write_parquet(rows: &[SweepRow], path: &Path) -> Result<(), ReportError> {
    let columns = columns(rows);
    let fields = columns.iter().map(Column::schema).collect::<Result<Vec<_>, _>>()?;
    let schema = Arc::new(Type::group_type_builder("sweep").with_fields(fields).build()?);
    let properties = Arc::new(WriterProperties::builder().set_created_by("perigee".into()).build());
    let file = File::create(path).map_err(|source| ReportError::Write { path: path.into(), source })?;
    let mut writer = SerializedFileWriter::new(file, schema, properties)?;
    let mut group = writer.next_row_group()?;
    for column in &columns {
        let mut out = group
            .next_column()?
            .ok_or_else(|| parquet::errors::ParquetError::General("more columns than its schema has".into()))?;
        column.write(&mut out)?;
        out.close()?;
    }
    group.close()?;
    writer.close()?;
    Ok(())
}

#[cfg(test)]
mod tests;
