use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::metrics::{DirectionLabels, FlowLabels, LimitLabels, RefusalLabels};
use crate::{FlowMeter, Metrics};

/// What the UDP side of an edge counts.
#[derive(Clone, Debug)]
pub struct UdpMetrics {
    pub(super) new_flows: Family<FlowLabels, Counter>,
    pub(super) active_flows: Gauge,
    /// Datagrams that went nowhere, by reason.
    dropped: Family<RefusalLabels, Counter>,
    pub(super) idle: Counter,
    pub(super) evicted: Counter,
    pub(super) inbound: Direction,
    pub(super) outbound: Direction,
    /// What tells of flows as the original documents it; each worker takes a copy.
    pub(super) meter: FlowMeter,
}

/// What went one way: handles that cost no search.
#[derive(Clone, Debug)]
pub(super) struct Direction {
    pub(super) datagrams: Counter,
    pub(super) octets: Counter,
}

impl UdpMetrics {
    /// Counters from zero, registered under `perigee_edge_udp_`; flows are metered as those of `edge`.
    pub fn register(registry: &mut Registry, edge: &Metrics) -> Self {
        let datagrams = Family::<DirectionLabels, Counter>::default();
        let octets = Family::<DirectionLabels, Counter>::default();
        let limits = Family::<LimitLabels, Counter>::default();
        let direction = |direction: &str| {
            let labels = DirectionLabels { direction: direction.to_owned() };
            Direction {
                datagrams: datagrams.get_or_create(&labels).clone(),
                octets: octets.get_or_create(&labels).clone(),
            }
        };
        let limit = LimitLabels { limit: "edge_udp_flows".to_owned() };
        let metrics = Self {
            new_flows: Family::default(),
            active_flows: Gauge::default(),
            dropped: Family::default(),
            idle: Counter::default(),
            evicted: limits.get_or_create(&limit).clone(),
            inbound: direction("in"),
            outbound: direction("out"),
            meter: edge.meter(),
        };
        let r = registry.sub_registry_with_prefix("perigee_edge_udp");
        r.register("new_flows", "UDP flows begun", metrics.new_flows.clone());
        r.register("active_flows", "UDP flows now", metrics.active_flows.clone());
        r.register("dropped_datagrams", "Datagrams that were not passed on, by reason", metrics.dropped.clone());
        r.register("idle_flows", "UDP flows forgotten after the idle time-out", metrics.idle.clone());
        r.register("limit_hits", "UDP flows forgotten because a limit was reached", limits);
        r.register("datagrams", "Datagrams passed on, in towards endpoints or out towards clients", datagrams);
        r.register("processed_bytes", "Payload bytes of datagrams passed on, in or out", octets);
        metrics
    }

    pub(super) fn drop_for(&self, reason: &str, datagrams: u64) {
        if datagrams > 0 {
            self.dropped.get_or_create(&RefusalLabels { reason: reason.to_owned() }).inc_by(datagrams);
        }
    }
}
