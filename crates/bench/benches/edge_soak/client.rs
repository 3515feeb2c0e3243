//! The clients: many at once, each opening one stream after the other and judging it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io};

use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::draws::Draws;
use crate::journal::Journal;
use crate::stream::{Direction, HANGS, Identity, Plan, Received, read_number, receive, send};

/// Clients with short streams one after the other, and with streams that take half a minute and more.
const SHORT: u64 = 60;
const LONG: u64 = 120;

/// What all clients saw.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub streams: u64,
    pub octets: u64,
    /// Streams of which every octet came and was right, both ways.
    pub whole: u64,
    /// Streams that broke off, or that nobody took, while what they needed was broken.
    pub excused: u64,
    /// The same while nothing was. This and what follows should not be.
    pub unexcused: u64,
    /// Streams with a wrong octet.
    pub wrong: u64,
    /// Streams whose endpoint was another one at the end than at the beginning.
    pub moved: u64,
}

/// Why a stream was no whole one.
enum Fault {
    Io(io::Error),
    Wrong(u64),
    Moved(Identity),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Wrong(u64::MAX) => f.write_str("the endpoint got a wrong octet"),
            Self::Wrong(at) => write!(f, "octet {at} is wrong"),
            Self::Moved(to) => write!(f, "it moved to {to:?}"),
        }
    }
}

/// Runs all clients until `end`, and then until their last streams are over; gives what they saw.
pub fn run(edge: SocketAddr, seed: u64, end: Instant, journal: &Arc<Journal>) -> Seen {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let seen = Arc::new(Mutex::new(Seen::default()));
    runtime.block_on(async {
        let mut clients = JoinSet::new();
        for number in 0..SHORT + LONG {
            clients.spawn(client(number, edge, seed, end, journal.clone(), seen.clone()));
        }
        while clients.join_next().await.is_some() {}
    });
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.clone()
}

async fn client(number: u64, edge: SocketAddr, seed: u64, end: Instant, journal: Arc<Journal>, seen: Arc<Mutex<Seen>>) {
    let mut draws = Draws::new(seed, 1_000 + number);
    // A quarter of a second apart on average, and not all at once at the beginning.
    sleep(Duration::from_millis(draws.between(0, 500))).await;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| *left > Duration::from_secs(1)) {
        let plan = if number < SHORT { short(&mut draws) } else { long(&mut draws, left) };
        let address = Ipv4Addr::new(127, 82, 200, draws.between(1, 250) as u8);
        judge(&plan, edge, address, &journal, &seen).await;
        sleep(Duration::from_millis(draws.between(0, 500))).await;
    }
}

/// A few octets, a few hundred KiB with pauses, or so many without one that copying them would not pay.
fn short(draws: &mut Draws) -> Plan {
    let (up, down, chunk, pause_ms) = match draws.between(0, 99) {
        0..90 => (draws.between(0, 8 << 10), draws.between(0, 32 << 10), 16 << 10, 0),
        90..99 => (draws.between(0, 256 << 10), draws.between(0, 512 << 10), 32 << 10, 20),
        _ => (draws.between(0, 4 << 20), draws.between(4 << 20, 32 << 20), 256 << 10, 0),
    };
    Plan { seed: draws.any(), up, down, chunk, pause_ms }
}

/// A chunk now and then, both ways, for 20 s to four minutes, or as long as is left.
fn long(draws: &mut Draws, left: Duration) -> Plan {
    let pause_ms = draws.between(50, 3_000);
    let seconds = draws.between(20, 240).min(left.as_secs().max(1));
    let chunk = draws.between(1, 16 << 10);
    // Half of the longest chunk and of the longest pause on average.
    let octets = (seconds * 1_000 / pause_ms) * chunk;
    Plan { seed: draws.any(), up: octets, down: draws.between(0, octets), chunk, pause_ms }
}

async fn judge(plan: &Plan, edge: SocketAddr, address: Ipv4Addr, journal: &Journal, seen: &Mutex<Seen>) {
    let began = Instant::now();
    let (mut identity, mut received) = (None, Received::default());
    let end = stream(plan, edge, address, &mut identity, &mut received).await;
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.streams += 1;
    seen.octets += received.octets;
    let fault = match (end, received.wrong_at) {
        (_, Some(at)) => Fault::Wrong(at),
        (Err(fault), None) => fault,
        (Ok(()), None) => {
            seen.whole += 1;
            seen.octets += plan.up;
            return;
        }
    };
    match &fault {
        Fault::Wrong(_) => seen.wrong += 1,
        Fault::Moved(_) => seen.moved += 1,
        Fault::Io(_) if journal.excuses(began, Instant::now(), identity) => {
            seen.excused += 1;
            return;
        }
        Fault::Io(_) => seen.unexcused += 1,
    }
    drop(seen);
    eprintln!(
        "# a stream of {:.1} s from {address} to {identity:?}, {} octets after its start: {fault}; {plan:?}",
        began.elapsed().as_secs_f64(),
        received.octets,
    );
}

async fn stream(
    plan: &Plan,
    edge: SocketAddr,
    address: Ipv4Addr,
    identity: &mut Option<Identity>,
    received: &mut Received,
) -> Result<(), Fault> {
    let mut stream = timeout(HANGS, connect(edge, address)).await.map_err(io::Error::from)??;
    stream.write_all(&plan.encode()).await?;
    let at_first = Identity::read(&mut stream).await?;
    *identity = Some(at_first);
    let (mut from, mut to) = stream.split();
    let up = async {
        send(plan, Direction::Up, &mut to).await?;
        // Half of the stream ends here, the other goes on.
        to.shutdown().await
    };
    let down = receive(plan, Direction::Down, &mut from, received);
    // When one half breaks the other is no use any more.
    tokio::try_join!(up, down)?;
    let at_last = Identity::read(&mut stream).await?;
    if at_last != at_first {
        return Err(Fault::Moved(at_last));
    }
    let octets = read_number(&mut stream).await?;
    if octets != plan.up {
        return Err(Fault::Wrong(u64::MAX));
    }
    match timeout(HANGS, stream.read(&mut [0])).await.map_err(io::Error::from)?? {
        0 => Ok(()),
        _ => Err(Fault::Wrong(plan.down)),
    }
}

async fn connect(edge: SocketAddr, address: Ipv4Addr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
    socket.bind((address, 0).into())?;
    let stream = socket.connect(edge).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
