/// Chooses in turn.
///
/// The state is the number of the member chosen last, not a position, so members may come and go between two picks:
/// the turn goes on with the next higher number and wraps round. Deterministic; takes no time and draws nothing.
///
/// Source: Nagle, "On packet switches with infinite storage" (1987), the ALB's default algorithm; the cursor over
/// registration numbers as in `algorithms.md` section 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoundRobin {
    last: Option<u64>,
    offset: usize,
}

impl RoundRobin {
    /// A turn whose first pick is the `offset`-th member (modulo their count), so that balancers that start together
    /// do not all begin with the same one.
    pub const fn starting_at(offset: usize) -> Self {
        Self { last: None, offset }
    }

    /// The member whose turn it is, and moves on. None without members.
    ///
    /// `eligible` holds the members' numbers in ascending order; anything else gives an unfair turn.
    pub fn pick(&mut self, eligible: &[u64]) -> Option<u64> {
        let next = self.peek(eligible)?;
        self.last = Some(next);
        Some(next)
    }

    /// The member that [`Self::pick`] would choose.
    pub fn peek(&self, eligible: &[u64]) -> Option<u64> {
        let count = eligible.len();
        let at = match self.last {
            Some(last) => eligible.partition_point(|n| *n <= last),
            None => self.offset,
        };
        if count == 0 { None } else { eligible.get(at % count).copied() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(rr: &mut RoundRobin, members: &[u64], n: usize) -> Vec<u64> {
        (0..n).filter_map(|_| rr.pick(members)).collect()
    }

    #[test]
    fn members_take_turns_and_a_removed_one_is_skipped() {
        let mut rr = RoundRobin::default();
        assert_eq!(picks(&mut rr, &[0, 1, 2], 7), [0, 1, 2, 0, 1, 2, 0]);
        let mut rr = RoundRobin::default();
        assert_eq!(picks(&mut rr, &[0, 1, 2], 4), [0, 1, 2, 0]);
        assert_eq!(picks(&mut rr, &[0, 2], 3), [2, 0, 2]);
    }

    #[test]
    fn nobody_is_chosen_from_nobody() {
        assert_eq!(RoundRobin::default().pick(&[]), None);
    }

    #[test]
    fn the_offset_moves_the_first_pick_and_wraps() {
        for (offset, first) in [(0, 3), (1, 5), (2, 9), (3, 3), (7, 5)] {
            assert_eq!(picks(&mut RoundRobin::starting_at(offset), &[3, 5, 9], 1), [first]);
        }
    }

    #[test]
    fn every_member_is_chosen_equally_often_whatever_the_others_do() {
        // Members 0 and 4 stay throughout; 1 to 3 come and go. Nobody who stays waits longer than one full turn.
        let mut rr = RoundRobin::default();
        let mut waited = [0_usize; 5];
        for round in 0..1_000_u64 {
            let members: Vec<u64> = (0..5).filter(|m| matches!(m, 0 | 4) || (round / (m + 1)) % 2 == 0).collect();
            let chosen = rr.pick(&members).expect("there are members");
            for stays in [0, 4_usize] {
                waited[stays] = if chosen == stays as u64 { 0 } else { waited[stays] + 1 };
                assert!(waited[stays] < 5, "member {stays} was passed over at {round}");
            }
        }
    }
}
