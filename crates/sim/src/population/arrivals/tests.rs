use super::*;
use crate::PopulationModel;
use crate::population::tests::{by_table, population_of, ten_million};

const DAY: Duration = Duration::from_secs(86_400);

fn all(mut arrivals: Arrivals) -> Vec<Arrival> {
    let (mut all, mut chunk) = (Vec::new(), Vec::new());
    while arrivals.next_chunk(&mut chunk) {
        all.extend_from_slice(&chunk);
    }
    assert!(chunk.is_empty());
    all
}

fn after(d: Duration) -> Instant {
    Instant::START + d
}

/// Whether a count could come from a Poisson distribution with this mean: within four deviations.
fn poisson(got: usize, mean: f64) {
    assert!((got as f64 - mean).abs() < 4.0 * mean.sqrt(), "{got}, expected {mean}");
}

#[test]
fn a_days_arrivals_are_sorted_and_as_many_as_the_model_says() {
    let world = ten_million();
    let mut arrivals = Arrivals::new(world, 0, 5, after(DAY));
    let (mut chunk, mut last, mut total, mut squares, mut chunks) = (Vec::new(), None, 0, 0.0, 0);
    let mut of_class = vec![0; world.classes().len()];
    while arrivals.next_chunk(&mut chunk) {
        let start = after(CHUNK * chunks);
        chunks += 1;
        assert!(chunk.is_sorted() && last < chunk.first().copied());
        last = chunk.last().copied();
        assert!(chunk.iter().all(|a| start <= a.at && a.at < start + CHUNK));
        assert!(chunk.iter().all(|a| a.client < world.class(a.class).clients));
        chunk.iter().for_each(|a| of_class[a.class as usize] += 1);
        let middle_s = (f64::from(chunks) - 0.5) * 60.0;
        let mean: f64 = (0..).zip(world.classes()).map(|(i, _)| world.sessions_per_s(i, middle_s) * 60.0).sum();
        squares += (chunk.len() as f64 - mean).powi(2) / mean;
        total += chunk.len();
    }
    assert_eq!(chunks, 1_440);
    poisson(total, 1e7);
    for (got, class) in of_class.into_iter().zip(world.classes()) {
        // Two thousand tries: one beyond four deviations would be no surprise, so five; small ones are no normals.
        let mean = class.clients as f64;
        assert!((got as f64 - mean).abs() < 5.0 * mean.sqrt() + 5.0, "{got}, expected {mean}");
    }
    // Minute by minute too: the sum of the normalised squares is chi-squared with 1,440 degrees of freedom.
    assert!((squares - 1_440.0).abs() < 4.0 * 2_880.0_f64.sqrt(), "{squares}");
}

#[test]
fn the_same_seed_gives_the_same_arrivals_and_another_one_others() {
    let population = population_of(PopulationModel { count: 50_000, ..Default::default() });
    let of = |seed| all(Arrivals::new(&population, 3_600, seed, after(DAY / 8)));
    let first = of(1);
    assert!(first.len() > 1_000);
    assert_eq!(first, of(1));
    assert!(of(2).iter().zip(&first).all(|(a, b)| a != b));
}

#[test]
fn a_class_is_untouched_by_the_others() {
    let whole = population_of(by_table(400_000, &[("JP", 1.0), ("KR", 1.0)]));
    let until = after(DAY / 24);
    let expected = all(Arrivals::new(&whole, 0, 9, until));
    let mut arrivals = Arrivals::new(&whole, 0, 9, until);
    // Every second class is gone, and every third has ten times the sessions.
    let kept = |class: u32| class % 2 == 1;
    for (index, class) in (0..).zip(&mut arrivals.classes) {
        class.mean *= if !kept(index) {
            0.0
        } else if index % 3 == 0 {
            10.0
        } else {
            1.0
        };
    }
    let untouched = |a: &Arrival| kept(a.class) && !a.class.is_multiple_of(3);
    let got: Vec<Arrival> = all(arrivals).into_iter().filter(untouched).collect();
    let expected: Vec<Arrival> = expected.into_iter().filter(untouched).collect();
    assert!(!got.is_empty());
    assert_eq!(got, expected);
}

#[test]
fn a_class_keeps_its_stream_when_other_countries_join() {
    // As many clients for each country in both; rounding gives a few classes one more or less.
    let two = population_of(by_table(200_000, &[("JP", 1.0), ("KR", 1.0)]));
    let three = population_of(by_table(300_000, &[("AU", 1.0), ("JP", 1.0), ("KR", 1.0)]));
    let of = |population: &crate::Population| {
        let named = |a: Arrival| (population.class(a.class).name, a.at, a.client, a.bits);
        let all: Vec<_> = all(Arrivals::new(population, 0, 9, after(DAY / 24))).into_iter().map(named).collect();
        let sizes =
            population.classes().iter().map(|c| (c.name, c.clients)).collect::<std::collections::BTreeMap<_, _>>();
        (all, sizes)
    };
    let ((two, two_sizes), (three, three_sizes)) = (of(&two), of(&three));
    let same: std::collections::BTreeSet<u64> =
        two_sizes.iter().filter(|(name, clients)| three_sizes.get(*name) == Some(*clients)).map(|(n, _)| *n).collect();
    assert!(same.len() > 100, "{} of {}", same.len(), two_sizes.len());
    let picked =
        |all: Vec<(u64, Instant, u64, u64)>| all.into_iter().filter(|a| same.contains(&a.0)).collect::<Vec<_>>();
    let (two, three) = (picked(two), picked(three));
    assert!(two.len() > 1_000);
    assert_eq!(two, three);
}

#[test]
fn a_longer_run_begins_with_the_shorter_one() {
    let population = population_of(PopulationModel { count: 100_000, ..Default::default() });
    let of = |until| all(Arrivals::new(&population, 0, 4, after(until)));
    let (short, long) = (of(Duration::from_secs(1_830)), of(Duration::from_secs(3_600)));
    assert!(short.iter().all(|a| a.at < after(Duration::from_secs(1_830))));
    assert!(short.len() < long.len());
    assert_eq!(short, long[..short.len()]);
    assert!(of(Duration::ZERO).is_empty());
}

#[test]
fn the_evening_is_busy_where_the_sun_has_set() {
    let population = population_of(by_table(1_000_000, &[("JP", 1.0)]));
    let hour = Duration::from_secs(3_600);
    // Japan lies around 138 degrees east: 20:00 there is about 10:48 UTC.
    let from = |utc_h: u64| all(Arrivals::new(&population, utc_h * 3_600 + 1_080, 4, after(hour))).len();
    let (evening, morning) = (from(10), from(22 + 24));
    poisson(evening, 1e6 / 24.0 * 1.69);
    poisson(morning, 1e6 / 24.0 * 0.31);
}

#[test]
fn arrivals_can_move_to_another_thread() {
    const fn is_send<T: Send + 'static>() {}
    is_send::<Arrivals>();
}
