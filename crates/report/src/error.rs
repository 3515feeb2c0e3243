use std::path::PathBuf;

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A plot could not be drawn.
    #[error("cannot draw the plot `{name}`: {reason}")]
    Plot {
        /// Its name.
        name: String,
        /// What the plotting library says.
        reason: String,
    },
    /// A picture could not be turned into pixels.
    #[error("cannot make a PNG of a picture: {0}")]
    Png(String),
    /// A file or folder could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The outcome could not be written as JSON.
    #[error("cannot write the outcome as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The table could not be written.
    #[error("cannot write the table as Parquet: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
}
