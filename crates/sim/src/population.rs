//! The clients of the world: how many, where, behind which resolver, and when they come.

mod addresses;
mod arrivals;
mod build;
mod model;
mod table;

use std::net::Ipv4Addr;

use perigee_geo::{PlaceIndex, PopIndex};
use perigee_model::Location;

pub use arrivals::{Arrival, Arrivals};
pub use model::{Diurnal, DiurnalCurve, PopulationModel, Weights};
pub use table::{TableError, parse_table};

use addresses::AddressBook;

/// Seconds of a day.
const DAY_S: f64 = 86_400.0;

/// Steps of Roberts' two-dimensional sequence, as fractions of 2^64: one and two times divided by the plastic number.
///
/// Source: M. Roberts, "The Unreasonable Effectiveness of Quasirandom Sequences" (2018).
const QUASI: [u64; 2] = [13_925_035_116_211_876_495, 10_511_698_010_929_265_436];

/// Clients that nothing distinguishes but their number: one place and one resolver, so one edge, one order of regions
/// and one DNS answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// Where they are.
    pub place: PlaceIndex,
    /// The edge that anycast takes them to while it is alive.
    pub pop: PopIndex,
    /// The coordinates of the place.
    pub location: Location,
    /// Their resolver: its position in the list that the population was made with.
    pub resolver: usize,
    /// How many, at least one.
    pub clients: u64,
    /// What the class is called in the names of random streams: its place's lowest address and its resolver. It stays
    /// when other classes come and go.
    pub(crate) name: u64,
    home: usize,
    /// The number of its first client among those of its place.
    first_at_home: u64,
    /// Where its clients begin in the two sequences of habits.
    habits: [u64; 2],
}

/// What a client always does, whatever its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits {
    /// It comes by the accelerator's addresses; otherwise it asks for the DNS name.
    pub by_accelerator: bool,
    /// It keeps a DNS answer for [`PopulationModel::ignore_ttl_s`], whatever its TTL.
    pub ignores_ttl: bool,
}

/// All clients, ten million or ten, without an object for each.
///
/// A client is its class and its number in it, 0 to [`Class::clients`] - 1; everything else about it is a function of
/// the two. Made once for a run, immutable, shared between threads. The same model, atlas and seed give the same
/// population on every machine.
#[derive(Debug)]
pub struct Population {
    model: PopulationModel,
    classes: Vec<Class>,
    book: AddressBook,
    moved_share: f64,
    unplaced: Vec<String>,
}

impl Population {
    /// What it was made from.
    pub fn model(&self) -> &PopulationModel {
        &self.model
    }

    /// The classes: by country code, then place, then resolver. Only those with clients.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// The class at `index`. Panics beyond the last.
    pub fn class(&self, index: u32) -> &Class {
        &self.classes[index as usize]
    }

    /// Share of the clients, 0 to 1, that live in another place of their country than their weight came from, because
    /// of [`PopulationModel::classes`].
    pub fn moved_share(&self) -> f64 {
        self.moved_share
    }

    /// Countries of the model's table with a weight but without an address in the database, in order of their codes.
    /// Their weight counts for nothing.
    pub fn unplaced(&self) -> &[String] {
        &self.unplaced
    }

    /// The client's IPv4 address, for ever the same and inside its class's place.
    ///
    /// The clients of a place are spread evenly over its addresses, each at a spot of its own stretch that depends on
    /// the seed; so no two clients of a place share one unless there are more clients than addresses (which is then
    /// NAT). Numbers from [`Class::clients`] on begin again at the first. Cost: one binary search. Panics beyond the
    /// last class.
    pub fn address(&self, class: u32, client: u64) -> Ipv4Addr {
        let class = self.class(class);
        self.book.address(class.home, class.first_at_home + client % class.clients)
    }

    /// What the client always does.
    ///
    /// A two-dimensional quasi-random sequence over the numbers of a class, begun at a point that depends on the seed:
    /// the shares hold in every class almost exactly, and the two habits are independent. No allocation, a few
    /// instructions. Panics beyond the last class.
    pub fn habits(&self, class: u32, client: u64) -> Habits {
        let [accelerator, ttl] = self.class(class).habits;
        let unit = |start: u64, step: u64| {
            let at = start.wrapping_add(client.wrapping_mul(step));
            (at >> 11) as f64 / (1_u64 << 53) as f64
        };
        Habits {
            by_accelerator: unit(accelerator, QUASI[0]) < self.model.accelerator_share,
            ignores_ttl: unit(ttl, QUASI[1]) < self.model.ignore_ttl_share,
        }
    }

    /// Sessions that begin in the class in a second; `utc_s` is seconds since midnight UTC. Panics beyond the last
    /// class.
    pub fn sessions_per_s(&self, class: u32, utc_s: f64) -> f64 {
        let class = self.class(class);
        self.mean_sessions_per_s(class) * self.model.diurnal.factor(class.location.longitude, utc_s)
    }

    /// The mean over the day.
    fn mean_sessions_per_s(&self, class: &Class) -> f64 {
        class.clients as f64 * self.model.sessions_per_day / DAY_S
    }
}

#[cfg(test)]
#[path = "population/tests.rs"]
pub(crate) mod tests;
