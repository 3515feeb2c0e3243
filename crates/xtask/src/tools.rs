//! Installs what a test run needs and is not there: components with rustup, tools with cargo, programs with apt.
//!
//! Programs are installed only by root on a system with apt; anyone else is told what is missing, all at once.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::exec::{Failure, cargo, command, output, run, succeeds, wait_until};

/// Programs of the end-to-end tests, of the validators' tests and of the README's tour, and the Debian packages that hold them.
///
/// Where Debian starts unbound's service with its package, that one stays at 127.0.0.1, where no test is.
const PROGRAMS: &[(&str, &str)] = &[
    ("curl", "curl"),
    ("delv", "bind9-dnsutils"),
    ("dig", "bind9-dnsutils"),
    ("dnsmasq", "dnsmasq-base"),
    ("drill", "ldnsutils"),
    ("kdig", "knot-dnsutils"),
    ("unbound", "unbound"),
    ("zonemaster-cli", "zonemaster-cli"),
];

/// Where daemons are, which the `PATH` of a person who is not root does not hold.
const DAEMONS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Programs of `bench dns`, and the packages that hold them and the modules that they need for it.
const DNS_PEERS: &[(&str, &str)] = &[
    ("/usr/sbin/knotd", "knot"),
    ("/usr/sbin/knotd", "knot-module-geoip"),
    ("/usr/sbin/gdnsd", "gdnsd"),
    ("/usr/sbin/pdns_server", "pdns-server"),
    ("/usr/sbin/pdns_server", "pdns-backend-geoip"),
    ("taskset", "util-linux"),
];

/// Programs of `bench edge`, and the packages that hold them and what they load.
const EDGE_PEERS: &[(&str, &str)] = &[
    ("/usr/sbin/haproxy", "haproxy"),
    ("/usr/sbin/nginx", "nginx"),
    ("/usr/lib/nginx/modules/ngx_stream_module.so", "libnginx-mod-stream"),
    ("wrk", "wrk"),
    ("curl", "curl"),
    ("taskset", "util-linux"),
    ("ip", "iproute2"),
];

/// What the measurements of the edge start beside `perigee`.
const MEASURED_WITH: &[(&str, &str)] = &[("setpriv", "util-linux"), ("ip", "iproute2")];

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

/// The proxies that the edge is measured beside, and the programs that load them.
pub(crate) fn edge_peers() -> Result<(), Failure> {
    install(EDGE_PEERS.iter().filter(|(program, _)| !exists(program)).map(|(_, package)| *package).collect())
}

/// What the edge's other measurements need.
pub(crate) fn measuring() -> Result<(), Failure> {
    install(MEASURED_WITH.iter().filter(|(program, _)| !exists(program)).map(|(_, package)| *package).collect())
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
    std::env::split_paths(&path).chain(DAEMONS.map(PathBuf::from)).any(|folder| folder.join(program).is_file())
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
    fn every_program_that_a_test_runs_is_installed() {
        let text = std::fs::read_to_string(crate::exec::root().join("tests/src/program.rs")).unwrap();
        let list = text.split("PACKAGES").nth(1).and_then(|rest| rest.split("];").next()).unwrap();
        let lines: Vec<&str> = list.lines().map(str::trim).filter(|line| line.starts_with('(')).collect();
        assert!(lines.len() > 4, "{lines:?}");
        for line in lines {
            assert!(PROGRAMS.iter().any(|pair| line == format!("{pair:?},")), "{line} is not in PROGRAMS");
        }
    }

    #[test]
    fn nothing_missing_installs_nothing() {
        assert!(install(Vec::new()).is_ok());
    }
}
