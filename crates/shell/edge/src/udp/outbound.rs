//! From endpoints to clients.

use perigee_dataplane::UdpFlowId;
use perigee_net::MAX_BATCH;

use super::worker::Worker;

/// Packets taken from a flow's socket at first: most flows have one answer, and preparing for many costs.
const FIRST: usize = 4;
/// Batches taken from one flow before others have their turn.
const ROUNDS: usize = 4;

impl Worker {
    /// Passes on what a flow's endpoint has sent, from the address and port that its client had asked.
    pub(super) fn outbound(&mut self, id: UdpFlowId) {
        let mut most = FIRST;
        for _ in 0..ROUNDS {
            // An event may be older than the end of its flow.
            let Some(flow) = self.flows.get_mut(id) else { return };
            let received = match self.batch.receive(&flow.socket, most) {
                Ok(received) => received,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    if error.kind() == std::io::ErrorKind::ConnectionRefused {
                        flow.refused(&self.shared.front, self.now);
                    }
                    continue;
                }
            };
            self.pass_out(id, received);
            if received < most {
                return;
            }
            most = MAX_BATCH;
        }
    }

    fn pass_out(&mut self, id: UdpFlowId, received: usize) {
        let metrics = &self.shared.metrics;
        let datagrams = || (0..received).map(|packet| self.batch.datagrams(packet)).sum();
        let Some(client) = self.flows.flow(id).map(|flow| flow.client) else { return };
        let Some(flow) = self.flows.touch(id, self.now) else {
            metrics.drop_for("idle", datagrams());
            return;
        };
        let Some(Some(listening)) = self.listeners.get(flow.listener) else { return };
        if !self.faults.zone(listening.zone).has_network() {
            metrics.drop_for("zone_down", datagrams());
            return;
        }
        if !self.faults.pop(flow.route.pop).has_network() {
            metrics.drop_for("pop_down", datagrams());
            return;
        }
        let passed = self.batch.forward(&listening.socket, Some(client), 0..received);
        flow.outbound.add(&passed);
        metrics.outbound.datagrams.inc_by(passed.datagrams);
        metrics.outbound.octets.inc_by(passed.octets);
        metrics.drop_for("unsendable", passed.lost);
    }
}
