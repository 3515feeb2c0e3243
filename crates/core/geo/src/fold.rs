/// Rounds a list of ranges to blocks of a fixed size: each block takes the value of most of its addresses.
///
/// The ranges come in ascending order, without gaps, from the first address of the space to the last. Of equal
/// counts the one that began at the lower address wins. Source: `spec/dns.md` §4.3, point 5.
pub(crate) struct Folder {
    block_bits: u32,
    /// Start of the block that is being counted; meaningless while `votes` is empty.
    block: u128,
    /// Value and number of addresses, in order of first appearance.
    votes: Vec<(u32, u128)>,
}

impl Folder {
    /// A folder to blocks of `2^block_bits` addresses, 0 to 127.
    pub(crate) const fn new(block_bits: u32) -> Self {
        Self { block_bits, block: 0, votes: Vec::new() }
    }

    /// Takes the range `first` to `last`, both inclusive, and hands to `out` the start of every block or run of
    /// blocks whose value it settles.
    pub(crate) fn push(&mut self, first: u128, last: u128, value: u32, out: &mut impl FnMut(u128, u32)) {
        let mask = (1_u128 << self.block_bits) - 1;
        let mut start = first;
        loop {
            let block_last = start | mask;
            let next = if start & mask == 0 && last >= block_last {
                out(start, value);
                // The whole blocks of the range: all of it, less a piece of a block at its end.
                match last.checked_add(1) {
                    None => return,
                    Some(end) => end & !mask,
                }
            } else {
                let piece_last = last.min(block_last);
                if start & mask == 0 {
                    self.block = start;
                    self.votes.clear();
                }
                let count = piece_last - start + 1;
                match self.votes.iter_mut().find(|(v, _)| *v == value) {
                    Some((_, sum)) => *sum += count,
                    None => self.votes.push((value, count)),
                }
                if piece_last == block_last {
                    self.settle(out);
                }
                match piece_last.checked_add(1) {
                    None => return,
                    Some(next) => next,
                }
            };
            if next > last {
                return;
            }
            start = next;
        }
    }

    fn settle(&mut self, out: &mut impl FnMut(u128, u32)) {
        // `max_by_key` keeps the last of equals, so the reversed order keeps the first.
        if let Some((winner, _)) = self.votes.drain(..).rev().max_by_key(|(_, count)| *count) {
            out(self.block, winner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(block_bits: u32, ranges: &[(u128, u128, u32)]) -> Vec<(u128, u32)> {
        let mut got = Vec::new();
        let mut folder = Folder::new(block_bits);
        for (first, last, value) in ranges {
            folder.push(*first, *last, *value, &mut |start, value| got.push((start, value)));
        }
        got
    }

    #[test]
    fn a_block_takes_the_value_of_most_of_its_addresses() {
        let ranges = [(0, 255, 1), (256, 300, 2), (301, 511, 3), (512, 1_023, 4)];
        assert_eq!(folded(8, &ranges), [(0, 1), (256, 3), (512, 4)]);
    }

    #[test]
    fn pieces_of_one_value_count_together_and_the_lower_of_equals_wins() {
        let ranges = [(0, 63, 1), (64, 127, 2), (128, 191, 1), (192, 255, 3), (256, 383, 5), (384, 511, 4)];
        assert_eq!(folded(8, &ranges), [(0, 1), (256, 5)]);
    }

    #[test]
    fn a_range_may_begin_and_end_inside_a_block() {
        let ranges = [(0, 9, 1), (10, 1_000, 2), (1_001, 1_023, 3)];
        assert_eq!(folded(8, &ranges), [(0, 2), (256, 2), (768, 2)]);
    }

    #[test]
    fn the_last_address_of_the_space_ends_the_list() {
        assert_eq!(folded(80, &[(0, u128::MAX - 1, 1), (u128::MAX, u128::MAX, 2)]).last(), Some(&(u128::MAX << 80, 1)));
    }
}
