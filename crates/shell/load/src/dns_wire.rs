use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData};
use tokio::time::{Instant, timeout_at};

use crate::address;
use crate::dns::RecordType;
use crate::dns_record::DnsFailureKind;

/// The UDP payload announced and read (DNS flag day 2020: 1,232 bytes pass everywhere unfragmented).
const PAYLOAD: u16 = 1_232;

/// The addresses of a name, sorted, and the least TTL on the way to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) ttl: u32,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoAnswer {
    pub(crate) kind: DnsFailureKind,
    pub(crate) error: String,
}

impl NoAnswer {
    fn new(kind: DnsFailureKind, error: impl Into<String>) -> Self {
        Self { kind, error: error.into() }
    }
}

/// Asks `server` once, over UDP, from a port of its own, without cache and without retry.
pub(crate) async fn ask(
    server: SocketAddr,
    source: Option<IpAddr>,
    name: &Name,
    record: RecordType,
    timeout: Duration,
) -> Result<Answer, NoAnswer> {
    let deadline = Instant::now() + timeout;
    let (query, id) = question(name, record)?;
    let io = |e: std::io::Error| {
        let kind = if address::is_local(&e) { DnsFailureKind::Local } else { DnsFailureKind::Network };
        NoAnswer::new(kind, e.to_string())
    };
    let socket = address::udp(server, source).await.map_err(io)?;
    socket.send(&query).await.map_err(io)?;
    let mut buffer = [0; PAYLOAD as usize];
    loop {
        let Ok(received) = timeout_at(deadline, socket.recv(&mut buffer)).await else {
            return Err(NoAnswer::new(DnsFailureKind::Timeout, format!("no answer in {} ms", timeout.as_millis())));
        };
        let n = received.map_err(io)?;
        // A datagram that answers another question is not ours (RFC 5452 section 9.1); the answer may still come.
        if let Some(verdict) = read(&buffer[..n], id, name, record) {
            return verdict;
        }
    }
}

fn question(name: &Name, record: RecordType) -> Result<(Vec<u8>, u16), NoAnswer> {
    let mut message = Message::query();
    message.add_query(Query::query(name.clone(), record.wire()));
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD);
    message.set_edns(edns);
    let bytes = message.to_vec().map_err(|e| NoAnswer::new(DnsFailureKind::Malformed, e.to_string()))?;
    Ok((bytes, message.metadata.id))
}

/// What a datagram says, or none if it is no answer to this question.
fn read(datagram: &[u8], id: u16, name: &Name, record: RecordType) -> Option<Result<Answer, NoAnswer>> {
    let message = match Message::from_vec(datagram) {
        Ok(m) => m,
        Err(e) => return Some(Err(NoAnswer::new(DnsFailureKind::Malformed, e.to_string()))),
    };
    let asked = message.queries.iter().any(|q| q.name() == name && q.query_type() == record.wire());
    let head = &message.metadata;
    if head.id != id || head.message_type != MessageType::Response || head.op_code != OpCode::Query {
        return None;
    }
    // An error may come without the question (RFC 1035 leaves it open for FORMERR).
    if head.response_code != ResponseCode::NoError {
        return Some(Err(NoAnswer::new(DnsFailureKind::ResponseCode, head.response_code.to_string())));
    }
    if !asked {
        return None;
    }
    if head.truncation {
        return Some(Err(NoAnswer::new(DnsFailureKind::Truncated, "truncated; TCP is not asked")));
    }
    let mut addresses: Vec<IpAddr> = message
        .answers
        .iter()
        .filter_map(|r| match (&r.data, record) {
            (RData::A(a), RecordType::A) => Some(IpAddr::V4(a.0)),
            (RData::AAAA(a), RecordType::Aaaa) => Some(IpAddr::V6(a.0)),
            _ => None,
        })
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        return Some(Err(NoAnswer::new(DnsFailureKind::NoData, "no address in the answer")));
    }
    let ttl = message.answers.iter().map(|r| r.ttl).min().unwrap_or(0);
    Some(Ok(Answer { addresses, ttl }))
}
