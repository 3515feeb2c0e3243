use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use perigee_model::Instant;
use proptest::prelude::*;

use super::{LONG, Queue};
use crate::Stream;

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

/// What the queue says it does, in the fewest words: a heap of time, round and event.
#[derive(Default)]
struct Model {
    heap: BinaryHeap<Reverse<(u64, u32, u64)>>,
    now: u64,
    round: u32,
}

impl Model {
    fn push(&mut self, at: u64, event: u64) {
        let round = if at == self.now { self.round + 1 } else { 0 };
        self.heap.push(Reverse((at, round, event)));
    }

    fn pop(&mut self) -> Option<(Instant, u64)> {
        let Reverse((time, round, event)) = self.heap.pop()?;
        (self.now, self.round) = (time, round);
        Some((at(time), event))
    }
}

/// One thing done to a queue.
#[derive(Clone, Debug)]
enum Act {
    /// Puts in so many events, each with a delay of up to so many bits, in steps of 2^`grain`, from its own stream.
    Push { count: u64, bits: u32, grain: u32, seed: u64 },
    /// Takes so many.
    Pop(u64),
    /// Takes so many, and puts one in again after each that there was.
    Hold { count: u64, bits: u32, seed: u64 },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let count = prop_oneof![1..5_u64, 1..600_u64];
    let bits = prop_oneof![0..12_u32, 0..=64_u32];
    let act = prop_oneof![
        3 => (count.clone(), bits.clone(), 0..14_u32, any::<u64>())
            .prop_map(|(count, bits, grain, seed)| Act::Push { count, bits, grain, seed }),
        2 => count.clone().prop_map(Act::Pop),
        2 => (count, bits, any::<u64>()).prop_map(|(count, bits, seed)| Act::Hold { count, bits, seed }),
    ];
    prop::collection::vec(act, 1..24)
}

/// A delay of up to so many bits.
fn delay(stream: &mut Stream, bits: u32) -> u64 {
    stream.bits().checked_shr(64 - bits).unwrap_or(0)
}

/// The queue, the contrary one and the model, doing the same.
struct Three {
    queue: Queue<u64>,
    contrary: Queue<u64>,
    model: Model,
}

impl Three {
    fn push(&mut self, delay: u64, event: u64) {
        let time = self.model.now.saturating_add(delay);
        self.queue.push(at(time), event);
        self.contrary.push(at(time), event);
        self.model.push(time, event);
    }

    fn pop(&mut self) -> Result<bool, TestCaseError> {
        let next = self.model.heap.peek().map(|Reverse((time, ..))| at(*time));
        // Only one of the two is asked for its time, so that asking is seen to change nothing.
        prop_assert_eq!(self.queue.next_time(), next);
        let want = self.model.pop();
        prop_assert_eq!(self.queue.pop(), want);
        prop_assert_eq!(self.contrary.pop(), want);
        prop_assert_eq!(self.queue.len(), self.model.heap.len());
        prop_assert_eq!(self.contrary.is_empty(), self.model.heap.is_empty());
        Ok(want.is_some())
    }

    fn act(&mut self, act: &Act) -> Result<(), TestCaseError> {
        match *act {
            Act::Push { count, bits, grain, seed } => {
                let mut stream = Stream::named(seed, "push");
                for _ in 0..count {
                    self.push(delay(&mut stream, bits) >> grain << grain, stream.below(50));
                }
            }
            Act::Pop(count) => {
                for _ in 0..count {
                    self.pop()?;
                }
            }
            Act::Hold { count, bits, seed } => {
                let mut stream = Stream::named(seed, "hold");
                for _ in 0..count {
                    if self.pop()? {
                        self.push(delay(&mut stream, bits), stream.below(50));
                    }
                }
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_a_heap_of_time_round_and_event_does_the_same(acts in acts()) {
        let mut three = Three { queue: Queue::new(), contrary: Queue::contrary(), model: Model::default() };
        for act in &acts {
            three.act(act)?;
        }
        while three.pop()? {}
    }

    #[test]
    fn events_put_in_in_any_order_come_out_in_one(
        events in prop::collection::vec((0..40_u64, 0..9_u64), 0..700)
            .prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle())),
        scale in 0..58_u32,
    ) {
        let (events, shuffled) = events;
        let out = |events: &[(u64, u64)]| {
            let mut queue = Queue::new();
            events.iter().for_each(|(time, event)| queue.push(at(time << scale), *event));
            std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>()
        };
        prop_assert_eq!(out(&events), out(&shuffled));
    }
}

#[test]
fn what_is_put_in_at_the_current_time_waits_for_the_next_round() {
    for start in [0, 7, u64::MAX] {
        let mut queue = Queue::new();
        for event in [5, 3, 4] {
            queue.push(at(start), event);
        }
        assert_eq!(queue.pop(), Some((at(start), 3)));
        queue.push(at(start), 2);
        queue.push(at(start), 1);
        assert_eq!(queue.pop(), Some((at(start), 4)), "the present round goes on, whatever was put in");
        assert_eq!(queue.pop(), Some((at(start), 5)));
        assert_eq!(queue.next_time(), Some(at(start)));
        assert_eq!(queue.pop(), Some((at(start), 1)), "the next round is sorted too");
        queue.push(at(start), 0);
        assert_eq!(queue.pop(), Some((at(start), 2)));
        assert_eq!(queue.pop(), Some((at(start), 0)), "and a third one follows");
        assert_eq!((queue.pop(), queue.next_time(), queue.len()), (None, None, 0));
    }
}

#[test]
fn asking_for_the_next_time_does_not_forbid_an_earlier_event() {
    let mut queue = Queue::new();
    queue.push(at(1_000_000_000), 1);
    queue.push(at(1_000_000_007), 2);
    assert_eq!(queue.next_time(), Some(at(1_000_000_000)));
    for time in [999_999_999, 70_000, 300, 1] {
        queue.push(at(time), 0);
        assert_eq!(queue.next_time(), Some(at(time)));
    }
    let times: Vec<u64> = std::iter::from_fn(|| queue.pop()).map(|(time, _)| time.as_nanos()).collect();
    assert_eq!(times, [1, 300, 70_000, 999_999_999, 1_000_000_000, 1_000_000_007]);
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "an event at 4 ns, but it is 5 ns already")]
fn an_event_in_the_past_is_the_callers_mistake() {
    let mut queue = Queue::new();
    queue.push(at(5), ());
    queue.pop();
    queue.push(at(4), ());
}

#[test]
#[cfg(not(debug_assertions))]
fn an_event_in_the_past_is_one_of_now() {
    let mut queue = Queue::new();
    queue.push(at(5), 0);
    queue.pop();
    queue.push(at(4), 1);
    assert_eq!((queue.next_time(), queue.pop()), (Some(at(5)), Some((at(5), 1))));
}

/// An event whose order forgets one of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Careless {
    key: u8,
    forgotten: u8,
}

impl PartialOrd for Careless {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Careless {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

#[test]
fn the_contrary_queue_betrays_an_order_that_is_not_whole() {
    // By the three ways in: through the wheel, into the front's range, at the current time.
    for delay in [1_000_000, 3, 0] {
        let run = |mut queue: Queue<Careless>| {
            for time in [256, 258, 300] {
                queue.push(at(time), Careless { key: 0, forgotten: 0 });
            }
            queue.pop();
            assert_eq!(queue.front.len(), 2, "the three came into the front together");
            for forgotten in [1, 2] {
                queue.push(at(256 + delay), Careless { key: 1, forgotten });
            }
            std::iter::from_fn(|| queue.pop()).map(|(_, event)| event.forgotten).collect::<Vec<_>>()
        };
        let mut backwards = run(Queue::contrary());
        let forwards = run(Queue::new());
        assert_ne!(forwards, backwards, "delay {delay}");
        backwards.sort_unstable();
        assert_eq!(backwards, [0, 0, 1, 2]);
    }
}

#[test]
fn a_burst_into_the_front_is_given_back_to_the_wheel() {
    let mut queue = Queue::new();
    for event in 0..10 {
        queue.push(at(1 << 40 | event << 30), event);
    }
    queue.pop();
    let mut stream = Stream::named(1, "burst");
    for event in 0..20_000 {
        queue.push(at(1 << 40 | stream.below(1 << 30)), event);
        assert!(queue.front.len() <= LONG);
    }
    let times: Vec<Instant> = std::iter::from_fn(|| queue.pop()).map(|(time, _)| time).collect();
    assert!(times.len() == 20_009 && times.is_sorted());
}

#[test]
fn a_steady_queue_needs_no_more_memory() {
    let mut queue = Queue::new();
    let mut stream = Stream::named(2, "steady");
    let mut hold = |queue: &mut Queue<u64>, count: u32| {
        for _ in 0..count {
            let (now, event) = queue.pop().unwrap();
            let grain = if event % 3 == 0 { 100_000 } else { 1 };
            let delay = stream.exponential(2e7) as u64 / grain * grain;
            queue.push(at(now.as_nanos() + delay), event);
        }
    };
    for event in 0..20_000 {
        queue.push(at(event), event);
    }
    hold(&mut queue, 400_000);
    let before = queue.capacity();
    hold(&mut queue, 2_000_000);
    assert_eq!(queue.capacity(), before);
    assert_eq!(queue.len(), 20_000);
    assert!(before.iter().sum::<usize>() < 4 * 20_000, "{before:?}");
}
