//! `cargo xtask test`: what a test run does, and in which order.
//!
//! The cheap checks come first so that a mistake shows early. All tests proper, those of the compose stack included,
//! are one run of nextest at the very end, so that the last lines of the output are the count of everything.

use std::time::Instant;

use clap::ValueEnum;

use crate::exec::{Failure, cargo, root, run as run_command};
use crate::{check, compose, tools};

/// A part of the test run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Format, clippy, purity of the core, licences
    Lint,
    /// Tests beside the code, and documentation examples
    Unit,
    /// tests/scenarios
    Scenario,
    /// The whole stack on loopback sockets
    E2e,
    /// The stack of containers
    Compose,
}

/// One step of a run: what it is called and what does it.
type Step = (&'static str, fn() -> Result<(), Failure>);

/// Runs a part, or everything. Errors: the first step that failed.
pub(crate) fn run(part: Option<Part>) -> Result<(), Failure> {
    let steps = steps_of(part);
    let began = Instant::now();
    let count = steps.len();
    for (i, (name, step)) in steps.into_iter().enumerate() {
        println!("[{}/{count}] {name} ({} s so far)", i + 1, began.elapsed().as_secs());
        step()?;
    }
    Ok(())
}

fn steps_of(part: Option<Part>) -> Vec<Step> {
    let lint: [Step; 4] = [
        ("format", check::format),
        ("clippy, warnings denied", check::clippy),
        ("purity of the core crates", check::purity),
        ("licences and sources of dependencies", check::licences),
    ];
    let doctest: Step = ("documentation examples", check::doctests);
    let binary: Step = ("static release binary", compose::build_binary_step);
    let image: Step = ("container image", compose::build_image);
    let rust: Step = ("tools: Rust", tools::rust);
    let programs: Step = ("tools: programs", tools::programs);
    let docker: Step = ("tools: Docker", tools::docker);
    match part {
        None => {
            let mut steps = vec![rust, programs, docker];
            steps.extend(lint);
            steps.extend([doctest, binary, image, ("all tests", || nextest("ci"))]);
            steps
        }
        Some(Part::Lint) => {
            let mut steps = vec![rust];
            steps.extend(lint);
            steps
        }
        Some(Part::Unit) => vec![rust, doctest, ("unit tests", || nextest("unit"))],
        Some(Part::Scenario) => vec![rust, binary, ("scenario tests", || nextest("scenario"))],
        Some(Part::E2e) => vec![rust, programs, binary, ("end-to-end tests", || nextest("e2e"))],
        Some(Part::Compose) => vec![rust, docker, binary, image, ("compose tests", || nextest("compose"))],
    }
}

/// Runs one of the profiles of `.config/nextest.toml`; each picks its tests.
///
/// Tests that start `perigee` as a process take it from `TEST_PERIGEE`: the release binary that ships in the images,
/// when it has been built, so that times are measured on what users run. (A name that began with `PERIGEE_` would be
/// read as configuration by the program under test.)
fn nextest(profile: &str) -> Result<(), Failure> {
    let mut command = cargo(["nextest", "run", "--workspace", "--locked", "--profile", profile]);
    let binary = root().join(compose::BINARY);
    if binary.exists() {
        command.env("TEST_PERIGEE", binary);
    }
    // A test that is ended from outside cannot take its stack down; the next one would find its addresses taken.
    compose::sweep_test_stacks();
    let done = run_command(command);
    compose::sweep_test_stacks();
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(part: Option<Part>) -> Vec<&'static str> {
        steps_of(part).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn a_whole_run_holds_every_step_of_every_part() {
        let whole = names(None);
        for part in Part::value_variants() {
            for step in names(Some(*part)).into_iter().filter(|step| !step.ends_with("tests")) {
                assert!(whole.contains(&step), "{part:?} runs `{step}`, a whole run does not");
            }
        }
    }

    #[test]
    fn every_run_of_tests_ends_in_the_test_runner() {
        for part in Part::value_variants().iter().filter(|part| **part != Part::Lint) {
            assert!(names(Some(*part)).last().is_some_and(|last| last.ends_with("tests")));
        }
        assert_eq!(names(None).last(), Some(&"all tests"));
    }

    #[test]
    fn every_profile_that_is_run_exists() {
        let text = std::fs::read_to_string(root().join(".config/nextest.toml")).unwrap();
        for profile in ["ci", "unit", "scenario", "e2e", "compose"] {
            assert!(text.contains(&format!("[profile.{profile}]")), "no profile {profile} in .config/nextest.toml");
        }
    }
}
