//! DNS over dedicated QUIC connections (RFC 9250).

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use perigee_net::Host;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{
    AsyncUdpSocket, Connection, Endpoint, EndpointConfig, Incoming, ReadToEndError, RecvStream, Runtime, SendStream,
    ServerConfig, TokioRuntime, TransportConfig, UdpPoller, VarInt,
};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::debug;

use crate::certificate::Identity;
use crate::clients::Clients;
use crate::conversation::{IDLE, MAX_QUERY, Parlour, REST, WRITE, framed};
use crate::{Transport, wire};

/// The protocol's name in the handshake (RFC 9250 section 4.1.1).
const PROTOCOL: &[u8] = b"doq";
/// Queries of one connection at once (Perigee's choice).
const MAX_STREAMS: u32 = 100;
/// Octets that a connection may have under way: that many queries of usual length.
const WINDOW: u32 = 65_536;
/// Handshakes that wait to be looked at, and octets kept of all of them.
const MAX_INCOMING: usize = 1_024;
const MAX_INCOMING_OCTETS: u64 = 4 << 20;
/// A client has this long to say that the answer, or the end of the connection, has arrived.
const FAREWELL: Duration = Duration::from_secs(1);

/// Error codes (RFC 9250 section 4.3).
mod code {
    pub(super) const NO_ERROR: u32 = 0;
    pub(super) const PROTOCOL_ERROR: u32 = 2;
    pub(super) const EXCESSIVE_LOAD: u32 = 4;
    pub(super) const UNSPECIFIED: u32 = 5;
}

/// Binds a server's end. Errors: the address cannot be bound, or the certificate not be used.
pub(crate) fn bind(address: SocketAddr, identity: &Identity, host: &Host) -> io::Result<Endpoint> {
    let tls = identity.server_config(&[PROTOCOL], true)?;
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).map_err(io::Error::other)?));
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(MAX_STREAMS.into())
        .max_concurrent_uni_streams(0_u32.into())
        .stream_receive_window((u32::from(MAX_QUERY) + 2).into())
        .receive_window(WINDOW.into())
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(IDLE.try_into().map_err(io::Error::other)?));
    config.transport_config(Arc::new(transport));
    config.migration(false).max_incoming(MAX_INCOMING).incoming_buffer_size_total(MAX_INCOMING_OCTETS);
    let runtime = Arc::new(TokioRuntime);
    let inner = runtime.wrap_udp_socket(std::net::UdpSocket::bind(address)?)?;
    let socket = Arc::new(HostSocket { inner, host: host.clone() });
    Endpoint::new_with_abstract_socket(EndpointConfig::default(), Some(config), socket, runtime)
}

/// Accepts connections until the server is told to stop.
///
/// As many at once as the gate lets through, others are refused and counted. When more than half of them are taken, a
/// client has to show first that it is where it says to be.
pub(crate) async fn serve(endpoint: Endpoint, parlour: Parlour) {
    let clients = Arc::new(Clients::default());
    loop {
        let incoming = tokio::select! {
            () = parlour.shutdown.draining() => break,
            incoming = endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { break };
        let is_busy = parlour.connections.inside() > parlour.connections.limit() / 2;
        if is_busy && incoming.may_retry() && !incoming.remote_address_validated() {
            // The only error is that it cannot be asked again, which was looked at just now.
            let _ = incoming.retry();
            continue;
        }
        let Some(pass) = parlour.connections.enter() else {
            incoming.refuse();
            continue;
        };
        let (inner, clients) = (parlour.clone(), clients.clone());
        parlour.shutdown.spawn(async move {
            inner.host.run(serve_connection(incoming, &clients, &inner)).await;
            drop(pass);
        });
    }
    let _ = timeout(FAREWELL, endpoint.wait_idle()).await;
}

async fn serve_connection(incoming: Incoming, clients: &Arc<Clients>, parlour: &Parlour) {
    let metrics = parlour.responder.metrics();
    let shaken = match incoming.accept() {
        Ok(connecting) => timeout(REST, connecting).await,
        Err(error) => Ok(Err(error)),
    };
    let Ok(Ok(connection)) = shaken else {
        metrics.drop_for("handshake");
        return;
    };
    let client = connection.remote_address();
    // Only now: who has not shaken hands may have written any address on its packets.
    let Some(_of_client) = clients.enter(client.ip()) else {
        metrics.quic_refused_client.inc();
        connection.close(code::EXCESSIVE_LOAD.into(), b"too many connections");
        return;
    };
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            stream = connection.accept_bi() => {
                let Ok((send, receive)) = stream else { break };
                let (connection, parlour) = (connection.clone(), parlour.clone());
                streams.spawn(async move {
                    let host = parlour.host.clone();
                    host.run(serve_stream(send, receive, &connection, client, &parlour)).await;
                });
            }
            Some(_) = streams.join_next() => {}
            () = parlour.shutdown.draining() => break,
        }
    }
    while streams.join_next().await.is_some() {}
    connection.close(code::NO_ERROR.into(), b"");
}

/// Answers the query of one stream. What breaks the protocol ends the connection (RFC 9250 section 4.3.3).
async fn serve_stream(
    mut send: SendStream,
    mut receive: RecvStream,
    connection: &Connection,
    client: SocketAddr,
    parlour: &Parlour,
) {
    let metrics = parlour.responder.metrics();
    let received = timeout(REST, receive.read_to_end(usize::from(MAX_QUERY) + 2)).await;
    let reason = match received {
        Ok(Ok(message)) => match query_in(&message) {
            Ok(query) => match parlour.answer(query, client, Transport::Quic, None).await {
                Some(answer) => {
                    let written = timeout(WRITE, write(&mut send, &answer.bytes)).await;
                    if !matches!(written, Ok(Ok(()))) {
                        debug!(%client, "an answer could not be sent");
                    }
                    return;
                }
                None => "no query",
            },
            Err(reason) => reason,
        },
        Ok(Err(ReadToEndError::TooLong)) => {
            metrics.drop_for("oversized");
            let _ = send.reset(code::UNSPECIFIED.into());
            let _ = receive.stop(code::UNSPECIFIED.into());
            return;
        }
        Ok(Err(ReadToEndError::Read(_))) => return,
        Err(_) => {
            metrics.drop_for("unfinished");
            let _ = send.reset(code::UNSPECIFIED.into());
            let _ = receive.stop(code::UNSPECIFIED.into());
            return;
        }
    };
    metrics.drop_for("doq_protocol");
    connection.close(VarInt::from_u32(code::PROTOCOL_ERROR), reason.as_bytes());
}

/// The one query of a stream that has ended.
fn query_in(stream: &[u8]) -> Result<&[u8], &'static str> {
    let Some((len, query)) = stream.split_first_chunk::<2>() else { return Err("no length") };
    if usize::from(u16::from_be_bytes(*len)) != query.len() {
        return Err("not one query");
    }
    if query.first_chunk::<2>().is_some_and(|id| *id != [0, 0]) {
        return Err("the message id is not 0");
    }
    if wire::read(query).is_ok_and(|reading| reading.options().keepalive) {
        return Err("a keepalive option");
    }
    Ok(query)
}

async fn write(send: &mut SendStream, answer: &[u8]) -> io::Result<()> {
    send.write_all(&framed(answer)?).await?;
    send.finish()?;
    // The end of the connection would overtake what has not arrived.
    let _ = timeout(FAREWELL, send.stopped()).await;
    Ok(())
}

/// A socket of a simulated host: of a blackholed or crashed one, no packet comes or goes.
///
/// A crashed host's port stays bound, so that packets to it vanish where a dead host's kernel would refuse them; to a
/// QUIC client, which does not trust refusals, that is the same.
struct HostSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    host: Host,
}

impl fmt::Debug for HostSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostSocket").field("host", &self.host).finish_non_exhaustive()
    }
}

impl AsyncUdpSocket for HostSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.inner.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if self.host.fault().has_network() { self.inner.try_send(transmit) } else { Ok(()) }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            let received = ready!(self.inner.poll_recv(cx, bufs, meta));
            if received.is_err() || self.host.fault().has_network() {
                return Poll::Ready(received);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_holds_one_query_with_id_zero_and_nothing_else() {
        let query = [0_u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let framed = |len: u16, query: &[u8]| [&len.to_be_bytes(), query].concat();
        assert_eq!(query_in(&framed(12, &query)), Ok(&query[..]));
        let mut with_id = query;
        with_id[1] = 1;
        let keepalive = [&query[..11], &[1, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 4, 0, 11, 0, 0]].concat();
        for (what, stream) in [
            ("nothing", vec![]),
            ("half a length", vec![0]),
            ("less than it says", framed(13, &query)),
            ("more than it says", framed(11, &query)),
            ("an id", framed(12, &with_id)),
            ("keepalive", framed(keepalive.len() as u16, &keepalive)),
        ] {
            assert!(query_in(&stream).is_err(), "{what}");
        }
    }
}
