//! Flow logs of accelerators: what moved in each flow, one capture window at a time, in files that rotate.
//!
//! A proxy tells a [`FlowWindow`] what its flow has moved so far; the window says what is new, and [`LogStream`] takes
//! that without ever waiting. A thread of its own makes two [`FlowRecord`]s of it, one for each direction, and puts
//! them in a file for their accelerator. Fields, windows, keys and the moment at which a file ends are decided without
//! a clock or a file; only `files` and `writer` touch either.
//!
//! Source: Global Accelerator developer guide, "Flow logs"; `global-accelerator.md` section 12.

mod files;
mod key;
mod line;
mod parquet_file;
mod record;
mod rotation;
mod text_file;
mod window;
mod writer;

pub use key::Destination;
pub use line::{LINE_MAX, LineError};
pub use record::{Direction, EdgeSource, FlowIdentity, FlowRecord, LogStatus};
pub use window::{CAPTURE_WINDOW, Counts, FlowTotals, FlowWindow, Moved, REPORT_EVERY, Transport};
pub use writer::{FlowLogMetrics, FlowLogger, LogStream};
