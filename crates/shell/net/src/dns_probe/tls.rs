use std::io;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, Error};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::{HostStream, unverified};

/// Makes a TLS connection of `stream`, naming `name` in the greeting (SNI) if there is one. A name that cannot stand in
/// a greeting is left out.
///
/// Errors: the handshake failed.
pub(super) async fn greet(
    stream: HostStream,
    address: IpAddr,
    name: Option<&str>,
) -> io::Result<TlsStream<HostStream>> {
    let name = name.and_then(|name| ServerName::try_from(name.trim_end_matches('.').to_owned()).ok());
    // An address is never sent as a name (RFC 6066 section 3).
    connector().connect(name.unwrap_or_else(|| ServerName::IpAddress(address.into())), stream).await
}

/// Whether a handshake may have failed because of the name in the greeting: the server knows no such name, has no
/// certificate for it, or will not say more than that it failed.
pub(super) fn is_about_the_name(error: &io::Error) -> bool {
    let alert = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match alert {
        Some(Error::AlertReceived(alert)) => matches!(
            alert,
            AlertDescription::UnrecognisedName | AlertDescription::HandshakeFailure | AlertDescription::AccessDenied
        ),
        Some(Error::InvalidCertificate(_)) => true,
        _ => false,
    }
}

/// Every handshake is a whole one: a resumed session would not show a server that lost its key.
fn connector() -> TlsConnector {
    static CONNECTOR: OnceLock<TlsConnector> = OnceLock::new();
    let make = || {
        let mut config = unverified::client_config();
        config.resumption = Resumption::disabled();
        TlsConnector::from(Arc::new(config))
    };
    CONNECTOR.get_or_init(make).clone()
}
