use std::net::IpAddr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, AAAA, HINFO, TXT};
use hickory_proto::rr::{Name, RData, RecordType};
use perigee_dataplane::EdgeView;

use crate::client_subnet::ClientSubnet;
use crate::responder::Transport;
use crate::response::{Denial, ExtendedError, Kind, Response, RrSet};
use crate::steer::Client;
use crate::why;
use crate::zone::{Found, Node, Zone, seconds};

/// Types and classes (IANA, "DNS Parameters"); numbers, because a query may ask for any.
mod qtype {
    pub(super) const A: u16 = 1;
    pub(super) const NS: u16 = 2;
    pub(super) const SOA: u16 = 6;
    pub(super) const TXT: u16 = 16;
    pub(super) const AAAA: u16 = 28;
    pub(super) const OPT: u16 = 41;
    pub(super) const NXNAME: u16 = 128;
    pub(super) const TKEY: u16 = 249;
    pub(super) const TSIG: u16 = 250;
    pub(super) const IXFR: u16 = 251;
    pub(super) const AXFR: u16 = 252;
    pub(super) const MAILB: u16 = 253;
    pub(super) const MAILA: u16 = 254;
    pub(super) const ANY: u16 = 255;
}
const CLASS_IN: u16 = 1;

/// TTL of the HINFO that stands for ANY (Perigee's choice: it never changes).
const ANY_TTL_S: u32 = 3_600;

/// Extended errors (RFC 8914, section 5.2).
const NOT_AUTHORITATIVE: u16 = 20;
const INVALID_QUERY_TYPE: u16 = 30;

/// A well-formed question and who asks it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<'a> {
    /// The name as the client wrote it.
    pub(crate) name: &'a Name,
    /// The same in wire form.
    pub(crate) wire: &'a [u8],
    pub(crate) qtype: u16,
    pub(crate) class: u16,
    /// Where the packet came from.
    pub(crate) source: IpAddr,
    pub(crate) subnet: Option<&'a ClientSubnet>,
    pub(crate) transport: Transport,
}

/// Answers `query`; `turn` rotates addresses, so that nobody's first address carries all clients.
///
/// Pure: the same arguments give the same response. Health and snapshot are those of `view` alone, so that all of a
/// response agrees. A negative answer and all that is the same for everyone have scope 0 (`spec/dns.md`, E4, E15, E17).
///
/// Source: `spec/dns.md` §5.1 to §5.3; RFC 8482 for ANY.
pub(crate) fn respond(view: &EdgeView, zone: &Zone, query: &Query<'_>, turn: u64) -> Response {
    match query.qtype {
        qtype::OPT | qtype::TSIG => return Response::error(ResponseCode::FormErr),
        qtype::NXNAME => {
            let error = Response::error(ResponseCode::FormErr);
            return Response { extended_error: Some(ExtendedError::code(INVALID_QUERY_TYPE)), ..error };
        }
        qtype::TKEY | qtype::MAILA | qtype::MAILB => return Response::error(ResponseCode::NotImp),
        qtype::AXFR if query.transport == Transport::Udp => return Response::error(ResponseCode::FormErr),
        qtype::AXFR | qtype::IXFR => return Response::error(ResponseCode::Refused),
        _ => {}
    }
    if query.class != CLASS_IN {
        return Response::error(ResponseCode::Refused);
    }
    match zone.find(query.wire) {
        Found::Outside => Response {
            extended_error: Some(ExtendedError::code(NOT_AUTHORITATIVE)),
            kind: Kind::Outside,
            ..Response::error(ResponseCode::Refused)
        },
        Found::Absent => {
            let denial = Denial::NoName { name: query.name.clone() };
            Response::negative(ResponseCode::NXDomain, Kind::Absent, zone, denial)
        }
        Found::Node(node) => at_node(view, zone, query, node, turn),
    }
}

fn at_node(view: &EdgeView, zone: &Zone, query: &Query<'_>, node: Node, turn: u64) -> Response {
    let kind = Kind::At(node);
    if query.qtype == qtype::ANY && node != Node::EmptyNonTerminal {
        let hinfo = RData::HINFO(HINFO::new("RFC8482".into(), String::new()));
        return Response::found(kind, vec![RrSet::one(query.name.clone(), ANY_TTL_S, hinfo)]);
    }
    let mut response = Response::found(kind, Vec::new());
    match (node, query.qtype) {
        (Node::Apex, qtype::SOA) => {
            let soa = zone.soa();
            response.answers.push(RrSet { owner: query.name.clone(), ..soa });
        }
        (Node::Apex, qtype::NS) => response.answers.push(zone.ns(query.name)),
        (Node::NameServer, qtype::A | qtype::AAAA) => {
            response.answers = addresses(query, &zone.name_server, Zone::name_server_ttl_s(), turn);
        }
        (Node::Accelerator(index), qtype::A | qtype::AAAA) => {
            let ttl_s = seconds(view.snapshot.dns.accelerator_ttl);
            response.answers = addresses(query, &view.snapshot.accelerator(index).addresses, ttl_s, turn);
        }
        (Node::LoadBalancer(index), qtype::A | qtype::AAAA) => {
            let (nodes, _) = view.load_balancer_addresses(index);
            response.answers = addresses(query, &nodes, seconds(view.snapshot.dns.load_balancer_ttl), turn);
        }
        (Node::Latency(position), qtype::A | qtype::AAAA) => {
            let client = Client::of(&view.atlas, query.source, query.subnet);
            let answer = view.answer(&view.snapshot.dns.latency_names[position], client.address);
            response.answers = addresses(query, &answer.addresses, seconds(answer.ttl), turn);
            response.scope = client.scope;
            response.region = answer.region;
        }
        (Node::Why(position), qtype::TXT) => {
            let client = Client::of(&view.atlas, query.source, query.subnet);
            let why = view.explain_name(&view.snapshot.dns.latency_names[position], client.address);
            let text = TXT::new(why::explain(view, &why, &client));
            response.answers.push(RrSet::one(query.name.clone(), why::TTL_S, RData::TXT(text)));
            response.scope = client.scope;
        }
        _ => {}
    }
    if response.answers.is_empty() {
        let denial = Denial::NoData { name: query.name.clone(), types: types_at(node) };
        return Response::negative(ResponseCode::NoError, kind, zone, denial);
    }
    response
}

/// The types that the node could have for any client.
fn types_at(node: Node) -> Vec<RecordType> {
    match node {
        Node::Apex => vec![RecordType::NS, RecordType::SOA],
        Node::Why(_) => vec![RecordType::TXT],
        Node::EmptyNonTerminal => Vec::new(),
        Node::NameServer | Node::Latency(_) | Node::Accelerator(_) | Node::LoadBalancer(_) => {
            vec![RecordType::A, RecordType::AAAA]
        }
    }
}

/// The addresses of the family asked for, starting with another one at each turn.
fn addresses(query: &Query<'_>, addresses: &[IpAddr], ttl_s: u32, turn: u64) -> Vec<RrSet> {
    let mut data: Vec<RData> = addresses
        .iter()
        .filter_map(|address| match (address, query.qtype) {
            (IpAddr::V4(v4), qtype::A) => Some(RData::A(A(*v4))),
            (IpAddr::V6(v6), qtype::AAAA) => Some(RData::AAAA(AAAA(*v6))),
            _ => None,
        })
        .collect();
    let Some(first) = turn.checked_rem(data.len() as u64) else { return Vec::new() };
    data.rotate_left(first as usize);
    vec![RrSet { owner: query.name.clone(), record_type: query.qtype.into(), ttl_s, data }]
}
