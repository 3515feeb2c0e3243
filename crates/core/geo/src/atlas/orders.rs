use std::collections::BTreeMap;

use perigee_model::{Location, RegionCode, RegionIndex};

use super::{Leg, PopIndex};
use crate::Tables;
use crate::distance::{Direction, access_ms, great_circle_ms};

/// Estimates round trips from anywhere to the regions of a snapshot.
pub(super) struct Estimator<'a> {
    tables: &'a Tables,
    anchors: Vec<Direction>,
    /// In order of their codes.
    regions: Vec<Target>,
}

struct Target {
    index: RegionIndex,
    direction: Direction,
    /// Its row and column in the table.
    table: Option<usize>,
}

/// An estimate: tenths of a millisecond, then the region's position by code, then whether measured; so its order as
/// a number is the order of regions.
type Packed = (u32, u32, bool);

/// Round trip of a region from the unknown place.
const UNKNOWN_TENTHS: u32 = u32::MAX;

impl<'a> Estimator<'a> {
    pub(super) fn new(tables: &'a Tables, regions: &[(RegionCode, Location)]) -> Self {
        let mut by_code: Vec<usize> = (0..regions.len()).collect();
        by_code.sort_by(|a, b| regions[*a].0.cmp(&regions[*b].0));
        let target = |i: usize| Target {
            index: RegionIndex(i),
            direction: Direction::of(regions[i].1),
            table: tables.region_position(regions[i].0.as_str()),
        };
        Self {
            tables,
            anchors: tables.regions().iter().map(|r| Direction::of(r.location)).collect(),
            regions: by_code.into_iter().map(target).collect(),
        }
    }

    fn estimate(&self, from: Option<Location>) -> Vec<Packed> {
        let from = from.map(Direction::of);
        let anchor = from.and_then(|from| from.nearest(&self.anchors, |_| true));
        let to = |target: &Target| {
            let Some(from) = from else { return (UNKNOWN_TENTHS, false) };
            let measured = anchor.zip(target.table).and_then(|(a, t)| Some((a, self.tables.rtt_between(a, t)?)));
            match measured {
                Some((anchor, rtt_ms)) => {
                    // Whole milliseconds: the estimate is no finer, and places share their orders.
                    let access_ms = access_ms(from.km(self.anchors[anchor])).round();
                    (tenths(access_ms + f64::from(rtt_ms)), true)
                }
                None => (tenths(great_circle_ms(from.km(target.direction)).round()), false),
            }
        };
        let mut legs: Vec<Packed> = (0_u32..)
            .zip(&self.regions)
            .map(|(rank, target)| {
                let (tenths, measured) = to(target);
                (tenths, rank, measured)
            })
            .collect();
        legs.sort_unstable();
        legs
    }
}

fn tenths(ms: f64) -> u32 {
    (ms * 10.0).round() as u32
}

/// Orders of regions, each distinct one stored once.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// Lists of equal length, one after the other.
    legs: Vec<Leg>,
    regions: usize,
    /// By list: which sequence of regions it is, whatever the round trips.
    sequences: Vec<u32>,
    /// By sequence: one list that has it.
    examples: Vec<u32>,
    /// By place: its list and its nearest edge.
    places: Vec<(u32, PopIndex)>,
    /// By edge: its list.
    pops: Vec<u32>,
}

impl Orders {
    pub(super) fn of_place(&self, place: u32) -> &[Leg] {
        self.list(self.places[place as usize].0)
    }

    pub(super) fn of_pop(&self, pop: usize) -> &[Leg] {
        self.list(self.pops[pop])
    }

    pub(super) fn pop_of_place(&self, place: u32) -> PopIndex {
        self.places[place as usize].1
    }

    /// Which sequence of regions the place's order is.
    pub(super) fn sequence_of_place(&self, place: u32) -> u32 {
        self.sequences[self.places[place as usize].0 as usize]
    }

    /// The sequence, if all places have the same.
    pub(super) fn only_sequence(&self) -> Option<u32> {
        (self.examples.len() == 1).then_some(0)
    }

    /// The place's order if it is `sequence`, else another place's.
    pub(super) fn of_sequence(&self, sequence: u32, place: u32) -> &[Leg] {
        if self.sequence_of_place(place) == sequence {
            self.of_place(place)
        } else {
            self.list(self.examples[sequence as usize])
        }
    }

    fn list(&self, list: u32) -> &[Leg] {
        let start = list as usize * self.regions;
        &self.legs[start..start + self.regions]
    }
}

/// Makes [`Orders`], each distinct list and sequence once.
pub(super) struct OrdersBuilder<'a> {
    estimator: Estimator<'a>,
    orders: Orders,
    lists: BTreeMap<Vec<Packed>, u32>,
    sequences: BTreeMap<Vec<u32>, u32>,
}

impl<'a> OrdersBuilder<'a> {
    pub(super) fn new(estimator: Estimator<'a>) -> Self {
        let orders = Orders { regions: estimator.regions.len(), ..Orders::default() };
        Self { estimator, orders, lists: BTreeMap::new(), sequences: BTreeMap::new() }
    }

    /// Adds the next place.
    pub(super) fn place(&mut self, location: Option<Location>, pop: PopIndex) {
        let list = self.list_from(location);
        self.orders.places.push((list, pop));
    }

    /// Adds the next edge.
    pub(super) fn pop(&mut self, location: Location) {
        let list = self.list_from(Some(location));
        self.orders.pops.push(list);
    }

    pub(super) fn finish(self) -> Orders {
        self.orders
    }

    fn list_from(&mut self, location: Option<Location>) -> u32 {
        let packed = self.estimator.estimate(location);
        if let Some(list) = self.lists.get(&packed) {
            return *list;
        }
        let list = self.orders.sequences.len() as u32;
        let sequence: Vec<u32> = packed.iter().map(|(_, rank, _)| *rank).collect();
        let sequence = *self.sequences.entry(sequence).or_insert_with(|| {
            self.orders.examples.push(list);
            (self.orders.examples.len() - 1) as u32
        });
        self.orders.sequences.push(sequence);
        self.orders.legs.extend(packed.iter().map(|(tenths, rank, measured)| Leg {
            region: self.estimator.regions[*rank as usize].index,
            rtt_ms: if *tenths == UNKNOWN_TENTHS { f32::INFINITY } else { (f64::from(*tenths) / 10.0) as f32 },
            measured: *measured,
        }));
        self.lists.insert(packed, list);
        list
    }
}
