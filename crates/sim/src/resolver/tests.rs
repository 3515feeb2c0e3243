use std::collections::{BTreeMap, BTreeSet};

use perigee_model::Location;

use super::*;
use crate::population::tests::{atlas, by_table, regions, ten_million};
use crate::{Population, PopulationModel};

const A: AnswerId = AnswerId(7);
const B: AnswerId = AnswerId(8);

fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn at(s: u64) -> Instant {
    Instant::START + seconds(s)
}

/// Korea's and Japan's clients behind resolvers with these changes of the defaults.
fn world(change: impl Fn(&mut Vec<ResolverModel>)) -> (Population, Resolvers) {
    let mut models = ResolverModel::defaults();
    change(&mut models);
    let population = Population::new(by_table(100_000, &[("JP", 1.0), ("KR", 1.0)]), &models, atlas(), 1).unwrap();
    let resolvers = Resolvers::new(&models, &population, atlas(), &regions()).unwrap();
    (population, resolvers)
}

/// The first class behind the `resolver`-th.
fn class(population: &Population, resolver: usize) -> u32 {
    population.classes().iter().position(|c| c.resolver == resolver).unwrap() as u32
}

fn miss(resolvers: &Resolvers, class: u32, now: Instant) -> SlotIndex {
    match resolvers.lookup(class, now) {
        Lookup::Miss { slot } => slot,
        other => panic!("{other:?} instead of a miss"),
    }
}

#[test]
fn an_answer_is_kept_for_its_ttl_within_floor_and_cap() {
    for (floor, cap, ttl, kept) in
        [(0, 86_400, 30, 30), (300, 86_400, 30, 300), (300, 86_400, 600, 600), (0, 20, 30, 20), (60, 60, 0, 60)]
    {
        let (population, mut resolvers) = world(|r| (r[0].ttl_min_s, r[0].ttl_max_s) = (floor, cap));
        let class = class(&population, 0);
        let slot = miss(&resolvers, class, at(100));
        assert_eq!(resolvers.store(slot, A, seconds(ttl), at(100)), at(100 + kept));
        let hit = Lookup::Hit { answer: A, expires: at(100 + kept) };
        let just_before = Instant::from_nanos(at(100 + kept).as_nanos() - 1);
        assert_eq!([at(100), just_before].map(|now| resolvers.lookup(class, now)), [hit, hit]);
        assert_eq!(resolvers.lookup(class, at(100 + kept)), Lookup::Miss { slot });
    }
    // A TTL of zero is for the one who asked.
    let (population, mut resolvers) = world(|_| ());
    let class = class(&population, 0);
    let slot = miss(&resolvers, class, at(1));
    assert_eq!(resolvers.store(slot, A, Duration::ZERO, at(1)), at(1));
    assert_eq!(resolvers.lookup(class, at(1)), Lookup::Miss { slot });
}

#[test]
fn a_stale_answer_is_given_when_the_server_is_silent_and_not_for_ever() {
    let (population, mut resolvers) = world(|r| r[0].serve_stale_s = 600);
    let class = class(&population, 0);
    let slot = miss(&resolvers, class, at(0));
    assert_eq!(resolvers.failed(slot, at(0)), None, "nothing was stored yet");
    resolvers.store(slot, A, seconds(30), at(0));
    // Expired, so the server is asked; only its silence makes the answer good again, and then for 30 s unasked.
    assert_eq!(miss(&resolvers, class, at(30)), slot);
    assert_eq!(resolvers.failed(slot, at(40)), Some(A));
    assert_eq!(resolvers.lookup(class, at(69)), Lookup::Stale { answer: A });
    assert_eq!(miss(&resolvers, class, at(70)), slot);
    // 600 s after it expired it is too old, asked for or not.
    assert_eq!(resolvers.failed(slot, at(629)), Some(A));
    assert_eq!(resolvers.lookup(class, at(629)), Lookup::Stale { answer: A });
    assert_eq!(miss(&resolvers, class, at(630)), slot);
    assert_eq!(resolvers.failed(slot, at(630)), None);
    // A new answer ends the silence.
    resolvers.store(slot, B, seconds(30), at(640));
    assert_eq!(resolvers.lookup(class, at(641)), Lookup::Hit { answer: B, expires: at(670) });
    assert_eq!(miss(&resolvers, class, at(670)), slot);
}

#[test]
fn without_serve_stale_a_silent_server_is_a_failure() {
    let (population, mut resolvers) = world(|_| ());
    let class = class(&population, 0);
    let slot = miss(&resolvers, class, at(0));
    resolvers.store(slot, A, seconds(30), at(0));
    assert_eq!(resolvers.failed(slot, at(29)), Some(A), "another client's question had been answered meanwhile");
    assert_eq!(resolvers.failed(slot, at(30)), None);
    assert_eq!(miss(&resolvers, class, at(30)), slot);
}

#[test]
fn an_outage_takes_the_clients_of_one_name_and_keeps_what_is_cached() {
    let (population, mut resolvers) = world(|_| ());
    let [provider, public, floor] = [0, 1, 2].map(|resolver| class(&population, resolver));
    let slot = miss(&resolvers, provider, at(0));
    resolvers.store(slot, A, seconds(60), at(0));
    assert!(resolvers.outage("provider", true));
    let down = (0..).zip(population.classes()).filter(|(i, _)| resolvers.lookup(*i, at(1)) == Lookup::Down);
    let down: BTreeSet<usize> = down.map(|(_, class)| class.resolver).collect();
    assert_eq!(down, BTreeSet::from([0]));
    assert!([public, floor].iter().all(|class| matches!(resolvers.lookup(*class, at(1)), Lookup::Miss { .. })));
    assert!(resolvers.outage("provider", false));
    assert_eq!(resolvers.lookup(provider, at(2)), Lookup::Hit { answer: A, expires: at(60) });
    assert!(!resolvers.outage("nobody", true));
}

#[test]
fn an_ecs_resolver_has_a_slot_for_each_class_and_another_one_for_each_place_it_stands_in() {
    let (population, resolvers) = world(|_| ());
    let mut slots: BTreeMap<usize, BTreeSet<SlotIndex>> = BTreeMap::new();
    let mut hubs: BTreeMap<SlotIndex, BTreeSet<_>> = BTreeMap::new();
    for (index, class) in (0..).zip(population.classes()) {
        let slot = resolvers.slot(index);
        slots.entry(class.resolver).or_default().insert(slot);
        let decided_for = resolvers.place_of(slot);
        if class.resolver == 1 {
            assert_eq!(decided_for, class.place);
        } else {
            assert_eq!(decided_for, resolvers.stands_at(index));
            let country = &atlas().place(class.place).country;
            assert_eq!((&atlas().place(decided_for).country, atlas().pop(decided_for)), (country, class.pop));
            hubs.entry(slot).or_default().insert((country, class.pop));
        }
    }
    let places: BTreeSet<_> = population.classes().iter().map(|c| c.place).collect();
    let edges: BTreeSet<_> = population.classes().iter().map(|c| (&atlas().place(c.place).country, c.pop)).collect();
    let counts: Vec<usize> = slots.values().map(BTreeSet::len).collect();
    assert_eq!(counts, [edges.len(), places.len(), edges.len()]);
    assert!(edges.len() < places.len() && hubs.values().all(|clients| clients.len() == 1));
    assert_eq!(resolvers.slot_count(), counts.iter().sum::<usize>());
    // A near resolver stands where most of its clients live: Seoul for Seoul's edge.
    let seoul = (0..).zip(population.classes()).find(|(_, c)| atlas().pops()[c.pop.0].code.as_str() == "ICN");
    let hub = atlas().place(resolvers.stands_at(seoul.unwrap().0));
    let km = perigee_geo::great_circle_km(hub.location.unwrap(), Location { latitude: 37.57, longitude: 126.98 });
    assert!(km < 60.0, "{hub}");
}

#[test]
fn one_class_of_an_ecs_resolver_knows_nothing_of_another_and_neighbours_of_a_plain_one_share() {
    let (population, mut resolvers) = world(|_| ());
    let of = |resolver: usize| -> Vec<u32> {
        (0..).zip(population.classes()).filter(|(_, c)| c.resolver == resolver).map(|(i, _)| i).collect()
    };
    let (plain, ecs) = (of(0), of(1));
    for first in [plain[0], ecs[0]] {
        let slot = miss(&resolvers, first, at(0));
        resolvers.store(slot, A, seconds(60), at(0));
    }
    let hit = Lookup::Hit { answer: A, expires: at(60) };
    let hits = |classes: &[u32]| classes.iter().filter(|c| resolvers.lookup(**c, at(1)) == hit).count();
    assert_eq!(hits(&ecs), 1);
    let shared = plain.iter().filter(|c| resolvers.slot(**c) == resolvers.slot(plain[0])).count();
    assert!(shared > 1);
    assert_eq!(hits(&plain), shared);
}

#[test]
fn a_far_resolver_stands_at_its_region_or_edge_and_decides_for_all_unless_it_sends_ecs() {
    for (code, country) in [("us-east-1", "US"), ("FRA", "DE")] {
        let (population, resolvers) = world(|r| {
            r[0].stands = Stands::At(code.to_owned());
            r[1].stands = Stands::At(code.to_owned());
        });
        let far = resolvers.stands_at(class(&population, 0));
        assert_eq!(&*atlas().place(far).country, country);
        for (index, class) in (0..).zip(population.classes()).filter(|(_, class)| class.resolver < 2) {
            assert_eq!(resolvers.stands_at(index), far);
            let decided_for = if class.resolver == 1 { class.place } else { far };
            assert_eq!(resolvers.place_of(resolvers.slot(index)), decided_for);
        }
        let slots: BTreeSet<_> =
            (0..).zip(population.classes()).filter(|(_, c)| c.resolver == 0).map(|(i, _)| resolvers.slot(i)).collect();
        assert_eq!(slots.len(), 1);
    }
    let mut models = ResolverModel::defaults();
    models[1].stands = Stands::At("mars-1".to_owned());
    let population = Population::new(PopulationModel::default(), &models, atlas(), 1).unwrap();
    let error = Resolvers::new(&models, &population, atlas(), &regions()).unwrap_err().to_string();
    assert_eq!(error, "resolver.public.where: \"mars-1\" is no region and no edge; \"near\" is with the clients");
}

#[test]
fn the_address_of_a_slot_is_in_its_place_and_orders_regions_as_the_place_does() {
    let resolvers = Resolvers::new(&ResolverModel::defaults(), ten_million(), atlas(), &regions()).unwrap();
    let sequence = |legs: &[perigee_geo::Leg]| legs.iter().map(|leg| leg.region).collect::<Vec<_>>();
    for (index, _) in (0..).zip(ten_million().classes()) {
        let slot = resolvers.slot(index);
        let (place, address) = (resolvers.place_of(slot), resolvers.address_of(slot).into());
        assert_eq!(atlas().locate(address).place_index, place);
        let of_network = sequence(atlas().order_of_network(address));
        assert_eq!(of_network, sequence(atlas().order(place)), "{address} in {}", atlas().place(place));
    }
}

#[test]
fn who_ignores_ttls_uses_what_was_current_then() {
    let (population, mut resolvers) = world(|_| ());
    let class = class(&population, 1);
    let slot = miss(&resolvers, class, at(100));
    let history = |resolvers: &Resolvers, now, ago| resolvers.history(slot, at(now), seconds(ago));
    assert_eq!(history(&resolvers, 100, 0), None);
    resolvers.store(slot, A, seconds(30), at(100));
    resolvers.store(slot, A, seconds(30), at(130));
    resolvers.store(slot, B, seconds(30), at(160));
    let got = [0, 39, 40, 41, 100, 5_000].map(|ago| history(&resolvers, 200, ago));
    assert_eq!(got, [B, B, B, A, A, A].map(Some));
}
