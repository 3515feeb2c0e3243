//! An honest client: load at a fixed rate, as someone at a place, whatever the answers do.
//!
//! "Honest" means three things. Arrivals follow a schedule that does not wait for answers (open loop), and a latency
//! counts from the scheduled moment, so a stalled service cannot hide its stall. Nothing is dropped in silence: a
//! request is answered, failed or shed, and the three add up. A failure says on which connection and in which phase
//! it happened, because "the connection was new" and "the request was in flight when the region died" are two
//! promises.
//!
//! Start with [`LoadPlan`] and [`run`] for HTTP, [`DnsPlan`] and [`run_dns`] for DNS.

mod address;
mod client;
mod destination;
mod dns;
mod dns_record;
mod dns_wire;
mod drive;
mod latency;
mod plan;
mod pool;
mod record;
mod report;
mod run;
mod wire;

pub use dns::{DnsPlan, RecordType, run_dns};
pub use dns_record::{AnswerTimes, DnsChange, DnsFailure, DnsFailureKind, DnsSecond, DnsSummary};
pub use latency::Latencies;
pub use plan::{Connections, LoadError, LoadPlan};
pub use report::{Answers, Failure, FailureKind, Phase, Second, Summary};
pub use run::run;
