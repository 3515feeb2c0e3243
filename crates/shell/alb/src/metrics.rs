use std::sync::Arc;

use perigee_health::TargetState;
use perigee_model::{LoadBalancer, LoadBalancerNode, Snapshot, TargetGroupIndex};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The figures of all load balancer nodes of a process.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    own_answers: Family<CodeLabels, Counter>,
    connection_errors: Family<GroupLabels, Counter>,
    fail_open: Family<GroupLabels, Counter>,
    connections: Family<NodeLabels, Gauge>,
    limits: Family<LimitLabels, Counter>,
    target_healthy: Family<TargetLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NodeLabels {
    region: String,
    load_balancer: String,
    zone: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GroupLabels {
    #[prometheus(flatten)]
    node: NodeLabels,
    target_group: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    #[prometheus(flatten)]
    group: GroupLabels,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    #[prometheus(flatten)]
    node: NodeLabels,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    #[prometheus(flatten)]
    node: NodeLabels,
    limit: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetLabels {
    #[prometheus(flatten)]
    group: GroupLabels,
    target: String,
}

impl Metrics {
    /// Puts the figures into `registry`, under names that begin with `alb`.
    pub fn register(&self, registry: &mut Registry) {
        let alb = registry.sub_registry_with_prefix("alb");
        alb.register("requests", "Requests that a target answered, by status class", self.requests.clone());
        alb.register("own_answers", "Requests that the node answered itself, by status", self.own_answers.clone());
        alb.register("target_connection_errors", "Failed connects to targets", self.connection_errors.clone());
        alb.register(
            "unhealthy_routing_requests",
            "Requests sent without regard to health because too few targets are healthy",
            self.fail_open.clone(),
        );
        alb.register("connections", "Client connections now", self.connections.clone());
        alb.register("limit_refusals", "What was refused because a limit was reached", self.limits.clone());
        alb.register("target_healthy", "1 if the node holds the target healthy", self.target_healthy.clone());
    }

    pub(crate) fn node(&self, snapshot: &Snapshot, lb: &LoadBalancer, node: &LoadBalancerNode) -> NodeMetrics {
        let labels = NodeLabels {
            region: snapshot.region(lb.region).code.to_string(),
            load_balancer: lb.name.to_string(),
            zone: node.zone.to_string(),
        };
        NodeMetrics { connections: self.connections.get_or_create_owned(&labels), all: self.clone(), labels }
    }
}

/// The figures of one node.
#[derive(Clone, Debug)]
pub(crate) struct NodeMetrics {
    all: Metrics,
    labels: NodeLabels,
    pub(crate) connections: Gauge,
}

/// The figures of one target group at one node, ready to be counted without a look-up.
#[derive(Debug)]
pub(crate) struct GroupMetrics {
    pub(crate) index: TargetGroupIndex,
    classes: [Counter; 5],
    pub(crate) connection_errors: Counter,
    pub(crate) fail_open: Counter,
}

impl NodeMetrics {
    pub(crate) fn own_answer(&self, code: u16) {
        self.all.own_answers.get_or_create(&CodeLabels { node: self.labels.clone(), code }).inc();
    }

    /// The counter of a named limit, as the model's `Limits` names it.
    pub(crate) fn limit(&self, limit: &'static str) -> Counter {
        self.all.limits.get_or_create_owned(&LimitLabels { node: self.labels.clone(), limit })
    }

    pub(crate) fn group(&self, snapshot: &Snapshot, index: TargetGroupIndex) -> Arc<GroupMetrics> {
        let group = self.group_labels(snapshot.target_group(index).name.as_str());
        let class = |status| self.all.requests.get_or_create_owned(&RequestLabels { group: group.clone(), status });
        Arc::new(GroupMetrics {
            index,
            classes: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(class),
            connection_errors: self.all.connection_errors.get_or_create_owned(&group),
            fail_open: self.all.fail_open.get_or_create_owned(&group),
        })
    }

    pub(crate) fn target_state(&self, group: &str, target: &perigee_model::Target, state: Option<TargetState>) {
        let labels = TargetLabels {
            group: self.group_labels(group),
            target: std::net::SocketAddr::new(target.address, target.port).to_string(),
        };
        match state {
            Some(state) => {
                self.all.target_healthy.get_or_create(&labels).set(i64::from(state == TargetState::Healthy));
            }
            None => {
                self.all.target_healthy.remove(&labels);
            }
        }
    }

    fn group_labels(&self, target_group: &str) -> GroupLabels {
        GroupLabels { node: self.labels.clone(), target_group: target_group.to_owned() }
    }
}

impl GroupMetrics {
    pub(crate) fn answered(&self, status: u16) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.classes[class].inc();
    }
}
