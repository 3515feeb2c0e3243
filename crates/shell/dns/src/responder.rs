use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use hickory_proto::op::ResponseCode;
use hickory_server::zone_handler::Queries;
use perigee_dataplane::EdgeView;
use perigee_model::Snapshot;
use tracing::{error, trace};

use crate::arrival::{Answer, Arrival, Limit, Transport};
use crate::authority::{Authorities, Authority};
use crate::client_subnet::ClientSubnet;
use crate::cookie::Standing;
use crate::dnssec::Asked;
use crate::encode::{bare, decode, encode, stub, udp_limit};
use crate::manners::{self, Manners};
use crate::metrics::{AnswerLabels, NO_REGION, POLICIES, policy_of, rcode};
use crate::moment::Clocks;
use crate::options::OptRecord;
use crate::query_log::{Entry, Log, network_of};
use crate::rate_limit::{RateLimiter, Verdict};
use crate::respond::{Query, respond};
use crate::response::{ExtendedError, Kind, Response, RrSet};
use crate::wire::{self, Dropped, Reading, opcode};
use crate::{Metrics, Moment, chaos};

/// Extended error (RFC 8914 section 5.2).
const NOT_SUPPORTED: u16 = 21;

/// Turns the bytes of a query into the bytes of its answer, without any socket.
///
/// It reads the published [`EdgeView`] once per query, so that all of an answer agrees and the next query sees what
/// was published meanwhile.
#[derive(Debug)]
pub struct Responder {
    view: Arc<ArcSwap<EdgeView>>,
    /// What the view's snapshot says of names, keys and clients; made again when the view brings another one.
    authorities: Authorities,
    metrics: Metrics,
    log: Option<Log>,
    clocks: Clocks,
    /// Drawn at the start.
    limiter_key: [u8; 16],
    /// Counts queries, to rotate addresses.
    turns: AtomicU64,
}

impl Responder {
    /// Answers from `view`, whatever is published there.
    ///
    /// `name_server` holds the addresses of `ns1` and `ns2` in the zones; without any the names have no data. Draws 32
    /// octets of entropy.
    pub fn new(view: Arc<ArcSwap<EdgeView>>, name_server: Vec<IpAddr>, metrics: Metrics) -> Self {
        let current = view.load();
        // Made by the first who asks otherwise; a query should not have to.
        current.tree_states();
        let drawn = [manners::draw(), manners::draw()];
        let authorities = Authorities::new(current.snapshot.clone(), name_server, metrics.clone(), drawn[0]);
        drop(current);
        Self {
            view,
            authorities,
            metrics,
            log: None,
            clocks: Clocks::new(),
            limiter_key: drawn[1],
            turns: AtomicU64::new(0),
        }
    }

    /// The same, with a log of queries.
    pub(crate) fn with_log(self, log: Option<Log>) -> Self {
        Self { log, ..self }
    }

    /// Makes what the answers of `snapshot` need before it is published, so that no query has to wait for it.
    pub fn prepare(&self, snapshot: &Arc<Snapshot>) {
        self.authorities.prepare(snapshot);
    }

    /// The answer to `message` from `source`; none to what must not be answered: less than a header, or a response.
    ///
    /// Over UDP the answer has at most 512 octets, or with EDNS what the client states, never above 1,232. Malformed
    /// messages get FORMERR. Nothing is rate limited here: that is for sockets. Never panics, whatever the bytes.
    pub fn answer(&self, message: &[u8], source: SocketAddr, transport: Transport) -> Option<Vec<u8>> {
        self.answer_at(message, source, transport, self.now())
    }

    /// As [`Self::answer`], at a given moment.
    pub fn answer_at(
        &self,
        message: &[u8],
        source: SocketAddr,
        transport: Transport,
        moment: Moment,
    ) -> Option<Vec<u8>> {
        let arrival = Arrival { moment, ..self.arrival(source, transport) };
        self.reply(message, &arrival, Limit::Free).map(|answer| answer.bytes)
    }

    /// The answer to a datagram from `source`; none if there must be none, or `limit` keeps it back. A failing host
    /// says SERVFAIL.
    pub(crate) fn answer_datagram(
        &self,
        message: &[u8],
        source: SocketAddr,
        is_failing: bool,
        limit: Limit<'_>,
    ) -> Option<Vec<u8>> {
        let arrival = Arrival { is_failing, ..self.arrival(source, Transport::Udp) };
        self.reply(message, &arrival, limit).map(|answer| answer.bytes)
    }

    /// A query that comes now, from a host that is well.
    pub(crate) fn arrival(&self, source: SocketAddr, transport: Transport) -> Arrival {
        let draw = scrambled(self.turns.fetch_add(1, Ordering::Relaxed));
        Arrival { source, transport, moment: self.now(), idle: None, is_failing: false, draw }
    }

    /// The moment that it is.
    pub(crate) fn now(&self) -> Moment {
        self.clocks.now()
    }

    /// Accounts for one worker that answers datagrams.
    pub(crate) fn limiter(&self) -> RateLimiter {
        let view = self.view.load();
        RateLimiter::new(view.snapshot.dns.server.rate_limit.clone(), self.limiter_key)
    }

    /// As [`Self::answer`] over UDP, with the draw given.
    #[cfg(test)]
    pub(crate) fn answer_with_draw(&self, message: &[u8], source: SocketAddr, draw: u64) -> Option<Vec<u8>> {
        let arrival = Arrival { draw, ..self.arrival(source, Transport::Udp) };
        self.reply(message, &arrival, Limit::Free).map(|answer| answer.bytes)
    }

    /// What the server says now, made if nobody did.
    pub(crate) fn authority(&self, view: &EdgeView) -> Arc<Authority> {
        self.authorities.of(&view.snapshot)
    }

    /// The log of queries, if there is one.
    pub(crate) const fn log(&self) -> Option<&Log> {
        self.log.as_ref()
    }

    /// Where views are published.
    pub(crate) fn view(&self) -> &ArcSwap<EdgeView> {
        &self.view
    }

    /// The counters.
    pub(crate) const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The answer to `message`; none if there must be none, or `limit` keeps it back.
    pub(crate) fn reply(&self, message: &[u8], arrival: &Arrival, limit: Limit<'_>) -> Option<Answer> {
        let began = Instant::now();
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
        let view = self.view.load();
        let authority = self.authorities.of(&view.snapshot);
        let manners = &authority.manners;
        let Some((header, queries)) = decode(message, reading.question.is_some()) else {
            let response = Response::error(ResponseCode::FormErr);
            let verdict = self.judge(&view, &reading, &response, arrival, Standing::None, limit);
            self.done(arrival, &reading, None, &response, verdict, began, &view);
            return (verdict == Verdict::Pass).then(|| self.bare(message, ResponseCode::FormErr)).flatten();
        };
        let source = arrival.source.ip().to_canonical();
        let (standing, cookie) = match (manners.cookies(), reading.options().cookie) {
            (Some(cookies), Some(cookie)) => {
                let (standing, back) = cookies.judge(cookie, source, arrival.moment.unix_s());
                (standing, Some(back))
            }
            _ => (Standing::None, None),
        };
        let (subnet, mut response) = self.consider(&view, &authority, &reading, &queries, arrival);
        if response.code == ResponseCode::NotImp && response.extended_error.is_none() {
            response.extended_error = Some(ExtendedError::code(NOT_SUPPORTED));
        }
        let verdict = self.judge(&view, &reading, &response, arrival, standing, limit);
        if verdict == Verdict::Slip && standing == Standing::Bad {
            // It may be honest with an old cookie: told the new one, it will not be limited (RFC 7873 section 5.2.3).
            response = Response { kind: response.kind, ..Response::error(ResponseCode::BADCOOKIE) };
        }
        if let (Verdict::Pass, Some(question)) = (verdict, reading.question) {
            let (dnssec_ok, compact_ok) = reading.opt.map_or((false, false), |opt| (opt.dnssec_ok, opt.compact_ok));
            let asked = Asked { qtype: question.qtype.into(), dnssec_ok, compact_ok };
            response.compact_ok = authority.signer.sign(&mut response, asked, arrival.moment.unix_s().into());
        }
        self.metrics.cookie(standing);
        self.done(arrival, &reading, subnet.as_ref(), &response, verdict, began, &view);
        let server = &view.snapshot.dns.server;
        let opt = reading.opt.map(|opt| OptRecord {
            code: response.code,
            dnssec_ok: opt.dnssec_ok,
            compact_ok: response.compact_ok,
            cookie,
            nsid: server.identity.as_deref().filter(|_| opt.options.nsid),
            subnet: subnet.as_ref().map(|subnet| (subnet, response.scope)),
            extended_error: response.extended_error.as_ref(),
            keepalive: arrival.idle.filter(|_| opt.options.keepalive),
            padded: opt.options.padding && arrival.transport.is_encrypted(),
        });
        let written = match verdict {
            Verdict::Drop => return None,
            Verdict::Slip => {
                // No larger than the query: nothing that was not in it, but for the server's part of the cookie.
                let opt = opt.map(|opt| OptRecord { nsid: None, extended_error: None, ..opt });
                if response.code == ResponseCode::BADCOOKIE {
                    encode(&header, &queries, opt.as_ref(), &response, u16::MAX)
                } else {
                    stub(&header, &queries, opt.as_ref(), &response)
                }
            }
            Verdict::Pass => {
                encode(&header, &queries, opt.as_ref(), &response, room(manners, &reading, arrival, standing))
            }
        };
        match written {
            Ok(bytes) => Some(Answer { bytes, lifetime_s: lifetime_s(&response), is_shared: is_shared(&response) }),
            Err(error) => {
                error!(%error, "an answer could not be written");
                self.bare(message, ResponseCode::ServFail)
            }
        }
    }

    /// The response to what was read, and the client subnet that it has to carry.
    fn consider(
        &self,
        view: &EdgeView,
        authority: &Authority,
        reading: &Reading<'_>,
        queries: &Queries,
        arrival: &Arrival,
    ) -> (Option<ClientSubnet>, Response) {
        let is_readable = reading.well_formed || reading.cookie_only;
        // A damaged option list is not searched for a subnet, and a version that is not ours not understood.
        let options = if is_readable && reading.opt.is_some_and(|opt| opt.version == 0) {
            reading.options()
        } else {
            wire::Options::default()
        };
        let Ok(subnet) = options.subnet.map(ClientSubnet::parse).transpose() else {
            return (None, Response::error(ResponseCode::FormErr));
        };
        if let Some(refused) = refusal(reading) {
            return (subnet, refused);
        }
        if reading.cookie_only {
            let code =
                if authority.manners.cookies().is_some() { ResponseCode::NoError } else { ResponseCode::FormErr };
            return (subnet, Response::error(code));
        }
        if arrival.is_failing {
            return (subnet, Response::error(ResponseCode::ServFail));
        }
        (subnet, self.decide(view, authority, reading, subnet.as_ref(), queries, arrival))
    }

    fn decide(
        &self,
        view: &EdgeView,
        authority: &Authority,
        reading: &Reading<'_>,
        subnet: Option<&ClientSubnet>,
        queries: &Queries,
        arrival: &Arrival,
    ) -> Response {
        let (Some(question), Some(query)) = (reading.question, queries.queries().first()) else {
            return Response::error(ResponseCode::FormErr);
        };
        let server = &view.snapshot.dns.server;
        let name = query.original().name();
        if question.class == chaos::CLASS && server.chaos {
            let said = chaos::answer(name, question.name, question.qtype, server.identity.as_deref());
            return said
                .map_or_else(|| Response::error(ResponseCode::Refused), |set| Response::found(Kind::None, vec![set]));
        }
        let query = Query {
            name,
            wire: question.name,
            qtype: question.qtype,
            class: question.class,
            source: arrival.source.ip().to_canonical(),
            subnet,
            transport: arrival.transport,
        };
        let response = respond(view, &authority.zones, &query, arrival.draw);
        self.count_answer(view, &response);
        trace!(name = %query.name, qtype = query.qtype, code = %response.code, "answered");
        response
    }

    /// Counts what a policy decided.
    fn count_answer(&self, view: &EdgeView, response: &Response) {
        let policy = match response.kind {
            Kind::At(node) => policy_of(&view.snapshot.dns, node).and_then(|policy| POLICIES.get(policy).copied()),
            _ => None,
        };
        let Some(policy) = policy.or_else(|| response.region.map(|_| "cname")) else { return };
        if response.answers.is_empty() {
            return;
        }
        let region = response.region.map_or(NO_REGION, |region| view.snapshot.region(region).code.as_str()).to_owned();
        self.metrics.answers.get_or_create(&AnswerLabels { policy, region }).inc();
    }

    /// What rate limiting makes of the response. Only datagrams come from forged addresses, and a good cookie proves
    /// that this one does not.
    fn judge(
        &self,
        view: &EdgeView,
        reading: &Reading<'_>,
        response: &Response,
        arrival: &Arrival,
        standing: Standing,
        limit: Limit<'_>,
    ) -> Verdict {
        let category = manners::category(response);
        let verdict = match limit {
            Limit::Free => return Verdict::Pass,
            Limit::By(_) if standing == Standing::Good => return Verdict::Pass,
            Limit::Judged(verdict) => verdict,
            Limit::By(limiter) => {
                limiter.follow(view.snapshot.generation, &view.snapshot.dns.server.rate_limit);
                let key = manners::account_name(response, category, reading, |name| limiter.name_key(name));
                limiter.judge(arrival.moment.elapsed_ms, arrival.source.ip(), key, category)
            }
        };
        if verdict != Verdict::Pass {
            self.metrics.limited(category, verdict);
        }
        verdict
    }

    fn bare(&self, message: &[u8], code: ResponseCode) -> Option<Answer> {
        bare(message, code).map(|bytes| Answer { bytes, lifetime_s: 0, is_shared: false })
    }

    /// Counts and logs.
    #[allow(clippy::too_many_arguments, reason = "all that a line of the log says")]
    fn done(
        &self,
        arrival: &Arrival,
        reading: &Reading<'_>,
        subnet: Option<&ClientSubnet>,
        response: &Response,
        verdict: Verdict,
        began: Instant,
        view: &EdgeView,
    ) {
        let took = began.elapsed();
        self.metrics.answered(arrival.transport, response, took);
        let Some(log) = &self.log else { return };
        log.log(|| Entry {
            unix_ms: u64::try_from(arrival.moment.unix.as_millis()).unwrap_or(u64::MAX),
            transport: arrival.transport.label(),
            client: network_of(arrival.source.ip()),
            name: reading.question.map(|question| manners::presentation(question.name)),
            qtype: reading.question.map(|question| question.qtype),
            rcode: rcode(response.code),
            region: response.region.map(|region| view.snapshot.region(region).code.to_string()),
            scope: subnet.map(|_| response.scope),
            limited: verdict != Verdict::Pass,
            microseconds: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        });
    }
}

/// The most octets that the answer may have.
fn room(manners: &Manners, reading: &Reading<'_>, arrival: &Arrival, standing: Standing) -> u16 {
    if arrival.transport != Transport::Udp {
        return u16::MAX;
    }
    let limit = udp_limit(reading);
    match manners.uncookied_octets() {
        Some(octets) if standing != Standing::Good => limit.min(octets),
        _ => limit,
    }
}

/// What is refused whatever it asks for (`spec/dns.md` §5.1 and §5.4).
fn refusal(reading: &Reading<'_>) -> Option<Response> {
    let code = match reading.opcode {
        opcode::QUERY if !reading.well_formed && !reading.cookie_only => ResponseCode::FormErr,
        opcode::QUERY if reading.opt.is_some_and(|opt| opt.version > 0) => ResponseCode::BADVERS,
        opcode::QUERY => return None,
        opcode::NOTIFY | opcode::UPDATE => {
            let refused = Response::error(ResponseCode::Refused);
            return Some(Response { extended_error: Some(ExtendedError::code(NOT_SUPPORTED)), ..refused });
        }
        _ => ResponseCode::NotImp,
    };
    Some(Response::error(code))
}

/// The least TTL of what was asked for: the answer's, or the SOA's of a negative one (RFC 8484 section 5.1).
fn lifetime_s(response: &Response) -> u32 {
    if !matches!(response.code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return 0;
    }
    let sets: &[RrSet] = if response.answers.is_empty() { &response.authority } else { &response.answers };
    sets.iter().map(|set| set.ttl_s).min().unwrap_or(0)
}

/// Whether the answer is the same for all clients. What is not known to be is taken as tailored.
fn is_shared(response: &Response) -> bool {
    const SAME_FOR_ALL: [&str; 9] =
        ["apex", "name_server", "accelerator", "load_balancer", "static", "delegation", "empty", "absent", "outside"];
    response.region.is_none() && response.scope == 0 && SAME_FOR_ALL.contains(&response.kind.label())
}

/// Spreads a counter over all bits (the finalizer of SplitMix64), so that a client that asks for A and AAAA in turns
/// does not meet one rotation only.
pub(crate) const fn scrambled(turn: u64) -> u64 {
    let a = (turn ^ (turn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    b ^ (b >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::rr::{Name, RecordType};

    #[test]
    fn a_lifetime_is_the_least_ttl_of_what_was_asked_for() {
        let set = |ttl_s| RrSet { owner: Name::root(), record_type: RecordType::NULL, ttl_s, data: vec![] };
        let found = Response::found(Kind::None, vec![set(60), set(30)]);
        assert_eq!(lifetime_s(&Response { authority: vec![set(5)], ..found.clone() }), 30);
        assert_eq!(lifetime_s(&Response { answers: vec![], authority: vec![set(5)], ..found.clone() }), 5);
        assert_eq!(lifetime_s(&Response { answers: vec![], ..found.clone() }), 0);
        assert_eq!(lifetime_s(&Response { code: ResponseCode::ServFail, ..found }), 0);
    }
}
