use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use perigee_model::{LoadBalancerName, RegionCode, ZoneName};
use perigee_net::Host;

/// What a simulated machine is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum HostKey {
    /// A load balancer node.
    Node { region: RegionCode, zone: ZoneName, load_balancer: LoadBalancerName, address: IpAddr },
    /// A target running the built-in application.
    Target { region: RegionCode, zone: ZoneName, address: SocketAddr },
}

impl HostKey {
    fn place(&self) -> (&RegionCode, &ZoneName) {
        match self {
            Self::Node { region, zone, .. } | Self::Target { region, zone, .. } => (region, zone),
        }
    }

    pub(crate) const fn is_target(&self) -> bool {
        matches!(self, Self::Target { .. })
    }

    /// Whether `what` means this machine: its region, its zone, its load balancer or itself.
    pub(crate) fn is_meant_by(&self, what: &str) -> bool {
        let (region, zone) = self.place();
        if region.as_str() == what || zone.as_str() == what {
            return true;
        }
        match self {
            Self::Node { region, load_balancer, address, .. } => {
                format!("{region}/{load_balancer}") == what || address.to_string() == what
            }
            Self::Target { address, .. } => address.to_string() == what || address.ip().to_string() == what,
        }
    }
}

/// The simulated machines of this process; they outlive reloads, with their faults.
#[derive(Debug, Default)]
pub(crate) struct Hosts(Mutex<BTreeMap<HostKey, Host>>);

impl Hosts {
    /// The machine, made when first asked for.
    pub(crate) fn get(&self, key: &HostKey) -> Host {
        let name = match key {
            HostKey::Node { region, load_balancer, zone, .. } => format!("{region}/{load_balancer} in {zone}"),
            HostKey::Target { address, .. } => format!("target {address}"),
        };
        self.lock().entry(key.clone()).or_insert_with(|| Host::new(name)).clone()
    }

    /// Every machine that `what` means, in order.
    pub(crate) fn meant_by(&self, what: &str) -> Vec<(HostKey, Host)> {
        self.lock().iter().filter(|(key, _)| key.is_meant_by(what)).map(|(k, h)| (k.clone(), h.clone())).collect()
    }

    /// Every machine, in order.
    pub(crate) fn all(&self) -> Vec<(HostKey, Host)> {
        self.lock().iter().map(|(k, h)| (k.clone(), h.clone())).collect()
    }

    /// Forgets a machine that is no longer configured.
    pub(crate) fn remove(&self, key: &HostKey) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<HostKey, Host>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_means_its_nodes_and_targets_and_a_zone_only_its_own() {
        let hosts = Hosts::default();
        for (zone, host) in [("r-1a", 1), ("r-1c", 3)] {
            hosts.get(&HostKey::Node {
                region: RegionCode::new("r-1"),
                zone: ZoneName::new(zone),
                load_balancer: LoadBalancerName::new("shop"),
                address: [127, 9, host, 1].into(),
            });
            hosts.get(&HostKey::Target {
                region: RegionCode::new("r-1"),
                zone: ZoneName::new(zone),
                address: ([127, 9, host, 10], 9000).into(),
            });
        }
        let count = |what| hosts.meant_by(what).len();
        assert_eq!(
            (count("r-1"), count("r-1a"), count("r-1/shop"), count("127.9.1.10:9000"), count("127.9.3.10")),
            (4, 2, 2, 1, 1)
        );
        assert_eq!(count("r-2"), 0);
    }
}
