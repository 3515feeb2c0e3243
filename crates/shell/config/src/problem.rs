use std::fmt;

use serde::Serialize;

/// Problems reported at most; a configuration with more of them says how many were left out.
pub const MAX_PROBLEMS: usize = 1_000;

/// One thing that is wrong with a configuration.
///
/// Displayed as `file:line: key: message`, the form that editors jump to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// Where it was written: a file relative to the configuration directory, `environment VARIABLE`, `flag --name`,
    /// or `built-in FILE` for the shipped values.
    pub file: String,
    /// The line, from 1; none when the whole file, a variable or a flag is meant.
    pub line: Option<u32>,
    /// The key as the file has it, list positions from 0; empty when the whole file is meant.
    pub key: String,
    /// What is wrong and what would be accepted.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Every problem of a configuration, ordered by file, line and key, each once; never empty. Displayed one a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Orders them and cuts the list at [`MAX_PROBLEMS`], with a last entry that counts the rest.
    pub(crate) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort();
        problems.dedup();
        let left_out = problems.len().saturating_sub(MAX_PROBLEMS);
        if left_out > 0 {
            problems.truncate(MAX_PROBLEMS);
            problems.push(Problem {
                file: "configuration".into(),
                line: None,
                key: String::new(),
                message: format!("{left_out} more problems are not shown"),
            });
        }
        Self(problems)
    }

    /// The problems in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
