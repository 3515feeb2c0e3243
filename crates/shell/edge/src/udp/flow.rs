use std::time::Duration;

use perigee_dataplane::UdpRoute;
use perigee_flow_log::FlowTotals;
use perigee_health::Evidence;
use perigee_model::Instant;
use perigee_net::{ConnectedSocket, Passed};

use crate::{FlowEnd, Front, MeteredFlow};

/// Between two words about one flow's endpoint (Perigee's choice): each datagram to a closed port comes back as an
/// error, and the second says nothing that the first has not said.
const EVIDENCE_PAUSE: Duration = Duration::from_secs(1);

/// A flow as a worker keeps it beside its addresses.
#[derive(Debug)]
pub(super) struct UdpFlow {
    /// Connected to the endpoint.
    pub(super) socket: ConnectedSocket,
    /// Position of the listener that the flow came in by, and that its answers leave from.
    pub(super) listener: usize,
    pub(super) route: UdpRoute,
    refused_at: Option<Instant>,
    /// When the first datagram came.
    pub(super) started: Instant,
    /// Tells metrics and flow logs.
    metered: MeteredFlow,
    /// From the client, passed on.
    pub(super) inbound: Carried,
    /// From the endpoint, passed on.
    pub(super) outbound: Carried,
}

/// What one direction of a flow has carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Carried {
    pub(super) datagrams: u64,
    /// Of payload.
    pub(super) octets: u64,
}

impl Carried {
    pub(super) const fn add(&mut self, passed: &Passed) {
        self.datagrams += passed.datagrams;
        self.octets += passed.octets;
    }
}

impl UdpFlow {
    /// Opens the second leg of a flow, and has it metered. Errors: those of [`ConnectedSocket::open`].
    pub(super) fn open(
        route: UdpRoute,
        listener: usize,
        now: Instant,
        meter: impl FnOnce(&UdpRoute, &ConnectedSocket) -> MeteredFlow,
    ) -> std::io::Result<Self> {
        let socket = ConnectedSocket::open(route.source, route.candidate.address)?;
        Ok(Self {
            metered: meter(&route, &socket),
            socket,
            listener,
            route,
            refused_at: None,
            started: now,
            inbound: Carried::default(),
            outbound: Carried::default(),
        })
    }

    /// Tells what it has carried so far.
    pub(super) fn report(&mut self) {
        self.metered.progressed(&totals(&self.inbound, &self.outbound));
    }

    /// It is over.
    pub(super) fn ended(self) {
        self.metered.ended(&totals(&self.inbound, &self.outbound), FlowEnd::Closed);
    }

    /// ICMP has said that nobody listens at the endpoint: tells the front tier, which in `fast` takes it as evidence.
    pub(super) fn refused(&mut self, front: &Front, now: Instant) {
        if let Some(subject) = &self.route.subject
            && self.refused_at.is_none_or(|at| now.since(at) >= EVIDENCE_PAUSE)
        {
            self.refused_at = Some(now);
            front.evidence_all(&mut vec![(subject.clone(), Evidence::Refused)]);
        }
    }
}

/// What a flow has carried, as its meter takes it: a datagram is a packet, and 2^32 of them may wrap round.
const fn totals(inbound: &Carried, outbound: &Carried) -> FlowTotals {
    FlowTotals {
        payload_in: inbound.octets,
        payload_out: outbound.octets,
        packets_in: inbound.datagrams as u32,
        packets_out: outbound.datagrams as u32,
    }
}
