use std::path::PathBuf;

use serde::Serialize;

/// Where an accelerator's flow logs go. None logs nothing.
///
/// Source: Global Accelerator API, `AcceleratorAttributes`; the directory and the format are Perigee's choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlowLogs {
    /// What stands for the bucket: a directory, made when there is something to write.
    pub bucket: PathBuf,
    /// What keys begin with; not empty, no step of it is `.` or `..`.
    pub prefix: String,
    /// How files are written.
    pub format: FlowLogFormat,
}

/// How flow logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowLogFormat {
    /// Lines of fields between spaces, compressed with gzip, as the original does. The default.
    #[default]
    Text,
    /// Typed columns (Apache Parquet).
    Parquet,
}
