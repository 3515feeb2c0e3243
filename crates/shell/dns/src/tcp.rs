use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use perigee_net::{Fault, Gate, Host, HostListener, HostStream, Shutdown};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tracing::debug;

use crate::{Responder, Transport};

/// A connection without a query for this long is closed (RFC 7766 section 6.2.3 leaves the time to the server).
const IDLE: Duration = Duration::from_secs(10);
/// A query that has begun must be whole by then.
const REST: Duration = Duration::from_secs(5);
/// A client that does not take its answer by then is left.
const WRITE: Duration = Duration::from_secs(10);
/// Connections of one client address (Perigee's choice, `spec/dns.md` §5.6).
const PER_CLIENT: u32 = 20;
/// Octets of a query; a longer one closes its connection (Perigee's choice: a query is a name and a few options).
const MAX_QUERY: u16 = 4_096;

/// Accepts connections until the server is told to stop.
pub(crate) async fn serve(
    mut listener: HostListener,
    host: Host,
    responder: Arc<Responder>,
    connections: Gate,
    shutdown: Shutdown,
) {
    let clients = Arc::new(Clients::default());
    loop {
        let (stream, client) = tokio::select! {
            () = shutdown.draining() => return,
            accepted = listener.accept() => accepted,
        };
        let Some(pass) = connections.enter() else { continue };
        let Some(of_client) = clients.enter(client.ip()) else {
            responder.metrics().tcp_refused_client.inc();
            continue;
        };
        let (host, responder, draining) = (host.clone(), responder.clone(), shutdown.clone());
        shutdown.spawn(async move {
            let ended = host.run(converse(stream, client, &host, &responder, &draining)).await;
            if let Some(Err(error)) = ended {
                debug!(%client, %error, "a connection failed");
            }
            drop((pass, of_client));
        });
    }
}

/// Answers the queries of one connection in their order (RFC 7766 section 6.2.1.1 allows to send them without waiting).
async fn converse(
    mut stream: HostStream,
    client: SocketAddr,
    host: &Host,
    responder: &Responder,
    shutdown: &Shutdown,
) -> io::Result<()> {
    let mut query = Vec::new();
    loop {
        let first = tokio::select! {
            // A query that has arrived is answered even when the server stops.
            biased;
            first = timeout(IDLE, stream.read_u8()) => first,
            () = shutdown.draining() => return Ok(()),
        };
        let Ok(Ok(first)) = first else { return Ok(()) };
        let Ok(whole) = timeout(REST, read_rest(&mut stream, first, &mut query)).await else {
            responder.metrics().drop_for("unfinished");
            return Ok(());
        };
        if !whole? {
            responder.metrics().drop_for("oversized");
            return Ok(());
        }
        let fault = host.fault();
        if !fault.delay().is_zero() {
            tokio::time::sleep(fault.delay()).await;
        }
        let answer = if fault == Fault::Error {
            responder.fail(&query, Transport::Tcp)
        } else {
            responder.answer(&query, client, Transport::Tcp)
        };
        let Some(answer) = answer else { return Ok(()) };
        timeout(WRITE, write(&mut stream, &answer)).await??;
    }
}

/// Reads a query whose length begins with `first`; false if it is longer than a query may be.
async fn read_rest(stream: &mut HostStream, first: u8, query: &mut Vec<u8>) -> io::Result<bool> {
    let len = u16::from_be_bytes([first, stream.read_u8().await?]);
    if len > MAX_QUERY {
        return Ok(false);
    }
    query.resize(len.into(), 0);
    stream.read_exact(query).await?;
    Ok(true)
}

/// Writes length and answer at once: apart they could leave in two segments (RFC 7766 section 8).
async fn write(stream: &mut HostStream, answer: &[u8]) -> io::Result<()> {
    let len = u16::try_from(answer.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut framed = Vec::with_capacity(2 + answer.len());
    framed.extend(len.to_be_bytes());
    framed.extend(answer);
    stream.write_all(&framed).await
}

/// How many connections each client has.
#[derive(Debug, Default)]
struct Clients {
    counts: Mutex<BTreeMap<IpAddr, u32>>,
}

/// The right of one connection of a client.
struct OfClient {
    clients: Arc<Clients>,
    client: IpAddr,
}

impl Clients {
    fn enter(self: &Arc<Self>, client: IpAddr) -> Option<OfClient> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(client).or_insert(0);
        if *count >= PER_CLIENT {
            return None;
        }
        *count += 1;
        Some(OfClient { clients: self.clone(), client })
    }
}

impl Drop for OfClient {
    fn drop(&mut self) {
        let mut counts = self.clients.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_twenty_connections_and_leaves_no_trace_when_they_are_gone() {
        let clients = Arc::new(Clients::default());
        let one = IpAddr::from([127, 0, 0, 1]);
        let mut held: Vec<OfClient> = (0..PER_CLIENT).filter_map(|_| clients.enter(one)).collect();
        assert_eq!(held.len(), 20);
        assert!(clients.enter(one).is_none());
        assert!(clients.enter(IpAddr::from([127, 0, 0, 2])).is_some(), "another client is not held to it");
        held.pop();
        assert!(clients.enter(one).is_some());
        held.clear();
        assert!(clients.counts.lock().unwrap().is_empty());
    }
}
