//! The one place that calls the reports.

use std::collections::BTreeMap;
use std::path::Path;

use perigee_report::{Parameter, SweepRow};
use perigee_sim::Outcome;

use crate::output;

/// A run for people.
pub(super) fn summary(outcome: &Outcome) -> String {
    perigee_report::summary(outcome).to_string()
}

/// Writes the report of a run into a directory and names its files on standard error.
///
/// Errors: the directory cannot be written.
pub(super) fn write(outcome: &Outcome, dir: &Path) -> Result<(), String> {
    let files = perigee_report::write(outcome, dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    files.iter().for_each(|file| output::note(format!("wrote {}", file.display())));
    Ok(())
}

/// Two runs side by side for people, and as a page if a directory is given.
///
/// Errors: the directory cannot be written.
pub(super) fn compare(a: &Outcome, b: &Outcome, dir: Option<&Path>) -> Result<String, String> {
    if let Some(dir) = dir {
        let page = perigee_report::compare_html(a, b).map_err(|e| e.to_string())?;
        let file = dir.join("compare.html");
        let written = std::fs::create_dir_all(dir).and_then(|()| std::fs::write(&file, page));
        written.map_err(|e| format!("{}: {e}", file.display()))?;
        output::note(format!("wrote {}", file.display()));
    }
    Ok(perigee_report::compare(a, b).to_string())
}

/// A run as a row of a sweep.
pub(super) fn row(outcome: &Outcome, varied: &[(String, String)]) -> SweepRow {
    SweepRow::of(
        outcome,
        varied.iter().map(|(key, value)| (key.clone(), Parameter::read(value))).collect::<BTreeMap<_, _>>(),
    )
}

/// Writes a sweep.
///
/// Errors: the file cannot be written.
pub(super) fn write_rows(rows: &[SweepRow], file: &Path) -> Result<(), String> {
    perigee_report::write_parquet(rows, file).map_err(|e| format!("{}: {e}", file.display()))?;
    output::note(format!("wrote {}", file.display()));
    Ok(())
}
