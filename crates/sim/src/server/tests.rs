use proptest::prelude::*;

use super::*;
use crate::{Antagonist, ColdCache, ServiceTime, WarmUp};

const AS_USUAL: Condition = Condition { factor: 1.0, delay: Duration::ZERO, gray: None };

const fn ms(at: u64) -> Instant {
    Instant::from_nanos(at * 1_000_000)
}

/// Constant work of 10 ms.
fn steady(concurrency: u32, queue: u32) -> TargetModel {
    TargetModel { service: ServiceTime::Constant { ms: 10.0 }, concurrency, queue, ..TargetModel::default() }
}

fn server(model: &TargetModel) -> Server {
    model.check().unwrap();
    Server::new(model, Stream::named(1, "server"), Instant::START)
}

/// When the request that arrives now begins and ends, milliseconds.
fn times(server: &mut Server, now: Instant, condition: &Condition) -> (f64, f64) {
    let Admission::Served { begins, ends, .. } = server.arrive(now, condition) else { panic!("refused") };
    (begins.as_nanos() as f64 / 1e6, ends.as_nanos() as f64 / 1e6)
}

#[test]
fn requests_begin_in_order_when_a_server_is_free() {
    let mut server = server(&steady(2, 10));
    let got: Vec<_> = [0, 1, 2, 3, 11].map(|at| times(&mut server, ms(at), &AS_USUAL)).into();
    assert_eq!(got, [(0.0, 10.0), (1.0, 11.0), (10.0, 20.0), (11.0, 21.0), (20.0, 30.0)]);
    assert_eq!((server.waiting(ms(11)), server.waiting(ms(19)), server.waiting(ms(20))), (1, 1, 0));
}

#[test]
fn a_full_queue_refuses_the_next_request() {
    let mut server = server(&steady(1, 1));
    times(&mut server, ms(0), &AS_USUAL);
    times(&mut server, ms(1), &AS_USUAL);
    assert_eq!(server.arrive(ms(9), &AS_USUAL), Admission::Full);
    // At 10 ms the first ends, the second begins: its place is free.
    assert_eq!(times(&mut server, ms(10), &AS_USUAL), (20.0, 30.0));
    assert_eq!(server.arrive(ms(10), &AS_USUAL), Admission::Full);
    assert_eq!((server.admitted(), server.refused(), server.in_flight(), server.peak_in_flight()), (3, 2, 3, 3));
}

#[test]
fn without_places_to_wait_only_a_free_server_admits() {
    let mut server = server(&steady(2, 0));
    times(&mut server, ms(0), &AS_USUAL);
    times(&mut server, ms(5), &AS_USUAL);
    assert_eq!(server.arrive(ms(9), &AS_USUAL), Admission::Full);
    assert_eq!(times(&mut server, ms(10), &AS_USUAL), (10.0, 20.0));
}

#[test]
fn a_delay_is_in_the_answer_and_holds_no_server_but_a_factor_does() {
    let mut server = server(&steady(1, 10));
    let late = Condition { delay: Duration::from_millis(500), ..AS_USUAL };
    assert_eq!(times(&mut server, ms(0), &late), (0.0, 510.0));
    assert_eq!(times(&mut server, ms(0), &AS_USUAL), (10.0, 20.0));
    assert_eq!(times(&mut server, ms(20), &Condition { factor: 3.0, ..AS_USUAL }), (20.0, 50.0));
    assert_eq!(times(&mut server, ms(20), &AS_USUAL), (50.0, 60.0));
    assert_eq!(server.in_flight(), 4);
}

#[test]
fn a_gray_failure_hits_its_share_and_leaves_the_others_times_alone() {
    let model = TargetModel { concurrency: 1_000, ..TargetModel::default() };
    let (mut gray, mut well) = (server(&model), server(&model));
    let late = Duration::from_secs(7);
    let condition = Condition { gray: Some(Gray { share: 0.3, delay: late }), ..AS_USUAL };
    let mut hit = 0;
    for n in 0..20_000 {
        let (Admission::Served { ends: got, .. }, Admission::Served { ends: usual, .. }) =
            (gray.arrive(ms(n), &condition), well.arrive(ms(n), &AS_USUAL))
        else {
            panic!("refused")
        };
        assert!(got == usual || got == usual + late);
        hit += u32::from(got != usual);
    }
    // Standard deviation 65; four of them.
    assert!((5_740..=6_260).contains(&hit), "{hit}");
}

#[test]
fn a_warm_up_falls_in_a_straight_line_and_begins_again_at_a_restart() {
    let mut server = server(&TargetModel { warm_up: Some(WarmUp { s: 10.0, factor: 5.0 }), ..steady(1, 10) });
    let spent = |server: &mut Server, at| {
        let (begins, ends) = times(server, ms(at), &AS_USUAL);
        ends - begins
    };
    let got = [0, 2_500, 5_000, 7_500, 10_000, 20_000].map(|at| spent(&mut server, at));
    assert_eq!(got, [50.0, 40.0, 30.0, 20.0, 10.0, 10.0]);
    server.restart(ms(30_000));
    assert_eq!([30_000, 35_000].map(|at| spent(&mut server, at)), [50.0, 30.0]);
    server.settle();
    assert_eq!(spent(&mut server, 36_000), 10.0);
}

#[test]
fn a_cold_cache_slows_the_first_requests_after_a_start() {
    let mut server = server(&TargetModel { cold_cache: Some(ColdCache { requests: 4, factor: 5.0 }), ..steady(1, 10) });
    for start in [0, 1_000] {
        let got = [0, 100, 200, 300, 400, 500].map(|at| {
            let (begins, ends) = times(&mut server, ms(start + at), &AS_USUAL);
            ends - begins
        });
        assert_eq!(got, [50.0, 40.0, 30.0, 20.0, 10.0, 10.0]);
        server.restart(ms(start + 1_000));
    }
}

#[test]
fn an_antagonist_acts_for_its_share_of_the_time_at_a_phase_of_each_targets_own() {
    let noisy = Some(Antagonist { every_s: 10.0, for_s: 2.0, factor: 3.0 });
    let model = TargetModel { antagonist: noisy, ..steady(1, 10) };
    let slow_at = |name: &str| -> Vec<u64> {
        let mut server = Server::new(&model, Stream::named(1, name), Instant::START);
        let slow = |at: &u64| {
            let (begins, ends) = times(&mut server, ms(*at), &AS_USUAL);
            ends - begins > 20.0
        };
        (0..20_000).step_by(50).filter(slow).collect()
    };
    let (one, other) = (slow_at("one"), slow_at("other"));
    assert_ne!(one, other);
    for slow in [one, other] {
        assert_eq!(slow.len(), 80);
        let first_round: Vec<u64> = slow.iter().copied().filter(|at| *at < 10_000).collect();
        let second_round: Vec<u64> = slow.iter().copied().filter(|at| *at >= 10_000).map(|at| at - 10_000).collect();
        assert_eq!(first_round, second_round);
    }
}

#[test]
fn a_crash_loses_everything_and_ends_of_the_life_before_count_no_more() {
    let mut server = server(&steady(1, 10));
    let Admission::Served { epoch: before, .. } = server.arrive(ms(0), &AS_USUAL) else { panic!("refused") };
    times(&mut server, ms(1), &AS_USUAL);
    assert_eq!(server.crash(ms(4)), 2);
    assert_eq!((server.in_flight(), server.waiting(ms(4)), server.busy_ns(ms(4))), (0, 0, 4_000_000));
    server.restart(ms(8));
    let Admission::Served { begins, ends, epoch } = server.arrive(ms(9), &AS_USUAL) else { panic!("refused") };
    assert_eq!((begins, ends), (ms(9), ms(19)));
    assert!(!server.finished(before));
    assert_eq!(server.in_flight(), 1);
    assert!(server.finished(epoch));
    assert_eq!((server.in_flight(), server.peak_in_flight(), server.admitted()), (0, 2, 3));
    assert_eq!(server.busy_ns(ms(19)), 14_000_000);
}

#[test]
fn work_counts_as_it_is_done() {
    let mut server = server(&steady(2, 10));
    for _ in 0..3 {
        times(&mut server, ms(0), &AS_USUAL);
    }
    let busy = [0, 5, 10, 15, 20, 99].map(|at| server.busy_ns(ms(at)) / 1_000_000);
    assert_eq!(busy, [0, 10, 20, 25, 30, 30]);
}

#[test]
fn one_stream_gives_one_story() {
    let model = TargetModel { queue: 5, concurrency: 3, ..TargetModel::default() };
    let story = |name: &str| -> Vec<Admission> {
        let mut server = Server::new(&model, Stream::named(9, name), Instant::START);
        (0..200).map(|n| server.arrive(ms(n), &AS_USUAL)).collect()
    };
    assert_eq!(story("a"), story("a"));
    assert_ne!(story("a"), story("b"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Against the plainest queue: every request's times kept, every server asked, everyone waiting counted.
    #[test]
    fn the_times_are_those_of_a_queue_told_naively(
        seed: u64, servers in 1_u32..9, places in 0_u32..6, gaps in prop::collection::vec(0_u64..8, 1..300),
    ) {
        let service = ServiceTime::Uniform { least_ms: 0.0, most_ms: 30.0 };
        let model = TargetModel { service, concurrency: servers, queue: places, ..TargetModel::default() };
        let mut server = Server::new(&model, Stream::named(seed, "naive"), Instant::START);
        let mut draws = server.stream.clone();
        let mut free = vec![Instant::START; servers as usize];
        let mut begun: Vec<Instant> = Vec::new();
        let mut now = Instant::START;
        for gap in gaps {
            now = now + Duration::from_millis(gap);
            let (which, first) = free.iter().copied().enumerate().min_by_key(|(_, at)| *at).unwrap();
            let begins = first.max(now);
            let waiting = begun.iter().filter(|begins| **begins > now).count();
            prop_assert_eq!(server.waiting(now), waiting);
            let got = server.arrive(now, &AS_USUAL);
            if begins > now && waiting >= places as usize {
                prop_assert_eq!(got, Admission::Full);
                continue;
            }
            let ends = begins + service.draw(&mut draws);
            prop_assert_eq!(got, Admission::Served { begins, ends, epoch: Epoch::default() });
            free[which] = ends;
            begun.push(begins);
        }
    }
}
