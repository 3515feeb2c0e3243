//! Perigee on a virtual clock.
//!
//! A discrete-event simulator that drives the shipped machines, [`perigee_dataplane::Edge`] and
//! [`perigee_dataplane::Balancer`], in a world of clients, resolvers, networks and targets. It has no rule of its own
//! about who gets traffic: it only says what the machines would have seen.

mod load_summary;
mod outcome;
mod random;
mod scenario;
mod world;

pub use load_summary::{LoadAnswers, LoadFailure, LoadLatencies, LoadSecond, LoadSummary};
pub use outcome::{
    Anatomy, Cost, JudgedBound, MapMoment, Moment, Outcome, Percentiles, RegionStep, Site, Step, Totals,
};
pub use random::{Stream, span};
pub use scenario::{
    Bound, Connections, Entry, Event, How, Latency, LoadModel, Measure, NetworkModel, RandomFault, ReportModel,
    Scenario, StackShape, WallClock,
};
pub use world::{Options, Progress, Watch, World};
