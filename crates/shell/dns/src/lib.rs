//! Authoritative DNS: which region a client is sent to, the accelerators' static addresses, the load balancers' nodes,
//! the records of zone files, and why.
//!
//! It decides nothing about traffic: a name answered by the latency policy asks
//! [`EdgeView::answer`](perigee_dataplane::EdgeView::answer), and this crate puts the result on the wire, with the
//! scope in which it may be cached (RFC 7871). It never recurses, and nothing outside this crate sees a DNS message.
//!
//! Messages are hickory's (questions and responses of `hickory-server`, records of `hickory-proto`). The sockets are
//! our own: hickory's loops answer what must be dropped and refuse client subnets of family 0 before a handler sees
//! them, hold TCP connections without a bound, and could not fail the way a simulated [`Host`](perigee_net::Host)
//! does.
//!
//! Start with [`Responder`], which turns the bytes of a query into those of its answer without any socket, and
//! [`Server`], which drives it over UDP and TCP, and if configured over TLS, HTTPS and QUIC.

mod arrival;
mod authority;
mod certificate;
mod chaos;
mod client_subnet;
mod clients;
mod conversation;
mod cookie;
mod dnssec;
mod encode;
#[cfg(target_os = "linux")]
mod fast;
mod https;
mod manners;
mod metrics;
mod moment;
mod options;
mod query_log;
mod quic;
mod rate_limit;
mod respond;
mod responder;
mod response;
mod server;
mod steer;
mod tcp;
mod tls;
mod udp;
mod why;
mod wire;
mod zones;

pub use arrival::Transport;
pub use certificate::CertificateSource;
pub use dnssec::keys;
pub use metrics::Metrics;
pub use moment::Moment;
pub use query_log::QueryLog;
pub use responder::Responder;
pub use server::{Config, Server, TlsAddresses, TlsConfig};
pub use zones::{ZoneProblem, check_zones};
