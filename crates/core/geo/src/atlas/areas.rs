use super::scope::ranges;
use super::{Atlas, PlaceIndex};
use crate::database::NO_PLACE;
use crate::{Direction, Partition, TrafficArea};

impl Atlas {
    /// All places in order of their indices, the unknown one last.
    pub fn places(&self) -> impl Iterator<Item = PlaceIndex> + use<> {
        (0..=self.unknown().0).map(PlaceIndex)
    }

    /// The code of the place's continent: `AF AN AS EU OC NA SA`. None for the unknown place and for countries that
    /// neither the database nor the regions table says it of. Panics on an index that another, larger atlas gave.
    pub fn continent_of(&self, place: PlaceIndex) -> Option<&'static str> {
        self.continents.get(&self.place(place).country).copied()
    }

    /// The traffic area of a country by its ISO 3166 code. None where neither the code nor what the database and the
    /// regions table say of its continent tells one.
    pub fn traffic_area(&self, country: &str) -> Option<TrafficArea> {
        TrafficArea::of(country, self.continents.get(country).copied())
    }

    /// The code of the place's state, in the USA. None elsewhere, for places of the overlay, and where the database
    /// names none.
    pub fn subdivision_of(&self, place: PlaceIndex) -> Option<&'static str> {
        self.database.subdivisions.get(place.0 as usize).copied().flatten()
    }

    /// The middle of the places that `holds` accepts: the sum of their directions, each place once. None without a
    /// located one.
    pub fn middle_of(&self, holds: impl Fn(PlaceIndex) -> bool) -> Option<Direction> {
        let located = self.places().filter(|place| holds(*place)).filter_map(|place| self.location_of(place));
        Direction::middle(located.map(Direction::of))
    }

    /// The partition of all addresses by `class_of` their place, bounded at /24 and /48 as [`Atlas::scope`] is; the
    /// unknown place is asked for as well.
    ///
    /// `private` is the class of private, loopback and documentation networks that the overlay does not place
    /// (`spec/dns.md`, E18); without it they count as what the database says, which is mostly the unknown place.
    /// Classes must be below [`Partition::CLASSES_MAX`]. Deterministic.
    pub fn partition(&self, class_of: impl Fn(PlaceIndex) -> u32, private: Option<u32>) -> Partition {
        let classes: Vec<u32> = self.places().map(class_of).collect();
        let unknown = self.unknown().0;
        let class_at = |place| classes[if place == NO_PLACE { unknown } else { place } as usize];
        let (ipv4, ipv6) = ranges(&self.database, &self.overlay, private, class_at);
        Partition::new(ipv4, ipv6)
    }
}
