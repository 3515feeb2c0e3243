//! Programs of others that judge Perigee: found or named as missing, run to their end or in the background.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Programs that the tests use, and the Debian packages that hold them.
pub const PACKAGES: [(&str, &str); 6] = [
    ("dig", "bind9-dnsutils"),
    ("dnsmasq", "dnsmasq-base"),
    ("drill", "ldnsutils"),
    ("kdig", "knot-dnsutils"),
    ("unbound", "unbound"),
    ("zonemaster-cli", "zonemaster-cli"),
];

/// Where daemons are, which not every user's `PATH` has.
const ALSO: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Between two looks whether a program has ended.
const LOOK: Duration = Duration::from_millis(10);

/// A command of that program. Panics when it is not installed, and says which package has it.
pub fn program(name: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(ALSO.map(PathBuf::from));
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    let mut command = Command::new(found.unwrap_or_else(|| panic!("{}", missing(name))));
    // What people have in their homes (`~/.digrc`) and their languages are not part of a test.
    command.env("HOME", "/nonexistent").env("LC_ALL", "C").stdin(Stdio::null());
    command
}

fn missing(name: &str) -> String {
    match PACKAGES.iter().find(|(program, _)| *program == name) {
        Some((_, package)) => format!("{name} is missing: install Debian's {package}, or run `cargo xtask test`"),
        None => format!("{name} is missing"),
    }
}

/// Runs it to its end and gives what it printed, on both outputs. Panics when it does not end within `limit`; how it
/// ends is left to the caller's eyes, because each program has its own idea of failure.
pub fn printed(command: &mut Command, limit: Duration) -> String {
    let (mut reader, writer) = std::io::pipe().unwrap_or_else(|e| panic!("no pipe: {e}"));
    let other = writer.try_clone().unwrap_or_else(|e| panic!("no pipe: {e}"));
    let spawned = command.stdout(writer).stderr(other).spawn();
    let mut child = spawned.unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
    // The command holds the pipe's ends; without them the reader sees the end of the child.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let text = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = std::io::Read::read_to_end(&mut reader, &mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let began = Instant::now();
    while matches!(child.try_wait(), Ok(None)) {
        if began.elapsed() > limit {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{command:?} did not end within {limit:?}: {}", text.join().unwrap_or_default());
        }
        std::thread::sleep(LOOK);
    }
    text.join().unwrap_or_default()
}

/// A program that runs beside the test, with its output in a file. Dropping it ends it, by its process.
#[derive(Debug)]
pub struct Background {
    child: Child,
    log: PathBuf,
}

impl Background {
    /// Starts it. Panics when it cannot be started.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let file = File::create(log).and_then(|file| Ok((file.try_clone()?, file)));
        let (out, err) = file.unwrap_or_else(|e| panic!("cannot write {}: {e}", log.display()));
        let spawned = command.stdout(out).stderr(err).spawn();
        Self { child: spawned.unwrap_or_else(|e| panic!("cannot run {command:?}: {e}")), log: log.to_owned() }
    }

    /// Panics with its output if it has ended.
    pub fn must_run(&mut self) {
        if let Ok(Some(status)) = self.child.try_wait() {
            panic!("it ended with {status}: {}", self.output());
        }
    }

    /// What it printed so far.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory under the system's temporary one, gone with this value.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes one; `name` must be unlike that of any other at the same time, within this process.
    pub fn make(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("perigee-test-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap_or_else(|e| panic!("cannot make {}: {e}", path.display()));
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file into it and gives its path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_missing_is_named_with_its_package() {
        assert!(missing("kdig").contains("knot-dnsutils"));
        let refused = std::panic::catch_unwind(|| program("perigee-no-such-program"));
        assert!(refused.is_err());
    }

    #[test]
    fn both_outputs_are_read_and_a_program_without_end_is_ended() {
        let text = printed(program("sh").args(["-c", "echo out; echo err >&2"]), Duration::from_secs(10));
        assert_eq!(text, "out\nerr\n");
        let endless = || printed(program("sleep").arg("60"), Duration::from_millis(50));
        assert!(std::panic::catch_unwind(endless).is_err());
    }
}
