use std::sync::Arc;

use perigee_geo::Atlas;
use perigee_model::Snapshot;

/// Where a scenario plays: a configuration and its geography.
#[derive(Clone, Debug)]
pub struct World {
    /// The configuration; the scenario's behaviour and times are put in its place when a run begins.
    pub snapshot: Arc<Snapshot>,
    /// The geography of its regions.
    pub atlas: Arc<Atlas>,
    /// Whose geographic data it is, to be shown with results.
    pub attribution: String,
}

/// Looks on while a run goes by; every method does nothing unless it is written.
pub trait Watch {
    /// Called about a hundred times a run.
    fn progress(&mut self, _progress: &Progress) {}

    /// Called for every event when [`Self::wants_trace`] says so: one fixed-width line, whose columns are time in
    /// seconds, kind, subject and detail.
    fn trace(&mut self, _line: &str) {}

    /// Whether lines of the trace are to be made; costs time.
    fn wants_trace(&self) -> bool {
        false
    }
}

impl Watch for () {}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Virtual seconds that are over.
    pub at_s: f64,
    /// Virtual seconds in all.
    pub of_s: f64,
    /// Events handled.
    pub events: u64,
}

/// What a run is made with besides its scenario.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The name of the scenario, for the report.
    pub name: String,
    /// The seed of every random stream.
    pub seed: u64,
    /// Events of equal times are inserted in the contrary order: changes nothing, which is what tests prove by it.
    pub contrary: bool,
    /// Samples and checks that could change nothing are made all the same: changes nothing but the time it takes.
    pub every_sample: bool,
}
