//! What was broken when, which tells whether the end of a stream has an excuse.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::stream::Identity;

/// How long after an incident what it did may still be felt: refused connects, detection, recovery.
const AFTERMATH: Duration = Duration::from_secs(3);

/// Who was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// An endpoint, by its number.
    Endpoint(u64),
    /// The edge itself: its flows are reset.
    Edge,
}

#[derive(Clone, Copy, Debug)]
struct Incident {
    broken: Broken,
    from: Instant,
    until: Option<Instant>,
}

/// The incidents so far.
#[derive(Debug, Default)]
pub struct Journal(Mutex<Vec<Incident>>);

impl Journal {
    /// To be called before something is broken.
    pub fn breaks(&self, broken: Broken) {
        let incident = Incident { broken, from: Instant::now(), until: None };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(incident);
    }

    /// To be called when it has been mended.
    pub fn mended(&self, broken: Broken) {
        let mut incidents = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for incident in incidents.iter_mut().filter(|i| i.broken == broken && i.until.is_none()) {
            incident.until = Some(Instant::now());
        }
    }

    /// Whether a stream may have failed: within its life the edge was broken, or its own endpoint, or for one that
    /// never reached an endpoint any of them.
    pub fn excuses(&self, from: Instant, until: Instant, endpoint: Option<Identity>) -> bool {
        let incidents = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        incidents.iter().any(|incident| {
            let meant = match (incident.broken, endpoint) {
                (Broken::Edge, _) | (Broken::Endpoint(_), None) => true,
                (Broken::Endpoint(number), Some(identity)) => number == identity.endpoint,
            };
            meant && incident.from <= until && incident.until.is_none_or(|end| end + AFTERMATH >= from)
        })
    }
}
