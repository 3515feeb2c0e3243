use std::sync::Arc;

use perigee_geo::PopIndex;
use perigee_net::{Fault, Host};
use tokio::sync::watch;

use crate::PopHosts;

/// A simulated machine's fault, looked up without a lock as long as it does not change.
#[derive(Debug)]
struct Watched {
    faults: watch::Receiver<Fault>,
    fault: Fault,
}

impl Watched {
    fn new(host: &Host) -> Self {
        let mut faults = host.watch();
        let fault = *faults.borrow_and_update();
        Self { faults, fault }
    }

    /// The fault now. Of a machine that is no more, the last.
    fn now(&mut self) -> Fault {
        if self.faults.has_changed().unwrap_or(false) {
            self.fault = *self.faults.borrow_and_update();
        }
        self.fault
    }
}

/// The faults of the network zones, and of the points of presence that this worker has met.
#[derive(Debug)]
pub(super) struct Faults {
    hosts: Arc<PopHosts>,
    zones: Vec<Watched>,
    pops: Vec<Option<Watched>>,
}

impl Faults {
    pub(super) fn new(hosts: Arc<PopHosts>) -> Self {
        Self { zones: hosts.zones().iter().map(Watched::new).collect(), pops: Vec::new(), hosts }
    }

    /// The fault of a network zone now.
    pub(super) fn zone(&mut self, zone: usize) -> Fault {
        self.zones.get_mut(zone).map_or(Fault::None, Watched::now)
    }

    /// The fault of a point of presence now.
    pub(super) fn pop(&mut self, pop: PopIndex) -> Fault {
        if self.pops.len() <= pop.0 {
            self.pops.resize_with(pop.0 + 1, || None);
        }
        self.pops[pop.0].get_or_insert_with(|| Watched::new(&self.hosts.get(pop))).now()
    }

    /// Whether any of them has crashed.
    pub(super) fn any_crashed(&mut self) -> bool {
        self.zones.iter_mut().chain(self.pops.iter_mut().flatten()).any(|watched| watched.now() == Fault::Crash)
    }
}
