use std::path::Path;

use perigee_model::{FlowLogFormat, FlowLogs};

use crate::reader::Table;
use crate::runtime::path;

/// Bytes of a prefix, at most (Global Accelerator API, `FlowLogsS3Prefix`).
const PREFIX_BYTES: usize = 255;

/// Reads where an accelerator's flow logs go. Directory and prefix are checked even where logging is off, so that
/// turning it on later brings no surprise; both are needed where it is on (`spec/global-accelerator.md` section 12).
pub(crate) fn read(t: &Table<'_>, base: Option<&Path>) -> Option<FlowLogs> {
    let enabled = t.bool_or("flow_logs_enabled", false);
    let formats = [("text", FlowLogFormat::Text), ("parquet", FlowLogFormat::Parquet)];
    let format = t.or("flow_logs_format", FlowLogFormat::default(), "text", |n| n.choice(&formats, &[]));
    for key in ["flow_logs_s3_bucket", "flow_logs_s3_prefix"] {
        if enabled && t.get(key).is_none() {
            t.problem_at(key, "is missing: flow logs need a directory and a prefix".to_owned());
        }
    }
    let bucket = t.get("flow_logs_s3_bucket").and_then(|n| path(&n, base));
    let prefix = t.get("flow_logs_s3_prefix").and_then(|n| n.parse(prefix));
    let (bucket, prefix) = (bucket?, prefix?);
    enabled.then_some(FlowLogs { bucket, prefix, format })
}

/// A prefix is part of file names: it must not lead out of the directory.
fn prefix(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > PREFIX_BYTES {
        return Err(format!("must have 1 to {PREFIX_BYTES} bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err("has control characters".to_owned());
    }
    if text.split('/').any(|step| matches!(step, "." | "..")) {
        return Err("must not have `.` or `..` between slashes: it would lead out of the directory".to_owned());
    }
    Ok(text.to_owned())
}
