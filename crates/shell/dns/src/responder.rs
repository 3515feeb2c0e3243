use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use hickory_proto::op::ResponseCode;
use perigee_dataplane::EdgeView;
use tracing::{error, trace};

use crate::Metrics;
use crate::client_subnet::ClientSubnet;
use crate::encode::{bare, decode, encode, udp_limit};
use crate::metrics::{QueryLabels, RegionLabels};
use crate::respond::{Query, respond};
use crate::response::Response;
use crate::wire::{self, Dropped, Reading, opcode};
use crate::zone::Zone;

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In a datagram: the answer has to fit one.
    Udp,
    /// On a connection: an answer may have 65,535 octets.
    Tcp,
}

impl Transport {
    const fn label(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// Turns the bytes of a query into the bytes of its answer, without any socket.
///
/// It reads the published [`EdgeView`] once per query, so that all of an answer agrees and the next query sees what
/// was published meanwhile.
#[derive(Debug)]
pub struct Responder {
    view: Arc<ArcSwap<EdgeView>>,
    /// The names of the view's snapshot; made again when the view brings another one.
    zone: ArcSwap<Zone>,
    name_server: Vec<IpAddr>,
    metrics: Metrics,
    /// Counts queries, to rotate addresses.
    turns: AtomicU64,
}

impl Responder {
    /// Answers from `view`, whatever is published there.
    ///
    /// `name_server` holds the addresses of `ns1` in the zone; without any the name has no data.
    pub fn new(view: Arc<ArcSwap<EdgeView>>, name_server: Vec<IpAddr>, metrics: Metrics) -> Self {
        let zone = Zone::new(view.load().snapshot.clone(), name_server.clone());
        Self { view, zone: ArcSwap::from_pointee(zone), name_server, metrics, turns: AtomicU64::new(0) }
    }

    /// The answer to `message` from `source`; none to what must not be answered: less than a header, or a response.
    ///
    /// Over UDP the answer has at most 512 octets, or with EDNS what the client states, never above 1,232. Malformed
    /// messages get FORMERR. Never panics, whatever the bytes.
    pub fn answer(&self, message: &[u8], source: SocketAddr, transport: Transport) -> Option<Vec<u8>> {
        self.reply(message, transport, |reading, subnet, decoded| {
            let turn = scrambled(self.turns.fetch_add(1, Ordering::Relaxed));
            self.decide(reading, subnet, decoded, source, transport, turn)
        })
    }

    /// As [`Self::answer`] for a host that fails: SERVFAIL to every query.
    pub(crate) fn fail(&self, message: &[u8], transport: Transport) -> Option<Vec<u8>> {
        self.reply(message, transport, |_, _, _| Response::error(ResponseCode::ServFail))
    }

    /// As [`Self::answer`] over UDP, with the rotation of addresses given.
    #[cfg(test)]
    pub(crate) fn answer_at_turn(&self, message: &[u8], source: SocketAddr, turn: u64) -> Option<Vec<u8>> {
        self.reply(message, Transport::Udp, |reading, subnet, decoded| {
            self.decide(reading, subnet, decoded, source, Transport::Udp, turn)
        })
    }

    /// Where views are published.
    pub(crate) fn view(&self) -> &ArcSwap<EdgeView> {
        &self.view
    }

    /// The counters.
    pub(crate) const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn reply(
        &self,
        message: &[u8],
        transport: Transport,
        decide: impl FnOnce(&Reading<'_>, Option<&ClientSubnet>, &Decoded) -> Response,
    ) -> Option<Vec<u8>> {
        let reading = match wire::read(message) {
            Ok(reading) => reading,
            Err(dropped) => {
                self.metrics.drop_for(match dropped {
                    Dropped::Short => "short",
                    Dropped::Response => "response",
                });
                return None;
            }
        };
        let (header, queries) = match decode(message, reading.question.is_some()) {
            Some(decoded) => decoded,
            None => {
                self.count(transport, &Response::error(ResponseCode::FormErr));
                return bare(message, ResponseCode::FormErr);
            }
        };
        let (subnet, response) = match refusal(&reading) {
            Some(response) => (None, response),
            None => match reading.opt.and_then(|opt| opt.subnet).map(ClientSubnet::parse).transpose() {
                Err(_) => (None, Response::error(ResponseCode::FormErr)),
                Ok(subnet) => (subnet, decide(&reading, subnet.as_ref(), &queries)),
            },
        };
        self.count(transport, &response);
        let limit = match transport {
            Transport::Udp => udp_limit(&reading),
            Transport::Tcp => u16::MAX,
        };
        match encode(&header, &queries, &reading, subnet.as_ref(), &response, limit) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                error!(%error, "an answer could not be written");
                bare(message, ResponseCode::ServFail)
            }
        }
    }

    fn decide(
        &self,
        reading: &Reading<'_>,
        subnet: Option<&ClientSubnet>,
        queries: &Decoded,
        source: SocketAddr,
        transport: Transport,
        turn: u64,
    ) -> Response {
        let (Some(question), Some(query)) = (reading.question, queries.queries().first()) else {
            return Response::error(ResponseCode::FormErr);
        };
        let view = self.view.load();
        let zone = self.zone(&view);
        let query = Query {
            name: query.original().name(),
            wire: question.name,
            qtype: question.qtype,
            class: question.class,
            source: source.ip().to_canonical(),
            subnet,
            transport,
        };
        let response = respond(&view, &zone, &query, turn);
        if let Some(region) = response.region {
            let region = view.snapshot.region(region).code.to_string();
            self.metrics.answers.get_or_create(&RegionLabels { region }).inc();
        }
        trace!(name = %query.name, qtype = query.qtype, code = %response.code, "answered");
        response
    }

    pub(crate) fn zone(&self, view: &EdgeView) -> Arc<Zone> {
        let zone = self.zone.load_full();
        if Arc::ptr_eq(&zone.snapshot, &view.snapshot) {
            return zone;
        }
        // Several threads may make it at the same time; they make the same.
        let zone = Arc::new(Zone::new(view.snapshot.clone(), self.name_server.clone()));
        self.zone.store(zone.clone());
        zone
    }

    fn count(&self, transport: Transport, response: &Response) {
        let rcode = match response.code {
            ResponseCode::NoError => "NOERROR",
            ResponseCode::FormErr => "FORMERR",
            ResponseCode::NXDomain => "NXDOMAIN",
            ResponseCode::NotImp => "NOTIMP",
            ResponseCode::Refused => "REFUSED",
            ResponseCode::BADVERS => "BADVERS",
            _ => "SERVFAIL",
        };
        let labels = QueryLabels { transport: transport.label(), kind: response.kind.label(), rcode };
        self.metrics.queries.get_or_create(&labels).inc();
    }
}

type Decoded = hickory_server::zone_handler::Queries;

/// What is refused whatever it asks for (`spec/dns.md` §5.1 and §5.4).
fn refusal(reading: &Reading<'_>) -> Option<Response> {
    let code = match reading.opcode {
        opcode::QUERY if !reading.well_formed => ResponseCode::FormErr,
        opcode::QUERY if reading.opt.is_some_and(|opt| opt.version > 0) => ResponseCode::BADVERS,
        opcode::QUERY => return None,
        opcode::NOTIFY | opcode::UPDATE => ResponseCode::Refused,
        _ => ResponseCode::NotImp,
    };
    Some(Response::error(code))
}

/// Spreads a counter over all bits (the finalizer of SplitMix64), so that a client that asks for A and AAAA in turns
/// does not meet one rotation only.
pub(crate) const fn scrambled(turn: u64) -> u64 {
    let a = (turn ^ (turn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    b ^ (b >> 31)
}
