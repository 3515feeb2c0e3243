//! DNS messages: every one is dropped or answered, and an answer is a well-formed response that fits, says nothing that
//! was not asked for, and never that the server failed.
//!
//! The identifier, which means nothing to the server, says who asks and what is healthy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use perigee_dns::{Moment, Responder, Transport};

use super::message_world::server;
use super::world::IN_SEOUL;

const OPT: u16 = 41;
/// RRSIG, NSEC and NSEC3.
const SIGNATURES: [u16; 3] = [46, 47, 50];
const AXFR: u16 = 252;

/// Clients in Seoul, in the simulated Tokyo, nowhere, and by IPv6.
const SOURCES: [SocketAddr; 4] = [
    IN_SEOUL,
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 81, 200, 9)), 5353),
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5353),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0x2b8, 0, 0, 0, 0, 0, 1)), 5353),
];
const ENCRYPTED: [Transport; 3] = [Transport::Tls, Transport::Https, Transport::Quic];

fn responder(healthy: bool) -> &'static Responder {
    static RESPONDERS: [OnceLock<Responder>; 2] = [const { OnceLock::new() }; 2];
    RESPONDERS[usize::from(healthy)].get_or_init(|| server(healthy))
}

/// Panics unless the message `data` is dropped or answered as it should be, over UDP, TCP and one encrypted transport.
pub fn check(data: &[u8]) {
    let pick = |at: usize| usize::from(data.get(at).copied().unwrap_or_default());
    let source = SOURCES[pick(0) % SOURCES.len()];
    let responder = responder(pick(1) & 1 == 0);
    // The time that the corpus's good cookies are of.
    let moment = Moment { unix: Duration::from_secs(1_559_731_985), elapsed_ms: 0 };
    let answer = |transport| responder.answer_at(data, source, transport, moment);
    let [udp, tcp, encrypted] =
        [Transport::Udp, Transport::Tcp, ENCRYPTED[(pick(1) >> 1) % ENCRYPTED.len()]].map(answer);
    let is_query = data.len() >= 12 && data[2] & 0x80 == 0;
    let (Some(udp), Some(tcp), Some(encrypted)) = (&udp, &tcp, &encrypted) else {
        assert!(!is_query && udp.is_none() && tcp.is_none() && encrypted.is_none(), "not answered");
        return;
    };
    assert!(is_query, "answered");
    let read = [udp, tcp, encrypted].map(|bytes| Answer::read(bytes));
    for (answer, bytes) in read.iter().zip([udp, tcp, encrypted]) {
        judge(data, bytes, answer);
    }
    let limit = if read[0].opt.is_some() { 1_232 } else { 512 };
    assert!(udp.len() <= limit, "{} octets", udp.len());
    assert!(tcp[2] & 0x02 == 0, "truncated on a connection");
    if read[1].question.is_none_or(|(_, qtype)| qtype != AXFR) {
        assert_eq!(udp[3] & 0x0f, tcp[3] & 0x0f, "another code over TCP");
    }
    assert!(read[..2].iter().all(|answer| answer.option(12).is_none()), "padded in the open");
    let is_padded = read[2].option(12).is_some();
    assert!(!is_padded || encrypted.len().is_multiple_of(468), "{} octets", encrypted.len());
    assert_eq!(encrypted[..4], tcp[..4], "another header");
}

/// What holds over every transport.
fn judge(query: &[u8], bytes: &[u8], answer: &Answer<'_>) {
    assert_eq!(bytes[..2], query[..2], "another id");
    assert_eq!(bytes[2] & 0xf9, query[2] & 0x79 | 0x80, "a response, with the operation and RD of the query");
    assert_eq!(bytes[3] & 0xf0, 0, "neither RA, Z, AD nor CD");
    assert_ne!(bytes[3] & 0x0f, 2, "SERVFAIL");
    let is_truncated = bytes[2] & 0x02 != 0;
    assert!(!is_truncated || answer.counts[1] == 0, "part of an answer");
    if let Some((octets, _)) = answer.question {
        assert_eq!(octets, &query[12..12 + octets.len()], "another question");
    }
    let dnssec_ok = answer.opt.as_ref().is_some_and(|opt| opt.flags & 0x8000 != 0);
    let asked = answer.question.map_or(0, |(_, qtype)| qtype);
    if !dnssec_ok && !SIGNATURES.contains(&asked) {
        assert!(!answer.types.iter().any(|t| SIGNATURES.contains(t)), "signed for nobody");
    }
    let holds = |part: &[u8]| query.windows(part.len()).any(|window| window == part);
    let Some(opt) = &answer.opt else { return };
    assert!(holds(&OPT.to_be_bytes()), "an OPT record to who sent none");
    assert_eq!((opt.payload, opt.version, opt.flags & 0x3fff), (1_232, 0, 0));
    for (position, (code, data)) in opt.options.iter().enumerate() {
        let is_first = !opt.options[..position].iter().any(|(other, _)| other == code);
        assert!(is_first || *code == 15, "option {code} twice");
        match (*code, *data) {
            (3, identity) => assert_eq!(identity, b"fuzz"),
            (8, [family @ .., source, scope]) if family == [0, 0] => assert_eq!((*source, *scope), (0, 0)),
            (8, [high, family @ (1 | 2), source, scope, address @ ..]) => {
                assert!(u16::from(*scope) <= if *family == 1 { 32 } else { 128 }, "scope {scope}");
                assert!(holds(&[&[*high, *family, *source, 0], address].concat()), "another client subnet");
            }
            (10, cookie) => assert!(cookie.len() == 24 && holds(&cookie[..8]), "another cookie"),
            (12, _) => assert!(holds(&[0, 12]), "padded, unasked"),
            (15, error) => assert!(error.len() >= 2, "an extended error without a code"),
            (code, data) => panic!("option {code} of {} octets", data.len()),
        }
    }
}

/// An answer, read by other code than that which wrote it.
struct Answer<'a> {
    /// Questions, answers, authorities, additionals.
    counts: [u16; 4],
    /// All octets of the question, and its type.
    question: Option<(&'a [u8], u16)>,
    /// Of all records but OPT.
    types: Vec<u16>,
    opt: Option<Opt<'a>>,
}

struct Opt<'a> {
    payload: u16,
    version: u8,
    flags: u16,
    options: Vec<(u16, &'a [u8])>,
}

impl<'a> Answer<'a> {
    /// Panics if it is not well-formed to its last octet.
    fn read(bytes: &'a [u8]) -> Self {
        assert!(bytes.len() >= 12, "{} octets", bytes.len());
        let counts = [4, 6, 8, 10].map(|at| u16_at(bytes, at));
        let mut at = 12;
        assert!(counts[0] <= 1, "{} questions", counts[0]);
        let mut answer = Self { counts, question: None, types: Vec::new(), opt: None };
        if counts[0] == 1 {
            at = end_of_name(bytes, at) + 4;
            answer.question = Some((&bytes[12..at], u16_at(bytes, at - 4)));
        }
        for _ in 0..counts[1..].iter().map(|count| u32::from(*count)).sum() {
            let owner = at;
            at = end_of_name(bytes, at);
            let [kind, class, high, flags, len] = [0, 2, 4, 6, 8].map(|offset| u16_at(bytes, at + offset));
            let data = &bytes[at + 10..][..len.into()];
            let is_at_root = at == owner + 1;
            at += 10 + data.len();
            if kind != OPT {
                assert!(high & 0x8000 == 0, "a negative TTL");
                answer.types.push(kind);
                continue;
            }
            assert!(is_at_root && at == bytes.len() && answer.opt.is_none(), "OPT is at the root, the last, and one");
            let [_, version] = high.to_be_bytes();
            answer.opt = Some(Opt { payload: class, version, flags, options: options(data) });
        }
        assert_eq!(at, bytes.len(), "octets behind the last record");
        answer
    }

    fn option(&self, code: u16) -> Option<&'a [u8]> {
        self.opt.as_ref()?.options.iter().find(|(other, _)| *other == code).map(|(_, data)| *data)
    }
}

fn options(mut data: &[u8]) -> Vec<(u16, &[u8])> {
    let mut options = Vec::new();
    while !data.is_empty() {
        let (code, len) = (u16_at(data, 0), usize::from(u16_at(data, 2)));
        options.push((code, &data[4..][..len]));
        data = &data[4 + len..];
    }
    options
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Where the name at `start` ends; each pointer in it has to lead to before the name that holds it.
fn end_of_name(bytes: &[u8], start: usize) -> usize {
    let (mut at, mut end, mut from, mut octets) = (start, None, start, 0);
    loop {
        let len = usize::from(bytes[at]);
        if len >= 0xc0 {
            end = end.or(Some(at + 2));
            at = usize::from(u16_at(bytes, at) & 0x3fff);
            assert!((12..from).contains(&at), "a pointer to {at}");
            from = at;
            continue;
        }
        assert!(len < 64, "a label of {len}");
        at += 1 + len;
        octets += 1 + len;
        assert!(octets <= 255, "a name of {octets} octets");
        if len == 0 {
            return end.unwrap_or(at);
        }
    }
}
