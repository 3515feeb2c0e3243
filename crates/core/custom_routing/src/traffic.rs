use perigee_model::{TrafficRule, TrafficScope, TrafficState};

use crate::{DestinationPorts, UsableAddresses};

/// Which destinations of one endpoint take traffic: a bit for each, so that any number of rules costs the same.
///
/// Every mapped destination has a port of the accelerator, so there are at most 65,535 of them and 8 KiB of bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Set where traffic is allowed; address-major, port-minor.
    allowed: Box<[u64]>,
    /// How many destinations there are.
    count: u32,
    /// How many of them are allowed.
    allowed_count: u32,
}

impl Traffic {
    /// What `rules` leave, each applied over those before it; a destination that none speaks of is denied. For
    /// endpoints that have found ports only: nothing else bounds their destinations.
    ///
    /// Addresses and ports that the endpoint does not have are nobody's: who takes rules from outside refuses them
    /// first, by [`UsableAddresses::index_of`] and [`DestinationPorts::index_of`].
    pub(crate) fn of(rules: &[TrafficRule], addresses: UsableAddresses, ports: &DestinationPorts) -> Self {
        let count = addresses.len().saturating_mul(ports.len());
        let mut traffic = Self { allowed: vec![0; count.div_ceil(64) as usize].into(), count, allowed_count: 0 };
        for rule in rules {
            traffic.apply(rule, addresses, ports);
        }
        traffic.allowed_count = traffic.allowed.iter().map(|word| word.count_ones()).sum();
        traffic
    }

    /// The state of the destination at `offset`; what does not exist is denied.
    pub(crate) fn state(&self, offset: u32) -> TrafficState {
        let is_set = offset < self.count && self.allowed[offset as usize / 64] >> (offset % 64) & 1 == 1;
        if is_set { TrafficState::Allow } else { TrafficState::Deny }
    }

    /// How many destinations are allowed.
    pub(crate) const fn allowed(&self) -> u32 {
        self.allowed_count
    }

    fn apply(&mut self, rule: &TrafficRule, addresses: UsableAddresses, ports: &DestinationPorts) {
        let state = rule.state;
        match &rule.scope {
            TrafficScope::Subnet => self.set(0, self.count, state),
            TrafficScope::Destinations { addresses: some, ports: chosen } => {
                for start in some.iter().filter_map(|a| addresses.index_of(*a)).map(|index| index * ports.len()) {
                    if chosen.is_empty() {
                        self.set(start, ports.len(), state);
                    }
                    for index in chosen.iter().filter_map(|port| ports.index_of(*port)) {
                        self.set(start + index, 1, state);
                    }
                }
            }
        }
    }

    /// Sets `length` destinations from `offset`, a word at a time.
    fn set(&mut self, offset: u32, length: u32, state: TrafficState) {
        let (mut at, end) = (offset, offset + length);
        while at < end {
            let bits = (64 - at % 64).min(end - at);
            let mask = (u64::MAX >> (64 - bits)) << (at % 64);
            let word = &mut self.allowed[at as usize / 64];
            match state {
                TrafficState::Allow => *word |= mask,
                TrafficState::Deny => *word &= !mask,
            }
            at += bits;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;

    use perigee_model::{DestinationConfiguration, PortRange, Protocols};
    use proptest::prelude::*;

    use super::*;

    const PORTS: u16 = 7;

    fn ports() -> DestinationPorts {
        let port_range = PortRange { from_port: 100, to_port: 99 + PORTS };
        let protocols = Protocols { tcp: true, udp: false };
        DestinationPorts::of(&[DestinationConfiguration { port_range, protocols }])
    }

    fn subnet() -> UsableAddresses {
        UsableAddresses::of("10.0.0.0/27".parse().unwrap())
    }

    /// A rule whose addresses and ports are partly none of the endpoint's.
    fn rule() -> impl Strategy<Value = TrafficRule> {
        let addresses = prop::collection::vec((0..33_u8).prop_map(|last| Ipv4Addr::new(10, 0, 0, last)), 1..5);
        let scope = prop_oneof![
            1 => Just(TrafficScope::Subnet),
            4 => (addresses, prop::collection::vec(98..110_u16, 0..4))
                .prop_map(|(addresses, ports)| TrafficScope::Destinations { addresses, ports }),
        ];
        (any::<bool>(), scope).prop_map(|(allow, scope)| TrafficRule {
            state: if allow { TrafficState::Allow } else { TrafficState::Deny },
            scope,
        })
    }

    proptest! {
        #[test]
        fn the_last_rule_that_speaks_of_a_destination_decides(rules in prop::collection::vec(rule(), 0..12)) {
            let mut model: BTreeMap<(Ipv4Addr, u16), TrafficState> = BTreeMap::new();
            for (address, port) in
                (0..subnet().len()).filter_map(|i| subnet().get(i)).flat_map(|a| (100..100 + PORTS).map(move |p| (a, p)))
            {
                let speaks = |rule: &&TrafficRule| match &rule.scope {
                    TrafficScope::Subnet => true,
                    TrafficScope::Destinations { addresses, ports } => {
                        addresses.contains(&address) && (ports.is_empty() || ports.contains(&port))
                    }
                };
                model.insert((address, port), rules.iter().rfind(speaks).map_or(TrafficState::Deny, |r| r.state));
            }
            let traffic = Traffic::of(&rules, subnet(), &ports());
            let states: Vec<TrafficState> = (0..model.len() as u32).map(|offset| traffic.state(offset)).collect();
            prop_assert_eq!(&states, &model.values().copied().collect::<Vec<_>>());
            let allowed = states.iter().filter(|s| **s == TrafficState::Allow).count();
            prop_assert_eq!(traffic.allowed() as usize, allowed);
            prop_assert_eq!(traffic.state(model.len() as u32), TrafficState::Deny);
        }
    }
}
