use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::Serialize;

/// Longest run: a day, which bounds the rows of a summary to 86,400 and a few.
pub(crate) const MAX_DURATION: Duration = Duration::from_secs(86_400);
/// Longest timeout of one request.
pub(crate) const MAX_TIMEOUT: Duration = Duration::from_secs(60);
/// Highest rate that one process is asked for.
pub(crate) const MAX_RATE: f64 = 100_000.0;
/// Most requests in flight at once, whatever the plan says: each may hold a socket.
pub(crate) const MAX_IN_FLIGHT: usize = 100_000;

/// Which connections the requests travel on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Connections {
    /// Each request opens a connection and closes it after the answer.
    New,
    /// Requests share persistent connections.
    Keep,
    /// Every other request on a new connection. The default: both promises are tested at once.
    #[default]
    Mixed,
}

impl Connections {
    /// Whether request number `n` travels on a kept connection.
    pub(crate) const fn keeps(self, n: u64) -> bool {
        match self {
            Self::New => false,
            Self::Keep => true,
            Self::Mixed => !n.is_multiple_of(2),
        }
    }
}

/// A load to make: what, from where, how fast, how long.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadPlan {
    /// `http://host[:port]/path?query`. TLS is refused.
    pub url: String,
    /// The address the connections start from: on loopback and in the lab, a client's address is its place.
    pub source_ip: Option<IpAddr>,
    /// The DNS server asked for the URL's host if that is a name; its TTLs are kept, as a stub resolver's cache would.
    /// Without it the system resolver is asked once, at the start.
    pub resolver: Option<SocketAddr>,
    /// Requests per second, above 0 to 100,000. Default 100.
    pub rate: f64,
    /// Which connections the requests travel on.
    pub connections: Connections,
    /// How long requests are started, above 0 to one day. Default 10 s. Answers are awaited beyond that.
    pub duration: Duration,
    /// A request that is not answered whole by then has failed, above 0 to 60 s. Default 2 s.
    pub timeout: Duration,
    /// Persistent connections kept idle at once, 1 to 10,000. Default 64. A request that finds none idle opens one.
    pub keep_pool: usize,
    /// Requests in flight at once, 1 to 100,000. Default 10,000. A request beyond it is not sent, and counted as shed.
    pub max_in_flight: usize,
}

impl LoadPlan {
    /// A plan for `url` with every default.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            source_ip: None,
            resolver: None,
            rate: 100.0,
            connections: Connections::default(),
            duration: Duration::from_secs(10),
            timeout: Duration::from_secs(2),
            keep_pool: 64,
            max_in_flight: 10_000,
        }
    }

    /// Checks the ranges.
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        check_pace(self.rate, self.duration, self.timeout)?;
        check_count("keep_pool", self.keep_pool, 10_000)?;
        check_count("max_in_flight", self.max_in_flight, MAX_IN_FLIGHT)
    }
}

/// Checks what every open-loop plan has.
pub(crate) fn check_pace(rate: f64, duration: Duration, timeout: Duration) -> Result<(), LoadError> {
    if !(rate > 0.0 && rate <= MAX_RATE) {
        let range = format!("above 0 to {MAX_RATE} per second");
        return Err(LoadError::OutOfRange { what: "rate", value: rate.to_string(), range });
    }
    for (what, value, max) in [("duration", duration, MAX_DURATION), ("timeout", timeout, MAX_TIMEOUT)] {
        if value.is_zero() || value > max {
            let range = format!("above 0 to {max:?}");
            return Err(LoadError::OutOfRange { what, value: format!("{value:?}"), range });
        }
    }
    Ok(())
}

fn check_count(what: &'static str, value: usize, max: usize) -> Result<(), LoadError> {
    if (1..=max).contains(&value) {
        return Ok(());
    }
    Err(LoadError::OutOfRange { what, value: value.to_string(), range: format!("1 to {max}") })
}

/// Why a load could not start. Once it runs, failures are results.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The URL is not one that can be asked.
    #[error("cannot use the URL {url:?}: {reason}")]
    Url {
        /// The URL as given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The DNS name is not one.
    #[error("cannot use the name {name:?}: {reason}")]
    Name {
        /// The name as given.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A value of the plan is out of its range.
    #[error("{what} is {value}, accepted is {range}")]
    OutOfRange {
        /// The field.
        what: &'static str,
        /// Its value.
        value: String,
        /// What is accepted.
        range: String,
    },
    /// The source address cannot be used on this machine.
    #[error("cannot send from {ip}: {error}")]
    Source {
        /// The source address.
        ip: IpAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// Source and destination are not of one address family.
    #[error("cannot reach {destination} from {source_ip}: one is IPv4, the other IPv6")]
    Family {
        /// The source address.
        source_ip: IpAddr,
        /// The destination.
        destination: SocketAddr,
    },
    /// The URL's host has no address.
    #[error("cannot resolve {host}: {reason}")]
    Resolve {
        /// The host.
        host: String,
        /// What the resolver says.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_out_of_range_is_refused_by_name() {
        let good = LoadPlan::new("http://127.0.0.1/");
        assert!(good.check().is_ok());
        let bad = [
            ("rate", LoadPlan { rate: 0.0, ..good.clone() }),
            ("rate", LoadPlan { rate: f64::NAN, ..good.clone() }),
            ("rate", LoadPlan { rate: 100_001.0, ..good.clone() }),
            ("duration", LoadPlan { duration: Duration::ZERO, ..good.clone() }),
            ("duration", LoadPlan { duration: Duration::from_secs(86_401), ..good.clone() }),
            ("timeout", LoadPlan { timeout: Duration::from_secs(61), ..good.clone() }),
            ("keep_pool", LoadPlan { keep_pool: 0, ..good.clone() }),
            ("max_in_flight", LoadPlan { max_in_flight: 100_001, ..good }),
        ];
        for (field, plan) in bad {
            match plan.check() {
                Err(LoadError::OutOfRange { what, .. }) => assert_eq!(what, field),
                other => panic!("{field}: {other:?} for {plan:?}"),
            }
        }
    }

    #[test]
    fn a_mixed_load_keeps_every_other_connection() {
        let kept: Vec<bool> = (0..4).map(|n| Connections::Mixed.keeps(n)).collect();
        assert_eq!(kept, [false, true, false, true]);
    }
}
