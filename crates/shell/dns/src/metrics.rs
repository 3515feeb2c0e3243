use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// The DNS server's counters. Clones count into the same.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(crate) queries: Family<QueryLabels, Counter>,
    pub(crate) answers: Family<RegionLabels, Counter>,
    pub(crate) dropped: Family<DropLabels, Counter>,
    pub(crate) tcp_refused: Counter,
    pub(crate) tcp_refused_client: Counter,
    pub(crate) late_refused: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct QueryLabels {
    pub(crate) transport: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) rcode: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RegionLabels {
    pub(crate) region: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct DropLabels {
    pub(crate) reason: &'static str,
}

impl Metrics {
    /// Counters at zero, shown by `registry` under `perigee_dns_`.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("perigee_dns");
        registry.register(
            "queries",
            "Queries answered, by transport, kind of name and response code",
            metrics.queries.clone(),
        );
        registry.register("answers", "Latency answers, by the region that they name", metrics.answers.clone());
        registry.register("dropped", "Messages that got no answer, by reason", metrics.dropped.clone());
        registry.register(
            "tcp_connections_refused",
            "TCP connections closed because limit dns_tcp_connections was reached",
            metrics.tcp_refused.clone(),
        );
        registry.register(
            "tcp_client_connections_refused",
            "TCP connections closed because one client had too many",
            metrics.tcp_refused_client.clone(),
        );
        registry.register(
            "late_answers_refused",
            "Queries dropped because a slow host already held too many answers back",
            metrics.late_refused.clone(),
        );
        metrics
    }

    /// How many latency answers named the region with this code.
    pub fn answers_for(&self, region: &str) -> u64 {
        self.answers.get_or_create(&RegionLabels { region: region.into() }).get()
    }

    pub(crate) fn drop_for(&self, reason: &'static str) {
        self.drop_many(reason, 1);
    }

    pub(crate) fn drop_many(&self, reason: &'static str, count: u64) {
        self.dropped.get_or_create(&DropLabels { reason }).inc_by(count);
    }
}
