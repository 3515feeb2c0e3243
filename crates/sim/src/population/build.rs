use std::collections::{BTreeMap, BTreeSet};

use perigee_geo::{AddressBlock, Atlas, PlaceIndex};

use super::addresses::AddressBook;
use super::{Class, Population, PopulationModel, Weights};
use crate::resolver::{ResolverModel, check_resolvers};
use crate::{Invalid, Stream};

/// A place that may have clients.
struct Candidate {
    country: String,
    place: PlaceIndex,
    blocks: Vec<AddressBlock>,
    /// In proportion to its clients.
    weight: f64,
}

impl Population {
    /// Shares `model.count` clients out over the places of the atlas and the resolvers.
    ///
    /// Countries by the model's weights, places of a country by their IPv4 addresses, the clients of a place by the
    /// resolvers' shares. Whole clients come from rounding the running sum, so every class, place and country is within
    /// one client of its exact share, and the total is exact.
    ///
    /// Errors: what [`PopulationModel::check`] and [`check_resolvers`] find, and a table of which no country has
    /// addresses.
    pub fn new(model: PopulationModel, resolvers: &[ResolverModel], atlas: &Atlas, seed: u64) -> Result<Self, Invalid> {
        model.check()?;
        check_resolvers(resolvers)?;
        let (places, unplaced) = weighted(&model, candidates(atlas));
        let active = resolvers.iter().filter(|r| r.share > 0.0).count();
        let (places, moved_share) = merged(places, (model.classes / active.max(1)).max(1));
        let total: f64 = places.iter().map(|p| p.weight).sum();
        if total <= 0.0 {
            return Err(Invalid::new("clients.table", "no country of it has addresses in the geographic database"));
        }
        let shares: f64 = resolvers.iter().map(|r| r.share).sum();

        let mut population = Self { classes: Vec::new(), book: AddressBook::default(), moved_share, unplaced, model };
        let (mut weight_before, mut given) = (0.0, 0);
        let last_place = places.len() - 1;
        for (i, place) in places.into_iter().enumerate() {
            let (first_class, first_given) = (population.classes.len(), given);
            let mut share = 0.0;
            for (resolver, model) in resolvers.iter().enumerate() {
                share += model.share;
                let last = i == last_place && resolver == resolvers.len() - 1;
                let up_to = (weight_before + place.weight * share / shares) / total;
                let up_to = if last { population.model.count } else { population.rounded(up_to) };
                let clients = up_to.saturating_sub(given);
                given = given.max(up_to);
                if clients > 0 {
                    let class = population.class_of(&place, resolver, clients, atlas, seed);
                    population.classes.push(Class { first_at_home: given - clients - first_given, ..class });
                }
            }
            weight_before += place.weight;
            if population.classes.len() > first_class {
                population.book.push(&place.blocks, given - first_given, seed);
            }
        }
        Ok(population)
    }

    /// The share of all clients, to the nearest whole one.
    fn rounded(&self, share: f64) -> u64 {
        ((self.model.count as f64 * share + 0.5) as u64).min(self.model.count)
    }

    fn class_of(&self, place: &Candidate, resolver: usize, clients: u64, atlas: &Atlas, seed: u64) -> Class {
        let lowest = place.blocks.first().map_or(0, |b| b.first.to_bits());
        let name = u64::from(lowest) << 32 | resolver as u64;
        let mut habits = Stream::numbered(seed, "habits", name);
        Class {
            place: place.place,
            pop: atlas.pop(place.place),
            // Every block of the atlas has a location.
            location: atlas.location_of(place.place).unwrap_or_else(|| atlas.pops()[atlas.pop(place.place).0].location),
            resolver,
            clients,
            name,
            home: self.book.len(),
            first_at_home: 0,
            habits: [habits.bits(), habits.bits()],
        }
    }
}

/// The places with addresses, by country and then by index; their weight is the number of addresses.
fn candidates(atlas: &Atlas) -> Vec<Candidate> {
    let mut by_place: BTreeMap<PlaceIndex, Vec<AddressBlock>> = BTreeMap::new();
    for block in atlas.address_blocks() {
        by_place.entry(block.place).or_default().push(block);
    }
    let candidate = |(place, blocks): (PlaceIndex, Vec<AddressBlock>)| Candidate {
        country: atlas.place(place).country.to_string(),
        place,
        weight: blocks.iter().map(|b| b.count).sum::<u64>() as f64,
        blocks,
    };
    let mut places: Vec<Candidate> = by_place.into_iter().map(candidate).collect();
    // Stable, so places of a country stay in order of their index.
    places.sort_by(|a, b| a.country.cmp(&b.country));
    places
}

/// The places with the model's weights, those without any left out, and the countries of its table that have no place.
fn weighted(model: &PopulationModel, mut places: Vec<Candidate>) -> (Vec<Candidate>, Vec<String>) {
    let Some(table) = model.table.as_ref().filter(|_| model.weights == Weights::Table) else {
        return (places, Vec::new());
    };
    let mut addresses: BTreeMap<String, f64> = BTreeMap::new();
    for place in &places {
        *addresses.entry(place.country.clone()).or_default() += place.weight;
    }
    for place in &mut places {
        let of_country = table.get(&place.country).copied().unwrap_or_default();
        place.weight *= of_country / addresses[&place.country];
    }
    places.retain(|p| p.weight > 0.0);
    let wanted = table.iter().filter(|(country, weight)| **weight > 0.0 && !addresses.contains_key(*country));
    (places, wanted.map(|(country, _)| country.clone()).collect())
}

/// At most `max` places, but the greatest of every country in any case: the greatest of the world stay, and each other
/// one gives its weight to the greatest of its country. Also the share of the weight that has moved.
///
/// Of equals the first in order is the greater. The kept ones stay in order.
fn merged(mut places: Vec<Candidate>, max: usize) -> (Vec<Candidate>, f64) {
    if places.len() <= max {
        return (places, 0.0);
    }
    let mut by_weight: Vec<usize> = (0..places.len()).collect();
    by_weight.sort_by(|a, b| places[*b].weight.total_cmp(&places[*a].weight).then(a.cmp(b)));
    let mut greatest: BTreeMap<String, usize> = BTreeMap::new();
    for i in &by_weight {
        greatest.entry(places[*i].country.clone()).or_insert(*i);
    }
    let mut kept: BTreeSet<usize> = greatest.values().copied().collect();
    for i in by_weight {
        if kept.len() >= max {
            break;
        }
        kept.insert(i);
    }
    let total: f64 = places.iter().map(|p| p.weight).sum();
    let mut moved = 0.0;
    for i in 0..places.len() {
        if !kept.contains(&i) {
            moved += places[i].weight;
            let to = greatest[&places[i].country];
            places[to].weight += places[i].weight;
        }
    }
    let kept = places.into_iter().enumerate().filter(|(i, _)| kept.contains(i)).map(|(_, place)| place).collect();
    (kept, moved / total)
}
