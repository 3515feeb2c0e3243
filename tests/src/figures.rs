//! What a test measured: a small table in its output, and a line of JSON in `target/e2e-figures.jsonl`.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

/// The figures of one test, in the order in which they were noted.
#[derive(Debug)]
pub struct Figures {
    test: String,
    rows: Vec<(String, Value, String)>,
}

impl Figures {
    /// None yet.
    pub fn of(test: &str) -> Self {
        Self { test: test.to_owned(), rows: Vec::new() }
    }

    /// Notes a figure; the unit is `ms`, `requests` and the like.
    pub fn note(&mut self, what: &str, value: impl Into<Value>, unit: &str) -> &mut Self {
        self.rows.push((what.to_owned(), value.into(), unit.to_owned()));
        self
    }
}

impl Drop for Figures {
    /// Prints the table and writes the line, also when the test fails: a failure is to be understood.
    fn drop(&mut self) {
        let width = self.rows.iter().map(|(what, ..)| what.len()).max().unwrap_or(0);
        println!("{}", self.test);
        let mut figures = Map::new();
        for (what, value, unit) in &self.rows {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            println!("  {what:<width$}  {text:>12} {unit}");
            figures.insert(what.clone(), json!({ "value": value, "unit": unit }));
        }
        // No verdict: figures are written before a test's last assertion, and the test runner has the word.
        let line = json!({ "test": self.test, "binary": binary_kind(), "figures": figures });
        // One write, so that lines of several processes do not mix.
        let line = format!("{line}\n");
        let written =
            File::options().create(true).append(true).open(path()).and_then(|mut f| f.write_all(line.as_bytes()));
        if let Err(error) = written {
            println!("cannot write {}: {error}", path().display());
        }
    }
}

/// Beside the folder of the build profile that the test is from.
fn path() -> PathBuf {
    let exe = std::env::current_exe().unwrap_or_default();
    exe.ancestors().nth(3).map(|target| target.join("e2e-figures.jsonl")).unwrap_or_else(|| "e2e-figures.jsonl".into())
}

fn binary_kind() -> &'static str {
    let binary = crate::stack::binary();
    if binary.components().any(|c| c.as_os_str() == "debug") { "debug" } else { "release" }
}
