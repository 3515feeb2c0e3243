use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, body::Incoming};
use hyper_util::rt::TokioIo;
use perigee_health::ProbeFailure;
use perigee_model::dns::{EndpointCheck, EndpointProtocol};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout, timeout_at};

use crate::probe::alongside;

/// The string must lie wholly in so many bytes of the body (`spec/dns.md` section 2.5).
const SEARCHED_BYTES: usize = 5_120;
/// Greatest head of an answer, and most that is buffered of a body (Perigee's choice).
const BUFFER_BYTES: usize = 16 * 1024;
const AGENT: &str = "Perigee-DNS-Health-Check/1";

/// Sends the check's request over `stream` and judges the answer: a status from 200 to 399 by `status_by`, then, if a
/// string is looked for, that string within `body`.
pub(super) async fn ask<S>(
    stream: S,
    endpoint: &EndpointCheck,
    address: SocketAddr,
    status_by: Instant,
    body: Duration,
) -> Result<(), ProbeFailure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(BUFFER_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| ProbeFailure::Connection)?;
    let slash = if endpoint.path.starts_with('/') { "" } else { "/" };
    let request = Request::get(format!("{slash}{}", endpoint.path))
        .header(HOST, host_header(endpoint, address))
        .header(USER_AGENT, AGENT)
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| ProbeFailure::Internal)?;
    let exchange = async {
        let answered = timeout_at(status_by, sender.send_request(request)).await;
        let response = answered.map_err(|_| ProbeFailure::Timeout)?.map_err(|_| ProbeFailure::Connection)?;
        let code = response.status().as_u16();
        if !(200..400).contains(&code) {
            return Err(ProbeFailure::ResponseCode { code });
        }
        match &endpoint.search {
            None => Ok(()),
            Some(string) => timeout(body, search(response.into_body(), string.as_bytes()))
                .await
                .unwrap_or(Err(ProbeFailure::Timeout)),
        }
    };
    alongside(connection, exchange).await
}

/// Looks for `string` in the beginning of a body, until it is found or cannot be found any more.
async fn search(mut body: Incoming, string: &[u8]) -> Result<(), ProbeFailure> {
    let mut beginning = Vec::with_capacity(SEARCHED_BYTES);
    // Where the string may still begin: what lies before was looked at, so that a body in single bytes costs no more.
    let mut from = 0;
    loop {
        if contains(&beginning[from..], string) {
            return Ok(());
        }
        from = (beginning.len() + 1).saturating_sub(string.len()).min(beginning.len());
        if beginning.len() == SEARCHED_BYTES {
            return Err(ProbeFailure::NoMatch);
        }
        match body.frame().await {
            None => return Err(ProbeFailure::NoMatch),
            Some(Err(_)) => return Err(ProbeFailure::Connection),
            Some(Ok(frame)) => {
                let data = frame.into_data().unwrap_or_default();
                let room = SEARCHED_BYTES - beginning.len();
                beginning.extend_from_slice(&data[..data.len().min(room)]);
            }
        }
    }
}

fn contains(bytes: &[u8], string: &[u8]) -> bool {
    string.is_empty() || bytes.windows(string.len()).any(|window| window == string)
}

/// The domain name, or the address without one; with `:port` unless the port is the protocol's own.
fn host_header(endpoint: &EndpointCheck, address: SocketAddr) -> String {
    let host = match (&endpoint.domain_name, address) {
        (Some(name), _) => name.trim_end_matches('.').to_owned(),
        (None, SocketAddr::V4(address)) => address.ip().to_string(),
        (None, SocketAddr::V6(address)) => format!("[{}]", address.ip()),
    };
    match (endpoint.protocol, endpoint.port) {
        (EndpointProtocol::Http, 80) | (EndpointProtocol::Https, 443) => host,
        (_, port) => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_header_names_the_port_unless_it_is_the_protocols_own() {
        use EndpointProtocol::{Http, Https};
        let (v4, v6): ([u8; 4], [u16; 8]) = ([192, 0, 2, 1], [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]);
        let table = [
            (Http, Some("a.test"), v4.into(), 80, "a.test"),
            (Http, Some("a.test."), v4.into(), 8080, "a.test:8080"),
            (Http, Some("a.test"), v4.into(), 443, "a.test:443"),
            (Https, Some("a.test"), v4.into(), 443, "a.test"),
            (Https, Some("a.test"), v4.into(), 80, "a.test:80"),
            (Http, None, v4.into(), 80, "192.0.2.1"),
            (Https, None, v4.into(), 8443, "192.0.2.1:8443"),
            (Https, None, v6.into(), 443, "[2001:db8::1]"),
            (Http, None, v6.into(), 81, "[2001:db8::1]:81"),
        ];
        for (protocol, name, address, port, header) in table {
            let endpoint = EndpointCheck {
                protocol,
                address: Some(address),
                domain_name: name.map(str::to_owned),
                port,
                path: "/".into(),
                search: None,
                interval: Duration::from_secs(30),
                threshold: 3,
                sni: true,
                checkers: 5,
            };
            assert_eq!(host_header(&endpoint, SocketAddr::new(address, port)), header);
        }
    }

    #[test]
    fn a_string_is_found_wherever_it_lies_whole() {
        for (bytes, string, is_there) in [
            ("all is well", "well", true),
            ("all is well", "all", true),
            ("all is well", "Well", false),
            ("wel", "well", false),
            ("", "", true),
        ] {
            assert_eq!(contains(bytes.as_bytes(), string.as_bytes()), is_there, "{string:?} in {bytes:?}");
        }
    }
}
