use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use perigee_net::HostStream;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::Transport;
use crate::conversation::{Parlour, converse};

/// The protocol's name in the handshake (RFC 7858 section 3.1, as registered).
pub(crate) const PROTOCOL: &[u8] = b"dot";
/// A handshake must be done by then (Perigee's choice).
const HANDSHAKE: Duration = Duration::from_secs(5);
/// A client has this long to take the word that the connection is over.
pub(crate) const FAREWELL: Duration = Duration::from_secs(1);

/// DNS over TLS (RFC 7858): the conversation of TCP, under TLS.
pub(crate) async fn talk(
    stream: HostStream,
    client: SocketAddr,
    parlour: Parlour,
    acceptor: TlsAcceptor,
) -> io::Result<()> {
    let Some(mut stream) = shake_hands(stream, &parlour, &acceptor).await? else { return Ok(()) };
    let ended = converse(&mut stream, client, Transport::Tls, &parlour).await;
    let _ = timeout(FAREWELL, stream.shutdown()).await;
    ended
}

/// The connection under TLS; none if the server stops meanwhile. Errors: those of the handshake, and its time-out.
pub(crate) async fn shake_hands(
    stream: HostStream,
    parlour: &Parlour,
    acceptor: &TlsAcceptor,
) -> io::Result<Option<TlsStream<HostStream>>> {
    let shaken = tokio::select! {
        () = parlour.shutdown.draining() => return Ok(None),
        shaken = timeout(HANDSHAKE, acceptor.accept(stream)) => shaken,
    };
    match shaken {
        Ok(Ok(stream)) => Ok(Some(stream)),
        Ok(Err(error)) => {
            parlour.responder.metrics().drop_for("handshake");
            Err(error)
        }
        Err(late) => {
            parlour.responder.metrics().drop_for("handshake");
            Err(late.into())
        }
    }
}
