use std::fmt;
use std::sync::Arc;

use perigee_geo::PopIndex;
use perigee_health::{Evidence, Subject};
use perigee_model::{AcceleratorIndex, Behaviour, Instant};
use perigee_steering::{Candidate, Decision, Flow, RouteReason};

use super::EdgeView;
use super::outbox::{Message, Outbox};

/// Addresses tried for one flow at most, the first included (Perigee's choice: two nodes in each of four regions).
pub(super) const ATTEMPTS_MAX: usize = 8;

/// What the driver is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Connect to the candidate, then call [`Connection::connected`] or [`Connection::failed`] with `attempt`.
    Connect {
        /// Number of the attempt, from zero.
        attempt: usize,
        /// Where to.
        candidate: Candidate,
    },
    /// Stop attempt `attempt`; its result no longer counts.
    Abandon {
        /// Number of the attempt.
        attempt: usize,
    },
    /// Join the client to the connection of attempt `attempt`. The flow stays there for good.
    Use {
        /// Number of the attempt.
        attempt: usize,
        /// Where it leads.
        candidate: Candidate,
    },
    /// Reset the client.
    Refuse(Refusal),
    /// Tell the front tier's machine what a connect showed.
    Evidence {
        /// About which node or endpoint.
        subject: Subject,
        /// What.
        evidence: Evidence,
    },
}

/// Why a client is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing listens on the address and port.
    NoListener,
    /// The accelerator is disabled.
    Disabled,
    /// The listener has no endpoint.
    NoEndpoint,
    /// The flow came in by IPv6, and the listener has no endpoint with an IPv6 address. Of TCP these are counted by the
    /// metric `Flows_Dropped_No_Endpoint_Found` (`global-accelerator.md` section 13).
    NoIpv6Endpoint,
    /// Every attempt was refused.
    Refused,
    /// The last attempt timed out.
    TimedOut,
}

impl Refusal {
    /// Its name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoListener => "no_listener",
            Self::Disabled => "disabled",
            Self::NoEndpoint => "no_endpoint",
            Self::NoIpv6Endpoint => "no_ipv6_endpoint",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a connect failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectFailure {
    /// Refused or reset by the endpoint, or unreachable.
    Refused,
    /// The edge itself could not try (no local port, no file descriptor): no evidence against the node.
    Local,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Pending,
    Over,
}

#[derive(Clone, Debug)]
struct Attempt {
    candidate: Candidate,
    deadline: Instant,
    state: State,
    slow: bool,
}

impl Attempt {
    const fn new(candidate: Candidate, deadline: Instant) -> Self {
        Self { candidate, deadline, state: State::Pending, slow: false }
    }
}

/// Brings one flow to an endpoint.
///
/// ```text
///            connect refused, or not done within the stagger (fast only)
///            +------------------------------------------+
///            v                                          |
///   attempt 0, 1, 2 ... (each keeps running until its own time-out)
///            | first one done                 | all over, none left
///            v                                v
///           Use  (others are abandoned)     Refuse
/// ```
///
/// In `aws` there is one attempt: a refused connect is a reset for the client, a silent one too after the connect
/// time-out (Global Accelerator developer guide, "TCP resets"). In `fast` the next candidate is tried inside the same
/// client connection, as in RFC 8305 ("Happy Eyeballs") section 5; no byte of the client has gone anywhere yet, so none
/// is lost or sent twice.
#[derive(Debug)]
pub struct Connection {
    view: Arc<EdgeView>,
    listener: (AcceleratorIndex, usize),
    pop: PopIndex,
    flow: Flow,
    decision: Decision,
    /// Most flows need one attempt: it stands here, so that they allocate nothing.
    first: Attempt,
    /// The second attempt and on.
    further: Vec<Attempt>,
    /// What is left to try; filled when the first attempt disappoints.
    left: Option<std::vec::IntoIter<Candidate>>,
    stagger_at: Option<Instant>,
    outbox: Outbox,
    done: bool,
}

impl Connection {
    pub(super) fn open(view: Arc<EdgeView>, flow: Flow, pop: PopIndex, now: Instant) -> Result<Self, Refusal> {
        let listener = view.listener(&flow)?;
        let router = view.router(listener, pop);
        let decision = router.decide(&flow, &mut ());
        let candidate = router.candidate(&flow, &decision).ok_or(match decision.reason {
            RouteReason::NoIpv6Endpoint => Refusal::NoIpv6Endpoint,
            _ => Refusal::NoEndpoint,
        })?;
        let timing = &view.snapshot.settings.timing;
        let mut connection = Self {
            first: Attempt::new(candidate, now + timing.connect_timeout),
            further: Vec::new(),
            left: None,
            stagger_at: None,
            outbox: Outbox::default(),
            done: false,
            view,
            listener,
            pop,
            flow,
            decision,
        };
        connection.begun(0, now);
        Ok(connection)
    }

    /// The accelerator the flow came in by.
    pub const fn accelerator(&self) -> AcceleratorIndex {
        self.listener.0
    }

    /// The edge's point of presence for this client.
    pub const fn pop(&self) -> PopIndex {
        self.pop
    }

    /// The law's decision, before any connect.
    pub const fn decision(&self) -> &Decision {
        &self.decision
    }

    /// The view the flow was decided on.
    pub const fn view(&self) -> &Arc<EdgeView> {
        &self.view
    }

    /// What to do next; call after each other call until it gives none.
    pub fn poll_output(&mut self) -> Option<Output> {
        loop {
            let message = self.outbox.pop()?;
            if let Some(output) = self.output_of(message) {
                return Some(output);
            }
        }
    }

    /// What a message says to the driver; nothing if it is evidence about somebody nobody watches.
    fn output_of(&self, message: Message) -> Option<Output> {
        Some(match message {
            Message::Connect { attempt } => {
                Output::Connect { attempt: attempt.into(), candidate: self.candidate(attempt.into()) }
            }
            Message::Abandon { attempt } => Output::Abandon { attempt: attempt.into() },
            Message::Use { attempt } => {
                Output::Use { attempt: attempt.into(), candidate: self.candidate(attempt.into()) }
            }
            Message::Refuse(refusal) => Output::Refuse(refusal),
            Message::Evidence { attempt, evidence } => {
                let subject = self.view.subject(self.listener, &self.candidate(attempt.into()))?;
                Output::Evidence { subject, evidence }
            }
        })
    }

    /// When [`Self::handle_timeout`] wants to be called; none once the flow is joined or refused.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.done {
            return None;
        }
        let deadlines = self.attempts().filter(|a| a.state == State::Pending).map(|a| a.deadline);
        deadlines.chain(self.stagger_at).min()
    }

    /// Attempt `attempt` is connected.
    pub fn connected(&mut self, attempt: usize) {
        if self.done || !self.is_pending(attempt) {
            return;
        }
        self.done = true;
        self.over(attempt);
        // Slowness is evidence only when somebody who started later was faster: a machine that is busy itself delays
        // everybody alike.
        for earlier in 0..attempt {
            if self.get(earlier).is_some_and(|a| a.state == State::Pending && a.slow && self.is_near(&a.candidate)) {
                self.evidence(earlier, Evidence::Slow);
            }
        }
        self.evidence(attempt, Evidence::Connected);
        self.outbox.push(Message::Use { attempt: number(attempt) });
        for pending in 0..self.started() {
            if self.is_pending(pending) {
                self.over(pending);
                self.outbox.push(Message::Abandon { attempt: number(pending) });
            }
        }
    }

    /// Attempt `attempt` failed.
    pub fn failed(&mut self, attempt: usize, failure: ConnectFailure, now: Instant) {
        if self.done || !self.is_pending(attempt) {
            return;
        }
        self.over(attempt);
        if failure == ConnectFailure::Refused {
            self.evidence(attempt, Evidence::Refused);
        }
        self.next(Refusal::Refused, now);
    }

    /// Time has come to `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.done {
            return;
        }
        let mut timed_out = false;
        for attempt in 0..self.started() {
            if self.get(attempt).is_some_and(|a| a.state == State::Pending && a.deadline <= now) {
                self.over(attempt);
                self.evidence(attempt, Evidence::TimedOut);
                self.outbox.push(Message::Abandon { attempt: number(attempt) });
                timed_out = true;
            }
        }
        let staggered = self.stagger_at.is_some_and(|at| at <= now);
        if staggered {
            self.stagger_at = None;
            self.first.slow = true;
            self.further.iter_mut().for_each(|a| a.slow = true);
        }
        if timed_out || staggered {
            self.next(Refusal::TimedOut, now);
        }
    }

    fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        std::iter::once(&self.first).chain(&self.further)
    }

    /// How many attempts were started.
    const fn started(&self) -> usize {
        1 + self.further.len()
    }

    fn get(&self, attempt: usize) -> Option<&Attempt> {
        match attempt.checked_sub(1) {
            None => Some(&self.first),
            Some(further) => self.further.get(further),
        }
    }

    fn is_pending(&self, attempt: usize) -> bool {
        self.get(attempt).is_some_and(|a| a.state == State::Pending)
    }

    fn over(&mut self, attempt: usize) {
        let attempt = match attempt.checked_sub(1) {
            None => &mut self.first,
            Some(further) => &mut self.further[further],
        };
        attempt.state = State::Over;
    }

    /// Where a started attempt leads.
    fn candidate(&self, attempt: usize) -> Candidate {
        self.get(attempt).unwrap_or(&self.first).candidate
    }

    /// Starts the next attempt, or refuses when none is left and none is running.
    fn next(&mut self, refusal: Refusal, now: Instant) {
        if let Some(candidate) = self.next_candidate() {
            let deadline = now + self.view.snapshot.settings.timing.connect_timeout;
            self.further.push(Attempt::new(candidate, deadline));
            self.begun(self.further.len(), now);
        } else if !self.attempts().any(|a| a.state == State::Pending) {
            self.done = true;
            self.outbox.push(Message::Refuse(refusal));
        }
    }

    fn next_candidate(&mut self) -> Option<Candidate> {
        if !self.is_fast() || self.started() >= ATTEMPTS_MAX {
            return None;
        }
        let (view, listener, pop, flow, first) =
            (&self.view, self.listener, self.pop, &self.flow, &self.first.candidate);
        let alternatives = || view.router(listener, pop).alternatives(flow, first).into_iter();
        self.left.get_or_insert_with(alternatives).next()
    }

    fn begun(&mut self, attempt: usize, now: Instant) {
        let stagger = self.view.snapshot.settings.timing.connect_stagger;
        self.stagger_at = self.is_fast().then(|| now + stagger);
        self.outbox.push(Message::Connect { attempt: number(attempt) });
    }

    fn evidence(&mut self, attempt: usize, evidence: Evidence) {
        if self.is_fast() {
            self.outbox.push(Message::Evidence { attempt: number(attempt), evidence });
        }
    }

    /// Whether a connect to the candidate should be done well within the stagger: twice its estimated round trip fits.
    /// One that is far is not slow, only overtaken by somebody near.
    fn is_near(&self, candidate: &Candidate) -> bool {
        let leg = self.view.atlas.pop_order(self.pop).iter().find(|leg| leg.region == candidate.region);
        let stagger = self.view.snapshot.settings.timing.connect_stagger;
        leg.is_some_and(|leg| 2.0 * f64::from(leg.rtt_ms) <= stagger.as_secs_f64() * 1e3)
    }

    fn is_fast(&self) -> bool {
        self.view.snapshot.settings.behaviour == Behaviour::Fast
    }
}

/// An attempt's number as messages hold it: below [`ATTEMPTS_MAX`].
const fn number(attempt: usize) -> u8 {
    attempt as u8
}
