//! The client: opens connections on schedule, whatever comes back, and notes every one.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::time::{Instant as TokioInstant, MissedTickBehavior, interval};

use crate::attempt::{End, attempt};

/// Connections that may be waiting at once; what is due beyond them counts as failed.
const WAITING_MAX: usize = 10_000;
/// Clients, all of Seoul: each has its own ports.
const CLIENTS: u32 = 200;
/// Between two looks at the schedule.
const TICK: Duration = Duration::from_millis(1);

/// A connection and what became of it.
#[derive(Clone, Debug)]
pub struct Noted {
    /// When it was started.
    pub started: Instant,
    /// From its place in the schedule to the start, and to the first byte of the answer (or its failure).
    pub late: Duration,
    pub waited: Duration,
    pub end: End,
}

/// A load that runs in a thread of its own.
pub struct Load(JoinHandle<Vec<Noted>>);

impl Load {
    /// Starts `rate` connections a second, for `duration`, each to the first address and then, if need be, to the next.
    pub fn start(to: Vec<SocketAddr>, rate: u32, duration: Duration) -> Self {
        let total = (f64::from(rate) * duration.as_secs_f64()) as u32;
        Self(std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(run(to.into(), rate, total))
        }))
    }

    /// Every connection, in the order in which they ended.
    pub fn finish(self) -> Vec<Noted> {
        self.0.join().unwrap()
    }
}

async fn run(to: Arc<[SocketAddr]>, rate: u32, total: u32) -> Vec<Noted> {
    let noted = Arc::new(Mutex::new(Vec::with_capacity(total as usize)));
    let waiting = Arc::new(Semaphore::new(WAITING_MAX));
    let note = |noted: &Mutex<Vec<Noted>>, entry| noted.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    let began = TokioInstant::now();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut next = 0;
    while next < total {
        ticks.tick().await;
        while next < total {
            let due = began + Duration::from_secs_f64(f64::from(next) / f64::from(rate));
            let started = TokioInstant::now();
            if due > started {
                break;
            }
            let late = started - due;
            let client = Ipv4Addr::new(127, 82, 200, u8::try_from(10 + next % CLIENTS).unwrap());
            next += 1;
            let Ok(place) = waiting.clone().try_acquire_owned() else {
                note(&noted, Noted { started: started.into_std(), late, waited: late, end: End::Failed });
                continue;
            };
            let (to, noted) = (to.clone(), noted.clone());
            tokio::spawn(async move {
                let (end, at) = attempt(&to, client).await;
                note(&noted, Noted { started: started.into_std(), late, waited: at - due, end });
                drop(place);
            });
        }
    }
    // Each ends by its own patience.
    let _ = waiting.acquire_many(WAITING_MAX as u32).await;
    std::mem::take(&mut noted.lock().unwrap_or_else(PoisonError::into_inner))
}
