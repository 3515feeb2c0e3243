use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Where flows go.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct FlowLabels {
    pub(crate) accelerator: String,
    pub(crate) pop: String,
    pub(crate) region: String,
}

/// Why a client was reset.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RefusalLabels {
    pub(crate) reason: String,
}

/// Which limit was hit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct LimitLabels {
    pub(crate) limit: String,
}

/// Which way bytes went.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct DirectionLabels {
    pub(crate) direction: String,
}

/// What an edge counts.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(crate) new_flows: Family<FlowLabels, Counter>,
    pub(crate) active_flows: Gauge,
    pub(crate) refused: Family<RefusalLabels, Counter>,
    pub(crate) limits: Family<LimitLabels, Counter>,
    pub(crate) moved_on: Counter,
    pub(crate) bytes: Family<DirectionLabels, Counter>,
    pub(crate) idle_closed: Counter,
}

impl Metrics {
    /// Counters from zero, registered under `perigee_edge_`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let r = registry.sub_registry_with_prefix("perigee_edge");
        r.register("new_flows", "Flows joined to an endpoint", metrics.new_flows.clone());
        r.register("active_flows", "Flows open now", metrics.active_flows.clone());
        r.register("refused_flows", "Clients reset, by reason", metrics.refused.clone());
        r.register("limit_hits", "Refusals because a limit was reached", metrics.limits.clone());
        r.register(
            "attempts_moved_on",
            "Connects beyond the first of their flow: the first was refused or slow",
            metrics.moved_on.clone(),
        );
        r.register(
            "processed_bytes",
            "Payload bytes, in towards endpoints or out towards clients",
            metrics.bytes.clone(),
        );
        r.register("idle_flows_closed", "Flows closed after the idle time-out", metrics.idle_closed.clone());
        metrics
    }

    pub(crate) fn limit(&self, limit: &str) -> Counter {
        self.limits.get_or_create(&LimitLabels { limit: limit.to_owned() }).clone()
    }
}
