//! Starting other programs: what is run is printed first, and a failure names the command.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Why a task failed, in one line for a person.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    /// A failure with this text.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The repository's root. The crate lies two folders below it.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// A command that will run in the repository's root.
pub(crate) fn command<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root()).stdin(Stdio::null());
    command
}

/// A `cargo` command: the one that runs this task, so that a pinned toolchain stays in force.
pub(crate) fn cargo<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    command(&std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()), args)
}

/// Runs a command with its output shown. Errors: it cannot be started, or it ends with another status than 0.
pub(crate) fn run(mut command: Command) -> Result<(), Failure> {
    let line = line_of(&command);
    println!("  $ {line}");
    let status = command.status().map_err(|e| Failure::new(format!("cannot start `{line}`: {e}")))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("`{line}` failed ({status})"))) }
}

/// What a command prints to standard output. Errors as [`run`], with what it wrote to standard error.
pub(crate) fn output(mut command: Command) -> Result<String, Failure> {
    let line = line_of(&command);
    let output = command.output().map_err(|e| Failure::new(format!("cannot start `{line}`: {e}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("`{line}` failed ({}): {}", output.status, said.trim())));
    }
    String::from_utf8(output.stdout).map_err(|_| Failure::new(format!("`{line}` printed something that is not UTF-8")))
}

/// Whether a command can be started and ends with status 0; its output is thrown away.
pub(crate) fn succeeds(mut command: Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Asks `condition` every 200 ms until it holds. Whether it held before `limit` was over.
pub(crate) fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn line_of(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_else(|| command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace() {
        let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[workspace]"));
    }

    #[test]
    fn a_failing_command_is_named_in_the_failure() {
        let failure = output(command("sh", ["-c", "echo no such luck >&2; exit 3"])).unwrap_err().to_string();
        assert!(failure.contains("sh -c") && failure.contains("no such luck") && failure.contains('3'), "{failure}");
    }

    #[test]
    fn a_program_that_does_not_exist_is_a_failure_and_no_panic() {
        assert!(run(command("perigee-no-such-program", ["x"])).is_err());
        assert!(!succeeds(command("perigee-no-such-program", ["x"])));
    }

    #[test]
    fn waiting_ends_with_the_condition_or_with_the_limit() {
        let mut asked = 0;
        assert!(wait_until(Duration::from_secs(10), || {
            asked += 1;
            asked == 2
        }));
        assert!(!wait_until(Duration::ZERO, || false));
    }
}
