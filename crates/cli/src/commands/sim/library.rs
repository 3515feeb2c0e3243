//! The scenarios that the binary brings along, and those in files.

use std::path::Path;

use perigee_sim::Scenario;

/// Names and texts of the built-in scenarios: every file of `tests/scenarios/`.
pub(super) const BUILT_IN: &[(&str, &str)] = &[
    ("blackhole", include_str!("../../../../../tests/scenarios/blackhole.toml")),
    ("blackhole-aws", include_str!("../../../../../tests/scenarios/blackhole-aws.toml")),
    ("both-regions-crash", include_str!("../../../../../tests/scenarios/both-regions-crash.toml")),
    ("crash", include_str!("../../../../../tests/scenarios/crash.toml")),
    ("crash-aws", include_str!("../../../../../tests/scenarios/crash-aws.toml")),
    ("edge-crash", include_str!("../../../../../tests/scenarios/edge-crash.toml")),
    ("operators-word", include_str!("../../../../../tests/scenarios/operators-word.toml")),
    ("restore", include_str!("../../../../../tests/scenarios/restore.toml")),
    ("slow-region", include_str!("../../../../../tests/scenarios/slow-region.toml")),
    ("target-errors", include_str!("../../../../../tests/scenarios/target-errors.toml")),
    ("tokyo-dies-at-nine", include_str!("../../../../../tests/scenarios/tokyo-dies-at-nine.toml")),
    ("two-coasts", include_str!("../../../../../tests/scenarios/two-coasts.toml")),
    ("zone-crash", include_str!("../../../../../tests/scenarios/zone-crash.toml")),
];

/// A scenario and where it came from.
#[derive(Clone, Debug)]
pub(super) struct Named {
    /// The built-in name, or the file's without its ending.
    pub(super) name: String,
    /// As it was read.
    pub(super) text: String,
    /// As it was understood.
    pub(super) scenario: Scenario,
}

/// Reads a scenario: a built-in one by its name, any other as a file.
///
/// Errors: no such name and no such file, or it is no scenario.
pub(super) fn read(what: &str) -> Result<Named, String> {
    if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == what) {
        return parse(name, what, text);
    }
    let path = Path::new(what);
    let is_path = path.extension().is_some() || path.components().count() > 1 || path.exists();
    if !is_path {
        let known: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        return Err(format!("there is no scenario called {what:?} and no file; built in are {}", known.join(", ")));
    }
    let text = std::fs::read_to_string(path).map_err(|e| format!("{what}: {e}"))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    parse(&name, what, &text)
}

/// Every built-in scenario.
///
/// Errors: none of a binary whose tests passed.
pub(super) fn all() -> Result<Vec<Named>, String> {
    BUILT_IN.iter().map(|(name, text)| parse(name, name, text)).collect()
}

fn parse(name: &str, shown: &str, text: &str) -> Result<Named, String> {
    let scenario = Scenario::parse(text).map_err(|e| format!("{shown}: {e}"))?;
    Ok(Named { name: name.to_owned(), text: text.to_owned(), scenario })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios")
    }

    #[test]
    fn every_file_of_the_folder_is_built_in_and_nothing_else() {
        let files = std::fs::read_dir(folder()).unwrap().map(|f| f.unwrap().path());
        let toml = files.filter(|f| f.extension().is_some_and(|e| e == "toml"));
        let mut names: Vec<String> = toml.map(|f| f.file_stem().unwrap().to_string_lossy().into_owned()).collect();
        names.sort();
        assert_eq!(names, BUILT_IN.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>());
    }

    #[test]
    fn every_built_in_text_is_a_scenario() {
        for named in all().unwrap() {
            let judged = !named.scenario.must_hold.is_empty() || named.scenario.clients.is_some();
            assert!(!named.scenario.story.is_empty() && judged, "{}", named.name);
        }
    }

    #[test]
    fn a_file_is_read_by_its_path_and_an_unknown_name_lists_the_known_ones() {
        let path = folder().join("crash.toml");
        assert_eq!(read(&path.to_string_lossy()).unwrap().name, "crash");
        let error = read("crsh").unwrap_err();
        assert!(error.contains("crash-aws") && error.contains("\"crsh\""), "{error}");
        assert!(read("nowhere/crash.toml").unwrap_err().contains("nowhere/crash.toml"));
    }
}
