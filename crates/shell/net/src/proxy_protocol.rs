//! PROXY protocol version 2: how an edge tells a load balancer node who the client is.
//!
//! Source: the HAProxy project's PROXY protocol specification, section 2.2.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The twelve bytes every version 2 header begins with.
pub const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Greatest length of what follows the first 16 bytes (Perigee's choice: addresses and a few TLVs).
pub const LENGTH_MAX: u16 = 512;
/// A peer that must send a header sends it within this time (Perigee's choice).
pub const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// The TLV in which an edge names itself: the first of those free for own use (section 2.2.8).
const TLV_EDGE: u8 = 0xE0;
/// The TLV by which an edge asks the node to confirm the header: the next of those. It has no value.
const TLV_CONFIRM: u8 = 0xE1;
/// The confirmation: ASCII ACK, which begins no HTTP answer.
const CONFIRMATION: u8 = 0x06;
/// Bytes of an edge's name at most.
const EDGE_MAX: usize = 32;

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Header {
    /// The connection is the proxy's own, a health check for example.
    Local,
    /// The connection is made for a client.
    Proxied {
        /// The client.
        source: SocketAddr,
        /// The address the client connected to.
        destination: SocketAddr,
        /// The edge that made it, if it names itself: up to 32 letters, digits and hyphens.
        edge: Option<String>,
    },
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The first twelve bytes are not the signature.
    #[error("no PROXY protocol v2 signature")]
    Signature,
    /// A version other than 2 or a command other than LOCAL and PROXY.
    #[error("unknown PROXY protocol version or command")]
    Command,
    /// Neither TCP over IPv4 nor TCP over IPv6.
    #[error("PROXY protocol address family is not TCP over IPv4 or IPv6")]
    Family,
    /// Shorter than its addresses or longer than [`LENGTH_MAX`].
    #[error("PROXY protocol header has an impossible length")]
    Length,
}

/// The header of the edge `edge` for a client that connected from `source` to `destination`; both of one family, or
/// the IPv4 one is written in its IPv6 form. Of a longer name only the first 32 bytes are sent.
pub fn encode(source: SocketAddr, destination: SocketAddr, edge: &str) -> Vec<u8> {
    let edge = &edge.as_bytes()[..edge.len().min(EDGE_MAX)];
    let length = |addresses: u16| (addresses + 3 + edge.len() as u16).to_be_bytes();
    let mut out = SIGNATURE.to_vec();
    out.push(0x21);
    if let (IpAddr::V4(from), IpAddr::V4(to)) = (source.ip(), destination.ip()) {
        out.push(0x11);
        out.extend(length(12));
        out.extend(from.octets());
        out.extend(to.octets());
    } else {
        let v6 = |ip| match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        out.push(0x21);
        out.extend(length(36));
        out.extend(v6(source.ip()).octets());
        out.extend(v6(destination.ip()).octets());
    }
    out.extend(source.port().to_be_bytes());
    out.extend(destination.port().to_be_bytes());
    out.push(TLV_EDGE);
    out.extend((edge.len() as u16).to_be_bytes());
    out.extend(edge);
    out
}

/// The header of a connection that the proxy makes for itself or without telling who the client is.
pub fn encode_local() -> Vec<u8> {
    let mut out = SIGNATURE.to_vec();
    out.extend([0x20, 0, 0, 0]);
    out
}

/// Asks for a confirmation in a header made by [`encode`] or [`encode_local`].
///
/// A connect succeeds as soon as the node's kernel has answered, even if the node itself is stopped or stuck. A node
/// that confirms has read the header and is alive, and until then the edge has not let go of one byte of the client's.
/// Perigee's choice, between its own edge and node alone.
#[must_use]
pub fn asking_for_confirmation(mut header: Vec<u8>) -> Vec<u8> {
    header.extend([TLV_CONFIRM, 0, 0]);
    let length = u16::try_from(header.len() - 16).unwrap_or(LENGTH_MAX);
    header[14..16].copy_from_slice(&length.to_be_bytes());
    header
}

/// Whether a header that [`decode`] takes asks for a confirmation.
fn asks_for_confirmation(fixed: &[u8; 16], rest: &[u8]) -> bool {
    let addresses = match (fixed[12], fixed[13]) {
        (0x21, 0x11) => 12,
        (0x21, 0x21) => 36,
        _ => 0,
    };
    let mut tlvs = rest.get(addresses..).unwrap_or_default();
    while let [kind, high, low, tail @ ..] = tlvs {
        if *kind == TLV_CONFIRM {
            return true;
        }
        tlvs = tail.get(usize::from(u16::from_be_bytes([*high, *low]))..).unwrap_or_default();
    }
    false
}

/// Waits for the confirmation that [`asking_for_confirmation`] asked for.
///
/// Errors: `InvalidData` when something else comes, or the connection's own. The caller bounds the time.
pub async fn confirmed(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    if is_confirmation(stream.read_u8().await?) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "the node did not confirm the PROXY header"))
}

/// Whether a node's first byte is the confirmation that [`asking_for_confirmation`] asked for.
pub const fn is_confirmation(byte: u8) -> bool {
    byte == CONFIRMATION
}

/// Reads the fixed part: how many bytes follow. Errors: as named.
pub fn following(fixed: &[u8; 16]) -> Result<u16, HeaderError> {
    if fixed[..12] != SIGNATURE {
        return Err(HeaderError::Signature);
    }
    let length = u16::from_be_bytes([fixed[14], fixed[15]]);
    if length > LENGTH_MAX { Err(HeaderError::Length) } else { Ok(length) }
}

/// Reads a whole header from its fixed part and the bytes that follow. TLVs other than the edge's name are skipped, and
/// so is a name that is none. Errors: as named.
pub fn decode(fixed: &[u8; 16], rest: &[u8]) -> Result<Header, HeaderError> {
    following(fixed)?;
    match fixed[12] {
        0x20 => return Ok(Header::Local),
        0x21 => {}
        _ => return Err(HeaderError::Command),
    }
    fn cut<const N: usize>(rest: &[u8], at: usize) -> Result<[u8; N], HeaderError> {
        rest.get(at..at + N).and_then(|b| b.try_into().ok()).ok_or(HeaderError::Length)
    }
    let (from, to, ports): (IpAddr, IpAddr, usize) = match fixed[13] {
        0x11 => (Ipv4Addr::from(cut::<4>(rest, 0)?).into(), Ipv4Addr::from(cut::<4>(rest, 4)?).into(), 8),
        0x21 => (Ipv6Addr::from(cut::<16>(rest, 0)?).into(), Ipv6Addr::from(cut::<16>(rest, 16)?).into(), 32),
        _ => return Err(HeaderError::Family),
    };
    Ok(Header::Proxied {
        source: SocketAddr::new(from, u16::from_be_bytes(cut(rest, ports)?)),
        destination: SocketAddr::new(to, u16::from_be_bytes(cut(rest, ports + 2)?)),
        edge: edge_of(&rest[ports + 4..]),
    })
}

/// The edge's name among the TLVs.
fn edge_of(mut tlvs: &[u8]) -> Option<String> {
    while let [kind, high, low, rest @ ..] = tlvs {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let value = rest.get(..length)?;
        if *kind == TLV_EDGE {
            let is_name =
                (1..=EDGE_MAX).contains(&length) && value.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-');
            return is_name.then(|| value.iter().copied().map(char::from).collect());
        }
        tlvs = &rest[length..];
    }
    None
}

/// Reads a header off a connection, byte for byte no more than the header, and confirms it if that is asked for.
///
/// Errors: `InvalidData` with a [`HeaderError`], `TimedOut` after [`READ_TIMEOUT`], or the connection's own.
pub async fn read(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<Header> {
    let invalid = |error: HeaderError| io::Error::new(io::ErrorKind::InvalidData, error);
    let work = async {
        let mut fixed = [0; 16];
        stream.read_exact(&mut fixed).await?;
        let mut rest = vec![0; following(&fixed).map_err(invalid)?.into()];
        stream.read_exact(&mut rest).await?;
        let header = decode(&fixed, &rest).map_err(invalid)?;
        if asks_for_confirmation(&fixed, &rest) {
            stream.write_all(&[CONFIRMATION]).await?;
        }
        Ok(header)
    };
    tokio::time::timeout(READ_TIMEOUT, work).await?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(bytes: &[u8]) -> ([u8; 16], &[u8]) {
        (bytes[..16].try_into().expect("a header has 16 bytes"), &bytes[16..])
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(from: [u8; 4], to: [u8; 4], p: u16, q: u16) {
            let (from, to) = (SocketAddr::new(from.into(), p), SocketAddr::new(to.into(), q));
            let bytes = encode(from, to, "ICN");
            let (fixed, rest) = split(&bytes);
            let expected = Header::Proxied { source: from, destination: to, edge: Some("ICN".into()) };
            prop_assert_eq!(decode(&fixed, rest), Ok(expected));
        }

        #[test]
        fn no_bytes_make_it_panic(fixed: [u8; 16], rest: Vec<u8>) {
            let mut signed = fixed;
            signed[..12].copy_from_slice(&SIGNATURE);
            let _ = decode(&fixed, &rest);
            let _ = decode(&signed, &rest);
        }
    }

    #[test]
    fn a_name_that_is_no_name_is_passed_over() {
        assert_eq!(edge_of(&[0x04, 0, 1, 9, 0xE0, 0, 3, b'I', b'C', b'N']).as_deref(), Some("ICN"));
        for tlvs in [&[0xE0, 0, 3, b'a', b'\r', b'\n'][..], &[0xE0, 0, 9, b'a'], &[0xE0, 0, 0], &[0xE0, 0], &[]] {
            assert_eq!(edge_of(tlvs), None, "{tlvs:?}");
        }
    }

    #[test]
    fn a_local_header_says_so() {
        let bytes = encode_local();
        let (fixed, rest) = split(&bytes);
        assert_eq!(decode(&fixed, rest), Ok(Header::Local));
    }

    #[test]
    fn a_header_shorter_than_its_addresses_is_refused() {
        let bytes = encode(([1, 2, 3, 4], 5).into(), ([6, 7, 8, 9], 10).into(), "ICN");
        let (fixed, rest) = split(&bytes);
        assert_eq!(decode(&fixed, &rest[..11]), Err(HeaderError::Length));
        let mut long = fixed;
        long[14..].copy_from_slice(&(LENGTH_MAX + 1).to_be_bytes());
        assert_eq!(decode(&long, rest), Err(HeaderError::Length));
    }

    #[tokio::test]
    async fn exactly_the_header_is_taken_off_the_connection() {
        let mut bytes = encode(([1, 2, 3, 4], 5).into(), ([6, 7, 8, 9], 10).into(), "ICN");
        bytes.extend(b"GET /");
        let (mut edge, mut node) = tokio::io::duplex(256);
        edge.write_all(&bytes).await.expect("sent");
        assert!(matches!(read(&mut node).await, Ok(Header::Proxied { .. })));
        edge.shutdown().await.expect("ended");
        let mut after = String::new();
        node.read_to_string(&mut after).await.expect("read");
        assert_eq!(after, "GET /");
        drop(node);
        let mut unasked = Vec::new();
        edge.read_to_end(&mut unasked).await.expect("read");
        assert_eq!(unasked, b"", "nobody asked for a confirmation");

        let (mut edge, mut node) = tokio::io::duplex(256);
        edge.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
        assert_eq!(read(&mut node).await.map_err(|e| e.kind()), Err(io::ErrorKind::InvalidData));
    }

    #[tokio::test]
    async fn a_header_that_asks_is_confirmed_once_and_read_as_before() {
        let v4: SocketAddr = ([1, 2, 3, 4], 5).into();
        let v6: SocketAddr = "[2001:db8::1]:5".parse().expect("an address");
        for header in [encode(v4, v4, "ICN"), encode(v6, v4, "ICN"), encode_local()] {
            let (mut edge, mut node) = tokio::io::duplex(256);
            edge.write_all(&asking_for_confirmation(header.clone())).await.expect("sent");
            let (fixed, rest) = split(&header);
            assert_eq!(read(&mut node).await.ok(), decode(&fixed, rest).ok());
            confirmed(&mut edge).await.expect("confirmed");
            drop(node);
            assert_eq!(edge.read(&mut [0; 1]).await.ok(), Some(0), "confirmed once");
        }
    }

    #[tokio::test]
    async fn anything_else_is_no_confirmation() {
        let mut answer = &b"HTTP/1.1 400 Bad Request\r\n"[..];
        assert_eq!(confirmed(&mut answer).await.map_err(|e| e.kind()), Err(io::ErrorKind::InvalidData));
        assert!(confirmed(&mut &b""[..]).await.is_err());
    }
}
