//! Queries and answers on one connection, whatever it runs over: TCP, or TLS on it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use perigee_net::{Fault, Gate, Host, Shutdown};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::time::timeout;

use crate::arrival::{Arrival, Limit};
use crate::{Responder, Transport};

/// A connection without a query for this long is closed (RFC 7766 section 6.2.3 leaves the time to the server).
pub(crate) const IDLE: Duration = Duration::from_secs(10);
/// The same when all connections are taken.
const IDLE_AT_LIMIT: Duration = Duration::from_secs(1);
/// A query that has begun must be whole by then.
pub(crate) const REST: Duration = Duration::from_secs(5);
/// A client that does not take its answer by then is left.
pub(crate) const WRITE: Duration = Duration::from_secs(10);
/// Octets of a query; a longer one closes its connection (Perigee's choice: a query is a name and a few options).
pub(crate) const MAX_QUERY: u16 = 4_096;

/// What all conversations of a server share.
#[derive(Clone, Debug)]
pub(crate) struct Parlour {
    pub(crate) host: Host,
    pub(crate) responder: std::sync::Arc<Responder>,
    pub(crate) connections: Gate,
    pub(crate) shutdown: Shutdown,
}

impl Parlour {
    /// How long a connection may be idle now: ten seconds while at most half of the connections are taken, and less in
    /// proportion to what is left beyond that, down to one (`spec/dns.md` §5.6; the course is Perigee's choice).
    pub(crate) fn idle(&self) -> Duration {
        idle(self.connections.inside(), self.connections.limit())
    }

    /// The answer to a query on a connection, as late as a slow host gives it.
    pub(crate) async fn answer(
        &self,
        query: &[u8],
        source: SocketAddr,
        transport: Transport,
        idle: Option<Duration>,
    ) -> Option<crate::arrival::Answer> {
        let fault = self.host.fault();
        if !fault.delay().is_zero() {
            tokio::time::sleep(fault.delay()).await;
        }
        let moment = self.responder.now();
        let is_failing = fault == Fault::Error;
        let arrival = Arrival { moment, idle, is_failing, ..self.responder.arrival(source, transport) };
        self.responder.reply(query, &arrival, Limit::Free)
    }
}

fn idle(inside: u32, limit: u32) -> Duration {
    let half = limit / 2;
    let left = limit.saturating_sub(inside.max(half));
    let span = (IDLE - IDLE_AT_LIMIT) * left / (limit - half).max(1);
    // Whole tenths of a second, so that what is announced is what is kept.
    let tenths = (IDLE_AT_LIMIT + span).as_millis() / 100;
    Duration::from_millis(100 * tenths as u64)
}

/// Answers the queries of one connection in their order (RFC 7766 section 6.2.1.1 allows to send them without waiting).
///
/// Ends at the client's end of sending, when all that it asked is answered; at the idle time, at the server's end, and
/// at whatever is no query. Errors: those of the stream.
pub(crate) async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    client: SocketAddr,
    transport: Transport,
    parlour: &Parlour,
) -> io::Result<()> {
    let mut stream = BufReader::with_capacity(usize::from(MAX_QUERY) + 2, stream);
    let mut query = Vec::new();
    loop {
        let first = tokio::select! {
            // A query that has arrived is answered even when the server stops.
            biased;
            first = timeout(parlour.idle(), stream.read_u8()) => first,
            () = parlour.shutdown.draining() => return Ok(()),
        };
        let Ok(Ok(first)) = first else { return Ok(()) };
        let Ok(whole) = timeout(REST, read_rest(&mut stream, first, &mut query)).await else {
            parlour.responder.metrics().drop_for("unfinished");
            return Ok(());
        };
        if !whole? {
            parlour.responder.metrics().drop_for("oversized");
            return Ok(());
        }
        let Some(answer) = parlour.answer(&query, client, transport, Some(parlour.idle())).await else { return Ok(()) };
        timeout(WRITE, write(&mut stream, &answer.bytes)).await??;
    }
}

/// Reads a query whose length begins with `first`; false if it is longer than a query may be.
async fn read_rest(stream: &mut (impl AsyncRead + Unpin), first: u8, query: &mut Vec<u8>) -> io::Result<bool> {
    let len = u16::from_be_bytes([first, stream.read_u8().await?]);
    if len > MAX_QUERY {
        return Ok(false);
    }
    query.resize(len.into(), 0);
    stream.read_exact(query).await?;
    Ok(true)
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), answer: &[u8]) -> io::Result<()> {
    stream.write_all(&framed(answer)?).await?;
    stream.flush().await
}

/// Length and answer in one piece: apart they could leave in two segments (RFC 7766 section 8).
///
/// Errors: more than 65,535 octets, which no answer has.
pub(crate) fn framed(answer: &[u8]) -> io::Result<Vec<u8>> {
    let len = u16::try_from(answer.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut framed = Vec::with_capacity(2 + answer.len());
    framed.extend(len.to_be_bytes());
    framed.extend(answer);
    Ok(framed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_connections_are_kept_for_less_the_fewer_are_left() {
        for (inside, limit, tenths) in [
            (0, 1_000, 100),
            (500, 1_000, 100),
            (750, 1_000, 55),
            (1_000, 1_000, 10),
            (1_200, 1_000, 10),
            (1, 1, 10),
            (0, 1, 100),
            (0, 0, 10),
            (999_999, 1_000_000, 10),
        ] {
            assert_eq!(idle(inside, limit), Duration::from_millis(100 * tenths), "{inside} of {limit}");
        }
    }
}
