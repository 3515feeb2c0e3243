//! The load: as many queries under way as a window allows, or as many a second as a rate says.
//!
//! dnsperf sends one client subnet for all queries, so that a server's cache of one answer would do; here every query
//! has its own of many. Otherwise it does what dnsperf does: each client sends the next query when an answer has come.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use perigee_net::{DatagramBatch, DatagramSocket, MAX_ANSWER};

/// A query without an answer for this long is lost.
const LOST: Duration = Duration::from_millis(500);
/// How long a client waits for room in its own socket.
const PATIENCE: Duration = Duration::from_millis(10);
/// Distinct queries.
const QUERIES: usize = 1 << 16;

/// What is asked.
#[derive(Clone, Copy)]
pub struct Questions {
    /// How many names: h0, h1 and so on.
    pub names: usize,
    /// How many /24 networks in the client subnet; 0 sends none.
    pub networks: usize,
}

/// How it is asked.
#[derive(Clone, Copy)]
pub struct Load {
    pub server: SocketAddr,
    pub clients: usize,
    /// Queries under way, of all clients together.
    pub window: usize,
    /// Queries a second, whatever comes back; none goes by the window.
    pub rate: Option<f64>,
    pub duration: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub sent: u64,
    pub answers: u64,
    /// Answers with another code than NOERROR, or without a record.
    pub wrong: u64,
    pub lost: u64,
    pub seconds: f64,
    /// Microseconds, ascending.
    pub latencies_us: Vec<u32>,
}

impl Outcome {
    pub fn lost_percent(&self) -> f64 {
        100.0 * self.lost as f64 / self.sent.max(1) as f64
    }

    /// Milliseconds that a share of the answers took at most.
    pub fn latency_ms(&self, share: f64) -> f64 {
        let position = (self.latencies_us.len() as f64 * share) as usize;
        self.latencies_us
            .get(position.min(self.latencies_us.len().saturating_sub(1)))
            .map_or(0.0, |us| f64::from(*us) / 1e3)
    }
}

/// A client: its socket, and when each of its queries was sent.
struct Client {
    socket: DatagramSocket,
    /// By identifier, microseconds since the start, 0 if there is none.
    under_way: Vec<u32>,
    next: usize,
    open: usize,
    sent: u64,
}

/// Messages one behind the other.
pub struct Messages {
    octets: Vec<u8>,
    starts: Vec<u32>,
}

impl Messages {
    pub fn of(questions: Questions) -> Self {
        let mut draws = Draws(1);
        let networks: Vec<[u8; 3]> = (0..questions.networks)
            .map(|_| {
                let draw = draws.next().to_be_bytes();
                // The unicast space without private and loopback networks, which no database knows.
                let first = 1 + draw[0] % 223;
                [if [10, 127].contains(&first) { 11 } else { first }, draw[1], draw[2]]
            })
            .collect();
        let (mut octets, mut starts) = (Vec::new(), Vec::with_capacity(QUERIES + 1));
        for _ in 0..QUERIES {
            starts.push(octets.len() as u32);
            octets.extend([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(!networks.is_empty())]);
            let label = format!("h{}", draws.next() % questions.names as u64);
            octets.push(label.len() as u8);
            octets.extend(label.bytes());
            octets.extend(b"\x03geo\x07example\x00\x00\x01\x00\x01");
            if !networks.is_empty() {
                let [a, b, c] = networks[(draws.next() % networks.len() as u64) as usize];
                octets.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0, a, b, c]);
            }
        }
        starts.push(octets.len() as u32);
        Self { octets, starts }
    }

    fn get(&self, number: usize) -> &[u8] {
        let number = number % QUERIES;
        &self.octets[self.starts[number] as usize..self.starts[number + 1] as usize]
    }
}

struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let a = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        b ^ (b >> 31)
    }
}

/// Asks, and counts what comes back.
pub fn run(load: Load, messages: &Messages) -> Outcome {
    let each = (load.window / load.clients).max(1);
    let identifiers = if load.rate.is_some() { 1 << 16 } else { (4 * each).next_power_of_two() };
    let mut batch = DatagramBatch::new();
    if load.rate.is_none() {
        // Resolvers send queries one by one.
        batch.without_segments();
    }
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut clients: Vec<Client> = (0..load.clients)
        .map(|i| Client {
            socket: DatagramSocket::bind(any).expect("a port is free"),
            under_way: vec![0; identifiers],
            next: i * 131,
            open: 0,
            sent: 0,
        })
        .collect();
    let start = Instant::now();
    let since = |start: Instant| start.elapsed().as_micros().max(1) as u32;
    let mut outcome = Outcome::default();
    let mut swept = Instant::now();
    let mut closing = None;
    loop {
        let now = since(start);
        let over = start.elapsed() >= load.duration;
        let mut received = 0;
        for client in &mut clients {
            let Client { socket, under_way, next, open, sent } = client;
            let mut answered = 0;
            if batch.receive(socket).is_ok() {
                batch.answer_each(socket, |answer, _, room| {
                    received += 1;
                    let slot = under_way.get_mut(usize::from(u16::from_be_bytes([answer[0], answer[1]])))?;
                    if *slot == 0 {
                        return None;
                    }
                    outcome.answers += 1;
                    outcome.wrong += u64::from(answer[3] & 15 != 0 || answer[7] == 0);
                    outcome.latencies_us.push(now.saturating_sub(*slot));
                    *slot = 0;
                    *open -= 1;
                    if over || load.rate.is_some() {
                        return None;
                    }
                    answered += 1;
                    Some(query(messages, under_way, next, now, room))
                });
                *open += answered;
                outcome.sent += answered as u64;
                batch.send(socket, PATIENCE);
            }
            if over {
                continue;
            }
            // The window's first queries, and those that take the place of lost ones; or what the rate demands.
            let due = match load.rate {
                Some(rate) => {
                    let share = f64::from(now) / 1e6 * rate / load.clients as f64;
                    (share as u64).saturating_sub(*sent).min(64) as usize
                }
                None => each.saturating_sub(*open).min(64),
            };
            if due > 0 {
                batch.compose(load.server, due, |room| Some(query(messages, under_way, next, now, room)));
                outcome.sent += due as u64;
                *sent += due as u64;
                *open += due;
                batch.send(socket, PATIENCE);
            }
        }
        if swept.elapsed() > LOST / 4 {
            swept = Instant::now();
            for client in &mut clients {
                for slot in client.under_way.iter_mut().filter(|slot| **slot > 0) {
                    if now.saturating_sub(*slot) > LOST.as_micros() as u32 {
                        *slot = 0;
                        client.open = client.open.saturating_sub(1);
                        outcome.lost += 1;
                    }
                }
            }
        }
        if over {
            // Answers under way are waited for, so that none counts as lost that is not.
            let closing = *closing.get_or_insert_with(|| {
                outcome.seconds = start.elapsed().as_secs_f64();
                Instant::now()
            });
            if clients.iter().all(|client| client.open == 0) || closing.elapsed() > 2 * LOST {
                break;
            }
        }
        if received == 0 {
            std::thread::yield_now();
        }
    }
    outcome.latencies_us.sort_unstable();
    outcome
}

/// Writes the client's next query and gives its length.
fn query(messages: &Messages, under_way: &mut [u32], next: &mut usize, now: u32, room: &mut [u8; MAX_ANSWER]) -> usize {
    let message = messages.get(*next);
    let identifier = *next % under_way.len();
    *next += 1;
    room[..message.len()].copy_from_slice(message);
    room[..2].copy_from_slice(&(identifier as u16).to_be_bytes());
    under_way[identifier] = now;
    message.len()
}
