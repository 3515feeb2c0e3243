use std::time::Duration;

use perigee_model::Instant;

use super::model::day_angle;
use super::{Diurnal, Population};
use crate::Stream;

/// What a chunk covers.
const CHUNK: Duration = Duration::from_secs(60);
const CHUNK_NANOS: u64 = 60_000_000_000;

/// The beginning of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival {
    /// When.
    pub at: Instant,
    /// The client's class: its position in [`Population::classes`].
    pub class: u32,
    /// The client's number in its class.
    pub client: u64,
    /// The session's own random bits: what a stream of the session's draws can be named by.
    pub bits: u64,
}

/// The sessions' beginnings: an inhomogeneous Poisson process in chunks of one virtual minute.
///
/// In a chunk each class has a Poisson number of arrivals at the rate of the chunk's middle, each at a uniform time and
/// of a uniform client. Each class draws from a stream of its own, so another class with more clients, or gone, leaves
/// it as it was; and a longer run begins with the arrivals of the shorter one.
///
/// Holds no reference to the population and is [`Send`]: a caller may fill the next chunk in another thread. Source:
/// Poisson arrivals of sessions, Paxson and Floyd, "Wide-Area Traffic: The Failure of Poisson Modeling" (1995), which
/// holds for them though not for the requests within.
#[derive(Clone, Debug)]
pub struct Arrivals {
    classes: Vec<ClassArrivals>,
    /// Seconds since midnight UTC at the start of the run.
    start_utc_s: f64,
    /// The next chunk's beginning.
    next: Instant,
    until: Instant,
}

#[derive(Clone, Debug)]
struct ClassArrivals {
    stream: Stream,
    clients: u64,
    /// Mean number in a chunk over the day.
    mean: f64,
    /// The daily curve's factor is 1 + `cos` cos a - `sin` sin a at the angle a of the day: the cosine of a sum, so
    /// that a chunk needs two trigonometric functions and not two for each class.
    cos: f64,
    sin: f64,
}

impl Arrivals {
    /// The arrivals of a run with this seed from its start until before `until`. `start_utc_s` is the time of day at
    /// which the run starts, seconds since midnight UTC; whole days are dropped.
    pub fn new(population: &Population, start_utc_s: u64, seed: u64, until: Instant) -> Self {
        let classes = population.classes().iter().map(|class| {
            let (amplitude, phase) = match population.model().diurnal {
                Diurnal::Off => (0.0, 0.0),
                Diurnal::Curve(curve) => (1.0 - curve.trough, curve.phase(class.location.longitude)),
            };
            ClassArrivals {
                stream: Stream::numbered(seed, "arrivals", class.name),
                clients: class.clients,
                mean: population.mean_sessions_per_s(class) * CHUNK.as_secs_f64(),
                cos: amplitude * libm::cos(phase),
                sin: amplitude * libm::sin(phase),
            }
        });
        Self { classes: classes.collect(), start_utc_s: (start_utc_s % 86_400) as f64, next: Instant::START, until }
    }

    /// Replaces what is in `into` by the next minute's arrivals, by time, then class, then client. False when the run
    /// is over and `into` is left empty; a chunk without arrivals is true.
    ///
    /// Allocates only where `into` has no room.
    pub fn next_chunk(&mut self, into: &mut Vec<Arrival>) -> bool {
        into.clear();
        if self.next >= self.until {
            return false;
        }
        let start = self.next;
        self.next = start + CHUNK;
        let middle_s = self.start_utc_s + (start + CHUNK / 2).since(Instant::START).as_secs_f64();
        let angle = day_angle(middle_s % super::DAY_S);
        let (cos, sin) = (libm::cos(angle), libm::sin(angle));
        for (index, class) in (0..).zip(&mut self.classes) {
            let mean = class.mean * (1.0 + class.cos * cos - class.sin * sin);
            let stream = &mut class.stream;
            for _ in 0..stream.poisson(mean) {
                let at = start + Duration::from_nanos(stream.below(CHUNK_NANOS));
                into.push(Arrival { at, class: index, client: stream.below(class.clients), bits: stream.bits() });
            }
        }
        if self.next > self.until {
            into.retain(|arrival| arrival.at < self.until);
        }
        into.sort_unstable();
        true
    }
}

#[cfg(test)]
#[path = "arrivals/tests.rs"]
mod tests;
