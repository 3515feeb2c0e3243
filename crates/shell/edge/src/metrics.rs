mod endpoints;
mod flows;
mod labels;

use std::sync::Arc;

use perigee_flow_log::{FlowLogMetrics, FlowLogger};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::{FlowMeter, Front};
use endpoints::Endpoints;
pub(crate) use flows::{Dimensions, FlowCounters, FlowFamilies};
pub(crate) use labels::Route;

/// What the documented metrics' names begin with: CloudWatch's namespace, `AWS/GlobalAccelerator`.
const NAMESPACE: &str = "aws_globalaccelerator";

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
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(crate) new_flows: Family<FlowLabels, Counter>,
    pub(crate) active_flows: Gauge,
    pub(crate) refused: Family<RefusalLabels, Counter>,
    pub(crate) limits: Family<LimitLabels, Counter>,
    pub(crate) moved_on: Counter,
    pub(crate) bytes: Family<DirectionLabels, Counter>,
    pub(crate) idle_closed: Counter,
    flows: FlowFamilies,
    logger: FlowLogger,
}

impl Metrics {
    /// Counters from zero, registered under `perigee_edge_`, `perigee_flow_log_` and, those that the original
    /// documents, `aws_globalaccelerator_`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            new_flows: Family::default(),
            active_flows: Gauge::default(),
            refused: Family::default(),
            limits: Family::default(),
            moved_on: Counter::default(),
            bytes: Family::default(),
            idle_closed: Counter::default(),
            flows: FlowFamilies::register(registry),
            logger: FlowLogger::new(FlowLogMetrics::register(registry)),
        };
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

    /// Shows the documented metrics of endpoints too, as `front` sees them, and those of flows from the start.
    pub fn watch(&self, registry: &mut Registry, front: &Arc<Front>) {
        let endpoints = Endpoints { front: front.clone(), flows: self.flows.clone() };
        endpoints.show_flows(&front.view());
        registry.sub_registry_with_prefix(NAMESPACE).register_collector(Box::new(endpoints));
    }

    /// What counts and logs flows; each worker takes one.
    pub fn meter(&self) -> FlowMeter {
        FlowMeter::new(self.flows.clone(), self.logger.clone())
    }

    /// Publishes the flow logs once all flows are over; blocks, at most ten seconds. False: some files are not there.
    pub fn close_flow_logs(&self) -> bool {
        self.logger.close()
    }

    pub(crate) fn limit(&self, limit: &str) -> Counter {
        self.limits.get_or_create(&LimitLabels { limit: limit.to_owned() }).clone()
    }
}
