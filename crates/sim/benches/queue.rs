//! The event queue against the standard library's binary heap, in one process, in turns.
//!
//! Run by `cargo xtask bench sim`, which prints the table; by itself, with the number of rounds as its argument, it
//! prints one JSON record per work. The work is the hold model: so many events wait, the least is taken, and one is put
//! in again after an exponentially distributed delay, or for the last work one of a thousand round delays, so that
//! many events share a time. Both sides hold the same entry of 16 bytes and see the same delays, drawn beforehand.
#![allow(clippy::print_stdout, reason = "a measurement; its output is its interface")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::error::Error;

use nix::time::{ClockId, clock_gettime};
use perigee_model::Instant;
use perigee_sim::{Queue, Stream};
use serde_json::json;

/// Takes and puts per turn; as many again before the first one, unmeasured.
const OPERATIONS: usize = 1_000_000;

/// Delays drawn beforehand; a power of two.
const DELAYS: usize = 1 << 18;

/// Between the events, on average.
const SPACING: f64 = 1_000.0;

/// Something that can hold events.
trait Holder {
    fn put(&mut self, at: u64, event: u64);
    /// The least event; there always is one.
    fn take(&mut self) -> (u64, u64);
}

impl Holder for Queue<u64> {
    fn put(&mut self, at: u64, event: u64) {
        self.push(Instant::from_nanos(at), event);
    }

    fn take(&mut self) -> (u64, u64) {
        self.pop().map_or((0, 0), |(at, event)| (at.as_nanos(), event))
    }
}

impl Holder for BinaryHeap<Reverse<(u64, u64)>> {
    fn put(&mut self, at: u64, event: u64) {
        self.push(Reverse((at, event)));
    }

    fn take(&mut self) -> (u64, u64) {
        self.pop().map_or((0, 0), |Reverse(entry)| entry)
    }
}

/// A holder with its events, and where it is in the delays.
struct Run<'a, H> {
    holder: H,
    delays: &'a [u64],
    position: usize,
    /// Of all times taken: two runs that did the same work agree.
    checksum: u64,
}

impl<'a, H: Holder> Run<'a, H> {
    fn new(mut holder: H, pending: usize, delays: &'a [u64]) -> Self {
        for event in 0..pending {
            holder.put(delays[event * 7_919 % DELAYS], event as u64);
        }
        let mut run = Self { holder, delays, position: 0, checksum: 0 };
        run.hold(OPERATIONS.max(2 * pending));
        run
    }

    fn hold(&mut self, operations: usize) {
        for _ in 0..operations {
            let (now, event) = self.holder.take();
            self.checksum = self.checksum.wrapping_mul(31).wrapping_add(now);
            self.holder.put(now + self.delays[self.position % DELAYS], event);
            self.position += 1;
        }
    }

    /// Operations per second of the process's CPU time in one turn.
    fn turn(&mut self) -> Result<f64, Box<dyn Error>> {
        let before = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?;
        self.hold(OPERATIONS);
        let after = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?;
        let spent = (after.tv_sec() - before.tv_sec()) as f64 + (after.tv_nsec() - before.tv_nsec()) as f64 * 1e-9;
        Ok(OPERATIONS as f64 / spent)
    }
}

/// The middle value, of an even number the mean of the two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
    (low + high) / 2.0
}

fn measure(work: &str, pending: usize, steps: Option<f64>, rounds: usize) -> Result<(), Box<dyn Error>> {
    let mut stream = Stream::named(1, work);
    let mean = pending as f64 * SPACING;
    let draw = |_| {
        let delay = stream.exponential(mean);
        let whole = steps.map_or(delay, |steps| (delay * steps / mean).ceil() * (mean / steps));
        (whole as u64).max(1)
    };
    let delays: Vec<u64> = (0..DELAYS).map(draw).collect();
    let mut candidate = Run::new(Queue::new(), pending, &delays);
    let mut peer = Run::new(BinaryHeap::new(), pending, &delays);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(candidate.turn()?);
        theirs.push(peer.turn()?);
    }
    if candidate.checksum != peer.checksum {
        return Err(format!("{work}: the two did not do the same work").into());
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let record = json!({
        "work": work,
        "peer": "std BinaryHeap",
        "candidate_per_cpu_s": ours,
        "peer_per_cpu_s": theirs,
        "ratio": ours / theirs,
        "rounds": rounds,
    });
    println!("{record}");
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    // `cargo bench` adds `--bench` to the arguments.
    let rounds = std::env::args().skip(1).find(|word| word != "--bench").map_or(Ok(5), |word| word.parse())?;
    measure("event queue, 10000 pending", 10_000, None, rounds)?;
    measure("event queue, 100000 pending", 100_000, None, rounds)?;
    measure("event queue, 1000000 pending", 1_000_000, None, rounds)?;
    measure("event queue, 1000000 pending, many at one time", 1_000_000, Some(1_000.0), rounds)
}
