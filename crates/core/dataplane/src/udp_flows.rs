//! Which UDP flows an edge holds: found by their addresses, forgotten when silent, bounded in number.

mod index;
mod slab;
#[cfg(test)]
mod tests;

use std::time::Duration;

use perigee_model::Instant;
use perigee_steering::Flow;

use index::Index;
use slab::Slab;

/// A flow of a table as long as it lives. Never given twice: that of a flow that is over finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UdpFlowId {
    place: u32,
    generation: u32,
}

impl UdpFlowId {
    /// The identifier as a number below 2^63, for a kernel's queue of events.
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.place as u64
    }

    /// The inverse of [`Self::to_bits`]. Any number is an identifier, if only of nothing.
    pub const fn from_bits(bits: u64) -> Self {
        Self { place: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// A flow that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedUdpFlow<F> {
    /// Its addresses.
    pub flow: Flow,
    /// What the driver kept with it.
    pub kept: F,
    /// When its last datagram came, either way.
    pub last: Instant,
    /// Why.
    pub why: UdpEnd,
}

/// Why a flow is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UdpEnd {
    /// No datagram either way for the idle time-out.
    Idle,
    /// It had been silent for longest when room was needed.
    Evicted,
    /// Its listener or point of presence is gone, or the driver could not serve it.
    Forgotten,
}

/// The UDP flows of one worker of an edge, each with an `F` of the driver's (the socket towards its endpoint).
///
/// A flow's endpoint is chosen once, by the driver asking the law when [`Self::find`] gives none, and stays whatever
/// becomes of health, weights or the group: nothing here asks for them. What ends a flow is silence, `idle` without a
/// datagram either way (30 s; `global-accelerator.md` section 10), the limit, which ends the flow that has been silent
/// for longest, and its listener's end ([`Self::forget`]). The next datagram then starts a new flow.
///
/// ```text
///   by addresses: hash table -> place
///   places:  [ flow | flow | free | flow | ... ]      a free place is reused before the table grows
///   silence: longest <-> ... <-> ... <-> latest       a list through the places
/// ```
///
/// All flows have the same time-out, so the list of silence is also the order in which they run out: every operation is
/// O(1) (but [`Self::forget`] and the growth of the table, which is amortised), and a datagram of a known flow
/// allocates nothing. Deterministic: takes `now`, draws nothing; time that goes backwards is taken as standing still.
#[derive(Debug)]
pub struct UdpFlows<F> {
    index: Index,
    slab: Slab<F>,
    limit: usize,
    idle: Duration,
    /// The latest time that was ever given.
    latest: Instant,
}

impl<F> UdpFlows<F> {
    /// An empty table for `limit` flows at most (at least one) that end after `idle` of silence. `seed` keys the hash
    /// of addresses, which strangers choose: take it from the system's entropy where strangers are.
    pub fn new(limit: u32, idle: Duration, seed: u128) -> Self {
        let mut flows = Self { index: Index::new(seed), slab: Slab::default(), limit: 1, idle, latest: Instant::START };
        flows.set_limits(limit, idle);
        flows
    }

    /// Changes the limits. What is too many or too old now is given by [`Self::expire`].
    pub fn set_limits(&mut self, limit: u32, idle: Duration) {
        self.limit = usize::try_from(limit).unwrap_or(usize::MAX).max(1);
        self.idle = idle;
    }

    /// How many flows there are, those included whose time is over but that [`Self::expire`] has not given yet.
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slab.len() == 0
    }

    /// The flow that a client's datagram belongs to, which lives longer by that; none if the datagram is the first of
    /// one, also after too long a silence. Then route it and [`Self::open`].
    pub fn find(&mut self, flow: &Flow, now: Instant) -> Option<UdpFlowId> {
        let now = self.advance(now);
        let place = self.index.get(flow)?;
        self.renew(place, now)
    }

    /// Takes a new flow. The other result is the flow that had to end for it: the one of the same addresses that has
    /// been silent for too long, or beyond the limit the one that has been silent for longest.
    ///
    /// A living flow of the same addresses is forgotten for it; [`Self::find`] would have found it.
    pub fn open(&mut self, flow: Flow, kept: F, now: Instant) -> (UdpFlowId, Option<EndedUdpFlow<F>>) {
        let now = self.advance(now);
        let ended = match self.index.get(&flow) {
            Some(before) => {
                let why = if self.is_over(before, now) { UdpEnd::Idle } else { UdpEnd::Forgotten };
                self.end(before, why)
            }
            None if self.slab.len() >= self.limit => {
                let oldest = self.slab.oldest();
                oldest.and_then(|oldest| {
                    let why = if self.is_over(oldest, now) { UdpEnd::Idle } else { UdpEnd::Evicted };
                    self.end(oldest, why)
                })
            }
            None => None,
        };
        let (place, generation) = self.slab.insert(flow, kept, now);
        self.index.insert(flow, place);
        (UdpFlowId { place, generation }, ended)
    }

    /// A flow whose endpoint has sent a datagram, which lives longer by that; none if it is over.
    pub fn touch(&mut self, id: UdpFlowId, now: Instant) -> Option<&mut F> {
        let now = self.advance(now);
        self.slab.flow(id.place, id.generation)?;
        self.renew(id.place, now)?;
        self.get_mut(id)
    }

    /// What is kept with a flow; none if it is over.
    pub fn get(&self, id: UdpFlowId) -> Option<&F> {
        self.slab.get(id.place, id.generation)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, id: UdpFlowId) -> Option<&mut F> {
        self.slab.get_mut(id.place, id.generation)
    }

    /// A flow's addresses; none if it is over.
    pub fn flow(&self, id: UdpFlowId) -> Option<&Flow> {
        self.slab.flow(id.place, id.generation)
    }

    /// Ends a flow that the driver cannot serve. None: it is over already.
    pub fn remove(&mut self, id: UdpFlowId) -> Option<EndedUdpFlow<F>> {
        self.slab.flow(id.place, id.generation)?;
        self.end(id.place, UdpEnd::Forgotten)
    }

    /// When the first flow is over if nothing more comes; none without flows.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let oldest = self.slab.oldest()?;
        self.slab.last(oldest).map(|last| last + self.idle)
    }

    /// A flow whose time is over, or one too many after [`Self::set_limits`]; call until it gives none.
    pub fn expire(&mut self, now: Instant) -> Option<EndedUdpFlow<F>> {
        let now = self.advance(now);
        let oldest = self.slab.oldest()?;
        if self.is_over(oldest, now) {
            self.end(oldest, UdpEnd::Idle)
        } else if self.slab.len() > self.limit {
            self.end(oldest, UdpEnd::Evicted)
        } else {
            None
        }
    }

    /// Ends every flow that `is_gone` names, those silent for longest first. Goes through all flows: for a change of
    /// the configuration, not for a datagram.
    pub fn forget(&mut self, mut is_gone: impl FnMut(&Flow, &F) -> bool) -> Vec<EndedUdpFlow<F>> {
        let mut gone = Vec::new();
        let mut next = self.slab.oldest();
        while let Some(place) = next {
            next = self.slab.younger(place);
            if self.slab.at(place).is_some_and(|(flow, kept)| is_gone(flow, kept)) {
                gone.extend(self.end(place, UdpEnd::Forgotten));
            }
        }
        gone
    }

    /// Calls `visit` for every flow, those silent for longest first. Goes through all flows: for what is told once in a
    /// while, not for a datagram.
    pub fn for_each(&mut self, mut visit: impl FnMut(&Flow, &mut F)) {
        let mut next = self.slab.oldest();
        while let Some(place) = next {
            next = self.slab.younger(place);
            if let Some((flow, kept)) = self.slab.at_mut(place) {
                visit(flow, kept);
            }
        }
    }

    /// Time as this table has it: it never goes back, so that the list of silence stays sorted.
    fn advance(&mut self, now: Instant) -> Instant {
        self.latest = self.latest.max(now);
        self.latest
    }

    fn is_over(&self, place: u32, now: Instant) -> bool {
        self.slab.last(place).is_none_or(|last| now.since(last) >= self.idle)
    }

    fn renew(&mut self, place: u32, now: Instant) -> Option<UdpFlowId> {
        if self.is_over(place, now) {
            return None;
        }
        let generation = self.slab.renew(place, now)?;
        Some(UdpFlowId { place, generation })
    }

    fn end(&mut self, place: u32, why: UdpEnd) -> Option<EndedUdpFlow<F>> {
        let (flow, kept, last) = self.slab.remove(place)?;
        self.index.remove(&flow);
        Some(EndedUdpFlow { flow, kept, last, why })
    }
}
