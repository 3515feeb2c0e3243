use std::fmt;

use perigee_model::Snapshot;
use serde::Serialize;

use crate::problem::Problem;
use crate::runtime::Runtime;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Origin {
    /// No layer sets it.
    Default,
    /// A file that ships inside the binary.
    BuiltIn {
        /// Its name, such as `regions/ap-northeast-2.toml`.
        file: String,
        /// Line from 1.
        line: Option<u32>,
    },
    /// A file of the configuration directory.
    File {
        /// Its name relative to the directory.
        file: String,
        /// Line from 1.
        line: Option<u32>,
    },
    /// An environment variable.
    Environment {
        /// Its whole name.
        variable: String,
    },
    /// A flag of the command line.
    Flag {
        /// As the user types it, such as `--here`.
        flag: String,
    },
}

impl Origin {
    pub(crate) fn problem(&self, key: String, message: String) -> Problem {
        let (file, line) = match self {
            Self::Default => ("built-in defaults".to_owned(), None),
            Self::BuiltIn { file, line } => (format!("built-in {file}"), *line),
            Self::File { file, line } => (file.clone(), *line),
            Self::Environment { variable } => (format!("environment {variable}"), None),
            Self::Flag { flag } => (format!("flag {flag}"), None),
        };
        Problem { file, line, key, message }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, line) = match self {
            Self::Default => return f.write_str("default"),
            Self::BuiltIn { file, line } => (format!("built-in {file}"), line),
            Self::File { file, line } => (file.clone(), line),
            Self::Environment { variable } => return write!(f, "environment {variable}"),
            Self::Flag { flag } => return write!(f, "flag {flag}"),
        };
        f.write_str(&name)?;
        line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// One value of the configuration and where it came from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// The whole key, such as `regions.ap-northeast-2.target_groups.web.matcher`; list positions from 0.
    pub key: String,
    /// The value: a text, a number or a boolean, or an empty list or table.
    pub value: serde_json::Value,
    /// Where it came from.
    pub origin: Origin,
}

/// An accepted configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What the data plane uses.
    pub snapshot: Snapshot,
    /// What the process itself uses.
    pub runtime: Runtime,
    /// Every value and its origin, in the order they were read.
    pub settings: Vec<Setting>,
}

impl Config {
    /// Every value with its origin, one a line: `key = value  # origin`, the values as in TOML.
    pub fn print(&self) -> String {
        let width =
            self.settings.iter().map(|s| s.key.len() + s.value.to_string().len() + 3).max().unwrap_or(0).min(72);
        self.settings.iter().fold(String::new(), |mut text, s| {
            let assignment = format!("{} = {}", s.key, s.value);
            text.push_str(&format!("{assignment:width$}  # {}\n", s.origin));
            text
        })
    }

    /// The same as a JSON list of `{key, value, origin: {from, ...}}`, indented.
    pub fn print_json(&self) -> String {
        // Strings, numbers and booleans only: nothing that JSON cannot hold.
        serde_json::to_string_pretty(&self.settings).unwrap_or_default()
    }

    /// A problem with an accepted value that only its user can find, such as an unknown place, worded like the rest.
    ///
    /// `key` is a whole key as in [`Setting::key`]; one that was not read is reported without file and line.
    pub fn problem(&self, key: &str, message: &str) -> Problem {
        let origin = self.settings.iter().find(|s| s.key == key).map_or(&Origin::Default, |s| &s.origin);
        origin.problem(key.to_owned(), message.to_owned())
    }
}
