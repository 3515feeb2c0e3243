use perigee_geo::Leg;
use perigee_model::AcceleratorListener;

/// The endpoint groups of one listener that have endpoints, closest first, as seen from one place.
///
/// It depends on configuration and geography alone, so one is made for each listener and edge and serves every flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupOrder {
    closest: Box<[usize]>,
}

impl GroupOrder {
    /// The groups of `listener` in the order of their regions in `regions`; those whose region is not in it come last,
    /// in the listener's order.
    pub fn new(listener: &AcceleratorListener, regions: &[Leg]) -> Self {
        let mut groups: Vec<(usize, usize)> = (listener.endpoint_groups.iter().enumerate())
            .filter(|(_, g)| !g.endpoints.is_empty())
            .map(|(i, g)| (regions.iter().position(|leg| leg.region == g.region).unwrap_or(usize::MAX), i))
            .collect();
        groups.sort_unstable();
        Self { closest: groups.into_iter().map(|(_, i)| i).collect() }
    }

    /// Positions of the groups in the listener, closest first.
    pub fn closest(&self) -> impl DoubleEndedIterator<Item = usize> + Clone {
        self.closest.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use perigee_model::{RegionIndex, fixtures};

    use super::*;

    #[test]
    fn empty_groups_are_left_out_and_unordered_regions_come_last() {
        let mut listener = fixtures::snapshot(&["a", "b", "c", "d"]).accelerators.remove(0).listeners.remove(0);
        listener.endpoint_groups[1].endpoints.clear();
        let legs = [3, 1, 0].map(|i| Leg { region: RegionIndex(i), rtt_ms: 0.0, measured: true });
        let order: Vec<usize> = GroupOrder::new(&listener, &legs).closest().collect();
        assert_eq!(order, [3, 0, 2]);
    }
}
