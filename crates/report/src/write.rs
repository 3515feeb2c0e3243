use std::fs;
use std::path::{Path, PathBuf};

use perigee_sim::Outcome;

use crate::{ReportError, html, pictures, plots};

/// Writes a whole report into a folder, which is made if it is not there: `report.html`, `outcome.json` with every
/// figure, and `plots/` with every picture as SVG and PNG. Files of those names are replaced.
///
/// Returns the files. Errors: a file that cannot be written, or a picture that cannot be drawn.
pub fn write(outcome: &Outcome, dir: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let pictures = pictures(outcome)?;
    let mut json = serde_json::to_vec(outcome)?;
    json.push(b'\n');
    folder(dir)?;
    let mut files = vec![
        save(dir.join("report.html"), html::page_of(outcome, &pictures).as_bytes())?,
        save(dir.join("outcome.json"), &json)?,
    ];
    files.extend(plots::save_all(&pictures, &dir.join("plots"))?);
    Ok(files)
}

/// Makes a folder and those above it.
pub(crate) fn folder(dir: &Path) -> Result<(), ReportError> {
    fs::create_dir_all(dir).map_err(|source| ReportError::Write { path: dir.into(), source })
}

/// Writes a file and returns its path.
pub(crate) fn save(path: PathBuf, bytes: &[u8]) -> Result<PathBuf, ReportError> {
    match fs::write(&path, bytes) {
        Ok(()) => Ok(path),
        Err(source) => Err(ReportError::Write { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use perigee_sim::{RegionStep, Step};

    use super::*;
    use crate::sample;

    #[test]
    fn a_report_is_a_page_a_json_file_and_every_picture_twice() {
        let dir = std::env::temp_dir().join(format!("perigee-report-{}", std::process::id()));
        let outcome = sample::outcome();
        let files = write(&outcome, &dir.join("new")).unwrap();
        let json = fs::read(dir.join("new/outcome.json")).unwrap();
        let sizes: Vec<u64> = files.iter().map(|f| f.metadata().unwrap().len()).collect();
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(serde_json::from_slice::<Outcome>(&json).unwrap(), outcome);
        assert_eq!(files.len(), 2 + 2 * 11);
        assert!(sizes.iter().all(|size| *size > 1_000), "{sizes:?}");
    }

    #[test]
    fn a_run_without_population_or_without_requests_has_a_whole_report() {
        let mut loads_only = sample::outcome();
        loads_only.clients = 0;
        loads_only.maps.clear();
        loads_only.anatomies.clear();
        let mut silent = loads_only.clone();
        silent.totals = Outcome::default().totals;
        silent.cost = Outcome::default().cost;
        silent.loads.clear();
        for step in &mut silent.series {
            *step =
                Step { at_s: step.at_s, regions: vec![RegionStep::default(); silent.regions.len()], ..Step::default() };
        }
        for (name, outcome) in [("loads", loads_only), ("silent", silent), ("nothing", Outcome::default())] {
            let dir = std::env::temp_dir().join(format!("perigee-report-{}-{name}", std::process::id()));
            let files = write(&outcome, &dir).unwrap();
            let page = fs::read_to_string(dir.join("report.html")).unwrap();
            let json = fs::read(dir.join("outcome.json")).unwrap();
            fs::remove_dir_all(&dir).unwrap();
            assert_eq!(files.len(), 2 + 2 * 5, "{name}");
            assert_eq!(serde_json::from_slice::<Outcome>(&json).unwrap(), outcome, "{name}");
            let words = page.split(|c: char| !c.is_alphanumeric());
            let odd: Vec<&str> = words.filter(|w| ["NaN", "inf", "Infinity"].contains(w)).collect();
            assert!(odd.is_empty(), "{name}: {odd:?}");
            assert!(!page.contains("map-1"), "{name}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let file = std::env::temp_dir().join(format!("perigee-report-file-{}", std::process::id()));
        fs::write(&file, b"").unwrap();
        let error = write(&Outcome::default(), &file.join("below")).unwrap_err();
        fs::remove_file(&file).unwrap();
        assert!(error.to_string().contains("below"), "{error}");
    }
}
