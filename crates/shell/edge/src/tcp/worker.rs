use std::collections::HashSet;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use arc_swap::{ArcSwap, Cache};
use perigee_dataplane::{EdgeView, Refusal};
use perigee_flow_log::REPORT_EVERY;
use perigee_health::Evidence;
use perigee_model::Instant;
use perigee_net::{Clock, Crossings, Fault, Gate, Shutdown};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use tracing::{debug, warn};

use super::ending::CLIENT_GONE;
use super::flow::{Flow, Stage};
use super::mailbox::{Command, Mailbox};
use super::places::Places;
use super::relay::{Pool, Side};
use super::routes::Routes;
use super::slab::Slab;
use super::timers::Timers;
use super::token::{Role, Subject, Token};
use super::{Listener, dial};
use crate::count::Count;
use crate::hosts::PopHosts;
use crate::metrics::DirectionLabels;
use crate::shares::Shares;
use crate::{FlowMeter, Front, Metrics};

/// Why a client is refused whose zone or point of presence has crashed.
pub(super) const POP_DOWN: &str = "pop_down";
/// Events taken at once.
const EVENTS: usize = 256;

/// What the workers of a proxy have in common.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) front: Arc<Front>,
    pub(crate) hosts: Arc<PopHosts>,
    pub(crate) crossings: Crossings,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
    pub(crate) shutdown: Shutdown,
    pub(crate) gate: Gate,
    pub(crate) shares: Shares,
    /// Accepted flows that are not joined yet.
    pub(crate) connecting: Count,
    /// Workers that accept.
    pub(crate) accepting: Count,
}

/// A thread's world: what it owns nobody else touches.
///
/// A turn takes the events that there are, then the times that have come, then the flows that had their share in the
/// turn before; then it tells the front tier what its connects have shown, all at once.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(super) common: Arc<Common>,
    pub(super) number: usize,
    mailbox: Arc<Mailbox>,
    pub(super) epoll: OwnedFd,
    pub(super) listeners: Slab<Listener>,
    /// Listeners that rest after a failed accept, and until when.
    pub(super) resting: Vec<(Instant, u32)>,
    pub(super) flows: Slab<Flow>,
    pub(super) timers: Timers,
    pub(super) places: Places,
    pub(super) pool: Pool,
    pub(super) routes: Routes,
    pub(super) view: Cache<Arc<ArcSwap<EdgeView>>, Arc<EdgeView>>,
    pub(super) evidence: Vec<(perigee_health::Subject, Evidence)>,
    /// Flows that have more to do, with their generations.
    pub(super) queue: Vec<(u32, u32)>,
    pub(super) meter: FlowMeter,
    /// When flows were last told of; without flows, now.
    reported: Instant,
    /// When this turn began: the time of everything in it.
    pub(super) now: Instant,
    pub(super) is_draining: bool,
    pub(super) bytes_in: prometheus_client::metrics::counter::Counter,
    pub(super) bytes_out: prometheus_client::metrics::counter::Counter,
}

impl Worker {
    /// A worker without listeners.
    ///
    /// Errors: no file descriptor left.
    pub(crate) fn new(common: Arc<Common>, number: usize, mailbox: Arc<Mailbox>) -> std::io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, mailbox.as_fd(), EventData::new_u64(Token::MAILBOX.bits()), EventFlags::IN)?;
        let now = common.clock.now();
        let bytes = |direction: &str| {
            common.metrics.bytes.get_or_create(&DirectionLabels { direction: direction.to_owned() }).clone()
        };
        Ok(Self {
            number,
            places: Places::new(common.hosts.clone(), Waker::from(mailbox.clone())),
            mailbox,
            epoll,
            listeners: Slab::new(),
            resting: Vec::new(),
            flows: Slab::new(),
            timers: Timers::new(now),
            pool: Pool::new(common.metrics.limit("edge_pipes"), common.metrics.limit("edge_backlogs")),
            routes: Routes::default(),
            view: Cache::new(common.front.shared_view()),
            evidence: Vec::new(),
            queue: Vec::new(),
            meter: common.metrics.meter(),
            reported: now,
            now,
            is_draining: false,
            bytes_in: bytes("in"),
            bytes_out: bytes("out"),
            common,
        })
    }

    /// Works until it is stopped, or has drained.
    pub(crate) fn run(mut self) {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        let mut due = Vec::new();
        while !self.mailbox.is_stopped() && (!self.is_draining || self.flows.len() > 0) {
            events.clear();
            if let Err(error) = self.wait(&mut events) {
                warn!(worker = self.number, %error, "waiting for events failed");
                std::thread::sleep(Duration::from_millis(20));
            }
            self.now = self.common.clock.now();
            if self.flows.len() == 0 {
                self.reported = self.now;
            }
            self.timers.advance(self.now, &mut due);
            let mut has_mail = false;
            for event in &events {
                has_mail |= self.handle(*event);
            }
            for index in due.drain(..) {
                self.time_out(index);
            }
            self.serve_the_queue();
            self.resume_listeners();
            self.report();
            if has_mail {
                self.read_mail();
            }
            self.common.front.evidence_all(&mut self.evidence);
        }
    }

    /// Waits for events as long as nothing else is to be done.
    fn wait(&self, events: &mut Vec<Event>) -> Result<(), Errno> {
        let rest = self.resting.iter().map(|(until, _)| *until).min();
        let report = (self.flows.len() > 0).then(|| self.reported + REPORT_EVERY);
        let next = [self.timers.next(), rest, report].into_iter().flatten().min();
        let limit = if self.queue.is_empty() {
            // Rounded up, or it would wake too early and find nothing.
            next.map(|at| at.since(self.common.clock.now()).as_micros().div_ceil(1_000) as i64)
        } else {
            Some(0)
        };
        let limit = limit.map(|ms| Timespec { tv_sec: ms / 1_000, tv_nsec: ms % 1_000 * 1_000_000 });
        match epoll::wait(&self.epoll, spare_capacity(events), limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Serves one event. True: the mailbox has something.
    fn handle(&mut self, event: Event) -> bool {
        let (data, flags) = (event.data, event.flags);
        match Token::from_bits(data.u64()).subject() {
            Subject::Mailbox => return true,
            Subject::Listener(listener) => self.accept(listener),
            Subject::Flow { index, generation, role } => self.flow_event(index, generation, role, flags),
        }
        false
    }

    fn flow_event(&mut self, index: u32, generation: u32, role: Role, flags: EventFlags) {
        // An event of a flow that has ended in this turn is nobody's.
        let Some(flow) = self.flows.get_of(index, generation) else { return };
        match (&mut flow.stage, role) {
            (Stage::Joined(joined), Role::Client) => joined.relay.note(Side::Client, flags),
            (Stage::Joined(joined), Role::Attempt(attempt)) if attempt == joined.attempt => {
                joined.relay.note(Side::Endpoint, flags);
            }
            (Stage::Joined(_), Role::Attempt(_)) => return,
            (Stage::Dialing(_), Role::Client) => {
                flow.client_seen |= flags;
                if flags.contains(EventFlags::ERR) && !flow.is_stalled {
                    self.refuse(index, CLIENT_GONE);
                }
                return;
            }
            (Stage::Dialing(dial), Role::Attempt(attempt)) => {
                dial.note(attempt, flags);
                if !flow.is_stalled {
                    self.dial(index, |dial, io| dial.act(attempt, io));
                }
                return;
            }
        }
        self.pump(index);
    }

    /// Lets a dialing flow do something, then what follows from it.
    pub(super) fn dial(&mut self, index: u32, act: impl FnOnce(&mut dial::Dial, &mut dial::Io<'_>)) {
        let generation = self.flows.generation(index);
        let Self { flows, epoll, evidence, common, now, .. } = self;
        let Some(Flow { stage: Stage::Dialing(dial), .. }) = flows.get_mut(index) else { return };
        let moved_on = &common.metrics.moved_on;
        let mut io = dial::Io { epoll: epoll.as_fd(), index, generation, now: *now, evidence, moved_on };
        act(dial, &mut io);
        match dial.step(&mut io) {
            dial::Dialed::Waits(Some(at)) => self.timers.set(index, at),
            dial::Dialed::Waits(None) => self.timers.cancel(index),
            dial::Dialed::Reached(reached) => self.join(index, reached),
            dial::Dialed::Refused(refusal) => self.refuse(index, refusal.name()),
        }
    }

    /// The time that a flow asked for has come. It may be for one that ended since; then it is early and set again.
    fn time_out(&mut self, index: u32) {
        let now = self.now;
        let Some(flow) = self.flows.get_mut(index) else { return };
        if flow.is_stalled {
            // Looked at again when its host is mended.
            return;
        }
        match &flow.stage {
            Stage::Dialing(_) => self.dial(index, |dial, _| dial.handle_timeout(now)),
            Stage::Joined(joined) => match joined.ends_at() {
                at if at > now => self.timers.set(index, at),
                _ => self.expire(index),
            },
        }
    }

    fn serve_the_queue(&mut self) {
        for (index, generation) in std::mem::take(&mut self.queue) {
            let Some(flow) = self.flows.get_of(index, generation) else { continue };
            flow.is_queued = false;
            self.pump(index);
        }
    }

    fn read_mail(&mut self) {
        for command in self.mailbox.take() {
            match command {
                // A draining worker takes nothing new.
                Command::Open(listeners, done) => {
                    if !self.is_draining {
                        listeners.into_iter().for_each(|listener| self.open(listener));
                    }
                    drop(done);
                }
                Command::Close(addresses, done) => {
                    self.close(&addresses);
                    drop(done);
                }
                Command::Drain => self.drain(),
            }
        }
        self.follow_faults();
    }

    fn open(&mut self, listener: Listener) {
        let number = self.listeners.insert(listener);
        self.settle_listener(number);
    }

    fn close(&mut self, addresses: &[SocketAddr]) {
        let addresses: HashSet<&SocketAddr> = addresses.iter().collect();
        let mut closed = Vec::new();
        for number in 0..self.listeners.bound() {
            if self.listeners.get_mut(number).is_some_and(|listener| addresses.contains(&listener.address)) {
                self.listeners.remove(number);
                closed.push(number);
            }
        }
        self.reset_where(Refusal::NoListener.name(), |flow| closed.binary_search(&flow.listener).is_ok());
    }

    /// Obeys the faults of the hosts as they are now.
    fn follow_faults(&mut self) {
        for change in self.places.changes() {
            debug!(worker = self.number, ?change, "a host's fault changed");
            for number in 0..self.listeners.bound() {
                if self.listeners.get_mut(number).is_some_and(|listener| listener.zone == usize::from(change.place)) {
                    self.settle_listener(number);
                }
            }
            if change.to == Fault::Crash {
                self.reset_where(POP_DOWN, |flow| flow.zone == change.place || flow.pop == change.place);
            } else {
                self.restall(change.place);
            }
            self.places.obeyed(change);
        }
    }

    /// Tells what the flows have moved, if it is time to.
    fn report(&mut self) {
        if self.reported + REPORT_EVERY > self.now {
            return;
        }
        let begun = std::mem::replace(&mut self.reported, self.now);
        for index in 0..self.flows.bound() {
            if let Some(flow) = self.flows.get_mut(index)
                && matches!(&flow.stage, Stage::Joined(joined) if joined.last >= begun)
            {
                flow.report();
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.give_up_listeners();
        self.mailbox.close();
    }
}
