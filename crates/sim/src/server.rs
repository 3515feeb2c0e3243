use std::collections::VecDeque;
use std::time::Duration;

use perigee_model::Instant;

use crate::{Sampler, Stream, TargetModel, span};

mod pace;

use pace::Pace;

/// What faults do to a target's answers at a moment.
///
/// A slow or a gray host answers late without working: as in the live stack, where the answer sleeps. So a delay is
/// added after the work and holds no server, while `factor` is work and does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Condition {
    /// Service times are multiplied by this, not below zero; 1 without a fault.
    pub factor: f64,
    /// Every answer is this much later.
    pub delay: Duration,
    /// Some answers are later still.
    pub gray: Option<Gray>,
}

/// A gray failure: the target works for most and not for some.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gray {
    /// Share of the requests hit, 0 to 1, each by its own draw.
    pub share: f64,
    /// How much later those are answered, beyond [`Condition::delay`].
    pub delay: Duration,
}

impl Default for Condition {
    fn default() -> Self {
        Self { factor: 1.0, delay: Duration::ZERO, gray: None }
    }
}

/// Which life of the target admitted a request: each crash and each restart begins another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epoch(u32);

/// What becomes of a request that reached a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It will be answered, unless the target crashes before.
    Served {
        /// When a server takes it up.
        begins: Instant,
        /// When the answer is ready, delays included.
        ends: Instant,
        /// To be given to [`Server::finished`] at `ends`.
        epoch: Epoch,
    },
    /// All servers and all places to wait are taken: answered 503 at once.
    Full,
}

/// One target as a queue: `concurrency` servers alike, one line, first come first served.
///
/// ```text
///                 queue full -> Full
///                      |
///   arrive ----> [ places to wait ] ----> servers 1..c ----> (delay) ----> ends
/// ```
///
/// First come first served fixes a request's times when it arrives: it takes the server that is free first. So there is
/// one call per request, and an event only for its end. Takes no clock; the same stream and the same calls give the same
/// times. Memory is taken when the server is made, and when the line grows longer than ever before, by doubling.
///
/// Source: a FCFS queue's recursion (Kiefer and Wolfowitz, "On the theory of queues with many servers", 1955): the
/// workload vector, here as moments at which servers become free, in a binary heap.
#[derive(Clone, Debug)]
pub struct Server {
    sampler: Sampler,
    stream: Stream,
    gray: Stream,
    pace: Pace,
    /// When each server is free, the earliest first: a binary heap.
    free_at: Box<[Instant]>,
    /// When the waiting ones begin, in order; those that have begun since are dropped at the next that has to wait.
    waiting: VecDeque<Instant>,
    places: usize,
    epoch: Epoch,
    in_flight: u32,
    peak_in_flight: u32,
    admitted: u64,
    refused: u64,
    given_ns: u64,
}

impl Server {
    /// A target that starts at `now`, empty and cold; see [`settle`](Self::settle) for one that has run for long.
    ///
    /// The model must have passed [`TargetModel::check`]; a `concurrency` of 0 counts as 1. Gray failures draw from a
    /// stream of their own, seeded from `stream`: service times are the same with and without them.
    pub fn new(model: &TargetModel, mut stream: Stream, now: Instant) -> Self {
        let gray = Stream::named(stream.bits(), "gray");
        let mut pace = Pace::new(model, &mut stream);
        pace.start(now);
        Self {
            sampler: model.service.sampler(),
            stream,
            gray,
            pace,
            free_at: vec![now; model.concurrency.max(1) as usize].into_boxed_slice(),
            waiting: VecDeque::new(),
            places: model.queue as usize,
            epoch: Epoch::default(),
            in_flight: 0,
            peak_in_flight: 0,
            admitted: 0,
            refused: 0,
            given_ns: 0,
        }
    }

    /// Ends the warm-up and fills the cache, as if the target had run for long.
    pub fn settle(&mut self) {
        self.pace.settle();
    }

    /// A request arrives at `now`, which must not be before the last arrival. A server that becomes free at `now` is
    /// free.
    ///
    /// A request is worked on to its end even if its client has gone: [`finished`](Self::finished) is due at `ends`
    /// either way.
    pub fn arrive(&mut self, now: Instant, condition: &Condition) -> Admission {
        let begins = self.free_at[0].max(now);
        if begins > now {
            while self.waiting.front().is_some_and(|begun| *begun <= now) {
                self.waiting.pop_front();
            }
            if self.waiting.len() >= self.places {
                self.refused += 1;
                return Admission::Full;
            }
            self.waiting.push_back(begins);
        }
        let work = span(self.sampler.seconds(&mut self.stream) * self.pace.next(begins) * condition.factor);
        let free = begins + work;
        self.take_first(free);
        self.given_ns = self.given_ns.saturating_add((free - begins).as_nanos() as u64);
        self.admitted += 1;
        self.in_flight += 1;
        self.peak_in_flight = self.peak_in_flight.max(self.in_flight);
        let mut ends = free + condition.delay;
        if let Some(gray) = condition.gray
            && self.gray.chance(gray.share)
        {
            ends = ends + gray.delay;
        }
        Admission::Served { begins, ends, epoch: self.epoch }
    }

    /// The server that is free first is taken until `free`: the heap's root sinks to its place.
    fn take_first(&mut self, free: Instant) {
        let heap = &mut self.free_at;
        let mut at = 0;
        loop {
            let mut child = 2 * at + 1;
            if child + 1 < heap.len() && heap[child + 1] < heap[child] {
                child += 1;
            }
            if child >= heap.len() || heap[child] >= free {
                break;
            }
            heap[at] = heap[child];
            at = child;
        }
        heap[at] = free;
    }

    /// A request that was admitted in `epoch` is answered. False if a crash has lost it since: nobody answers then.
    pub fn finished(&mut self, epoch: Epoch) -> bool {
        let lives = epoch == self.epoch;
        if lives {
            self.in_flight = self.in_flight.saturating_sub(1);
        }
        lives
    }

    /// The target dies at `now` with all it had; returns how many requests that were. The caller sends it none until
    /// [`restart`](Self::restart).
    pub fn crash(&mut self, now: Instant) -> u32 {
        self.given_ns = self.busy_ns(now);
        for free_at in &mut self.free_at {
            *free_at = now.min(*free_at);
        }
        self.waiting.clear();
        self.epoch = Epoch(self.epoch.0.wrapping_add(1));
        std::mem::take(&mut self.in_flight)
    }

    /// The target starts at `now`, empty and cold. If it had not crashed, it does first. The counters go on.
    pub fn restart(&mut self, now: Instant) {
        self.crash(now);
        self.pace.start(now);
    }

    /// Requests admitted and not yet answered or lost: waiting, worked on, or delayed.
    pub const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// The most that were ever in flight at once.
    pub const fn peak_in_flight(&self) -> u32 {
        self.peak_in_flight
    }

    /// How long a request that came at `now` would wait for a server.
    pub fn wait(&self, now: Instant) -> Duration {
        self.free_at.first().map_or(Duration::ZERO, |free| free.since(now))
    }

    /// Requests that wait for a server at `now`, which must not be before the last arrival.
    pub fn waiting(&self, now: Instant) -> usize {
        self.waiting.len() - self.waiting.partition_point(|begins| *begins <= now)
    }

    /// Requests admitted since it was made, over all lives.
    pub const fn admitted(&self) -> u64 {
        self.admitted
    }

    /// Requests refused for want of a place since it was made, over all lives.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Nanoseconds that servers have worked up to `now`, which must not be before the last arrival; summed over the
    /// servers and over all lives, work lost in a crash included. Divided by time and concurrency it is utilisation.
    pub fn busy_ns(&self, now: Instant) -> u64 {
        // First come first served: a server that is free later than now works without a gap until then.
        let ahead: u128 = self.free_at.iter().map(|free_at| (*free_at - now).as_nanos()).sum();
        self.given_ns.saturating_sub(u64::try_from(ahead).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
#[path = "server/tests.rs"]
mod tests;

#[cfg(test)]
#[path = "server/queueing_tests.rs"]
mod queueing_tests;
