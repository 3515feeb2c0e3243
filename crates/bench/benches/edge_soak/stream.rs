//! What goes over a flow: how much each way, at which pace, and the octets themselves.
//!
//! ```text
//!   client                                   endpoint
//!     Plan                             -->
//!                                      <--     Identity
//!     `up` octets, then the end        -->
//!                                      <--     `down` octets, Identity again, octets that it got and found right
//! ```
//!
//! The octet at a position follows from the plan's seed, the direction and the position, so that both ends know what
//! has to come, and a flow that was cut off is still judged by what had come: every octet is compared, which finds
//! what a checksum would, and where.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::draws::Draws;

/// Nobody pauses for as long as this: a flow without an octet for so long hangs.
pub const HANGS: Duration = Duration::from_secs(30);
/// Octets of a plan and of an identity on the wire.
const PLAN: usize = 40;
const IDENTITY: usize = 16;

/// What a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub seed: u64,
    /// Octets from the client, and to it.
    pub up: u64,
    pub down: u64,
    /// Most octets written at once, and the longest pause after them, ms; 0 is none.
    pub chunk: u64,
    pub pause_ms: u64,
}

impl Plan {
    pub fn encode(&self) -> [u8; PLAN] {
        let mut octets = [0; PLAN];
        let fields = [self.seed, self.up, self.down, self.chunk, self.pause_ms];
        for (place, field) in octets.chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_be_bytes());
        }
        octets
    }

    pub fn decode(octets: &[u8; PLAN]) -> Self {
        let mut fields = octets.chunks_exact(8).map(|field| u64::from_be_bytes(field.try_into().unwrap()));
        let mut next = || fields.next().unwrap_or_default();
        Self { seed: next(), up: next(), down: next(), chunk: next().max(1), pause_ms: next() }
    }

    pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let mut octets = [0; PLAN];
        timeout(HANGS, stream.read_exact(&mut octets)).await??;
        Ok(Self::decode(&octets))
    }
}

/// Who an endpoint is: its number, and which of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub endpoint: u64,
    pub life: u64,
}

impl Identity {
    pub fn encode(&self) -> [u8; IDENTITY] {
        let mut octets = [0; IDENTITY];
        octets[..8].copy_from_slice(&self.endpoint.to_be_bytes());
        octets[8..].copy_from_slice(&self.life.to_be_bytes());
        octets
    }

    pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        Ok(Self { endpoint: read_number(stream).await?, life: read_number(stream).await? })
    }
}

pub async fn read_number(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<u64> {
    timeout(HANGS, stream.read_u64()).await?
}

/// Which way octets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Up,
    Down,
}

/// Writes what belongs at `position` and on.
fn fill(seed: u64, direction: Direction, position: u64, room: &mut [u8]) {
    let key = seed ^ if direction == Direction::Up { 0 } else { 0x5851_f42d_4c95_7f2d };
    let mut at = position;
    let mut done = 0;
    while done < room.len() {
        // splitmix64 of the word's number: any position can be had by itself.
        let mut word = key.wrapping_add((at / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let octets = (word ^ (word >> 31)).to_le_bytes();
        let from = (at % 8) as usize;
        let count = (8 - from).min(room.len() - done);
        room[done..done + count].copy_from_slice(&octets[from..from + count]);
        done += count;
        at += count as u64;
    }
}

/// Sends all octets of a direction, in chunks of random lengths with random pauses.
pub async fn send(plan: &Plan, direction: Direction, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let total = if direction == Direction::Up { plan.up } else { plan.down };
    let mut draws = Draws::new(plan.seed, 1 + direction as u64);
    let mut buffer = vec![0; plan.chunk.min(1 << 18) as usize];
    let mut position = 0;
    while position < total {
        let count = draws.between(1, buffer.len() as u64).min(total - position);
        let chunk = &mut buffer[..count as usize];
        fill(plan.seed, direction, position, chunk);
        timeout(HANGS, stream.write_all(chunk)).await??;
        position += count;
        if plan.pause_ms > 0 && position < total {
            sleep(Duration::from_millis(draws.between(0, plan.pause_ms))).await;
        }
    }
    Ok(())
}

/// How the octets of a direction came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    pub octets: u64,
    /// The first position at which another octet came than had been sent.
    pub wrong_at: Option<u64>,
}

/// Receives all octets of a direction and compares each; `received` is right also when it fails.
pub async fn receive(
    plan: &Plan,
    direction: Direction,
    stream: &mut (impl AsyncRead + Unpin),
    received: &mut Received,
) -> io::Result<()> {
    let total = if direction == Direction::Up { plan.up } else { plan.down };
    let mut room = vec![0; total.min(1 << 16) as usize];
    let mut expected = room.clone();
    while received.octets < total {
        let most = (total - received.octets).min(room.len() as u64) as usize;
        let count = timeout(HANGS, stream.read(&mut room[..most])).await??;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        fill(plan.seed, direction, received.octets, &mut expected[..count]);
        if room[..count] != expected[..count] && received.wrong_at.is_none() {
            let at = room.iter().zip(&expected).position(|(came, sent)| came != sent);
            received.wrong_at = at.map(|at| received.octets + at as u64);
        }
        received.octets += count as u64;
    }
    Ok(())
}
