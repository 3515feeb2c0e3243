use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use perigee_geo::PopIndex;
use perigee_net::Host;

/// How many network zones there are.
pub(crate) const ZONES: usize = 2;
/// Their names (`global-accelerator.md` section 2.2).
pub(crate) const ZONE_NAMES: [&str; ZONES] = ["zone-a", "zone-b"];

/// The simulated machines of the front tier, which can be killed: the points of presence, made when first used, and the
/// two network zones.
///
/// A static address belongs to a network zone: the first of each family to `zone-a`, the second to `zone-b`. A zone is
/// an infrastructure of its own in every point of presence, so when one fails its addresses are silent or refuse
/// everywhere, and a client is expected to use the other address.
#[derive(Debug)]
pub struct PopHosts {
    pops: Mutex<BTreeMap<PopIndex, Host>>,
    zones: [Host; ZONES],
}

impl Default for PopHosts {
    fn default() -> Self {
        Self { pops: Mutex::default(), zones: ZONE_NAMES.map(Host::new) }
    }
}

impl PopHosts {
    /// The machine of a point of presence.
    pub fn get(&self, pop: PopIndex) -> Host {
        let mut hosts = self.pops.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.entry(pop).or_insert_with(|| Host::new(format!("pop {}", pop.0))).clone()
    }

    /// The network zone of an accelerator's address by its position: addresses alternate between the zones.
    pub fn zone(&self, position: usize) -> Host {
        self.zones[position % ZONES].clone()
    }

    /// The network zone called `name`: `zone-a` or `zone-b`.
    pub fn find_zone(&self, name: &str) -> Option<Host> {
        self.zones.iter().find(|zone| zone.name() == name).cloned()
    }

    /// Every machine: the network zones, then the points of presence that were used.
    pub fn all(&self) -> Vec<Host> {
        let pops = self.pops.lock().unwrap_or_else(PoisonError::into_inner);
        self.zones.iter().chain(pops.values()).cloned().collect()
    }

    /// Both network zones, in order.
    pub fn zones(&self) -> &[Host] {
        &self.zones
    }
}
