use std::net::Ipv4Addr;
use std::time::Duration;

use perigee_geo::PlaceIndex;
use perigee_model::Instant;

use super::AnswerId;

/// Changes of answer that a slot remembers. Perigee's choice: with a TTL of 30 s it reaches back four minutes of an
/// answer that turns every time, and hours of one that turns as regions fail.
const CHANGES_MAX: usize = 8;

/// One cached answer and what it was before.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    /// Whose it is.
    pub(super) resolver: usize,
    /// The place that the server decides for.
    pub(super) place: PlaceIndex,
    /// An address there.
    pub(super) address: Ipv4Addr,
    pub(super) cached: Option<Cached>,
    /// Until then the server is not asked again, because it did not answer.
    pub(super) quiet_until: Instant,
    history: History,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Cached {
    pub(super) answer: AnswerId,
    pub(super) expires: Instant,
}

impl Slot {
    pub(super) fn new(resolver: usize, place: PlaceIndex, address: Ipv4Addr) -> Self {
        Self { resolver, place, address, cached: None, quiet_until: Instant::START, history: History::default() }
    }

    /// The answer if it is no older than `stale` beyond its expiry.
    pub(super) fn within(&self, now: Instant, stale: Duration) -> Option<AnswerId> {
        self.cached.filter(|cached| now < cached.expires + stale).map(|cached| cached.answer)
    }

    pub(super) fn store(&mut self, answer: AnswerId, expires: Instant, now: Instant) {
        self.cached = Some(Cached { answer, expires });
        self.quiet_until = Instant::START;
        self.history.push(now, answer);
    }

    pub(super) fn at(&self, moment: Instant) -> Option<AnswerId> {
        self.history.at(moment)
    }
}

/// The last changes, oldest first.
#[derive(Clone, Debug)]
struct History {
    changes: [(Instant, AnswerId); CHANGES_MAX],
    len: usize,
}

impl Default for History {
    fn default() -> Self {
        Self { changes: [(Instant::START, AnswerId(0)); CHANGES_MAX], len: 0 }
    }
}

impl History {
    fn push(&mut self, now: Instant, answer: AnswerId) {
        if self.len > 0 && self.changes[self.len - 1].1 == answer {
            return;
        }
        if self.len == CHANGES_MAX {
            self.changes.rotate_left(1);
            self.len -= 1;
        }
        self.changes[self.len] = (now, answer);
        self.len += 1;
    }

    /// What was current at the moment; the oldest known if that was before all of them.
    fn at(&self, moment: Instant) -> Option<AnswerId> {
        let known = &self.changes[..self.len];
        let at = known.iter().rev().find(|(since, _)| *since <= moment);
        at.or_else(|| known.first()).map(|(_, answer)| *answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(s: u64) -> Instant {
        Instant::START + Duration::from_secs(s)
    }

    #[test]
    fn a_history_knows_what_was_current_and_forgets_the_oldest() {
        let mut history = History::default();
        assert_eq!(history.at(seconds(9)), None);
        for (at, answer) in [(10, 1), (20, 1), (30, 2), (40, 1)] {
            history.push(seconds(at), AnswerId(answer));
        }
        let at = |history: &History, s| history.at(seconds(s)).map(|a| a.0);
        let got: Vec<_> = [0, 10, 29, 30, 39, 40, 99].map(|s| at(&history, s)).into_iter().flatten().collect();
        assert_eq!((got, history.len), (vec![1, 1, 1, 2, 2, 1, 1], 3));
        for i in 0..20 {
            history.push(seconds(100 + u64::from(i)), AnswerId(100 + i));
        }
        assert_eq!((history.len, at(&history, 0), at(&history, 115)), (CHANGES_MAX, Some(112), Some(115)));
    }
}
