//! Perigee on a virtual clock.
//!
//! A discrete-event simulator that drives the shipped machines, [`perigee_dataplane::Edge`] and
//! [`perigee_dataplane::Balancer`], in a world of clients, resolvers, networks and targets. It has no rule of its own
//! about who gets traffic: it only says what the machines would have seen.

mod batch_means;
pub mod closed_form;
mod load_summary;
mod outcome;
mod random;
mod scenario;
mod server;
mod service;
mod target;
mod world;

pub use batch_means::{BatchMeans, student_t_975};
pub use load_summary::{LoadAnswers, LoadFailure, LoadLatencies, LoadSecond, LoadSummary};
pub use outcome::{
    Anatomy, Cost, JudgedBound, MapMoment, Moment, Outcome, Percentiles, RegionStep, Site, Step, Totals,
};
pub use random::{Stream, span};
pub use scenario::{
    Bound, Connections, Entry, Event, How, Latency, LoadModel, Measure, NetworkModel, RandomFault, ReportModel,
    Scenario, StackShape, WallClock,
};
pub use server::{Admission, Condition, Epoch, Gray, Server};
pub use service::{LONGEST_MS, Sampler, ServiceTime};
pub use target::{Antagonist, ColdCache, TargetModel, WarmUp};
pub use world::{Options, Progress, Watch, World};
