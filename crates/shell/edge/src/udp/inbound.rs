//! From clients to endpoints.

use perigee_dataplane::{EdgeView, UdpFlowId, UdpRoute};
use perigee_net::{ConnectedSocket, MAX_BATCH};
use perigee_steering::Flow;
use tracing::debug;

use super::flow::UdpFlow;
use super::worker::Worker;
use crate::FlowStart;
use crate::metrics::FlowLabels;

/// Batches taken from one listener before others have their turn.
const ROUNDS: usize = 4;

impl Worker {
    /// Passes on what waits at the listener at `at`.
    pub(super) fn inbound(&mut self, at: usize) {
        for _ in 0..ROUNDS {
            let Some(Some(listening)) = self.listeners.get_mut(at) else { return };
            let received = match self.batch.receive(&listening.socket, MAX_BATCH) {
                Ok(received) => received,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                // An answer that was refused shows up here; what waits is still to be read.
                Err(_) => continue,
            };
            if self.faults.zone(listening.zone).has_network() {
                self.pass_in(at, received);
            } else {
                let datagrams = (0..received).map(|packet| self.batch.datagrams(packet)).sum();
                self.shared.metrics.drop_for("zone_down", datagrams);
            }
            // After a batch that was not full there is most likely nothing, and asking would be a call in vain.
            if received < MAX_BATCH {
                return;
            }
        }
    }

    /// Passes on the batch's packets, those of a flow together.
    fn pass_in(&mut self, at: usize, received: usize) {
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        for packet in 0..received {
            match self.flow_of(at, packet) {
                Ok(id) => order.push((id, packet)),
                Err(reason) => self.shared.metrics.drop_for(reason, self.batch.datagrams(packet)),
            }
        }
        order.sort_unstable_by_key(|(id, packet)| (id.to_bits(), *packet));
        for group in order.chunk_by(|a, b| a.0 == b.0) {
            let packets = || group.iter().map(|(_, packet)| *packet);
            let Some(flow) = self.flows.get_mut(group[0].0) else {
                // It made room for another flow of this very batch.
                self.shared.metrics.drop_for("evicted", packets().map(|p| self.batch.datagrams(p)).sum());
                continue;
            };
            if !self.faults.pop(flow.route.pop).has_network() {
                self.shared.metrics.drop_for("pop_down", packets().map(|p| self.batch.datagrams(p)).sum());
                continue;
            }
            let passed = self.batch.forward(&flow.socket, None, packets());
            flow.inbound.add(&passed);
            self.shared.metrics.inbound.datagrams.inc_by(passed.datagrams);
            self.shared.metrics.inbound.octets.inc_by(passed.octets);
            self.shared.metrics.drop_for("unsendable", passed.lost);
            if passed.refused {
                flow.refused(&self.shared.front, self.now);
            }
        }
        self.order = order;
    }

    /// The flow that a packet belongs to, a new one if need be. Errors: why it is dropped.
    fn flow_of(&mut self, at: usize, packet: usize) -> Result<UdpFlowId, &'static str> {
        let client = self.batch.source(packet).ok_or("no_source")?;
        // Nothing answers at port 0; a datagram from there is forged.
        if client.port() == 0 {
            return Err("port_0");
        }
        let Some(Some(listening)) = self.listeners.get(at) else { return Err("no_listener") };
        let flow = Flow::udp(client, listening.address);
        match self.flows.find(&flow, self.now) {
            Some(id) => Ok(id),
            None => self.open(flow, at),
        }
    }

    /// Begins a flow: asks the law where to, and opens the way. Errors: why it cannot be begun.
    fn open(&mut self, flow: Flow, at: usize) -> Result<UdpFlowId, &'static str> {
        let view = self.view.load().clone();
        let route = view.route_udp(&flow).map_err(|refusal| refusal.name())?;
        if !self.faults.pop(route.pop).has_network() {
            return Err("pop_down");
        }
        let (endpoint, labels) = (route.candidate.address, labels(&view, &route));
        let meter = &mut self.meter;
        let started = |route: &UdpRoute, socket: &ConnectedSocket| {
            meter.started(&FlowStart {
                view: &view,
                accelerator: route.accelerator,
                listener: route.listener,
                region: route.candidate.region,
                pop: route.pop,
                flow,
                endpoint,
                client_ip_preservation: route.source.is_some(),
                source: if route.source.is_some() { None } else { socket.local_addr().ok() },
            })
        };
        let kept = UdpFlow::open(route, at, self.now, started).map_err(|error| {
            debug!(%error, client = %flow.client, %endpoint, "no socket for a UDP flow");
            "no_socket"
        })?;
        let (id, ended) = self.flows.open(flow, kept, self.now);
        self.began();
        if let Some(ended) = ended {
            self.ended(ended);
        }
        if let Err(error) = self.watch(id) {
            debug!(%error, "a UDP flow's answers cannot be waited for");
            if let Some(ended) = self.flows.remove(id) {
                self.ended(ended);
            }
            return Err("no_socket");
        }
        self.shared.shares.note(self.number, &labels.region, self.now);
        self.shared.metrics.new_flows.get_or_create(&labels).inc();
        Ok(id)
    }
}

fn labels(view: &EdgeView, route: &UdpRoute) -> FlowLabels {
    FlowLabels {
        accelerator: view.snapshot.accelerator(route.accelerator).name.to_string(),
        pop: view.atlas.pops()[route.pop.0].code.to_string(),
        region: view.snapshot.region(route.candidate.region).code.to_string(),
    }
}
