use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::{self, Name};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::dns_record::{DnsOutcome, DnsRecord, DnsSecond, DnsSummary};
use crate::drive::{Clock, Schedule, drive};
use crate::plan::check_pace;
use crate::{LoadError, address, dns_wire};

/// Queries in flight at once; more are shed. Each holds a socket.
const MAX_IN_FLIGHT: usize = 10_000;

/// Which addresses are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordType {
    /// IPv4 addresses.
    #[default]
    A,
    /// IPv6 addresses.
    Aaaa,
}

impl RecordType {
    pub(crate) const fn wire(self) -> rr::RecordType {
        match self {
            Self::A => rr::RecordType::A,
            Self::Aaaa => rr::RecordType::AAAA,
        }
    }
}

/// A name to ask for, over and over, past every cache.
#[derive(Clone, Debug, PartialEq)]
pub struct DnsPlan {
    /// The server, usually an authoritative one.
    pub server: SocketAddr,
    /// The name, with or without the final dot.
    pub name: String,
    /// Which addresses.
    pub record: RecordType,
    /// The address the queries start from.
    pub source_ip: Option<IpAddr>,
    /// Queries per second, above 0 to 100,000. Default 10.
    pub rate: f64,
    /// How long queries are sent, above 0 to one day. Default 10 s.
    pub duration: Duration,
    /// A query without an answer by then has failed; there is no retry. Above 0 to 60 s, default 2 s.
    pub timeout: Duration,
    /// Which region an address belongs to; answers of other addresses count as `unknown`.
    pub regions: BTreeMap<IpAddr, String>,
}

impl DnsPlan {
    /// A plan with every default.
    pub fn new(server: SocketAddr, name: impl Into<String>) -> Self {
        Self {
            server,
            name: name.into(),
            record: RecordType::A,
            source_ip: None,
            rate: 10.0,
            duration: Duration::from_secs(10),
            timeout: Duration::from_secs(2),
            regions: BTreeMap::new(),
        }
    }
}

/// Asks as `plan` says and records what is answered and when that changes. `on_second` is called once a second, and
/// once more at the end. When `stop` is cancelled no more queries are sent; those under way are heard out.
///
/// # Errors
/// When the run cannot start. Once it runs, whatever goes wrong is a [`crate::DnsFailure`] of the summary.
pub async fn run_dns(
    plan: DnsPlan,
    stop: CancellationToken,
    on_second: impl FnMut(&DnsSecond),
) -> Result<DnsSummary, LoadError> {
    check_pace(plan.rate, plan.duration, plan.timeout)?;
    let name = Name::from_ascii(format!("{}.", plan.name.trim_end_matches('.')))
        .map_err(|e| LoadError::Name { name: plan.name.clone(), reason: e.to_string() })?;
    address::check_source(plan.source_ip, Some(plan.server)).await?;
    let clock = Clock::start();
    let name = Arc::new(name);
    let schedule = Schedule::new(plan.rate, plan.duration);
    let (server, source, record_type, timeout) = (plan.server, plan.source_ip, plan.record, plan.timeout);
    let mut record = DnsRecord::new(clock, plan.regions, on_second);
    let end = drive(schedule, MAX_IN_FLIGHT, clock, &stop, &mut record, |n, _| {
        let name = Arc::clone(&name);
        async move {
            let started = clock.elapsed();
            let answer = dns_wire::ask(server, source, &name, record_type, timeout).await;
            DnsOutcome { number: n, started, finished: clock.elapsed(), answer }
        }
    })
    .await;
    Ok(record.finish(end))
}
