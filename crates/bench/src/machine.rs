//! The machine that a measurement runs on.

use std::io;
use std::process::{Command, Stdio};

use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Where what is measured runs.
pub const SERVER_CORE: &str = "0";
/// Where the load comes from, and what is behind what is measured.
pub const LOAD_CORE: &str = "1";

/// Pins this process, and so what it starts from now on, to [`LOAD_CORE`].
///
/// Errors: `taskset` is missing, or the machine has one core.
pub fn pin_to_load_core() -> io::Result<()> {
    let pid = std::process::id().to_string();
    succeeds(Command::new("taskset").args(["-acp", LOAD_CORE, &pid]))
}

/// Moves this thread, and so what it starts from now on, to a network of its own with nothing but loopback: the host's
/// firewall and connection tracking then cost nobody anything, and no address or port is taken. Call it before any
/// thread is started and any socket opened.
///
/// Errors: only root may, and `ip` has to be there. Nothing has changed then, unless `ip` itself failed.
pub fn own_network() -> io::Result<()> {
    succeeds(Command::new("ip").arg("-Version"))?;
    unshare(CloneFlags::CLONE_NEWNET)?;
    succeeds(Command::new("ip").args(["link", "set", "lo", "up"]))
}

/// What else the machine is doing: the load averages of 1, 5 and 15 minutes. For people, beside figures of time.
pub fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Lets this process, and what it starts, have `wanted` open files, or as many as the system allows; gives how many.
///
/// Errors: the system refuses to say.
pub fn raise_file_limit(wanted: u64) -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    // Only root may raise the hard limit, and nobody beyond the kernel's own.
    for (soft, hard) in [(wanted.max(soft), wanted.max(hard)), (hard, hard)] {
        if setrlimit(Resource::RLIMIT_NOFILE, soft, hard).is_ok() {
            return Ok(soft);
        }
    }
    Ok(soft)
}

fn succeeds(command: &mut Command) -> io::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    match status.map_err(|e| io::Error::new(e.kind(), format!("{name}: {e}")))? {
        status if status.success() => Ok(()),
        status => Err(io::Error::other(format!("{name} failed: {status}"))),
    }
}
