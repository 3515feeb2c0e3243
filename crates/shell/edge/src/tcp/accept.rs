//! How flows come into a worker.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use perigee_dataplane::Refusal;
use perigee_net::Fault;
use perigee_steering::Flow as Route;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use tracing::warn;

use super::dial::Dial;
use super::flow::{Flow, Stage};
use super::socket;
use super::token::{Role, Token};
use super::worker::{POP_DOWN, Worker};

/// Connections accepted at a listener in one turn at most, so that a storm does not hold up the flows that are there.
const BUDGET_MAX: u16 = 64;
/// Turns in a row that use up the budget before it is doubled: asking for more than there is costs a call.
const FULL_TURNS: u8 = 4;
/// Pause after a failed accept (no file descriptor left, for example), or after an address could not be listened on.
const REST: Duration = Duration::from_millis(50);
/// Connections still taken at a listener that closes: as many as the kernel may have completed.
const LAST: usize = 4_096;

impl Worker {
    /// Takes what waits at a listener, within its budget.
    ///
    /// The budget follows what is found, so that the usual turn makes no call in vain.
    pub(super) fn accept(&mut self, number: u32) {
        let Some(listener) = self.listeners.get_mut(number) else { return };
        let budget = listener.budget;
        for taken in 0..budget {
            let Some(listener) = self.listeners.get_mut(number) else { return };
            match socket::accept(listener.as_fd()) {
                Ok((client, peer)) => self.take(number, client, peer),
                Err(Errno::AGAIN) => {
                    (listener.budget, listener.full_turns) = (taken.max(1), 0);
                    return;
                }
                Err(error @ (Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) => {
                    warn!(worker = self.number, address = %listener.address, %error, "accept failed");
                    self.rest(number);
                    return;
                }
                // That connection is gone; the next may be well.
                Err(_) => {}
            }
        }
        let Some(listener) = self.listeners.get_mut(number) else { return };
        listener.full_turns += 1;
        if listener.full_turns == FULL_TURNS {
            (listener.budget, listener.full_turns) = ((budget * 2).min(BUDGET_MAX), 0);
        }
    }

    fn take(&mut self, number: u32, client: OwnedFd, peer: SocketAddr) {
        let Some(listener) = self.listeners.get_mut(number) else { return };
        let (destination, zone) = (listener.address, listener.zone as u16);
        let Some(pass) = self.common.gate.enter() else {
            let Self { meter, view, .. } = self;
            meter.refused(view.load(), &Route::tcp(peer, destination), "limit");
            socket::reset(client);
            return;
        };
        let route = Route::tcp(peer, destination);
        let refused = match self.view.load().open(route, self.now) {
            Err(refusal) => refusal.name(),
            Ok(connection) => {
                let pop = self.places.of_pop(connection.pop());
                let is_stalled = self.places.fault(pop) == Fault::Blackhole;
                let (index, generation) = self.flows.next();
                let watched = socket::watch(self.epoll.as_fd(), &client, Token::flow(index, generation, Role::Client));
                if watched.is_ok() && self.places.fault(pop) != Fault::Crash {
                    self.common.connecting.enter();
                    self.common.metrics.active_flows.inc();
                    self.flows.insert(Flow {
                        client,
                        peer,
                        destination,
                        listener: number,
                        zone,
                        pop,
                        is_stalled,
                        is_queued: false,
                        client_seen: EventFlags::empty(),
                        stage: Stage::Dialing(Box::new(Dial::new(connection, route))),
                        _pass: pass,
                        _task: self.common.shutdown.task(),
                    });
                    if !is_stalled {
                        self.dial(index, |_, _| {});
                    }
                    return;
                }
                if watched.is_ok() { POP_DOWN } else { "no_memory" }
            }
        };
        self.count_refusal(peer, destination, refused);
        // What is denied gets no answer: its connection just ends.
        if refused != Refusal::Denied.name() {
            socket::reset(client);
        }
    }

    /// Makes a listener do as its zone's fault says, or lets it rest and tries again.
    pub(super) fn settle_listener(&mut self, number: u32) {
        let Some(listener) = self.listeners.get_mut(number) else { return };
        let fault = self.places.fault(listener.zone as u16);
        let mut settled = listener.obey(fault);
        let wanted = listener.is_open() && settled.is_ok();
        if wanted != listener.is_watched {
            let changed = if wanted {
                let token = EventData::new_u64(Token::listener(number).bits());
                epoll::add(&self.epoll, listener.as_fd(), token, EventFlags::IN)
            } else {
                epoll::delete(&self.epoll, listener.as_fd())
            };
            match changed {
                Ok(()) => listener.is_watched = wanted,
                Err(error) => settled = settled.and_then(|()| Err(error.into())),
            }
        }
        if let Err(error) = settled {
            warn!(worker = self.number, address = %listener.address, %error, "cannot listen again yet");
            self.rest(number);
        }
    }

    fn rest(&mut self, number: u32) {
        let Some(listener) = self.listeners.get_mut(number) else { return };
        if std::mem::take(&mut listener.is_watched) {
            // What fails here is registered still, and will be found so.
            let _ = epoll::delete(&self.epoll, listener.as_fd());
        }
        self.resting.push((self.now + REST, number));
    }

    /// Has listeners that have rested long enough accept again.
    pub(super) fn resume_listeners(&mut self) {
        if self.resting.is_empty() {
            return;
        }
        let now = self.now;
        let (over, resting) = self.resting.drain(..).partition(|(until, _)| *until <= now);
        self.resting = resting;
        let over: Vec<(perigee_model::Instant, u32)> = over;
        for (_, number) in over {
            self.settle_listener(number);
        }
    }

    /// Takes nothing new: what the kernel has completed is still taken, then the listeners close.
    pub(super) fn drain(&mut self) {
        if self.is_draining {
            return;
        }
        for number in 0..self.listeners.bound() {
            for _ in 0..LAST {
                let Some(listener) = self.listeners.get_mut(number).filter(|listener| listener.is_open()) else {
                    break;
                };
                match socket::accept(listener.as_fd()) {
                    Ok((client, peer)) => self.take(number, client, peer),
                    Err(_) => break,
                }
            }
        }
        self.give_up_listeners();
        self.close_lazy_clients();
    }

    /// Closes the listeners for good.
    pub(super) fn give_up_listeners(&mut self) {
        for number in 0..self.listeners.bound() {
            self.listeners.remove(number);
        }
        if !std::mem::replace(&mut self.is_draining, true) {
            self.common.accepting.leave();
        }
    }
}
