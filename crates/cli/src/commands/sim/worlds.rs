//! Virtual runs: the worlds that scenarios play in, and the one place that calls the engine.

use std::path::Path;
use std::sync::Arc;

use perigee_config::Config;
use perigee_sim::{Options, Outcome, Scenario, Watch, World};
use rayon::prelude::*;

use super::library::{self, Named};
use super::progress::Bar;
use super::vary;
use crate::args;
use crate::commands::{problems, sources};
use crate::geography::Geography;

/// What worlds are made of: a configuration, and geographic data that are read once.
#[derive(Debug)]
pub(super) struct Worlds {
    config: Config,
    geography: Geography,
}

impl Worlds {
    /// Reads both.
    ///
    /// Errors: the configuration's problems, or data that cannot be read.
    pub(super) fn load(from: &args::Sources) -> Result<Self, String> {
        let config = perigee_config::load(&sources(from)?).map_err(|p| problems(&p))?;
        let geography = Geography::load(&config)?;
        Ok(Self { config, geography })
    }

    /// The world of a scenario: its own stack, or the configuration.
    ///
    /// Errors: a region of the stack that the tables do not know, places that do not exist.
    pub(super) fn of(&self, scenario: &Scenario) -> Result<World, String> {
        let snapshot = match &scenario.stack {
            Some(shape) => perigee_sim::stack_of(shape, self.geography.tables()).map_err(|e| e.to_string())?,
            None => self.config.snapshot.clone(),
        };
        let atlas = self.geography.atlas_for(&self.config, &snapshot)?;
        let attribution = self.geography.attribution.unwrap_or_default().to_owned();
        Ok(World { snapshot: Arc::new(snapshot), atlas, attribution })
    }

    /// The configuration's region codes.
    pub(super) fn regions(&self) -> Vec<String> {
        self.config.snapshot.regions.iter().map(|r| r.code.to_string()).collect()
    }
}

/// Reads a scenario and puts the behaviour that a flag asks for in its place.
///
/// Errors: as [`library::read`].
pub(super) fn read(what: &str, behaviour: Option<args::Behaviour>) -> Result<Named, String> {
    let named = library::read(what)?;
    match behaviour {
        Some(behaviour) => named.with(&[("behaviour".to_owned(), format!("{behaviour:?}").to_lowercase())]),
        None => Ok(named),
    }
}

impl Named {
    /// The same scenario with other values at these keys.
    ///
    /// Errors: a key that leads nowhere, or the result is no scenario.
    pub(super) fn with(&self, settings: &[(String, String)]) -> Result<Self, String> {
        let problem = |e: String| format!("{}: {e}", self.name);
        let text = vary::with(&self.text, settings).map_err(problem)?;
        let scenario = Scenario::parse(&text).map_err(problem)?;
        Ok(Self { name: self.name.clone(), text, scenario })
    }
}

/// Runs a scenario in its world.
///
/// Errors: in words, with the scenario's name.
pub(super) fn run(named: &Named, world: &World, seed: u64, watch: &mut dyn Watch) -> Result<Outcome, String> {
    let options = Options { name: named.name.clone(), seed, ..Options::default() };
    perigee_sim::run(&named.scenario, world, &options, watch).map_err(|e| format!("{}: {e}", named.name))
}

/// Runs a scenario for each seed on all cores and makes something of each outcome; results in the order of `seeds`.
///
/// Errors: those of [`run`], the first seed's first.
pub(super) fn run_seeds<T: Send>(
    named: &Named,
    world: &World,
    seeds: &[u64],
    bar: &Bar,
    of: impl Fn(Outcome) -> T + Sync,
) -> Result<Vec<T>, String> {
    let all: Vec<Result<T, String>> = (seeds.par_iter())
        .map(|seed| {
            let outcome = run(named, world, *seed, &mut ());
            bar.step();
            outcome.map(&of)
        })
        .collect();
    all.into_iter().collect()
}

/// An outcome: of a run that was written as JSON, or of a scenario that is run now.
///
/// Errors: as [`read`] and [`run`], or a file that holds no outcome.
pub(super) fn outcome_of(
    what: &str,
    from: &args::Sources,
    seed: u64,
    watch: &mut dyn Watch,
) -> Result<Outcome, String> {
    if Path::new(what).extension().is_some_and(|e| e == "json") {
        let text = std::fs::read(what).map_err(|e| format!("{what}: {e}"))?;
        return serde_json::from_slice(&text).map_err(|e| format!("{what}: no outcome of a run: {e}"));
    }
    let named = read(what, from.behaviour)?;
    let world = Worlds::load(from)?.of(&named.scenario)?;
    run(&named, &world, seed, watch)
}
