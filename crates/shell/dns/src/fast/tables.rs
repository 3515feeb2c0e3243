use std::net::IpAddr;
use std::sync::Arc;

use perigee_dataplane::EdgeView;
use perigee_geo::Leg;
use perigee_health::HealthState;
use perigee_model::{LoadBalancerIndex, RegionIndex};

use super::names::Names;
use super::write::Writer;
use super::{A, AAAA};

/// Addresses of both families, ready to be written.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    v4: Vec<[u8; 4]>,
    v6: Vec<[u8; 16]>,
}

impl Addresses {
    pub(super) const NONE: Self = Self { v4: Vec::new(), v6: Vec::new() };

    pub(super) fn of(addresses: &[IpAddr]) -> Self {
        let mut of = Self::default();
        for address in addresses {
            match address {
                IpAddr::V4(v4) => of.v4.push(v4.octets()),
                IpAddr::V6(v6) => of.v6.push(v6.octets()),
            }
        }
        of
    }

    /// Whether there is none of the type asked for.
    pub(super) const fn is_empty(&self, qtype: u16) -> bool {
        match qtype {
            A => self.v4.is_empty(),
            AAAA => self.v6.is_empty(),
            _ => true,
        }
    }

    /// Writes those of the type asked for, starting with another one at each turn.
    pub(super) fn write(&self, writer: &mut Writer<'_>, qtype: u16, ttl_s: u32, turn: u64) -> Option<()> {
        match qtype {
            A => rotated(&self.v4, turn, |address| writer.put_address(qtype, ttl_s, address)),
            AAAA => rotated(&self.v6, turn, |address| writer.put_address(qtype, ttl_s, address)),
            _ => None,
        }
    }
}

fn rotated<T>(all: &[T], turn: u64, mut write: impl FnMut(&T) -> Option<()>) -> Option<()> {
    let (last, first) = all.split_at(turn.checked_rem(all.len() as u64)? as usize);
    first.iter().chain(last).try_for_each(&mut write)
}

/// The load balancers of one name in all regions, and which of them are to be used now.
#[derive(Debug)]
pub(super) struct Service {
    /// By region: the load balancer if there is one, and whether it is to be used.
    regions: Box<[Option<(LoadBalancerIndex, bool)>]>,
    /// Whether any is not to be used, which lowers the TTL.
    pub(super) degraded: bool,
}

impl Service {
    /// The one of the first region in `order` that is to be used; the first of all if none is.
    pub(super) fn choose(&self, order: &[Leg]) -> Option<(RegionIndex, LoadBalancerIndex)> {
        let of = |leg: &Leg| self.regions.get(leg.region.0).copied().flatten().map(|(lb, used)| (leg.region, lb, used));
        let mut all = order.iter().filter_map(of);
        let first = all.next()?;
        let chosen = if first.2 { first } else { all.find(|(_, _, used)| *used).unwrap_or(first) };
        Some((chosen.0, chosen.1))
    }
}

/// What is answered under one view.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(super) view: Arc<EdgeView>,
    pub(super) names: Arc<Names>,
    /// By load balancer: the addresses of its nodes in service.
    pub(super) balancers: Box<[Addresses]>,
    /// As in [`Names::services`].
    pub(super) services: Box<[Service]>,
}

impl Tables {
    pub(super) fn new(view: Arc<EdgeView>, names: Arc<Names>) -> Self {
        let balancers = (0..view.snapshot.load_balancers.len())
            .map(|lb| Addresses::of(&view.load_balancer_addresses(LoadBalancerIndex(lb)).0))
            .collect();
        let health = |lb| view.health.load_balancer(lb).effective();
        let service = |of_region: &[Option<LoadBalancerIndex>]| {
            let any_healthy = of_region.iter().flatten().any(|lb| health(*lb) == HealthState::Healthy);
            // Who was not judged yet is used as long as nobody is known to be healthy, as `perigee_steering::answer` has it.
            let wanted = if any_healthy { HealthState::Healthy } else { HealthState::Initial };
            let regions: Box<[_]> = of_region.iter().map(|lb| lb.map(|lb| (lb, health(lb) == wanted))).collect();
            let degraded = regions.iter().flatten().any(|(_, used)| !used);
            Service { regions, degraded }
        };
        let services = names.services.iter().map(|of_region| service(of_region)).collect();
        Self { balancers, services, names, view }
    }
}
