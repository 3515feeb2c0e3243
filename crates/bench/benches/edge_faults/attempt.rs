//! One new connection: a request on it, and the answer.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::{Instant, timeout_at};

/// Longest answer that is read.
const ANSWER_MAX: usize = 4_096;

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With this status, from this region.
    Answered { status: u16, region: String },
    /// Refused, reset, or no answer in time at any address.
    Failed,
}

/// How long a client waits for an answer before it tries the next address (RFC 8305 section 5 recommends 250 ms
/// between attempts), and at the last one.
const NEXT_AFTER: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks one address after the other, until one answers. Gives the end, and when the first byte of the answer came.
pub async fn attempt(addresses: &[SocketAddr], client: Ipv4Addr) -> (End, Instant) {
    for (n, address) in addresses.iter().enumerate() {
        let is_last = n + 1 == addresses.len();
        let deadline = Instant::now() + if is_last { PATIENCE } else { NEXT_AFTER };
        if let Ok(Ok(answered)) = timeout_at(deadline, ask(*address, client)).await {
            return answered;
        }
    }
    (End::Failed, Instant::now())
}

async fn ask(address: SocketAddr, client: Ipv4Addr) -> io::Result<(End, Instant)> {
    let socket = TcpSocket::new_v4()?;
    // The port is chosen at the connect, when both ends are known: one client can then have very many.
    setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
    socket.bind((client, 0).into())?;
    let mut stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    stream.write_all(b"GET /check HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n").await?;
    let mut answer = Vec::with_capacity(ANSWER_MAX);
    let mut first = None;
    // The server closes, so that the client's port is free again at once.
    while answer.len() < ANSWER_MAX && stream.read_buf(&mut answer).await? > 0 {
        first.get_or_insert_with(Instant::now);
    }
    match (first, read(&answer)) {
        (Some(first), Some(end)) => Ok((end, first)),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn read(answer: &[u8]) -> Option<End> {
    let text = String::from_utf8_lossy(answer);
    let (head, _) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("x-perigee-region").then(|| value.trim().to_owned())
    };
    // Who answers for a dead target is a load balancer, which names no region.
    Some(End::Answered { status, region: lines.find_map(field).unwrap_or_default() })
}
