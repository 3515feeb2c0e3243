//! Turns probe results into health: thresholds, reasons, the forced overlay, and what a whole load balancer's health
//! is to an accelerator or a DNS server.
//!
//! It decides *whether* something is healthy and *when* it wants to be asked next. It does not probe (the shells do)
//! and does not choose who gets traffic (`steering` and `balance` do). Start with [`Check`], the machine for one
//! target, [`Monitor`], the machine with which the front tier watches the load balancers of all regions,
//! [`EndpointChecks`], that of the endpoints that an accelerator probes itself, and [`DnsChecks`], the Route 53-style
//! health checks of DNS records.

mod check;
mod damper;
mod dns_check;
mod endpoint_check;
mod fail_back;
mod load_balancer;
mod monitor;
mod node;
mod probe;
mod probed;
mod prober;
mod subject;
mod target;

pub use check::{Check, HealthState, Thresholds, Transition};
pub use dns_check::{DnsCheckStatus, DnsChecks, DnsProbe, LastFailure};
pub use endpoint_check::{EndpointChecks, EndpointKey, EndpointProbe};
pub use load_balancer::{Forced, GroupReport, LoadBalancerHealth, NodeHealth, NodeReport, View};
pub use monitor::{Monitor, NodeKey, Sample};
pub use node::{Evidence, NodeMonitor, NodePolicy, Reach};
pub use probe::ProbeFailure;
pub use probed::{GroupHealth, ProbedHealth, ProbedView};
pub use subject::Subject;
pub use target::{TargetReason, TargetState};
