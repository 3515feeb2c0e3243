//! A program under measurement.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill, killpg};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// The `perigee` to measure: what `TEST_PERIGEE` names, as for the tests. Panics when there is none.
pub fn binary() -> PathBuf {
    let path = std::env::var_os("TEST_PERIGEE").map(PathBuf::from).unwrap_or_default();
    assert!(path.is_file(), "TEST_PERIGEE has to name the program to measure; it is {}", path.display());
    path
}

/// A program in a process group of its own, which ends with this value and with the thread that started it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` on a core, or on any where none is given. What it prints goes to the file `log`.
    ///
    /// Errors: the log cannot be written; `taskset` or `setpriv` (util-linux) is missing. A command that is missing
    /// ends at once with a word in the log.
    pub fn start(core: Option<&str>, log: &Path, command: &[&str]) -> io::Result<Self> {
        let (out, errors) = (fs::File::create(log)?, fs::File::options().append(true).open(log)?);
        let pinned = core.map(|core| ["taskset", "-c", core]).into_iter().flatten();
        let mut words = pinned.chain(["setpriv", "--pdeathsig", "KILL"]).chain(command.iter().copied());
        let mut started = Command::new(words.next().unwrap_or_default());
        started.args(words).process_group(0).stdin(Stdio::null()).stdout(out).stderr(errors);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PERIGEE_")) {
            started.env_remove(name);
        }
        Ok(Self { child: started.spawn()?, log: log.to_owned() })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Seconds of CPU time of all its threads so far, ended ones and those of its child processes included.
    pub fn cpu_seconds(&self) -> f64 {
        tree(self.pid()).into_iter().map(cpu_seconds_of).sum()
    }

    /// Resident memory of it and its child processes, KiB.
    pub fn resident_kib(&self) -> u64 {
        let of = |pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
        };
        tree(self.pid()).into_iter().map(of).sum()
    }

    /// Files that it has open.
    pub fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).map_or(0, Iterator::count)
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends it a signal. Errors: it has ended.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill(self.process_id(), signal)?)
    }

    /// The end of what it has printed so far, at most `lines` lines.
    pub fn last_words(&self, lines: usize) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let skipped = text.lines().count().saturating_sub(lines);
        text.lines().skip(skipped).collect::<Vec<_>>().join("\n")
    }

    fn process_id(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.pid()).unwrap_or(i32::MAX))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A master's workers outlive it unless the whole group is meant.
        let _ = killpg(self.process_id(), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// A process and its descendants, as far as the kernel tells.
fn tree(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        next += 1;
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    found
}

/// The scheduler's count of a process, exact to the nanosecond where `stat` has ticks of 10 ms.
fn cpu_seconds_of(pid: u32) -> f64 {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX));
    let time = ClockId::pid_cpu_clock_id(pid).and_then(clock_gettime);
    time.map_or(0.0, |time| time.tv_sec() as f64 + time.tv_nsec() as f64 * 1e-9)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn log(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("perigee-bench-{}-{name}.log", std::process::id()))
    }

    fn until(mut holds: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(30);
        while !holds() {
            assert!(Instant::now() < end, "it never came so far");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn the_work_of_a_child_process_counts_with_its_parents() {
        let log = log("tree");
        let shell = ["sh", "-c", "sh -c 'while :; do :; done' & wait"];
        let process = Process::start(None, &log, &shell).unwrap();
        until(|| tree(process.pid()).len() > 1);
        let before = process.cpu_seconds();
        until(|| process.cpu_seconds() > before + 0.05);
        assert!(process.resident_kib() > 100);
        assert!(process.open_files() >= 3);
        let child = tree(process.pid())[1];
        drop(process);
        // Whoever inherits it may leave it a zombie.
        let stat = || fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        until(|| stat().is_empty() || stat().contains(") Z "));
        let _ = fs::remove_file(log);
    }

    #[test]
    fn last_words_are_the_end_of_what_was_printed() {
        let log = log("words");
        let mut process = Process::start(None, &log, &["sh", "-c", "echo one; echo two >&2; exit 3"]).unwrap();
        until(|| process.ended().is_some());
        assert_eq!(process.ended().and_then(|status| status.code()), Some(3));
        assert_eq!((process.last_words(1), process.last_words(9)), ("two".to_owned(), "one\ntwo".to_owned()));
        let _ = fs::remove_file(log);
    }
}
