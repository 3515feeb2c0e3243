use std::fmt;

/// Problems kept; further ones are counted (Perigee's choice: a file of another format has one on every line).
const MAX_PROBLEMS: usize = 200;

/// Something in a zone that keeps its configuration from being used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneProblem {
    /// The zone file's name, or `zone ORIGIN` for what stands in no file.
    pub file: String,
    /// Line of the file, from 1.
    pub line: Option<usize>,
    /// The name of the record, with its final dot; empty if the problem is no record's.
    pub owner: String,
    /// What is wrong and what would be right.
    pub what: String,
}

/// `FILE:LINE: OWNER: WHAT`, without the parts that there are not.
impl fmt::Display for ZoneProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.owner.is_empty() {
            write!(f, ": {}", self.owner)?;
        }
        write!(f, ": {}", self.what)
    }
}

impl std::error::Error for ZoneProblem {}

/// Problems as they are found.
#[derive(Debug, Default)]
pub(super) struct Problems {
    kept: Vec<ZoneProblem>,
    more: usize,
}

impl Problems {
    pub(super) fn add(&mut self, file: &str, line: Option<usize>, owner: &str, what: impl Into<String>) {
        if self.kept.len() < MAX_PROBLEMS {
            self.kept.push(ZoneProblem { file: file.into(), line, owner: owner.into(), what: what.into() });
        } else {
            self.more += 1;
        }
    }

    pub(super) fn into_vec(mut self) -> Vec<ZoneProblem> {
        if self.more > 0 {
            let what = format!("{} more problems", self.more);
            self.kept.push(ZoneProblem { file: "zones".into(), line: None, owner: String::new(), what });
        }
        self.kept
    }
}
