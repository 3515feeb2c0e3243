//! Answers to plain queries from tables, without allocation and without a lock.
//!
//! A plain query is what resolvers send: one question of class IN, EDNS with at most a client subnet. What is answered
//! here is the same, octet for octet, as [`Responder::answer`] gives; everything else is left to it, so a query that
//! this module does not know is slow and never wrong. Two sorts of tables: [`names::Names`] are made of a snapshot,
//! [`tables::Tables`] of a view, which also has health.

mod addresses;
mod name_table;
mod names;
mod tables;
mod tally;
mod template;
mod write;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use perigee_model::RegionIndex;
use perigee_model::dns::RecordTarget;
use perigee_net::MAX_ANSWER;
use perigee_steering::{DnsClient, RecordKind, TreeIndex};

use crate::Responder;
use crate::client_subnet::ClientSubnet;
use crate::encode::udp_limit;
use crate::manners::presentation;
use crate::query_log::{Entry as LogEntry, network_of};
use crate::rate_limit::{Category, RateLimiter, Verdict};
use crate::responder::scrambled;
use crate::wire::{self, Reading, opcode};
use crate::zones::seconds;
use addresses::{Addresses, Gathered};
use names::{Entry, FastZone, Lookup, Source};
use tables::Tables;
use tally::{Kind, Tally};
use write::{Rcode, Writer};

/// Octets of a header (RFC 1035 section 4.1.1), and of what stands in an OPT record before its options (RFC 6891).
const HEADER: usize = 12;
const OPT_FIXED: usize = 11;
/// Types (IANA, "DNS Parameters").
const A: u16 = 1;
const AAAA: u16 = 28;
const OPT: u16 = 41;
const DS: u16 = 43;
const RRSIG: u16 = 46;
const NSEC: u16 = 47;
const NXNAME: u16 = 128;
/// From here to 255 stand the types that are questions only.
const QTYPES: std::ops::RangeInclusive<u16> = 249..=255;
const CLASS_IN: u16 = 1;

/// The tables that all workers of a server use.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    latest: Mutex<Option<Arc<Tables>>>,
}

/// What became of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The answer has so many octets.
    Answered(usize),
    /// The slow path has to answer.
    Slow,
    /// The slow path has to do what this verdict says; it is charged already.
    Limited(Verdict),
}

/// One worker's way to answer.
pub(crate) struct FastPath {
    responder: Arc<Responder>,
    shared: Arc<Shared>,
    tables: Arc<Tables>,
    turn: u64,
    tally: Tally,
    limiter: RateLimiter,
    /// When the batch began.
    began: Instant,
    now_ms: u64,
}

/// Who asks what, as far as it has been read.
struct Asked<'a> {
    name: &'a [u8],
    qtype: u16,
    source: SocketAddr,
    subnet: Option<ClientSubnet>,
    wants_signatures: bool,
    draw: u64,
}

/// What goes into the answer beside its records.
struct Said {
    kind: Kind,
    rcode: Rcode,
    category: Category,
    scope: u8,
    policy: Option<u8>,
    region: Option<RegionIndex>,
}

impl FastPath {
    /// A worker's way; `worker` tells workers apart, so that they do not rotate in step.
    pub(crate) fn new(responder: Arc<Responder>, shared: Arc<Shared>, worker: u64) -> Self {
        let tables = shared.tables(&responder);
        let tally = Tally::new(responder.metrics(), &tables);
        let limiter = responder.limiter();
        let (began, now_ms) = (Instant::now(), responder.now().elapsed_ms);
        Self { responder, shared, tables, turn: worker << 48, tally, limiter, began, now_ms }
    }

    /// Follows what has been published since, and the time. Once per batch: a pointer is compared, and tables are made
    /// if it differs.
    pub(crate) fn refresh(&mut self) {
        self.began = Instant::now();
        self.now_ms = self.responder.now().elapsed_ms;
        if Arc::ptr_eq(&self.responder.view().load(), &self.tables.view) {
            return;
        }
        self.tally.flush(self.began);
        self.tables = self.shared.tables(&self.responder);
        self.tally = Tally::new(self.responder.metrics(), &self.tables);
        let snapshot = &self.tables.view.snapshot;
        self.limiter.follow(snapshot.generation, &snapshot.dns.server.rate_limit);
    }

    /// Lets the memory of what `messages` ask for come nearer, all of it together, if there is enough of it to be far.
    pub(crate) fn prefetch<'a>(&self, messages: impl Iterator<Item = &'a [u8]>) {
        if self.tables.names.is_large() {
            for question in messages.filter_map(|message| wire::read(message).ok()?.question) {
                self.tables.names.touch(question.name);
            }
        }
    }

    /// Answers `message` at the beginning of `room`, if it is a plain one.
    pub(crate) fn answer(&mut self, message: &[u8], source: SocketAddr, room: &mut [u8; MAX_ANSWER]) -> Outcome {
        let draw = scrambled(self.turn);
        let outcome = self.answer_with_draw(message, source, room, draw).unwrap_or(Outcome::Slow);
        if matches!(outcome, Outcome::Answered(_)) {
            self.turn += 1;
        }
        outcome
    }

    /// The worker's accounts, for what the slow path answers.
    pub(crate) fn limiter(&mut self) -> &mut RateLimiter {
        &mut self.limiter
    }

    /// As [`Self::answer`], with what is left to chance given; none is [`Outcome::Slow`].
    fn answer_with_draw(
        &mut self,
        message: &[u8],
        source: SocketAddr,
        room: &mut [u8; MAX_ANSWER],
        draw: u64,
    ) -> Option<Outcome> {
        let reading = wire::read(message).ok()?;
        let question = reading.question.filter(|_| reading.well_formed && reading.opcode == opcode::QUERY)?;
        let end = HEADER + question.name.len() + 4;
        let subnet = subnet_alone(&reading, message, end)?;
        let is_plain = question.class == CLASS_IN
            && !QTYPES.contains(&question.qtype)
            && ![OPT, DS, RRSIG, NSEC, NXNAME].contains(&question.qtype);
        if !is_plain {
            return None;
        }
        let asked = Asked {
            name: question.name,
            qtype: question.qtype,
            source,
            subnet,
            wants_signatures: reading.opt.is_some_and(|opt| opt.dnssec_ok),
            draw,
        };
        let mut writer = Writer::new(room, message, end);
        let (said, zone) = self.tables.decide(&asked, &mut writer)?;
        let len = writer.finish(said.rcode, reading.opt.map(|opt| opt.dnssec_ok), asked.subnet.as_ref(), said.scope)?;
        let limit = self.tables.authority.manners.uncookied_octets().unwrap_or(u16::MAX).min(udp_limit(&reading));
        if len > usize::from(limit) {
            return None;
        }
        // The name is hashed for those alone who have an account.
        if !self.limiter.is_free(source.ip()) {
            let account = if said.category == Category::NxDomain { &zone.wire[..] } else { asked.name };
            let key = self.limiter.name_key(account);
            let verdict = self.limiter.judge(self.now_ms, source.ip(), key, said.category);
            if verdict != Verdict::Pass {
                return Some(Outcome::Limited(verdict));
            }
        }
        self.tally.answered(said.kind, said.rcode);
        if let (Category::Answer, Some(policy)) = (said.category, said.policy) {
            self.tally.decided(policy, said.region);
        }
        self.log(&asked, &said);
        Some(Outcome::Answered(len))
    }

    /// Notes the query, if there is a log and its turn has come.
    fn log(&self, asked: &Asked<'_>, said: &Said) {
        let Some(log) = self.responder.log() else { return };
        log.log(|| LogEntry {
            unix_ms: u64::try_from(self.responder.now().unix.as_millis()).unwrap_or(u64::MAX),
            transport: "udp",
            client: network_of(asked.source.ip()),
            name: Some(presentation(asked.name)),
            qtype: Some(asked.qtype),
            rcode: said.rcode.label(),
            region: said.region.map(|region| self.tables.view.snapshot.region(region).code.to_string()),
            scope: asked.subnet.map(|_| said.scope),
            limited: false,
            microseconds: u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX),
        });
    }

    /// Puts what was counted where it is shown. Once per batch, before its answers leave.
    pub(crate) fn flush(&mut self) {
        self.tally.flush(self.began);
    }
}

impl Tables {
    /// Writes the records of the answer. None: for the slow path.
    fn decide<'a>(&'a self, asked: &Asked<'_>, writer: &mut Writer<'_>) -> Option<(Said, &'a FastZone)> {
        let (entry, zone) = match self.names.find(&self.authority.zones, asked.name) {
            Lookup::Unknown => return None,
            Lookup::Absent(zone) => (None, zone),
            Lookup::Found(entry, zone) => (Some(entry), zone),
        };
        let is_address = [A, AAAA].contains(&asked.qtype);
        if zone.is_signed && (asked.wants_signatures || !is_address) {
            return None;
        }
        let above = asked.name.len().checked_sub(zone.wire.len())?;
        let (kind, rcode) = match entry {
            None => (Kind::Absent, Rcode::NxDomain),
            Some(entry) => (entry.kind, Rcode::NoError),
        };
        let category = if entry.is_none() { Category::NxDomain } else { Category::NoData };
        let policy = entry.and_then(|entry| entry.policy);
        let mut said = Said { kind, rcode, category, scope: 0, policy, region: None };
        if let Some(entry) = entry.filter(|entry| self.names.has_type(entry, asked.qtype)) {
            if !is_address {
                return None;
            }
            if self.write(entry, zone, asked, writer, &mut said)? > 0 {
                said.category = Category::Answer;
                return Some((said, zone));
            }
            said = Said { scope: 0, region: None, ..said };
        }
        zone.negative.as_ref()?.write(writer, asked.name, above)?;
        Some((said, zone))
    }

    /// Writes the addresses at `entry`; how many.
    fn write(
        &self,
        entry: &Entry,
        zone: &FastZone,
        asked: &Asked<'_>,
        writer: &mut Writer<'_>,
        said: &mut Said,
    ) -> Option<usize> {
        let (addresses, ttl_s) = match entry.source {
            Source::Tree(tree) => return self.write_tree(tree, zone, asked, writer, said),
            Source::Nothing => (&Addresses::NONE, 0),
            Source::Slow => return None,
            Source::Fixed(fixed) => return self.names.write_fixed(writer, &fixed, asked.qtype, asked.draw),
            Source::Accelerator(position) => {
                (self.names.accelerators.get(position as usize)?, self.names.accelerator_ttl_s())
            }
            Source::LoadBalancer(position) => {
                (self.balancers.get(position as usize)?, self.names.load_balancer_ttl_s())
            }
        };
        addresses.write(writer, asked.qtype, ttl_s, asked.draw)
    }

    fn write_tree(
        &self,
        tree: TreeIndex,
        zone: &FastZone,
        asked: &Asked<'_>,
        writer: &mut Writer<'_>,
        said: &mut Said,
    ) -> Option<usize> {
        let view = &*self.view;
        let kind = if asked.qtype == A { RecordKind::A } else { RecordKind::AAAA };
        let subnet = asked.subnet.as_ref().filter(|_| zone.client_subnet);
        let resolver = asked.source.ip().to_canonical();
        let client = DnsClient { network: subnet.and_then(ClientSubnet::network), resolver };
        let decision = view.decide_name(tree, kind, &client, asked.draw);
        let ttl_s = seconds(decision.ttl);
        said.scope = decision.scope;
        if let [leaf] = decision.leaves.as_slice() {
            let leaf = view.trees().leaf(*leaf);
            said.region = leaf.region;
            match &leaf.target {
                RecordTarget::LoadBalancer(index) => {
                    return self.balancers.get(index.0)?.write(writer, asked.qtype, ttl_s, asked.draw);
                }
                RecordTarget::Addresses(addresses) if addresses.len() == 1 => {
                    return match (addresses[0], asked.qtype) {
                        (IpAddr::V4(v4), A) => writer.put_address(A, ttl_s, &v4.octets()).map(|()| 1),
                        (IpAddr::V6(v6), AAAA) => writer.put_address(AAAA, ttl_s, &v6.octets()).map(|()| 1),
                        _ => Some(0),
                    };
                }
                _ => {}
            }
        }
        let mut gathered = Gathered::new(asked.qtype);
        for leaf in decision.leaves.as_slice() {
            let leaf = view.trees().leaf(*leaf);
            said.region = said.region.or(leaf.region);
            match &leaf.target {
                RecordTarget::Addresses(addresses) => gathered.add_listed(addresses, asked.qtype)?,
                RecordTarget::LoadBalancer(index) => gathered.add(self.balancers.get(index.0)?, asked.qtype)?,
                RecordTarget::Accelerator(index) => gathered.add(self.names.accelerators.get(index.0)?, asked.qtype)?,
                RecordTarget::Name(_) | RecordTarget::PolicyName(_) => return None,
            }
        }
        gathered.write(writer, asked.qtype, ttl_s, asked.draw)
    }
}

impl Shared {
    /// The tables of what is published now. They are made by the worker that needs them first; the others wait for it.
    fn tables(&self, responder: &Responder) -> Arc<Tables> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let view = responder.view().load_full();
        if let Some(tables) = latest.as_ref().filter(|tables| Arc::ptr_eq(&tables.view, &view)) {
            return tables.clone();
        }
        let authority = responder.authority(&view);
        let names = latest.as_ref().map(|tables| tables.names.clone());
        let names = names.filter(|names| Arc::ptr_eq(&names.snapshot, &view.snapshot));
        let names = names.unwrap_or_else(|| Arc::new(names::Names::new(&authority.zones, &view)));
        latest.insert(Arc::new(Tables::new(view, authority, names))).clone()
    }
}

/// The client subnet, if the message has nothing else beyond its question. None: it has, or the subnet is malformed.
fn subnet_alone(reading: &Reading<'_>, message: &[u8], end: usize) -> Option<Option<ClientSubnet>> {
    let Some(opt) = reading.opt else { return (message.len() == end).then_some(None) };
    let subnet = opt.options.subnet;
    let options = message.len().checked_sub(end + OPT_FIXED)?;
    // With one additional record, what is behind the question is the OPT record.
    if opt.version != 0 || message[10..HEADER] != [0, 1] || subnet.map_or(0, |data| data.len() + 4) != options {
        return None;
    }
    subnet.map(ClientSubnet::parse).transpose().ok()
}

#[cfg(test)]
#[path = "fast/tests.rs"]
mod tests;
