/// A map of a whole address space by ranges: each start holds until the next one.
///
/// Two arrays instead of a tree: a third of the memory, one binary search per lookup. The first start is the least
/// key, and neighbours always differ in value, so a range is as wide as its value reaches.
#[derive(Clone, Debug)]
pub(crate) struct RangeMap<K> {
    starts: Vec<K>,
    values: Vec<u32>,
}

impl<K: Copy + Ord> RangeMap<K> {
    pub(crate) const fn new() -> Self {
        Self { starts: Vec::new(), values: Vec::new() }
    }

    /// Says that `value` holds from `start` on. Starts come in ascending order, the first with the least key.
    pub(crate) fn push(&mut self, start: K, value: u32) {
        if self.values.last() != Some(&value) {
            self.starts.push(start);
            self.values.push(value);
        }
    }

    pub(crate) fn finish(mut self) -> Self {
        self.starts.shrink_to_fit();
        self.values.shrink_to_fit();
        self
    }

    pub(crate) fn get(&self, key: K) -> u32 {
        self.values[self.position(key)]
    }

    /// The value at `key`, the start of its range and the start of the next one, if any.
    pub(crate) fn range(&self, key: K) -> (u32, K, Option<K>) {
        let i = self.position(key);
        (self.values[i], self.starts[i], self.starts.get(i + 1).copied())
    }

    /// Starts and values, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, u32)> {
        self.starts.iter().copied().zip(self.values.iter().copied())
    }

    /// Every range's start, the start of the next one if any, and the value; ascending.
    pub(crate) fn into_ranges(self) -> impl Iterator<Item = (K, Option<K>, u32)> {
        let Self { starts, values } = self;
        (0..starts.len()).map(move |i| (starts[i], starts.get(i + 1).copied(), values[i]))
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    /// This map with `top` laid over it: where `top` has `hole`, this map shows through.
    pub(crate) fn overlaid(&self, top: &Self, hole: u32) -> Self {
        let mut out = Self::new();
        let (mut below, mut above) = (self.iter().peekable(), top.iter().peekable());
        let (mut under, mut over) = (hole, hole);
        loop {
            let start = match (below.peek(), above.peek()) {
                (None, None) => return out.finish(),
                (Some((a, _)), Some((b, _))) => *a.min(b),
                (Some((a, _)), None) | (None, Some((a, _))) => *a,
            };
            if let Some((_, value)) = below.next_if(|(s, _)| *s == start) {
                under = value;
            }
            if let Some((_, value)) = above.next_if(|(s, _)| *s == start) {
                over = value;
            }
            out.push(start, if over == hole { under } else { over });
        }
    }

    fn position(&self, key: K) -> usize {
        self.starts.partition_point(|s| *s <= key).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(ranges: &[(u32, u32)]) -> RangeMap<u32> {
        let mut map = RangeMap::new();
        for (start, value) in ranges {
            map.push(*start, *value);
        }
        map.finish()
    }

    #[test]
    fn equal_neighbours_become_one_range() {
        let map = map(&[(0, 7), (10, 7), (20, 8)]);
        assert_eq!(map.range(15), (7, 0, Some(20)));
        assert_eq!(map.range(u32::MAX), (8, 20, None));
    }

    #[test]
    fn a_hole_in_the_upper_map_shows_the_lower_one() {
        let base = map(&[(0, 1), (100, 2)]);
        let top = map(&[(0, 9), (50, 5), (60, 9), (90, 5), (110, 9)]);
        let got: Vec<(u32, u32)> = base.overlaid(&top, 9).iter().collect();
        assert_eq!(got, [(0, 1), (50, 5), (60, 1), (90, 5), (110, 2)]);
    }
}
