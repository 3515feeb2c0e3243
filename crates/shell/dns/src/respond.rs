mod denial;
mod links;
mod policy;
mod referral;

use std::net::IpAddr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, AAAA, HINFO, TXT};
use hickory_proto::rr::{Name, RData, RecordType};
use perigee_dataplane::EdgeView;
use perigee_model::PolicyNameIndex;

use crate::arrival::Transport;
use crate::client_subnet::ClientSubnet;
use crate::response::{ExtendedError, Kind, Response, RrSet};
use crate::steer::{Client, client};
use crate::why;
use crate::zones::{Entry, Explained, Found, LowerName, Node, Zone, Zones, seconds};

/// Types and classes (IANA, "DNS Parameters"); numbers, because a query may ask for any.
mod qtype {
    pub(super) const A: u16 = 1;
    pub(super) const CNAME: u16 = 5;
    pub(super) const TXT: u16 = 16;
    pub(super) const AAAA: u16 = 28;
    pub(super) const OPT: u16 = 41;
    pub(super) const DS: u16 = 43;
    pub(super) const RRSIG: u16 = 46;
    pub(super) const NSEC: u16 = 47;
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

/// Answers `query`; `draw` rotates records, so that nobody's first address carries all clients.
///
/// Pure: the same arguments give the same response. Health and snapshot are those of `view` alone, so that all of a
/// response agrees; `zones` must be of its snapshot. A negative answer and all that is the same for everyone have scope
/// 0 (`spec/dns.md`, E4, E15, E17).
///
/// Source: `spec/dns.md` sections 5.1 to 5.3; RFC 8482 for ANY.
pub(crate) fn respond(view: &EdgeView, zones: &Zones, query: &Query<'_>, draw: u64) -> Response {
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
    let located = LowerName::of_wire(query.wire).and_then(|name| {
        let (zone, at) = zones.zone_of(&name)?;
        // The zone above holds what is said about a zone's keys (RFC 4035 section 3.1.4.1).
        let above = if at == 0 && query.qtype == qtype::DS { zones.parent_zone_of(&name) } else { None };
        let (zone, at) = above.unwrap_or((zone, at));
        Some((name, zone, at))
    });
    let Some((name, zone, at)) = located else {
        return Response {
            extended_error: Some(ExtendedError::code(NOT_AUTHORITATIVE)),
            kind: Kind::Outside,
            ..Response::error(ResponseCode::Refused)
        };
    };
    let response = Response { zone: Some(zone.index), ..Response::found(Kind::Absent, Vec::new()) };
    let mut walk = Walk { view, zones, query, draw, response };
    walk.follow(zone, at, &name);
    walk.response
}

/// A response in the making: from the name asked for along the CNAMEs to where they lead.
struct Walk<'a> {
    view: &'a EdgeView,
    zones: &'a Zones,
    query: &'a Query<'a>,
    draw: u64,
    response: Response,
}

impl Walk<'_> {
    /// Answers for one name of `zone`; the name that the answer leads to, if it is not there yet.
    fn step(&mut self, zone: &Zone, key: &[u8], owner: &Name) -> Option<Name> {
        let is_first = self.response.answers.is_empty();
        match zone.find(key) {
            Found::Absent => {
                self.deny_name(zone, owner);
                None
            }
            Found::Delegation(entry, 0) if self.query.qtype == qtype::DS => {
                self.note(is_first, entry.node);
                match entry.set(RecordType::DS) {
                    Some(set) => self.response.answers.push(set.at(owner.clone(), self.draw)),
                    None => self.deny_type(zone, entry, owner),
                }
                None
            }
            Found::Delegation(entry, at) => {
                // A CNAME that leads out of what is ours stands alone; who asked will ask there.
                if is_first {
                    self.note(is_first, entry.node);
                    self.refer(zone, entry, &key[at..]);
                }
                None
            }
            Found::Dname(set, at) => {
                self.note(is_first, Node::Static);
                self.rename(zone, set, key, at, owner)
            }
            Found::Entry(entry) => {
                self.note(is_first, entry.node);
                self.at_entry(zone, entry, owner)
            }
        }
    }

    fn note(&mut self, is_first: bool, node: Node) {
        if is_first {
            self.response.kind = Kind::At(node);
        }
    }

    fn at_entry(&mut self, zone: &Zone, entry: &Entry, owner: &Name) -> Option<Name> {
        let query = self.query;
        if let Some(cname) = entry.set(RecordType::CNAME)
            // What a signer puts beside a CNAME is asked for at the CNAME (RFC 4035 section 2.5).
            && !matches!(query.qtype, qtype::RRSIG | qtype::NSEC)
        {
            return self.link(cname.at(owner.clone(), 0));
        }
        let is_policy_cname = match entry.node {
            Node::Policy(index) => self.zones.policy_types(index).contains(&RecordType::CNAME),
            _ => false,
        };
        if query.qtype == qtype::ANY && entry.node != Node::EmptyNonTerminal && !is_policy_cname {
            let hinfo = RData::HINFO(HINFO::new("RFC8482".into(), String::new()));
            self.response.answers.push(RrSet::one(owner.clone(), ANY_TTL_S, hinfo));
            return None;
        }
        if let Some(set) = entry.sets.iter().find(|set| u16::from(set.record_type) == query.qtype) {
            self.response.answers.push(set.at(owner.clone(), self.draw));
            return None;
        }
        let before = self.response.answers.len();
        let next = self.at_node(zone, entry.node, owner);
        if self.response.answers.len() == before && self.response.code == ResponseCode::NoError {
            self.deny_type(zone, entry, owner);
        }
        next
    }

    /// Adds what the node itself answers, if it has the type asked for; the name to go on with, if it is a CNAME.
    fn at_node(&mut self, zone: &Zone, node: Node, owner: &Name) -> Option<Name> {
        let (view, query) = (self.view, self.query);
        match (node, query.qtype) {
            (Node::Accelerator(index), qtype::A | qtype::AAAA) => {
                let ttl_s = seconds(view.snapshot.dns.accelerator_ttl);
                self.add_addresses(owner, &view.snapshot.accelerator(index).addresses, ttl_s);
            }
            (Node::LoadBalancer(index), qtype::A | qtype::AAAA) => {
                let (nodes, _) = view.load_balancer_addresses(index);
                self.add_addresses(owner, &nodes, seconds(view.snapshot.dns.load_balancer_ttl));
            }
            (Node::Latency(position), qtype::A | qtype::AAAA) => {
                let tree = view.trees().of_latency_name(position);
                self.decide(zone, tree, query.qtype.into(), owner);
            }
            (Node::Policy(index), _) => return self.at_policy(zone, index, owner),
            (Node::Why(explained), qtype::TXT) => {
                let (lines, scope) = match explained {
                    Explained::Latency(position) => self.explain_latency(zone, position),
                    Explained::Policy(index) => self.explain_policy(zone, index),
                };
                self.response.answers.push(RrSet::one(owner.clone(), why::TTL_S, RData::TXT(TXT::new(lines))));
                self.response.scope = scope;
            }
            _ => {}
        }
        None
    }

    /// What is to be said of a latency name, and how far it may be kept.
    fn explain_latency(&self, zone: &Zone, position: usize) -> (Vec<String>, u8) {
        let client = Client::of(&self.view.atlas, &client(zone, self.query));
        let why = self.view.explain_name(&self.view.snapshot.dns.latency_names[position], client.address);
        (why::explain(self.view, &why, &client), client.scope)
    }

    /// The same of a policy name, for the first type that it has.
    fn explain_policy(&self, zone: &Zone, index: PolicyNameIndex) -> (Vec<String>, u8) {
        let record_type = policy::explained_type(self.zones.policy_types(index));
        let Some(kind) = policy::kind_of(self.view, record_type) else { return (vec!["answer=none".into()], 0) };
        let tree = self.view.trees().of_policy_name(index);
        let why = self.view.explain_policy(tree, kind, &client(zone, self.query), self.draw);
        (why::explain_policy(&why), why.scope)
    }

    /// Adds the addresses of the family asked for, starting with another one at each draw.
    fn add_addresses(&mut self, owner: &Name, addresses: &[IpAddr], ttl_s: u32) {
        let mut data: Vec<RData> =
            addresses.iter().filter_map(|address| address_data(*address, self.query.qtype)).collect();
        let Some(first) = self.draw.checked_rem(data.len() as u64) else { return };
        data.rotate_left(first as usize);
        let record_type = self.query.qtype.into();
        self.response.answers.push(RrSet { owner: owner.clone(), record_type, ttl_s, data });
    }
}

fn address_data(address: IpAddr, qtype: u16) -> Option<RData> {
    match (address, qtype) {
        (IpAddr::V4(v4), qtype::A) => Some(RData::A(A(v4))),
        (IpAddr::V6(v6), qtype::AAAA) => Some(RData::AAAA(AAAA(v6))),
        _ => None,
    }
}
