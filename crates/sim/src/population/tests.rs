use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use perigee_geo::{Atlas, Database, Overlay, Tables, shipped};
use perigee_model::{Location, RegionCode};

use super::*;
use crate::ResolverModel;

/// Every region of the tables.
pub(crate) fn regions() -> Vec<(RegionCode, Location)> {
    tables().regions().iter().map(|r| (r.code.clone(), r.location)).collect()
}

fn tables() -> Tables {
    Tables::parse(shipped::REGIONS, shipped::REGION_RTT, shipped::EDGES).unwrap()
}

/// The shipped data, loaded once.
pub(crate) fn atlas() -> &'static Atlas {
    static ATLAS: OnceLock<Atlas> = OnceLock::new();
    ATLAS.get_or_init(|| {
        let database = Arc::new(Database::load(shipped::CITY).unwrap());
        Atlas::build(&database, &tables(), &Overlay::parse(shipped::OVERLAY).unwrap(), &regions(), "Seoul").unwrap()
    })
}

pub(crate) fn population_of(model: PopulationModel) -> Population {
    Population::new(model, &ResolverModel::defaults(), atlas(), 1).unwrap()
}

/// Ten million clients by addresses, made once.
pub(crate) fn ten_million() -> &'static Population {
    static WORLD: OnceLock<Population> = OnceLock::new();
    WORLD.get_or_init(|| population_of(PopulationModel { count: 10_000_000, ..Default::default() }))
}

/// A model with these weights by country.
pub(crate) fn by_table(count: u64, table: &[(&str, f64)]) -> PopulationModel {
    let table = table.iter().map(|(country, weight)| (country.to_string(), *weight)).collect();
    PopulationModel { count, weights: Weights::Table, table: Some(table), ..Default::default() }
}

fn sums<K: Ord>(population: &Population, key: impl Fn(&Class) -> K) -> BTreeMap<K, u64> {
    let mut sums = BTreeMap::new();
    for class in population.classes() {
        *sums.entry(key(class)).or_default() += class.clients;
    }
    sums
}

fn country(class: &Class) -> String {
    atlas().place(class.place).country.to_string()
}

#[test]
fn countries_and_places_have_clients_in_proportion_to_their_addresses() {
    let mut of_country: BTreeMap<String, u64> = BTreeMap::new();
    let mut of_place: BTreeMap<PlaceIndex, u64> = BTreeMap::new();
    for block in atlas().address_blocks() {
        *of_country.entry(atlas().place(block.place).country.to_string()).or_default() += block.count;
        *of_place.entry(block.place).or_default() += block.count;
    }
    let addresses: u64 = of_country.values().sum();
    let world = ten_million();
    let got = sums(world, country);
    assert_eq!(got.values().sum::<u64>(), 10_000_000);
    for (country, addresses_there) in of_country {
        let expected = 1e7 * addresses_there as f64 / addresses as f64;
        let got = got.get(&country).copied().unwrap_or_default() as f64;
        assert!((got - expected).abs() <= 1.0, "{country}: {got}, expected {expected}");
    }
    // Without a cap nothing moves, and the same holds for places.
    let all = population_of(PopulationModel { count: 10_000_000, classes: 100_000, ..Default::default() });
    assert_eq!(all.moved_share(), 0.0);
    let got = sums(&all, |class| class.place);
    for (place, addresses_there) in of_place {
        let expected = 1e7 * addresses_there as f64 / addresses as f64;
        let got = got.get(&place).copied().unwrap_or_default() as f64;
        assert!((got - expected).abs() <= 1.0, "{}: {got}, expected {expected}", atlas().place(place));
    }
}

#[test]
fn a_table_decides_between_countries_and_names_that_have_no_place_are_told() {
    let population = population_of(by_table(1_000_003, &[("JP", 3.0), ("KR", 1.0), ("US", 0.0), ("XX", 9.0)]));
    let got = sums(&population, country);
    assert_eq!(got, BTreeMap::from([("JP".to_owned(), 750_002), ("KR".to_owned(), 250_001)]));
    assert_eq!(population.unplaced(), ["XX"]);
    let nowhere = Population::new(by_table(5, &[("XX", 1.0)]), &ResolverModel::defaults(), atlas(), 1).unwrap_err();
    assert_eq!(nowhere.to_string(), "clients.table: no country of it has addresses in the geographic database");
}

#[test]
fn every_class_is_split_by_resolver() {
    let got = sums(ten_million(), |class| class.resolver);
    for (resolver, share) in [(0, 0.6), (1, 0.3), (2, 0.1)] {
        let share_got = got[&resolver] as f64 / 1e7;
        assert!((share_got - share).abs() < 1e-4, "{resolver}: {share_got}");
    }
    let keys: BTreeSet<_> = ten_million().classes().iter().map(|c| (c.place, c.resolver)).collect();
    let names: BTreeSet<_> = ten_million().classes().iter().map(|c| c.name).collect();
    assert_eq!((keys.len(), names.len()), (ten_million().classes().len(), ten_million().classes().len()));
}

#[test]
fn the_cap_on_classes_merges_the_least_places_into_their_countries_greatest() {
    let world = ten_million();
    assert!((1_500..=2_000).contains(&world.classes().len()), "{}", world.classes().len());
    assert!(world.moved_share() < 0.03, "{}", world.moved_share());
    // With the least cap every country still has its greatest place, and only that one where room is short.
    let few = population_of(PopulationModel { count: 10_000_000, classes: 100, ..Default::default() });
    let places: BTreeSet<_> = few.classes().iter().map(|c| (country(c), c.place)).collect();
    let countries: BTreeSet<_> = places.iter().map(|(country, _)| country).collect();
    assert_eq!(places.len(), countries.len());
    let of_world = sums(world, |class| class.place);
    for (country_of, place) in &places {
        let greatest = world.classes().iter().filter(|c| country(c) == *country_of).map(|c| of_world[&c.place]).max();
        assert!(of_world.get(place).copied() >= greatest, "{country_of}");
    }
}

#[test]
fn a_few_clients_make_a_few_classes() {
    let one = population_of(PopulationModel { count: 1, ..Default::default() });
    assert_eq!((one.classes().len(), one.classes()[0].clients), (1, 1));
    let hundred = population_of(PopulationModel { count: 100, ..Default::default() });
    assert_eq!(hundred.classes().iter().map(|c| c.clients).sum::<u64>(), 100);
    let america = sums(&hundred, country)["US"];
    let exact = sums(ten_million(), country)["US"] as f64 / 1e5;
    assert!((america as f64 - exact).abs() <= 1.0, "{america} of 100, exactly {exact}");
}

#[test]
fn every_address_is_in_the_place_of_its_class() {
    let world = ten_million();
    let mut numbers = crate::Stream::named(3, "numbers");
    for (index, class) in (0..).zip(world.classes()) {
        let random = (0..40).map(|_| numbers.below(class.clients));
        for client in [0, class.clients - 1].into_iter().chain(random) {
            let address = world.address(index, client);
            let place = atlas().locate(address.into()).place_index;
            assert_eq!(place, class.place, "client {client} of class {index}: {address}");
        }
        assert_eq!(class.pop, atlas().pop(class.place));
        assert_eq!(world.address(index, class.clients), world.address(index, 0));
    }
}

#[test]
fn clients_of_a_place_have_addresses_of_their_own_and_the_seed_moves_them() {
    let all = |seed| {
        let model = by_table(20_000, &[("KR", 1.0)]);
        let population = Population::new(model, &ResolverModel::defaults(), atlas(), seed).unwrap();
        let of_class = |(index, class): (u32, &Class)| {
            (0..class.clients).map(|client| population.address(index, client)).collect::<Vec<_>>()
        };
        (0..).zip(population.classes()).flat_map(of_class).collect::<Vec<_>>()
    };
    let addresses = all(1);
    assert_eq!(addresses.iter().collect::<BTreeSet<_>>().len(), 20_000);
    assert_eq!(addresses, all(1));
    let moved = addresses.iter().zip(all(2)).filter(|(a, b)| *a != b).count();
    assert!(moved > 19_000, "{moved}");
    // No last byte is preferred.
    let mut last_bytes = [0_u32; 256];
    addresses.iter().for_each(|a| last_bytes[a.octets()[3] as usize] += 1);
    assert!(last_bytes.iter().all(|n| (20..150).contains(n)), "{last_bytes:?}");
}

#[test]
fn habits_hold_their_shares_together_and_are_kept() {
    let world = ten_million();
    let (index, class) = (0..).zip(world.classes()).max_by_key(|(_, class)| class.clients).unwrap();
    let n = 20_000.min(class.clients);
    let habits: Vec<Habits> = (0..n).map(|client| world.habits(index, client)).collect();
    let share = |of: fn(&Habits) -> bool| habits.iter().filter(|h| of(h)).count() as f64 / n as f64;
    assert!((share(|h| h.by_accelerator) - 0.5).abs() < 0.002);
    assert!((share(|h| h.ignores_ttl) - 0.05).abs() < 0.002);
    assert!((share(|h| h.by_accelerator && h.ignores_ttl) - 0.025).abs() < 0.002);
    assert_eq!(world.habits(index, 7), habits[7]);
    for (share, expected) in [(0.0, false), (1.0, true)] {
        let model = PopulationModel { count: 500, accelerator_share: share, ..Default::default() };
        let population = population_of(model);
        assert!((0..).zip(population.classes()).all(|(i, _)| population.habits(i, 0).by_accelerator == expected));
    }
}

#[test]
fn the_sessions_of_a_day_are_those_of_the_model() {
    let model = PopulationModel { count: 1_000, sessions_per_day: 2.5, ..Default::default() };
    let population = population_of(model);
    let minutes = (0..1_440).map(|minute| f64::from(minute) * 60.0 + 30.0);
    let per_minute = minutes.map(|s| {
        let rates = (0..).zip(population.classes()).map(|(index, _)| population.sessions_per_s(index, s));
        60.0 * rates.sum::<f64>()
    });
    let sessions: f64 = per_minute.sum();
    assert!((sessions - 2_500.0).abs() < 1e-6, "{sessions}");
}
