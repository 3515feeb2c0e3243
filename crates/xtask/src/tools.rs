//! Installs what a test run needs and is not there: components with rustup, tools with cargo, programs with apt.
//!
//! Programs are installed only by root on a system with apt; anyone else is told what is missing, all at once.

use std::process::Command;
use std::time::Duration;

use crate::exec::{Failure, cargo, command, output, run, succeeds, wait_until};

/// Programs of the end-to-end tests and of the README's tour, and the Debian packages that hold them.
const PROGRAMS: &[(&str, &str)] = &[("dig", "bind9-dnsutils"), ("curl", "curl")];

/// Programs of `bench dns`, and the packages that hold them and the modules that they need for it.
const DNS_PEERS: &[(&str, &str)] = &[
    ("/usr/sbin/knotd", "knot"),
    ("/usr/sbin/knotd", "knot-module-geoip"),
    ("/usr/sbin/gdnsd", "gdnsd"),
    ("/usr/sbin/pdns_server", "pdns-server"),
    ("/usr/sbin/pdns_server", "pdns-backend-geoip"),
    ("taskset", "util-linux"),
];

/// How long a Docker engine that was just started may take to answer.
const ENGINE_START: Duration = Duration::from_secs(60);

/// rustfmt, clippy and nextest.
pub(crate) fn rust() -> Result<(), Failure> {
    for (component, probe) in [("rustfmt", ["fmt", "--version"]), ("clippy", ["clippy", "--version"])] {
        if !succeeds(cargo(probe)) {
            run(command("rustup", ["component", "add", component]))?;
        }
    }
    if !succeeds(cargo(["nextest", "--version"])) {
        println!("  cargo-nextest is missing; building it takes a few minutes");
        run(cargo(["install", "cargo-nextest", "--locked"]))?;
    }
    Ok(())
}

/// The programs that tests call.
pub(crate) fn programs() -> Result<(), Failure> {
    install(PROGRAMS.iter().filter(|(program, _)| !exists(program)).map(|(_, package)| *package).collect())
}

/// The servers that the DNS server is measured beside, and what pins them to a core.
pub(crate) fn dns_peers() -> Result<(), Failure> {
    install(DNS_PEERS.iter().filter(|(program, _)| !exists(program)).map(|(_, package)| *package).collect())
}

/// A Docker engine that answers, and one of the two compose tools.
pub(crate) fn docker() -> Result<(), Failure> {
    let mut missing = Vec::new();
    if !exists("docker") {
        missing.push("docker.io");
    }
    // With Debian's docker.io comes Debian's docker-compose; version 2 is used where it is there.
    if compose_tool().is_err() {
        missing.push("docker-compose");
    }
    install(missing)?;
    compose_tool()?;
    if engine_answers() {
        return Ok(());
    }
    println!("  the Docker engine does not answer; starting it");
    let started = [command("systemctl", ["start", "docker"]), command("service", ["docker", "start"])]
        .into_iter()
        .any(|start| succeeds(start) && wait_until(ENGINE_START, engine_answers));
    if started {
        return Ok(());
    }
    Err(Failure::new("the Docker engine does not answer and cannot be started: the compose tests need it"))
}

/// The compose tool there is: `docker compose` (version 2) before `docker-compose` (1.29). Errors: neither.
pub(crate) fn compose_tool() -> Result<Vec<&'static str>, Failure> {
    if succeeds(command("docker", ["compose", "version"])) {
        Ok(vec!["docker", "compose"])
    } else if succeeds(command("docker-compose", ["version"])) {
        Ok(vec!["docker-compose"])
    } else {
        Err(Failure::new("neither `docker compose` nor `docker-compose` is installed"))
    }
}

fn engine_answers() -> bool {
    succeeds(command("docker", ["info"]))
}

fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn install(packages: Vec<&str>) -> Result<(), Failure> {
    if packages.is_empty() {
        return Ok(());
    }
    let root = output(command("id", ["-u"])).is_ok_and(|id| id.trim() == "0");
    if !root || !exists("apt-get") {
        return Err(Failure::new(format!("missing: {0}; as root: apt-get install {0}", packages.join(" "))));
    }
    println!("  installing {}", packages.join(", "));
    run(apt(&["update", "--quiet=2"]))?;
    let mut args = vec!["install", "--yes", "--quiet=2", "--no-install-recommends"];
    args.extend(packages);
    run(apt(&args))
}

fn apt(args: &[&str]) -> Command {
    let mut apt = command("apt-get", args);
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    apt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_on_the_path_exists_and_another_does_not() {
        assert!(exists("sh"));
        assert!(!exists("perigee-no-such-program"));
    }

    #[test]
    fn nothing_missing_installs_nothing() {
        assert!(install(Vec::new()).is_ok());
    }
}
