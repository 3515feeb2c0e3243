use ipnet::IpNet;

use crate::overlay::bits;
use crate::range_map::RangeMap;

/// One family's networks as a map: the longest network around an address gives its class, `outside` is the rest.
///
/// One sweep in address order with the open networks on a stack: networks nest and never cross.
pub(super) fn flattened<K: Copy + Ord>(
    networks: &[(IpNet, u32)],
    ipv4: bool,
    outside: u32,
    key: impl Fn(u128) -> K,
) -> RangeMap<K> {
    let of_family = networks.iter().filter(|(net, _)| net.network().is_ipv4() == ipv4);
    let mut sorted: Vec<(u128, u8, u128, u32)> =
        of_family.map(|(net, class)| (bits(net.network()), net.prefix_len(), bits(net.broadcast()), *class)).collect();
    // Stable, so that of equal networks the first stays first.
    sorted.sort_by_key(|(first, len, ..)| (*first, *len));
    sorted.dedup_by_key(|(first, len, ..)| (*first, *len));
    let space_last = if ipv4 { u32::MAX.into() } else { u128::MAX };
    let mut sweep = Sweep { starts: vec![(0, outside)], open: Vec::new(), outside, space_last };
    for (first, _, last, class) in sorted {
        sweep.close_before(Some(first));
        sweep.starts.push((first, class));
        sweep.open.push((last, class));
    }
    sweep.close_before(None);
    let starts = sweep.starts;
    let mut map = RangeMap::new();
    // Of several starts at one address the last said counts.
    for (i, (start, class)) in starts.iter().enumerate() {
        if starts.get(i + 1).is_none_or(|(next, _)| next != start) {
            map.push(key(*start), *class);
        }
    }
    map.finish()
}

struct Sweep {
    starts: Vec<(u128, u32)>,
    /// Last address and class of the networks around the sweep's position, the innermost last.
    open: Vec<(u128, u32)>,
    outside: u32,
    space_last: u128,
}

impl Sweep {
    /// Ends the networks that end before `limit`, all without one.
    fn close_before(&mut self, limit: Option<u128>) {
        while let Some((last, _)) = self.open.pop_if(|(last, _)| limit.is_none_or(|limit| *last < limit)) {
            if last < self.space_last {
                self.starts.push((last + 1, self.open.last().map_or(self.outside, |(_, class)| *class)));
            }
        }
    }
}
