//! What becomes of a worker's flows: they are joined, moved on, and end.

use std::time::Duration;

use perigee_dataplane::AcceleratorRef;
use perigee_net::Fault;
use perigee_steering::Flow as Tuple;
use rustix::event::epoll::EventFlags;
use tracing::debug;

use super::dial::{Dial, Reached};
use super::flow::{Flow, Stage};
use super::joined::Joined;
use super::relay::{Pumped, Relay, Side};
use super::socket;
use super::worker::Worker;
use crate::metrics::RefusalLabels;
use crate::{FlowEnd, FlowStart, tcp_totals};

/// Why a client is refused that reset its connection before an endpoint had it.
pub(super) const CLIENT_GONE: &str = "client_gone";
/// A client that has not answered the endpoint's FIN by then does not hold the drain up (Perigee's choice).
const LAZY_CLIENT: Duration = Duration::from_secs(1);

impl Worker {
    /// Joins a flow to the endpoint that it has reached.
    pub(super) fn join(&mut self, index: u32, reached: Reached) {
        let Self { flows, routes, common, meter, now, .. } = self;
        let Some(flow) = flows.get_mut(index) else { return };
        let Stage::Dialing(dial) = &flow.stage else { return };
        let connection = dial.connection();
        let way = routes.of(connection, &reached.candidate, &common.metrics);
        let view = connection.view();
        let (accelerator, client_ip_preservation) =
            (connection.accelerator(), reached.candidate.client_ip_preservation);
        // Known to the node before the client's first byte is; a greeting tells by itself.
        let is_asked = !reached.is_greeted && common.crossings.is_read();
        // Flows of custom routing accelerators are in no metric or log of the original's (docs/differences.md).
        let standard = match accelerator {
            AcceleratorRef::Standard(index) => Some(index),
            AcceleratorRef::CustomRouting(_) => None,
        };
        let has_logs = standard.is_some_and(|index| view.snapshot.accelerator(index).flow_logs.is_some());
        let is_logged = !client_ip_preservation && has_logs;
        let source = if is_asked || is_logged { socket::local_addr(&reached.socket) } else { None };
        let enter = |source| {
            let pop = way.pop.as_str().into();
            Box::new(common.crossings.enter(source, reached.candidate.address, pop))
        };
        let mut relay = Relay::new();
        if reached.is_greeted {
            relay.note_greeting();
        }
        relay.note(Side::Client, flow.client_seen);
        relay.note(Side::Endpoint, reached.seen);
        way.new_flows.inc();
        common.shares.note(self.number, &way.region, *now);
        let metered = standard.map(|accelerator| {
            meter.started(&FlowStart {
                view,
                accelerator,
                listener: connection.listener(),
                region: reached.candidate.region,
                pop: connection.pop(),
                flow: Tuple::tcp(flow.peer, flow.destination),
                endpoint: reached.candidate.address,
                client_ip_preservation,
                source,
            })
        });
        let joined = Joined {
            endpoint: reached.socket,
            attempt: reached.attempt,
            relay,
            last: *now,
            closes_at: None,
            idle: view.snapshot.settings.timing.tcp_idle_timeout,
            _crossing: source.filter(|_| is_asked).map(enter),
            metered,
        };
        self.timers.set(index, joined.ends_at());
        flow.stage = Stage::Joined(joined);
        common.connecting.leave();
        self.pump(index);
    }

    /// Moves the bytes of a joined flow.
    pub(super) fn pump(&mut self, index: u32) {
        let generation = self.flows.generation(index);
        let Some(flow) = self.flows.get_mut(index) else { return };
        let Stage::Joined(joined) = &mut flow.stage else { return };
        if flow.is_stalled {
            return;
        }
        let before = joined.relay.moved();
        let pumped = joined.relay.pump(&flow.client, &joined.endpoint, &mut self.pool);
        if joined.relay.moved() != before {
            joined.last = self.now;
        }
        match pumped {
            Pumped::Rests => {
                if self.is_draining {
                    self.close_lazy_client(index);
                }
            }
            Pumped::More => {
                if !std::mem::replace(&mut flow.is_queued, true) {
                    self.queue.push((index, generation));
                }
            }
            Pumped::Closed => self.end(index, FlowEnd::Closed),
            Pumped::Broken(side) => self.end(index, FlowEnd::Reset(side)),
        }
    }

    /// The time of a joined flow is over.
    pub(super) fn expire(&mut self, index: u32) {
        let Some(Flow { stage: Stage::Joined(joined), .. }) = self.flows.get_mut(index) else { return };
        let is_lazy = joined.closes_at.is_some_and(|at| at <= self.now);
        self.end(index, if is_lazy { FlowEnd::Closed } else { FlowEnd::Idle });
    }

    /// Ends a joined flow.
    fn end(&mut self, index: u32, end: FlowEnd) {
        self.timers.cancel(index);
        let Some(flow) = self.flows.remove(index) else { return };
        let Stage::Joined(mut joined) = flow.stage else { return };
        let (bytes_in, bytes_out) = joined.relay.moved();
        self.bytes_in.inc_by(bytes_in);
        self.bytes_out.inc_by(bytes_out);
        if let Some(metered) = joined.metered {
            metered.ended(&tcp_totals(&flow.client, bytes_in, bytes_out), end);
        }
        joined.relay.release(&mut self.pool);
        match end {
            FlowEnd::Closed => {}
            FlowEnd::Idle => {
                self.common.metrics.idle_closed.inc();
            }
            FlowEnd::Reset(_) | FlowEnd::ResetByEdge => {
                socket::reset(flow.client);
                socket::reset(joined.endpoint);
            }
        }
        self.common.metrics.active_flows.dec();
    }

    /// Resets a client that no endpoint was found for.
    pub(super) fn refuse(&mut self, index: u32, reason: &'static str) {
        self.timers.cancel(index);
        let Some(flow) = self.flows.remove(index) else { return };
        self.count_refusal(flow.peer, flow.destination, reason);
        socket::reset(flow.client);
        self.common.connecting.leave();
        self.common.metrics.active_flows.dec();
    }

    pub(super) fn count_refusal(
        &mut self,
        peer: std::net::SocketAddr,
        destination: std::net::SocketAddr,
        reason: &'static str,
    ) {
        debug!(%peer, reason, "flow refused");
        self.common.metrics.refused.get_or_create(&RefusalLabels { reason: reason.to_owned() }).inc();
        let Self { meter, view, .. } = self;
        meter.refused(view.load(), &Tuple::tcp(peer, destination), reason);
    }

    /// Resets the flows that `is_meant` names: their host died, or their listener is gone, for which clients that no
    /// endpoint has yet are refused.
    pub(super) fn reset_where(&mut self, reason: &'static str, is_meant: impl Fn(&Flow) -> bool) {
        for index in 0..self.flows.bound() {
            let Some(flow) = self.flows.get_mut(index).filter(|flow| is_meant(flow)) else { continue };
            match flow.stage {
                Stage::Dialing(_) => self.refuse(index, reason),
                Stage::Joined(_) => self.end(index, FlowEnd::ResetByEdge),
            }
        }
    }

    /// Lets the flows of a place rest or go on, as the faults of their zone and point of presence say.
    pub(super) fn restall(&mut self, place: u16) {
        for index in 0..self.flows.bound() {
            let Some(flow) = self.flows.get_mut(index) else { continue };
            if flow.zone != place && flow.pop != place {
                continue;
            }
            let is_stalled = [flow.zone, flow.pop].iter().any(|place| self.places.fault(*place) == Fault::Blackhole);
            let was_stalled = std::mem::replace(&mut flow.is_stalled, is_stalled);
            if !was_stalled || is_stalled {
                continue;
            }
            // Its time may have come meanwhile, and it must not end before it has moved what waits.
            match &flow.stage {
                Stage::Dialing(_) => self.resume_dial(index),
                Stage::Joined(joined) => {
                    self.timers.set(index, joined.ends_at());
                    self.pump(index);
                }
            }
        }
    }

    /// Goes on with a flow that was held on its way; one that had not begun is decided afresh.
    fn resume_dial(&mut self, index: u32) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        if flow.client_seen.contains(EventFlags::ERR) {
            return self.refuse(index, CLIENT_GONE);
        }
        let Stage::Dialing(dial) = &mut flow.stage else { return };
        if !dial.has_begun() {
            let route = Tuple::tcp(flow.peer, flow.destination);
            match self.view.load().open(route, self.now) {
                Ok(connection) => **dial = Dial::new(connection, route),
                Err(refusal) => return self.refuse(index, refusal.name()),
            }
        }
        self.dial(index, Dial::resume);
    }

    /// Gives every client whose endpoint has ended a last second.
    pub(super) fn close_lazy_clients(&mut self) {
        for index in 0..self.flows.bound() {
            self.close_lazy_client(index);
        }
    }

    fn close_lazy_client(&mut self, index: u32) {
        let now = self.now;
        if let Some(Flow { stage: Stage::Joined(joined), .. }) = self.flows.get_mut(index)
            && joined.relay.endpoint_ended()
            && joined.closes_at.is_none()
        {
            joined.closes_at = Some(now + LAZY_CLIENT);
            self.timers.set(index, joined.ends_at());
        }
    }
}
