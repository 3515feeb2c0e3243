//! Random worlds under random faults, with an auditor that looks on: safety first, then liveness.

mod ground;
mod scenario;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

pub use ground::FuzzGround;

use crate::engine::{Counts, Found, NAMES, Teller, audited};
use crate::{Options, Scenario, World, stack_of};

/// What a seed's run was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FuzzReport {
    /// The seed.
    pub seed: u64,
    /// Virtual seconds.
    pub duration_s: f64,
    /// Events handled.
    pub events: u64,
    /// Requests started.
    pub requests: u64,
    /// Of these, answered well.
    pub ok: u64,
    /// Hash of the event trace, 32 hexadecimal digits.
    pub trace_hash: String,
    /// How often each state worth reaching was reached, in words.
    pub reached: BTreeMap<&'static str, u64>,
}

/// A rule that did not hold. Its text begins with a line that plays it again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Violation {
    /// The seed.
    pub seed: u64,
    /// When, virtual seconds.
    pub at_s: f64,
    /// The rule, in a few words.
    pub rule: String,
    /// What was seen instead.
    pub text: String,
    /// The decision in the machines' own words, where there is one; several lines.
    pub explanation: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, at_s, rule, text, explanation } = self;
        let revision = option_env!("PERIGEE_REVISION").unwrap_or(concat!("version ", env!("CARGO_PKG_VERSION")));
        write!(f, "perigee sim fuzz --seed {seed}   # {revision}: {rule}: at {at_s:.3} s {text}")?;
        explanation.lines().try_for_each(|line| write!(f, "\n    {line}"))
    }
}

impl std::error::Error for Violation {}

/// Plays the world and the faults of `seed` and checks, while they go by, what must always hold (safety) and, after the
/// last fault is mended, what must come about (liveness).
///
/// Safety: no request goes to a target that its checks have found dead while another is healthy; no flow to a region
/// that its edge takes for dead while a close one is healthy; none past its dial; a flow is joined once and never moves;
/// under `SOURCE_IP` a client stays where it is while nothing changes; dials share flows out as they say; nothing is
/// answered by a machine that is down; every request ends and gives back what it held. Liveness: within a time that the
/// configuration tells, everything is healthy to everybody, nothing fails any more, and new flows go where they would
/// have gone undisturbed.
///
/// The same seed and revision give the same result on any machine. Errors: the first rule that did not hold.
pub fn fuzz(ground: &FuzzGround, seed: u64) -> Result<FuzzReport, Violation> {
    let broken = |text: String| Violation {
        seed,
        at_s: 0.0,
        rule: "every seed has a world".to_owned(),
        text,
        explanation: String::new(),
    };
    let (scenario, world) = drawn(ground, seed).map_err(broken)?;
    play(&scenario, &world, seed, |result| result)
}

/// The scenario of a seed as a file says it: what [`fuzz`] plays.
///
/// Errors: in words; the shipped tables lack a region, which is a bug.
pub fn fuzz_scenario(ground: &FuzzGround, seed: u64) -> Result<String, String> {
    scenario::of(ground, seed)
}

fn drawn(ground: &FuzzGround, seed: u64) -> Result<(Scenario, World), String> {
    let text = scenario::of(ground, seed)?;
    let scenario = Scenario::parse(&text).map_err(|e| format!("{e} in\n{text}"))?;
    let world = ground.world(&scenario)?;
    Ok((scenario, world))
}

fn play(scenario: &Scenario, world: &World, seed: u64, teller: Teller) -> Result<FuzzReport, Violation> {
    let options = Options { name: "fuzz".to_owned(), seed, ..Options::default() };
    let violation = |found: Found| Violation {
        seed,
        at_s: found.at_s,
        rule: found.rule.to_owned(),
        text: found.text,
        explanation: found.explanation,
    };
    let played = audited(scenario, world, &options, teller).map_err(|e| {
        violation(Found { at_s: 0.0, rule: "every seed can be played", text: e.0, explanation: String::new() })
    })?;
    let (outcome, Counts(counts), found) = played;
    match found {
        Some(found) => Err(violation(found)),
        None => Ok(FuzzReport {
            seed,
            duration_s: outcome.duration_s,
            events: outcome.events,
            requests: outcome.totals.requests,
            ok: outcome.totals.ok,
            trace_hash: outcome.trace_hash,
            reached: NAMES.into_iter().zip(counts).collect(),
        }),
    }
}
