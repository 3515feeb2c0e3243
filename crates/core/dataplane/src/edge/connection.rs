use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use perigee_geo::PopIndex;
use perigee_health::{Evidence, NodeKey};
use perigee_model::{AcceleratorIndex, Behaviour, Instant};
use perigee_steering::{Candidate, Decision, Flow};

use super::EdgeView;

/// Addresses tried for one flow at most, the first included (Perigee's choice: two nodes in each of four regions).
const ATTEMPTS_MAX: usize = 8;

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
        /// About which node.
        node: NodeKey,
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
    first: Candidate,
    /// What is left to try; filled when the first attempt disappoints.
    left: Option<VecDeque<Candidate>>,
    attempts: Vec<Attempt>,
    stagger_at: Option<Instant>,
    outputs: VecDeque<Output>,
    done: bool,
}

impl Connection {
    pub(super) fn open(view: Arc<EdgeView>, flow: Flow, now: Instant) -> Result<Self, Refusal> {
        let listener = view.listener(&flow)?;
        let pop = view.pop_of(view.atlas.locate(flow.client.ip()).place_index);
        let router = view.router(listener, pop);
        let decision = router.decide(&flow, &mut ());
        let first = router.candidate(&flow, &decision).ok_or(Refusal::NoEndpoint)?;
        let mut connection = Self {
            view: view.clone(),
            listener,
            pop,
            flow,
            decision,
            first,
            left: None,
            attempts: Vec::with_capacity(1),
            stagger_at: None,
            outputs: VecDeque::with_capacity(2),
            done: false,
        };
        connection.attempt(first, now);
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
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] wants to be called; none once the flow is joined or refused.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.done {
            return None;
        }
        let deadlines = self.attempts.iter().filter(|a| a.state == State::Pending).map(|a| a.deadline);
        deadlines.chain(self.stagger_at).min()
    }

    /// Attempt `attempt` is connected.
    pub fn connected(&mut self, attempt: usize) {
        if self.done || !self.is_pending(attempt) {
            return;
        }
        self.done = true;
        let candidate = self.attempts[attempt].candidate;
        self.attempts[attempt].state = State::Over;
        // Slowness is evidence only when somebody who started later was faster: a machine that is busy itself delays
        // everybody alike.
        let overtaken: Vec<Candidate> = self.attempts[..attempt]
            .iter()
            .filter(|a| a.state == State::Pending && a.slow)
            .map(|a| a.candidate)
            .collect();
        for slow in overtaken {
            self.evidence(&slow, Evidence::Slow);
        }
        self.evidence(&candidate, Evidence::Connected);
        self.outputs.push_back(Output::Use { attempt, candidate });
        self.abandon_pending();
    }

    /// Attempt `attempt` failed.
    pub fn failed(&mut self, attempt: usize, failure: ConnectFailure, now: Instant) {
        if self.done || !self.is_pending(attempt) {
            return;
        }
        self.attempts[attempt].state = State::Over;
        if failure == ConnectFailure::Refused {
            let candidate = self.attempts[attempt].candidate;
            self.evidence(&candidate, Evidence::Refused);
        }
        self.next(Refusal::Refused, now);
    }

    /// Time has come to `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.done {
            return;
        }
        let mut timed_out = false;
        for attempt in 0..self.attempts.len() {
            if self.is_pending(attempt) && self.attempts[attempt].deadline <= now {
                self.attempts[attempt].state = State::Over;
                let candidate = self.attempts[attempt].candidate;
                self.evidence(&candidate, Evidence::TimedOut);
                self.outputs.push_back(Output::Abandon { attempt });
                timed_out = true;
            }
        }
        let staggered = self.stagger_at.is_some_and(|at| at <= now);
        if staggered {
            self.stagger_at = None;
            self.attempts.iter_mut().for_each(|a| a.slow = true);
        }
        if timed_out || staggered {
            self.next(Refusal::TimedOut, now);
        }
    }

    fn is_pending(&self, attempt: usize) -> bool {
        self.attempts.get(attempt).is_some_and(|a| a.state == State::Pending)
    }

    /// Starts the next attempt, or refuses when none is left and none is running.
    fn next(&mut self, refusal: Refusal, now: Instant) {
        if let Some(candidate) = self.next_candidate() {
            self.attempt(candidate, now);
        } else if !self.attempts.iter().any(|a| a.state == State::Pending) {
            self.done = true;
            self.outputs.push_back(Output::Refuse(refusal));
        }
    }

    fn next_candidate(&mut self) -> Option<Candidate> {
        if !self.is_fast() || self.attempts.len() >= ATTEMPTS_MAX {
            return None;
        }
        let (view, listener, pop, flow, first) = (&self.view, self.listener, self.pop, &self.flow, &self.first);
        let alternatives = || view.router(listener, pop).alternatives(flow, first).into();
        self.left.get_or_insert_with(alternatives).pop_front()
    }

    fn attempt(&mut self, candidate: Candidate, now: Instant) {
        let timing = &self.view.snapshot.settings.timing;
        let attempt = self.attempts.len();
        self.attempts.push(Attempt {
            candidate,
            deadline: now + timing.connect_timeout,
            state: State::Pending,
            slow: false,
        });
        self.stagger_at = self.is_fast().then(|| now + timing.connect_stagger);
        self.outputs.push_back(Output::Connect { attempt, candidate });
    }

    fn abandon_pending(&mut self) {
        for (attempt, a) in self.attempts.iter_mut().enumerate().filter(|(_, a)| a.state == State::Pending) {
            a.state = State::Over;
            self.outputs.push_back(Output::Abandon { attempt });
        }
    }

    fn evidence(&mut self, candidate: &Candidate, evidence: Evidence) {
        if self.is_fast() {
            self.outputs.push_back(Output::Evidence { node: self.view.node_key(candidate), evidence });
        }
    }

    fn is_fast(&self) -> bool {
        self.view.snapshot.settings.behaviour == Behaviour::Fast
    }
}
