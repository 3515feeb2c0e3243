//! Brings a flow to an endpoint: drives its machine with real connects and real time.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use perigee_dataplane::{ConnectFailure, Connection, Output, Refusal};
use perigee_health::{Evidence, Subject};
use perigee_model::Instant;
use perigee_net::proxy_protocol;
use perigee_steering::{Candidate, Flow};
use prometheus_client::metrics::counter::Counter;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;

use super::second_leg::SecondLeg;
use super::socket;
use super::token::{Role, Token};

/// A flow on its way to an endpoint.
///
/// Each attempt is a socket of its own; abandoning one is closing it. The client's bytes are not touched.
#[derive(Debug)]
pub(super) struct Dial {
    connection: Connection,
    flow: Flow,
    attempts: BTreeMap<usize, Attempt>,
    has_begun: bool,
}

#[derive(Debug)]
struct Attempt {
    socket: OwnedFd,
    leg: SecondLeg,
    /// The greeting is sent, its confirmation is not there yet.
    is_confirming: bool,
    /// What events said; while the flow's host is blackholed nobody acts on it.
    seen: EventFlags,
}

/// What a dial needs of its worker.
pub(super) struct Io<'a> {
    pub(super) epoll: BorrowedFd<'a>,
    pub(super) index: u32,
    pub(super) generation: u32,
    pub(super) now: Instant,
    pub(super) evidence: &'a mut Vec<(Subject, Evidence)>,
    pub(super) moved_on: &'a Counter,
}

/// How far a dial has come.
#[derive(Debug)]
pub(super) enum Dialed {
    /// It waits for events, and for this moment.
    Waits(Option<Instant>),
    /// An endpoint has it.
    Reached(Reached),
    /// The client is to be reset.
    Refused(Refusal),
}

/// The endpoint's connection, ready for the client's bytes.
#[derive(Debug)]
pub(super) struct Reached {
    pub(super) attempt: u8,
    pub(super) socket: OwnedFd,
    pub(super) candidate: Candidate,
    /// What events said of it so far.
    pub(super) seen: EventFlags,
    /// Whether the node was told who the client is and by which edge it comes.
    pub(super) is_greeted: bool,
}

impl Dial {
    pub(super) const fn new(connection: Connection, flow: Flow) -> Self {
        Self { connection, flow, attempts: BTreeMap::new(), has_begun: false }
    }

    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether any connect was begun.
    pub(super) const fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Does what the machine says until it waits or is done.
    pub(super) fn step(&mut self, io: &mut Io<'_>) -> Dialed {
        while let Some(output) = self.connection.poll_output() {
            match output {
                Output::Connect { attempt, candidate } => {
                    self.has_begun = true;
                    if attempt > 0 {
                        io.moved_on.inc();
                    }
                    match self.begin(attempt, &candidate, io) {
                        Ok(begun) => {
                            self.attempts.insert(attempt, begun);
                        }
                        Err(error) => self.connection.failed(attempt, failure_of(error), io.now),
                    }
                }
                Output::Abandon { attempt } => {
                    self.attempts.remove(&attempt);
                }
                Output::Use { attempt, candidate } => {
                    // What else the machine has to say is about attempts that are dropped with it, but for evidence.
                    while let Some(output) = self.connection.poll_output() {
                        if let Output::Evidence { subject, evidence } = output {
                            io.evidence.push((subject, evidence));
                        }
                    }
                    let Some(Attempt { socket, leg, seen, .. }) = self.attempts.remove(&attempt) else {
                        return Dialed::Refused(Refusal::Refused);
                    };
                    let is_greeted = leg.greeting != super::second_leg::Greeting::None;
                    let attempt = attempt as u8;
                    return Dialed::Reached(Reached { attempt, socket, candidate, seen, is_greeted });
                }
                Output::Refuse(refusal) => return Dialed::Refused(refusal),
                Output::Evidence { subject, evidence } => io.evidence.push((subject, evidence)),
            }
        }
        Dialed::Waits(self.connection.poll_timeout())
    }

    /// Notes what an event says of an attempt; [`Self::act`] acts on it.
    pub(super) fn note(&mut self, attempt: u8, flags: EventFlags) {
        if let Some(attempt) = self.attempts.get_mut(&attempt.into()) {
            attempt.seen |= flags;
        }
    }

    /// Tells the machine what became of an attempt.
    pub(super) fn act(&mut self, number: u8, io: &mut Io<'_>) {
        let number = usize::from(number);
        let Some(attempt) = self.attempts.get_mut(&number) else { return };
        let edge = self.connection.view().atlas.pops()[self.connection.pop().0].code.as_str();
        match attempt.progress(&self.flow, edge) {
            Ok(true) => self.connection.connected(number),
            Ok(false) => {}
            Err(error) => {
                self.attempts.remove(&number);
                self.connection.failed(number, failure_of(error), io.now);
            }
        }
    }

    /// Acts on everything that was noted while nobody acted, and on the time that has passed.
    pub(super) fn resume(&mut self, io: &mut Io<'_>) {
        let numbers: Vec<usize> = self.attempts.keys().copied().collect();
        for number in numbers {
            self.act(number as u8, io);
        }
        self.connection.handle_timeout(io.now);
    }

    /// Time has come to `now`.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.connection.handle_timeout(now);
    }

    fn begin(&self, number: usize, candidate: &Candidate, io: &Io<'_>) -> Result<Attempt, Errno> {
        let leg = SecondLeg::of(&self.connection.view().snapshot.settings, &self.flow, candidate);
        let socket = socket::connect(leg.source, candidate.address)?;
        socket::watch(io.epoll, &socket, Token::flow(io.index, io.generation, Role::Attempt(number as u8)))?;
        Ok(Attempt { socket, leg, is_confirming: false, seen: EventFlags::empty() })
    }
}

impl Attempt {
    /// Goes on as far as it can. Whether the endpoint is ready.
    fn progress(&mut self, flow: &Flow, edge: &str) -> Result<bool, Errno> {
        let broken = EventFlags::ERR | EventFlags::HUP;
        if !self.is_confirming {
            if self.seen.intersects(broken) {
                return Err(socket::error_of(&self.socket));
            }
            if !self.seen.contains(EventFlags::OUT) {
                return Ok(false);
            }
            let greeting = self.leg.greeting(flow, edge);
            // A fresh connection has room for a header.
            if !greeting.is_empty() && socket::write(self.socket.as_fd(), &greeting)? < greeting.len() {
                return Err(Errno::CONNRESET);
            }
            self.is_confirming = self.leg.is_confirmed();
            if !self.is_confirming {
                return Ok(true);
            }
            self.seen &= !EventFlags::IN;
        }
        if !self.seen.intersects(EventFlags::IN | EventFlags::RDHUP | broken) {
            return Ok(false);
        }
        let mut byte = [0];
        match socket::read(self.socket.as_fd(), &mut byte) {
            Ok(1) if proxy_protocol::is_confirmation(byte[0]) => {
                // More may have come with it, of which nothing will be told again.
                self.seen |= EventFlags::IN;
                Ok(true)
            }
            Err(Errno::AGAIN) => {
                self.seen &= !EventFlags::IN;
                Ok(false)
            }
            Ok(_) => Err(Errno::CONNRESET),
            Err(error) => Err(error),
        }
    }
}

/// Whose fault it is that an attempt failed.
fn failure_of(error: Errno) -> ConnectFailure {
    match error {
        Errno::ADDRNOTAVAIL | Errno::ADDRINUSE | Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => {
            ConnectFailure::Local
        }
        _ => ConnectFailure::Refused,
    }
}
