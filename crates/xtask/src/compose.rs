//! `cargo xtask compose`: the stack of containers, from a static binary to a running topology.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use clap::ValueEnum;

use crate::exec::{Failure, cargo, command, output, root, run as run_command, succeeds, wait_until};
use crate::{test, tools};

/// Where the static binary is put, from the root: the build context of `Dockerfile`.
pub(crate) const BINARY: &str = "compose/bin/perigee";

/// The image's name, as `compose/compose.yaml` expects it unless told otherwise.
const IMAGE: &str = "perigee:local";

/// The stack's project name; the tests use one of their own.
const PROJECT: &str = "perigee";

/// What the project names of the tests' stacks begin with.
const TEST_PROJECTS: &str = "perigee-test-";

/// How long the stack may take until every role says it is ready.
const READY: Duration = Duration::from_secs(60);

/// The admin API of every container with a role, in the order of `compose/compose.yaml`.
const ROLES: &[(&str, &str)] = &[
    ("edge-icn", "10.82.0.11:7070"),
    ("edge-nrt", "10.82.0.12:7070"),
    ("dns-seoul", "10.82.0.53:7070"),
    ("dns-tokyo", "10.82.0.54:7070"),
    ("lb-seoul-a", "10.82.1.1:7071"),
    ("lb-seoul-c", "10.82.3.1:7071"),
    ("target-seoul-a1", "10.82.1.10:7070"),
    ("target-seoul-a2", "10.82.1.11:7070"),
    ("target-seoul-c1", "10.82.3.10:7070"),
    ("target-seoul-c2", "10.82.3.11:7070"),
    ("lb-tokyo-a", "10.81.1.1:7071"),
    ("lb-tokyo-c", "10.81.3.1:7071"),
    ("target-tokyo-a1", "10.81.1.10:7070"),
    ("target-tokyo-a2", "10.81.1.11:7070"),
    ("target-tokyo-c1", "10.81.3.10:7070"),
    ("target-tokyo-c2", "10.81.3.11:7070"),
];

/// What to do with the stack.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Action {
    /// Build the image and start the stack
    Up,
    /// Stop the stack and remove its containers and networks
    Down,
    /// Start a stack of its own and kill, pause and cut off a region under load
    Test,
}

/// Does it. Errors: a tool that is missing, a build that fails, or a stack that does not get ready.
pub(crate) fn run(action: Action) -> Result<(), Failure> {
    match action {
        Action::Up => up(),
        Action::Down => compose(&["down", "--timeout=5", "--remove-orphans"]).and_then(run_command),
        Action::Test => test::run(Some(test::Part::Compose)),
    }
}

/// Builds `perigee` without any shared library and puts it where the image takes it from.
///
/// It has a target folder of its own: other flags for the standard library's linking would otherwise throw away every
/// other build's results, and this one's with the next.
pub(crate) fn build_binary_step() -> Result<(), Failure> {
    let host = output(command("rustc", ["-vV"]))?
        .lines()
        .find_map(|line| line.strip_prefix("host: ").map(str::to_owned))
        .ok_or_else(|| Failure::new("rustc -vV names no host"))?;
    let mut build = cargo([
        "build",
        "--locked",
        "--release",
        "--package=perigee",
        "--target-dir=target/static",
        &format!("--target={host}"),
    ]);
    build.env("RUSTFLAGS", "-C target-feature=+crt-static");
    run_command(build)?;
    let built = root().join(format!("target/static/{host}/release/perigee"));
    let binary = root().join(BINARY);
    // A new file instead of a changed one: a running container may still have the old one open.
    let moved = std::fs::create_dir_all(root().join("compose/bin"))
        .and_then(|()| std::fs::copy(&built, binary.with_extension("new")))
        .and_then(|_| std::fs::rename(binary.with_extension("new"), &binary));
    moved.map_err(|e| Failure::new(format!("cannot copy {} to {BINARY}: {e}", built.display())))
}

/// Builds the image around the binary.
pub(crate) fn build_image() -> Result<(), Failure> {
    run_command(command("docker", ["build", "--quiet", "--tag", IMAGE, "--file=Dockerfile", "compose/bin"]))
}

/// Removes containers and networks that an interrupted test left behind; says nothing when there are none.
pub(crate) fn sweep_test_stacks() {
    let listed = |args: &[&str]| output(command("docker", args)).unwrap_or_default();
    let name = format!("name={TEST_PROJECTS}");
    let containers = listed(&["ps", "--all", "--quiet", "--filter", &name]);
    let networks = listed(&["network", "ls", "--quiet", "--filter", &name]);
    for (remove, found) in [(&["rm", "--force"][..], containers), (&["network", "rm"][..], networks)] {
        if !found.is_empty() {
            println!("  removing what an interrupted compose test left behind");
            succeeds(command("docker", remove.iter().copied().chain(found.lines())));
        }
    }
}

fn up() -> Result<(), Failure> {
    tools::docker()?;
    build_binary_step()?;
    build_image()?;
    run_command(compose(&["up", "--detach", "--no-build"])?)?;
    let mut waiting = ROLES.to_vec();
    let ready = wait_until(READY, || {
        waiting.retain(|(_, address)| !is_ready(address));
        waiting.is_empty()
    });
    if !ready {
        let names: Vec<&str> = waiting.iter().map(|(name, _)| *name).collect();
        return Err(Failure::new(format!("not ready after {} s: {}", READY.as_secs(), names.join(", "))));
    }
    println!("{} roles are ready. Try:", ROLES.len());
    println!("  docker exec {0} /perigee load --for 10 http://198.51.100.1:8080/", container("client-seoul")?);
    println!("  docker kill {0} {1}", container("lb-seoul-a")?, container("lb-seoul-c")?);
    println!("  cargo xtask compose down");
    Ok(())
}

/// The name of a service's only container; the two compose tools write it differently, so the engine is asked.
fn container(service: &str) -> Result<String, Failure> {
    let project = format!("label=com.docker.compose.project={PROJECT}");
    let service = format!("label=com.docker.compose.service={service}");
    let names = output(command("docker", ["ps", "--format={{.Names}}", "--filter", &project, "--filter", &service]))?;
    names.lines().next().map(str::to_owned).ok_or_else(|| Failure::new(format!("no container with {service}")))
}

/// Whether the admin API at `address` answers `/readyz` with 200. The host reaches containers by their bridges.
fn is_ready(address: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let address: SocketAddr = address.parse().map_err(std::io::Error::other)?;
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}

fn compose(args: &[&str]) -> Result<Command, Failure> {
    let tool = tools::compose_tool()?;
    let mut compose = command(tool[0], &tool[1..]);
    compose.args(["--project-name", PROJECT, "--file", "compose/compose.yaml"]).args(args).env("LAB_IMAGE", IMAGE);
    Ok(compose)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_that_is_awaited_is_in_the_compose_file_with_its_address() {
        let text = std::fs::read_to_string(root().join("compose/compose.yaml")).unwrap();
        for (service, admin) in ROLES {
            let (address, port) = admin.split_once(':').unwrap();
            let section = text.split(&format!("\n  {service}:\n")).nth(1).unwrap_or_default();
            let section = section.split("\n\n").next().unwrap_or_default();
            assert!(section.contains(&format!("ipv4_address: {address} ")), "{service} has no address {address}");
            assert!(section.contains(&format!("--admin=0.0.0.0:{port}")), "{service} has no admin port {port}");
        }
    }

    #[test]
    fn an_address_without_a_server_is_not_ready() {
        // Nothing listens on 7070 of an address of the loopback network that Perigee gives to nobody.
        assert!(!is_ready("127.254.254.254:7070"));
        assert!(!is_ready("no address"));
    }
}
