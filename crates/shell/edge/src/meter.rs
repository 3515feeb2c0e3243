//! The seam between what carries flows and what tells of them: metrics and flow logs.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use perigee_dataplane::{EdgeView, Refusal};
use perigee_flow_log::{
    Destination, EdgeSource, FlowIdentity, FlowLogger, FlowTotals, FlowWindow, LogStream, Transport,
};
use perigee_geo::PopIndex;
use perigee_model::{AcceleratorIndex, RegionIndex, TransportProtocol};
use perigee_steering::Flow;

pub use crate::tcp::Side;

use crate::metrics::{Dimensions, FlowCounters, FlowFamilies, Route};

/// The reason of a client that reset its connection before it was joined.
pub(crate) const CLIENT_GONE: &str = "client_gone";

/// What a proxy knows of a flow when it is joined to its endpoint.
#[derive(Clone, Copy, Debug)]
pub struct FlowStart<'a> {
    /// The view that the flow was decided on; the indices are those of its snapshot.
    pub view: &'a EdgeView,
    /// The accelerator.
    pub accelerator: AcceleratorIndex,
    /// Position of the listener in the accelerator.
    pub listener: usize,
    /// The region of the endpoint group.
    pub region: RegionIndex,
    /// The point of presence that took the client.
    pub pop: PopIndex,
    /// Client, accelerator's address and port, and protocol.
    pub flow: Flow,
    /// Where it went.
    pub endpoint: SocketAddr,
    /// Whether the endpoint is told the client's address.
    pub client_ip_preservation: bool,
    /// The edge's own end of the second connection, if it is known; of no account with client-IP preservation.
    pub source: Option<SocketAddr>,
}

/// How a joined flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowEnd {
    /// Both sides finished, or an end without a reset.
    Closed,
    /// Nothing moved for the idle time-out.
    Idle,
    /// This side reset or broke; that the other is reset in turn is not counted again.
    Reset(Side),
    /// The edge reset both: its zone or point of presence died, or its listener is gone.
    ResetByEdge,
}

/// Counts flows and logs them. Each worker has a clone: they share figures and files, and each remembers for itself
/// which figures a way has, so that a flow costs a search by a few numbers and its bytes nothing.
///
/// A flow is told of by [`Self::started`], at least every [`REPORT_EVERY`](perigee_flow_log::REPORT_EVERY) by
/// [`MeteredFlow::progressed`] (flows that moved nothing may be left out), and by [`MeteredFlow::ended`].
#[derive(Clone, Debug)]
pub struct FlowMeter {
    families: FlowFamilies,
    logger: FlowLogger,
    /// What follows holds in one configuration only: its generation.
    generation: u64,
    ways: HashMap<Route, Arc<FlowCounters>>,
    streams: HashMap<AcceleratorIndex, Option<Arc<LogStream>>>,
}

impl FlowMeter {
    pub(crate) fn new(families: FlowFamilies, logger: FlowLogger) -> Self {
        Self { families, logger, generation: 0, ways: HashMap::new(), streams: HashMap::new() }
    }

    /// A flow is joined to its endpoint.
    pub fn started(&mut self, start: &FlowStart<'_>) -> MeteredFlow {
        let FlowStart { view, accelerator, listener, region, pop, flow, .. } = *start;
        let address = flow.destination.ip();
        let route = Route { accelerator, listener, region: Some(region), pop, address };
        self.follow(view);
        let families = &self.families;
        let way = self.ways.entry(route);
        let counters = way.or_insert_with(|| Arc::new(families.counters(&Dimensions::new(view, &route)))).clone();
        counters.new_flows.inc();
        counters.active_flows.inc();
        let log = self.stream(view, accelerator).map(|stream| Box::new((stream, Arc::new(identity(start)))));
        let transport = match flow.protocol {
            TransportProtocol::Tcp => Transport::Tcp,
            TransportProtocol::Udp => Transport::Udp,
        };
        let window = FlowWindow::new(now_if(log.is_some()), transport.header_bytes(address.is_ipv4()));
        MeteredFlow { counters, window, log }
    }

    /// A client got no endpoint, for `reason` as `perigee_edge_refused_flows` has it. Of TCP it counts as dropped if no
    /// endpoint has an address of its family, as a reset by the client if it gave up by itself, else as one by the edge;
    /// UDP has none of these. An address without a listener is nobody's and not counted.
    pub fn refused(&mut self, view: &EdgeView, flow: &Flow, reason: &str) {
        if flow.protocol != TransportProtocol::Tcp {
            return;
        }
        let Ok((accelerator, listener)) = view.listener(flow) else { return };
        let pop = view.pop_of(view.atlas.locate(flow.client.ip()).place_index);
        let route = Route { accelerator, listener, region: None, pop, address: flow.destination.ip() };
        let labels = Dimensions::new(view, &route);
        if reason == Refusal::NoIpv6Endpoint.name() {
            self.families.dropped(&labels).inc();
        } else if reason == CLIENT_GONE {
            self.families.client_resets(&labels).inc();
        } else {
            self.families.edge_resets(&labels).inc();
        }
    }

    /// Forgets what was remembered of another configuration.
    fn follow(&mut self, view: &EdgeView) {
        if self.generation != view.snapshot.generation {
            self.generation = view.snapshot.generation;
            self.ways.clear();
            self.streams.clear();
        }
    }

    fn stream(&mut self, view: &EdgeView, index: AcceleratorIndex) -> Option<Arc<LogStream>> {
        let logger = &self.logger;
        let make = || {
            let accelerator = view.snapshot.accelerator(index);
            let logs = accelerator.flow_logs.as_ref()?;
            let account = view.snapshot.settings.account_id;
            Some(logger.stream(Destination::new(logs, account, accelerator.id())))
        };
        self.streams.entry(index).or_insert_with(make).clone()
    }
}

fn identity(start: &FlowStart<'_>) -> FlowIdentity {
    let FlowStart { view, flow, endpoint, source, .. } = *start;
    FlowIdentity {
        account: view.snapshot.settings.account_id,
        accelerator: view.snapshot.accelerator(start.accelerator).id(),
        client: flow.client,
        destination: flow.destination,
        endpoint,
        protocol: flow.protocol.number(),
        source: if start.client_ip_preservation {
            EdgeSource::Client { vpc_id: None }
        } else {
            EdgeSource::Edge(source)
        },
        endpoint_region: view.snapshot.region(start.region).code.clone(),
        edge: view.atlas.pops()[start.pop.0].code.clone(),
    }
}

/// A flow that is counted; 64 bytes, and its addresses where they are logged.
///
/// Dropped without [`Self::ended`] it no longer counts as active, and what it moved since it was last told of is lost.
#[derive(Debug)]
pub struct MeteredFlow {
    counters: Arc<FlowCounters>,
    window: FlowWindow,
    log: Option<Box<(Arc<LogStream>, Arc<FlowIdentity>)>>,
}

impl MeteredFlow {
    /// What it has moved since it began.
    pub fn progressed(&mut self, totals: &FlowTotals) {
        let moved = self.window.cut(totals, now_if(self.log.is_some()));
        if moved.is_quiet() {
            return;
        }
        self.counters.bytes_in.inc_by(moved.ingress.bytes);
        self.counters.bytes_out.inc_by(moved.egress.bytes);
        self.counters.packets.inc_by(moved.ingress.packets + moved.egress.packets);
        if let Some(log) = &self.log {
            let (stream, flow) = &**log;
            stream.report(flow, moved);
        }
    }

    /// It is over, with what it moved in all.
    pub fn ended(mut self, totals: &FlowTotals, end: FlowEnd) {
        self.progressed(totals);
        match end {
            FlowEnd::Reset(Side::Client) => drop(self.counters.client_resets.inc()),
            FlowEnd::Reset(Side::Endpoint) => drop(self.counters.endpoint_resets.inc()),
            FlowEnd::ResetByEdge => drop(self.counters.edge_resets.inc()),
            FlowEnd::Closed | FlowEnd::Idle => {}
        }
    }
}

impl Drop for MeteredFlow {
    fn drop(&mut self) {
        self.counters.active_flows.dec();
    }
}

/// What a TCP flow has moved: payload as its proxy counts it, packets as the kernel counts the segments of the client's
/// connection, acknowledgements and retransmissions included. None where the kernel does not tell.
pub fn tcp_totals(client: impl AsFd, payload_in: u64, payload_out: u64) -> FlowTotals {
    let segments = segments(client);
    FlowTotals { payload_in, payload_out, packets_in: segments.0, packets_out: segments.1 }
}

#[cfg(target_os = "linux")]
fn segments(socket: impl AsFd) -> (u32, u32) {
    perigee_net::tcp_segments(socket).map(|s| (s.received, s.sent)).unwrap_or_default()
}

#[cfg(not(target_os = "linux"))]
fn segments(_: impl AsFd) -> (u32, u32) {
    (0, 0)
}

/// Seconds since 1970, for whoever logs; a clock before that is wrong anyway.
fn now_if(is_logged: bool) -> u64 {
    if !is_logged {
        return 0;
    }
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
