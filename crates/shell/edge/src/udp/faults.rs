use std::sync::Arc;

use perigee_geo::PopIndex;
use perigee_net::{Fault, Host};
use tokio::sync::watch;

use crate::PopHosts;

/// A simulated machine's fault, looked up without a lock as long as it does not change.
#[derive(Debug)]
pub(super) struct Watched {
    faults: watch::Receiver<Fault>,
    fault: Fault,
}

impl Watched {
    pub(super) fn new(host: &Host) -> Self {
        let mut faults = host.watch();
        let fault = *faults.borrow_and_update();
        Self { faults, fault }
    }

    /// The fault now. Of a machine that is no more, the last.
    pub(super) fn now(&mut self) -> Fault {
        if self.faults.has_changed().unwrap_or(false) {
            self.fault = *self.faults.borrow_and_update();
        }
        self.fault
    }
}

/// The faults of the points of presence that this worker has met.
#[derive(Debug)]
pub(super) struct PopFaults {
    hosts: Arc<PopHosts>,
    met: Vec<Option<Watched>>,
}

impl PopFaults {
    pub(super) const fn new(hosts: Arc<PopHosts>) -> Self {
        Self { hosts, met: Vec::new() }
    }

    /// The fault of a point of presence now.
    pub(super) fn now(&mut self, pop: PopIndex) -> Fault {
        if self.met.len() <= pop.0 {
            self.met.resize_with(pop.0 + 1, || None);
        }
        self.met[pop.0].get_or_insert_with(|| Watched::new(&self.hosts.get(pop))).now()
    }

    /// Whether any of them has crashed.
    pub(super) fn any_crashed(&mut self) -> bool {
        self.met.iter_mut().flatten().any(|watched| watched.now() == Fault::Crash)
    }
}
