use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::{file, path, socket_address};
use crate::reader::{Node, Table};
use crate::sockets::{Sockets, Transport};

/// Addresses that the DNS listens on, at most (Perigee's choice: each has its sockets on every thread).
const MAX_LISTENS: usize = 64;

/// Threads of the DNS, at most (Perigee's choice: the largest machines have about as many cores).
const MAX_WORKERS: u16 = 1_024;

/// What the DNS server needs as a process: none of it can change while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsRuntime {
    /// UDP and TCP, each address once, at least one. Default 127.0.0.1:5300; port 0 takes any free one.
    pub listen: Vec<SocketAddr>,
    /// Threads that answer; 0, the default, is one for each core.
    pub workers: u16,
    /// DNS over TLS (RFC 7858), TCP; none listens not.
    pub dot_listen: Option<SocketAddr>,
    /// DNS over HTTPS (RFC 8484), TCP; none listens not.
    pub doh_listen: Option<SocketAddr>,
    /// DNS over QUIC (RFC 9250), UDP; none listens not.
    pub doq_listen: Option<SocketAddr>,
    /// What the encrypted transports show; there when one of them listens.
    pub certificate: Option<DnsCertificate>,
    /// Where queries are noted; none notes none.
    pub query_log: Option<QueryLog>,
}

/// Where the certificate of the encrypted transports comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsCertificate {
    /// PEM files that are there.
    Files {
        /// The certificate and what leads to its root.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// A certificate made at start by an authority of Perigee's own, kept in this directory; it is made if it is not
    /// there.
    Authority(PathBuf),
}

/// Where queries are noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryLog {
    /// The file, one line a query.
    pub file: PathBuf,
    /// Every so many-th query is noted, from 1, the default, which notes all.
    pub sample: u32,
}

pub(super) fn read(dns: &Table<'_>, base: Option<&Path>, sockets: &mut Sockets) -> DnsRuntime {
    let default = SocketAddr::from(([127, 0, 0, 1], 5300));
    let listen = dns.or("listen", vec![default], default.to_string(), |n| listens(n, sockets));
    let workers = dns.int_or("workers", 0..=MAX_WORKERS, 0);
    let mut encrypted = |key, transport, owner| {
        let node = dns.get(key)?;
        let address = node.parse(socket_address)?;
        sockets.listen(&node, &[transport], address, owner);
        Some(address)
    };
    let dot_listen = encrypted("dot_listen", Transport::Tcp, "DNS over TLS");
    let doh_listen = encrypted("doh_listen", Transport::Tcp, "DNS over HTTPS");
    let doq_listen = encrypted("doq_listen", Transport::Udp, "DNS over QUIC");
    let certificate = certificate(dns, base);
    DnsRuntime { listen, workers, dot_listen, doh_listen, doq_listen, certificate, query_log: query_log(dns, base) }
}

/// One address or a list of them.
fn listens(node: &Node<'_>, sockets: &mut Sockets) -> Option<Vec<SocketAddr>> {
    let nodes = match node.list_if_any() {
        Some(_) => node.list_of(1..=MAX_LISTENS, "addresses")?,
        None => vec![node.clone()],
    };
    let mut seen = BTreeSet::new();
    let mut made = Vec::with_capacity(nodes.len());
    for node in &nodes {
        let Some(address) = node.parse(socket_address) else { continue };
        if address.port() != 0 && !seen.insert(address) {
            node.problem(format!("duplicate: {address} is in the list already"));
            continue;
        }
        sockets.listen(node, &[Transport::Tcp, Transport::Udp], address, "the DNS");
        made.push(address);
    }
    Some(made)
}

fn certificate(dns: &Table<'_>, base: Option<&Path>) -> Option<DnsCertificate> {
    let (own, key) = (dns.get("certificate"), dns.get("certificate_key"));
    let authority = dns.get("certificate_authority_directory");
    let made = match (&own, &key, &authority) {
        (None, None, None) => {
            for wanting in ["dot_listen", "doh_listen", "doq_listen"] {
                if let Some(node) = dns.get(wanting) {
                    node.problem(
                        "needs dns.certificate and dns.certificate_key, or dns.certificate_authority_directory",
                    );
                }
            }
            return None;
        }
        (None, None, Some(node)) => return path(node, base).map(DnsCertificate::Authority),
        (Some(node), _, Some(_)) | (None, Some(node), Some(_)) => {
            node.problem("clash: the certificate is of certificate_authority_directory already");
            return None;
        }
        (Some(certificate), Some(key), None) => (file(certificate, base), file(key, base)),
        (Some(_), None, None) => {
            dns.problem_at("certificate_key", "is missing: a certificate is of no use without its key".to_owned());
            return None;
        }
        (None, Some(_), None) => {
            dns.problem_at("certificate", "is missing: a key is of no use without its certificate".to_owned());
            return None;
        }
    };
    Some(DnsCertificate::Files { certificate: made.0?, key: made.1? })
}

fn query_log(dns: &Table<'_>, base: Option<&Path>) -> Option<QueryLog> {
    let t = dns.get("query_log")?.table()?;
    let file = t.need("file").and_then(|n| path(&n, base));
    let sample = t.int_or("sample", 1..=1_000_000, 1);
    t.finish();
    Some(QueryLog { file: file?, sample })
}
