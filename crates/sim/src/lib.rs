//! Perigee on a virtual clock.
//!
//! A discrete-event simulator that drives the shipped machines, [`perigee_dataplane::Edge`] and
//! [`perigee_dataplane::Balancer`], in a world of clients, resolvers, networks and targets. It has no rule of its own
//! about who gets traffic: it only says what the machines would have seen.

mod batch_means;
pub mod closed_form;
mod engine;
mod fuzz;
mod histogram;
mod invalid;
mod load_summary;
mod network;
mod outcome;
mod population;
mod queue;
mod random;
mod record;
mod resolver;
mod scenario;
mod server;
mod service;
mod stack;
mod target;
mod trace;
mod world;
mod zero;

pub use batch_means::{BatchMeans, student_t_975};
pub use engine::{SimError, run};
pub use fuzz::{FuzzGround, FuzzReport, Violation, fuzz, fuzz_scenario};
pub use invalid::Invalid;
pub use load_summary::{LoadAnswers, LoadFailure, LoadLatencies, LoadSecond, LoadSummary};
pub use outcome::{
    Anatomy, Cost, JudgedBound, MapMoment, Moment, Outcome, Percentiles, RegionStep, Site, Step, Totals,
};
pub use population::{
    Arrival, Arrivals, Class, Diurnal, DiurnalCurve, Habits, Population, PopulationModel, TableError, Weights,
    parse_table,
};
pub use queue::Queue;
pub use random::{Stream, span};
pub use resolver::{AnswerId, Lookup, ResolverModel, Resolvers, SlotIndex, Stands, check_resolvers};
pub use scenario::{
    Bound, Connections, Entry, Event, How, Latency, LoadModel, Measure, NetworkModel, RandomFault, ReportModel,
    Scenario, StackShape, WallClock,
};
pub use server::{Admission, Condition, Epoch, Gray, Server};
pub use service::{LONGEST_MS, Sampler, ServiceTime};
pub use stack::stack_of;
pub use target::{Antagonist, ColdCache, TargetModel, WarmUp};
pub use world::{Options, Progress, Watch, World};
