use perigee_model::{DestinationConfiguration, Protocols};

/// The ports that each destination address of an endpoint group has, ascending, each with its protocols.
///
/// A port named by several configurations is one port that speaks what any of them says: one port of the accelerator
/// serves all protocols of its destination (`global-accelerator.md` section 11). Held as runs of alike ports, at most
/// two for each configuration and one more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DestinationPorts {
    runs: Box<[Run]>,
    count: u32,
}

/// Ports that follow each other and speak the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    first: u16,
    last: u16,
    /// Index of the first.
    index: u32,
    protocols: Protocols,
}

impl DestinationPorts {
    /// The ports of all `configurations` together; a range that ends before it begins has none.
    pub fn of(configurations: &[DestinationConfiguration]) -> Self {
        let ranges = || configurations.iter().map(|c| (c, c.port_range)).filter(|(_, r)| r.from_port <= r.to_port);
        // Where something begins or has ended: between two neighbours all ports are alike.
        let mut edges: Vec<u32> =
            ranges().flat_map(|(_, r)| [u32::from(r.from_port), u32::from(r.to_port) + 1]).collect();
        edges.sort_unstable();
        edges.dedup();
        let mut runs: Vec<Run> = Vec::new();
        let mut count = 0;
        for pair in edges.windows(2) {
            // An edge that begins a stretch is a port; the last edge alone may be 65536.
            let (first, last) = (pair[0] as u16, (pair[1] - 1) as u16);
            let here = ranges().filter(|(_, r)| r.contains(first)).map(|(c, _)| c.protocols);
            let protocols = here.fold(Protocols::default(), Protocols::or);
            if protocols.is_empty() {
                continue;
            }
            match runs.last_mut() {
                Some(run) if run.last.checked_add(1) == Some(first) && run.protocols == protocols => run.last = last,
                _ => runs.push(Run { first, last, index: count, protocols }),
            }
            count += u32::from(last - first) + 1;
        }
        Self { runs: runs.into(), count }
    }

    /// How many ports each address has, 0 to 65,536.
    pub const fn len(&self) -> u32 {
        self.count
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The port at `index`, ascending from 0, and what it speaks.
    pub fn get(&self, index: u32) -> Option<(u16, Protocols)> {
        if index >= self.count {
            return None;
        }
        let run = &self.runs[self.runs.partition_point(|r| r.index <= index) - 1];
        // Below the run's length, so within the ports.
        Some((run.first + (index - run.index) as u16, run.protocols))
    }

    /// The index of `port`; none when no configuration has it.
    pub fn index_of(&self, port: u16) -> Option<u32> {
        let run = self.runs[..self.runs.partition_point(|r| r.first <= port)].last()?;
        (port <= run.last).then(|| run.index + u32::from(port - run.first))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use perigee_model::PortRange;
    use proptest::prelude::*;

    use super::*;

    fn configuration((from_port, to_port, tcp, udp): (u16, u16, bool, bool)) -> DestinationConfiguration {
        DestinationConfiguration { port_range: PortRange { from_port, to_port }, protocols: Protocols { tcp, udp } }
    }

    #[test]
    fn a_port_of_two_configurations_is_one_port_that_speaks_both() {
        let ports =
            DestinationPorts::of(&[configuration((80, 82, true, false)), configuration((82, 65_535, false, true))]);
        assert_eq!(ports.len(), 65_456);
        assert_eq!(ports.get(2), Some((82, Protocols { tcp: true, udp: true })));
        assert_eq!(ports.get(65_455), Some((65_535, Protocols { tcp: false, udp: true })));
        assert_eq!((ports.get(65_456), ports.index_of(79)), (None, None));
    }

    proptest! {
        #[test]
        fn ports_are_those_of_a_table(
            list in prop::collection::vec((1..60_u16, 1..60_u16, any::<bool>(), any::<bool>()), 0..8),
        ) {
            let mut table: BTreeMap<u16, Protocols> = BTreeMap::new();
            for (from, to, tcp, udp) in list.iter().copied().filter(|(_, _, tcp, udp)| *tcp || *udp) {
                for port in from..=to {
                    let known = table.entry(port).or_default();
                    *known = known.or(Protocols { tcp, udp });
                }
            }
            let ports = DestinationPorts::of(&list.iter().copied().map(configuration).collect::<Vec<_>>());
            prop_assert_eq!(ports.len() as usize, table.len());
            let listed: Vec<_> = (0..ports.len()).filter_map(|i| ports.get(i)).collect();
            prop_assert_eq!(listed, table.clone().into_iter().collect::<Vec<_>>());
            for port in 0..70 {
                let at = table.keys().position(|p| *p == port).map(|i| i as u32);
                prop_assert_eq!(ports.index_of(port), at);
            }
            prop_assert!(ports.runs.len() <= 2 * list.len() + 1);
        }
    }
}
