//! Answers to plain queries from tables, without allocation and without a lock.
//!
//! A plain query is what resolvers send: one question of class IN, EDNS with at most a client subnet. What is answered
//! here is the same, octet for octet, as [`Responder::answer`] gives; everything else is left to it, so a query that
//! this module does not know is slow and never wrong. Two sorts of tables: [`names::Names`] are made of a snapshot,
//! [`tables::Tables`] of a view, which also has health.

mod names;
mod tables;
mod tally;
mod template;
mod write;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use perigee_net::MAX_ANSWER;

use crate::Responder;
use crate::client_subnet::ClientSubnet;
use crate::encode::udp_limit;
use crate::responder::scrambled;
use crate::steer::Client;
use crate::wire::{self, Reading, opcode};
use names::{Entry, Lookup};
use tables::{Addresses, Tables};
use tally::{Kind, Tally};
use write::{Rcode, Writer};

/// Octets of a header (RFC 1035 section 4.1.1), and of what stands in an OPT record before its options (RFC 6891).
const HEADER: usize = 12;
const OPT_FIXED: usize = 11;
/// Types (IANA, "DNS Parameters").
const A: u16 = 1;
const AAAA: u16 = 28;
const OPT: u16 = 41;
const NXNAME: u16 = 128;
/// From here to 255 stand the types that are questions only.
const QTYPES: std::ops::RangeInclusive<u16> = 249..=255;
const CLASS_IN: u16 = 1;

/// The tables that all workers of a server use.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    latest: Mutex<Option<Arc<Tables>>>,
}

/// One worker's way to answer.
pub(crate) struct FastPath {
    responder: Arc<Responder>,
    shared: Arc<Shared>,
    tables: Arc<Tables>,
    turn: u64,
    tally: Tally,
}

impl FastPath {
    /// A worker's way; `worker` tells workers apart, so that they do not rotate in step.
    pub(crate) fn new(responder: Arc<Responder>, shared: Arc<Shared>, worker: u64) -> Self {
        let tables = shared.tables(&responder);
        let tally = Tally::new(responder.metrics(), &tables);
        Self { responder, shared, tables, turn: worker << 48, tally }
    }

    /// Follows what has been published since. Once per batch: a pointer is compared, and tables are made if it differs.
    pub(crate) fn refresh(&mut self) {
        if Arc::ptr_eq(&self.responder.view().load(), &self.tables.view) {
            return;
        }
        self.tally.flush();
        self.tables = self.shared.tables(&self.responder);
        self.tally = Tally::new(self.responder.metrics(), &self.tables);
    }

    /// The answer to `message`, at the beginning of `room`, and its length. None: the slow path has to answer.
    pub(crate) fn answer(&mut self, message: &[u8], source: SocketAddr, room: &mut [u8; MAX_ANSWER]) -> Option<usize> {
        let turn = scrambled(self.turn);
        let len = self.answer_at_turn(message, source, room, turn)?;
        self.turn += 1;
        Some(len)
    }

    /// As [`Self::answer`], with the rotation of addresses given.
    pub(crate) fn answer_at_turn(
        &mut self,
        message: &[u8],
        source: SocketAddr,
        room: &mut [u8; MAX_ANSWER],
        turn: u64,
    ) -> Option<usize> {
        let reading = wire::read(message).ok()?;
        let question = reading.question.filter(|_| reading.well_formed && reading.opcode == opcode::QUERY)?;
        let end = HEADER + question.name.len() + 4;
        let subnet = subnet_alone(&reading, message, end)?;
        let is_plain = question.class == CLASS_IN
            && !QTYPES.contains(&question.qtype)
            && question.qtype != OPT
            && question.qtype != NXNAME;
        if !is_plain {
            return None;
        }
        let tables = &*self.tables;
        let mut writer = Writer::new(room, message, end);
        let mut scope = 0;
        let (kind, rcode) = match tables.names.find(question.name) {
            Lookup::Outside => return None,
            Lookup::Absent { above } => {
                tables.names.negative.as_ref()?.write(&mut writer, question.name, above)?;
                (Kind::Absent, Rcode::NxDomain)
            }
            Lookup::Found { entry, above } => {
                let (addresses, ttl_s) = match entry {
                    Entry::Slow => return None,
                    Entry::EmptyNonTerminal => (&Addresses::NONE, 0),
                    Entry::NameServer { ttl_s } => (&tables.names.name_server, ttl_s),
                    Entry::Accelerator { position, ttl_s } => (&tables.names.accelerators[position as usize], ttl_s),
                    Entry::LoadBalancer { position, ttl_s } => (&tables.balancers[position as usize], ttl_s),
                    Entry::Latency { service, ttl_s, lowered_ttl_s } if [A, AAAA].contains(&question.qtype) => {
                        let client = Client::of(&tables.view.atlas, source.ip().to_canonical(), subnet.as_ref());
                        let service = &tables.services[service as usize];
                        let order = tables.view.atlas.order_of_network(client.address);
                        match service.choose(order) {
                            Some((region, balancer)) => {
                                let ttl_s = if service.degraded { lowered_ttl_s } else { ttl_s };
                                let addresses = &tables.balancers[balancer.0];
                                if !addresses.is_empty(question.qtype) {
                                    scope = client.scope;
                                    self.tally.region(region);
                                }
                                (addresses, ttl_s)
                            }
                            None => (&Addresses::NONE, 0),
                        }
                    }
                    Entry::Latency { .. } => (&Addresses::NONE, 0),
                };
                if addresses.is_empty(question.qtype) {
                    tables.names.negative.as_ref()?.write(&mut writer, question.name, above)?;
                } else {
                    addresses.write(&mut writer, question.qtype, ttl_s, turn)?;
                }
                (entry.kind(), Rcode::NoError)
            }
        };
        let limit = udp_limit(&reading);
        let len = writer.finish(rcode, reading.opt.map(|opt| opt.dnssec_ok), subnet.as_ref(), scope)?;
        if len > usize::from(limit) {
            self.tally.forget_region();
            return None;
        }
        self.tally.answered(kind, rcode);
        Some(len)
    }

    /// Puts what was counted where it is shown. Once per batch, before its answers leave.
    pub(crate) fn flush(&mut self) {
        self.tally.flush();
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
        let names = latest.as_ref().map(|tables| tables.names.clone());
        let names = names.filter(|names| Arc::ptr_eq(&names.snapshot, &view.snapshot));
        let names = names.unwrap_or_else(|| Arc::new(names::Names::new(&responder.zone(&view))));
        latest.insert(Arc::new(Tables::new(view, names))).clone()
    }
}

/// The client subnet, if the message has nothing else beyond its question. None: it has, or the subnet is malformed.
fn subnet_alone(reading: &Reading<'_>, message: &[u8], end: usize) -> Option<Option<ClientSubnet>> {
    let Some(opt) = reading.opt else { return (message.len() == end).then_some(None) };
    let options = message.len().checked_sub(end + OPT_FIXED)?;
    // With one additional record, what is behind the question is the OPT record.
    if opt.version != 0 || message[10..HEADER] != [0, 1] || opt.subnet.map_or(0, |data| data.len() + 4) != options {
        return None;
    }
    opt.subnet.map(ClientSubnet::parse).transpose().ok()
}

#[cfg(test)]
#[path = "fast/tests.rs"]
mod tests;
