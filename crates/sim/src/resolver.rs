//! The resolvers between the clients and the DNS server: what they keep, for how long, and what they ask.

mod build;
mod model;
mod slot;

use std::net::Ipv4Addr;
use std::time::Duration;

use perigee_geo::PlaceIndex;
use perigee_model::Instant;

pub use model::{ResolverModel, Stands, check_resolvers};

use slot::Slot;

/// How long a resolver that gives stale answers leaves a silent server alone: the failure recheck timer of RFC 8767
/// section 5, which says 30 seconds at least.
const FAILURE_RECHECK: Duration = Duration::from_secs(30);

/// An answer of the DNS server, as its user numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnswerId(pub u32);

/// A place of a cached answer, of one [`Resolvers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotIndex(u32);

/// What a resolver says to a client of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The answer is cached.
    Hit {
        /// Which.
        answer: AnswerId,
        /// Until when it is kept; the client's TTL is the time until then.
        expires: Instant,
    },
    /// The server was silent a moment ago; the client gets what has expired, for no longer than
    /// [`Resolvers::STALE_TTL`].
    Stale {
        /// Which.
        answer: AnswerId,
    },
    /// Nothing usable is cached: the server is asked about [`Resolvers::address_of`] the slot, then comes
    /// [`Resolvers::store`] or [`Resolvers::failed`].
    Miss {
        /// What is to be filled.
        slot: SlotIndex,
    },
    /// The resolver is out of service: the client gets no answer.
    Down,
}

/// The caches of all resolvers, for one DNS name.
///
/// ```text
///            now < expires                    Hit
///   lookup   the server failed < 30 s ago,
///            expired < serve_stale_s ago      Stale
///            else                             Miss --- the server answers ---> store
///                                                  \-- it does not ----------> failed: the stale answer or none
/// ```
///
/// With ECS there is a slot for each class: nothing distinguishes the clients of a class, so it stands for the scope of
/// its answer. Without, there is one for each resolver that stands somewhere: all who ask it share its answer, which the
/// server decides for the resolver's own place. Which answer is right is not known here. A name more is another
/// `Resolvers`. Lookups allocate nothing; nothing is drawn at random.
///
/// Source: RFC 1035 section 7.4 (caching), RFC 7871 section 7.3 (ECS), RFC 8767 (stale answers).
#[derive(Clone, Debug)]
pub struct Resolvers {
    kinds: Vec<Kind>,
    slots: Vec<Slot>,
    /// By class.
    behind: Vec<Behind>,
}

/// All resolvers of one name.
#[derive(Clone, Debug)]
struct Kind {
    name: String,
    ttl_min: Duration,
    ttl_max: Duration,
    serve_stale: Duration,
    down: bool,
}

/// What a class has.
#[derive(Clone, Copy, Debug)]
struct Behind {
    slot: SlotIndex,
    /// Where its resolver stands.
    place: PlaceIndex,
}

impl Resolvers {
    /// The TTL with which a stale answer goes to the client (RFC 8767 section 4 recommends 30 seconds).
    pub const STALE_TTL: Duration = Duration::from_secs(30);

    /// What the class's resolver says at `now`. Panics on a class that the population does not have.
    pub fn lookup(&self, class: u32, now: Instant) -> Lookup {
        let index = self.behind[class as usize].slot;
        let slot = &self.slots[index.0 as usize];
        let kind = &self.kinds[slot.resolver];
        if kind.down {
            return Lookup::Down;
        }
        if let Some(cached) = slot.cached.filter(|cached| now < cached.expires) {
            return Lookup::Hit { answer: cached.answer, expires: cached.expires };
        }
        match slot.within(now, kind.serve_stale) {
            Some(answer) if now < slot.quiet_until => Lookup::Stale { answer },
            _ => Lookup::Miss { slot: index },
        }
    }

    /// The server has answered: keeps the answer for its TTL, at least the resolver's floor and at most its cap.
    /// Returns when it expires.
    pub fn store(&mut self, slot: SlotIndex, answer: AnswerId, ttl: Duration, now: Instant) -> Instant {
        let slot = &mut self.slots[slot.0 as usize];
        let kind = &self.kinds[slot.resolver];
        let expires = now + ttl.max(kind.ttl_min).min(kind.ttl_max);
        slot.store(answer, expires, now);
        expires
    }

    /// The server has not answered: what the client gets instead, an answer that expired less than `serve_stale_s` ago
    /// (or one that came in meanwhile); none is a failure for the client.
    ///
    /// While there is such an answer the server is not asked again for 30 s. Without one every question is tried anew;
    /// the second or more for which RFC 9520 has a resolver remember a failure is left out.
    pub fn failed(&mut self, slot: SlotIndex, now: Instant) -> Option<AnswerId> {
        let slot = &mut self.slots[slot.0 as usize];
        let answer = slot.within(now, self.kinds[slot.resolver].serve_stale)?;
        slot.quiet_until = now + FAILURE_RECHECK;
        Some(answer)
    }

    /// Takes the resolvers called `name` out of service or back in, and says whether there are any. What they keep
    /// stays, and goes on ageing.
    pub fn outage(&mut self, name: &str, down: bool) -> bool {
        let Some(kind) = self.kinds.iter_mut().find(|kind| kind.name == name) else { return false };
        kind.down = down;
        true
    }

    /// The slot of a class. Panics on a class that the population does not have.
    pub fn slot(&self, class: u32) -> SlotIndex {
        self.behind[class as usize].slot
    }

    /// The answer that was current `ago` before `now`: what a client still uses that asked then and pays no heed to
    /// TTLs. The oldest of the last eight changes if they do not reach back so far; none if nothing was ever stored.
    pub fn history(&self, slot: SlotIndex, now: Instant, ago: Duration) -> Option<AnswerId> {
        let ago = (Instant::START + ago).as_nanos();
        let moment = Instant::from_nanos(now.as_nanos().saturating_sub(ago));
        self.slots[slot.0 as usize].at(moment)
    }

    /// The place that the server decides for: with ECS the class's, without the resolver's.
    pub fn place_of(&self, slot: SlotIndex) -> PlaceIndex {
        self.slots[slot.0 as usize].place
    }

    /// The address that the server sees, as ECS network or as the resolver's own; in [`Resolvers::place_of`], in the
    /// middle of that place's largest block.
    pub fn address_of(&self, slot: SlotIndex) -> Ipv4Addr {
        self.slots[slot.0 as usize].address
    }

    /// Where the resolver of a class stands, with ECS or without: how far its clients' questions travel. Panics on a
    /// class that the population does not have.
    pub fn stands_at(&self, class: u32) -> PlaceIndex {
        self.behind[class as usize].place
    }

    /// How many answers can be cached.
    pub fn slot_count(&self) -> usize {
        self.slots.len()
    }
}

#[cfg(test)]
#[path = "resolver/tests.rs"]
mod tests;
