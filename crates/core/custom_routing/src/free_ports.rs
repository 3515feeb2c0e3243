use perigee_model::PortRange;

/// Ports of a listener that lead nowhere yet: ascending runs that neither touch nor overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FreePorts(Vec<PortRange>);

impl FreePorts {
    /// All ports of `ranges`, which may touch and overlap; one that ends before it begins has none.
    pub(crate) fn of(ranges: &[PortRange]) -> Self {
        let mut sorted: Vec<PortRange> = ranges.iter().copied().filter(|r| r.from_port <= r.to_port).collect();
        sorted.sort_unstable_by_key(|r| r.from_port);
        let mut runs: Vec<PortRange> = Vec::new();
        for range in sorted {
            match runs.last_mut() {
                Some(run) if u32::from(range.from_port) <= u32::from(run.to_port) + 1 => {
                    run.to_port = run.to_port.max(range.to_port);
                }
                _ => runs.push(range),
            }
        }
        Self(runs)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        self.0.iter().map(|r| length(*r)).sum()
    }

    /// Whether all of `range` is free.
    pub(crate) fn covers(&self, range: PortRange) -> bool {
        self.0.iter().any(|run| run.from_port <= range.from_port && range.to_port <= run.to_port)
    }

    /// Whether any port of `range` is free.
    pub(crate) fn touches(&self, range: PortRange) -> bool {
        self.0.iter().any(|run| run.overlaps(range))
    }

    /// Takes the ports of `range` out.
    pub(crate) fn remove(&mut self, range: PortRange) {
        let mut left = Vec::with_capacity(self.0.len() + 1);
        for run in &self.0 {
            if !run.overlaps(range) {
                left.push(*run);
                continue;
            }
            if run.from_port < range.from_port {
                left.push(PortRange { from_port: run.from_port, to_port: range.from_port - 1 });
            }
            if run.to_port > range.to_port {
                left.push(PortRange { from_port: range.to_port + 1, to_port: run.to_port });
            }
        }
        self.0 = left;
    }

    /// Takes `count` ports: the first run that has them all, from its start; where none has, the lowest ports there are,
    /// in ascending pieces. None, and nothing taken, when there are too few.
    pub(crate) fn take(&mut self, count: u32) -> Option<Vec<PortRange>> {
        if count > self.count() {
            return None;
        }
        let mut pieces = Vec::new();
        let mut left = count;
        let whole = self.0.iter().copied().find(|run| length(*run) >= count);
        for run in whole.map_or_else(|| self.0.clone(), |run| vec![run]) {
            if left == 0 {
                break;
            }
            let taken = left.min(length(run));
            // At least one and at most the run's length, so the sum stays a port.
            let piece = PortRange { from_port: run.from_port, to_port: run.from_port + (taken - 1) as u16 };
            self.remove(piece);
            pieces.push(piece);
            left -= taken;
        }
        Some(pieces)
    }
}

/// How many ports a range has.
pub(crate) const fn length(range: PortRange) -> u32 {
    range.to_port as u32 - range.from_port as u32 + 1
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn range(from_port: u16, to_port: u16) -> PortRange {
        PortRange { from_port, to_port }
    }

    #[test]
    fn the_first_run_that_holds_all_is_taken_before_pieces_are() {
        let mut free = FreePorts::of(&[range(100, 109), range(200, 229), range(230, 239)]);
        assert_eq!(free.take(40), Some(vec![range(200, 239)]), "ranges that touch are one run");
        let mut free = FreePorts::of(&[range(100, 109), range(200, 229)]);
        assert_eq!(free.take(35), Some(vec![range(100, 109), range(200, 224)]));
        assert_eq!((free.take(6), free.take(0), free.take(5)), (None, Some(vec![]), Some(vec![range(225, 229)])));
        assert_eq!(free.count(), 0);
    }

    #[test]
    fn all_ports_there_are_can_be_taken_at_once() {
        let mut free = FreePorts::of(&[range(0, u16::MAX)]);
        assert_eq!(free.take(65_536), Some(vec![range(0, u16::MAX)]));
    }

    proptest! {
        #[test]
        fn taking_and_removing_is_what_it_is_in_a_set(
            ranges in prop::collection::vec((0..200_u16, 0..40_u16), 1..5),
            steps in prop::collection::vec((any::<bool>(), 0..240_u16, 0..40_u16), 0..12),
        ) {
            let ranges: Vec<PortRange> = ranges.into_iter().map(|(from, more)| range(from, from + more)).collect();
            let mut set: BTreeSet<u16> = ranges.iter().flat_map(|r| r.from_port..=r.to_port).collect();
            let mut free = FreePorts::of(&ranges);
            for (take, from, more) in steps {
                if take {
                    let taken = free.take(more.into());
                    prop_assert_eq!(taken.is_some(), usize::from(more) <= set.len());
                    let ports: Vec<u16> = taken.into_iter().flatten().flat_map(|r| r.from_port..=r.to_port).collect();
                    prop_assert!(ports.is_sorted() && ports.iter().all(|p| set.remove(p)));
                } else {
                    let out = range(from, from + more);
                    prop_assert_eq!(free.covers(out), (from..=from + more).all(|p| set.contains(&p)));
                    prop_assert_eq!(free.touches(out), (from..=from + more).any(|p| set.contains(&p)));
                    free.remove(out);
                    set.retain(|p| !out.contains(*p));
                }
                let listed: Vec<u16> = free.0.iter().flat_map(|r| r.from_port..=r.to_port).collect();
                prop_assert_eq!(listed, set.iter().copied().collect::<Vec<_>>());
            }
        }
    }
}
