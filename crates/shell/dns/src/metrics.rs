use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use perigee_model::DnsZone;
use perigee_model::dns::{Policy, PolicyNode};
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Registry;

use crate::Transport;
use crate::cookie::Standing;
use crate::dnssec::CacheMetrics;
use crate::rate_limit::{Category, Verdict};
use crate::response::Response;
use crate::zones::Node;

/// The DNS server's counters. Clones count into the same.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(crate) queries: Family<QueryLabels, Counter>,
    pub(crate) answers: Family<AnswerLabels, Counter>,
    pub(crate) dropped: Family<DropLabels, Counter>,
    pub(crate) cookies: Family<CookieLabels, Counter>,
    pub(crate) limited: Family<LimitLabels, Counter>,
    pub(crate) latency: Latency,
    pub(crate) tcp_refused: Counter,
    pub(crate) tcp_refused_client: Counter,
    pub(crate) quic_refused: Counter,
    pub(crate) quic_refused_client: Counter,
    pub(crate) late_refused: Counter,
    pub(crate) signing: CacheMetrics,
    pub(crate) log_dropped: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct QueryLabels {
    pub(crate) transport: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) rcode: &'static str,
}

/// The routing policies, as the configuration calls them.
pub(crate) const POLICIES: [&str; 8] =
    ["simple", "weighted", "latency", "failover", "geolocation", "geoproximity", "multivalue", "ip-based"];
/// The region of answers that name none.
pub(crate) const NO_REGION: &str = "none";

/// The policy that decides first at a name, as a position in [`POLICIES`]; none where no policy decides.
pub(crate) fn policy_of(dns: &DnsZone, node: Node) -> Option<usize> {
    let index = match node {
        Node::Policy(index) => index,
        Node::Latency(_) => return Some(2),
        _ => return None,
    };
    let PolicyNode::Group(group) = dns.policy_node(dns.policy_name(index).root) else { return Some(0) };
    Some(match group.policy {
        Policy::Weighted { .. } => 1,
        Policy::Latency => 2,
        Policy::Failover => 3,
        Policy::Geolocation => 4,
        Policy::Geoproximity { .. } => 5,
        Policy::Multivalue => 6,
        Policy::IpBased => 7,
    })
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct AnswerLabels {
    /// Of [`POLICIES`], `cname` where a record of a zone led to the policy.
    pub(crate) policy: &'static str,
    /// [`NO_REGION`] for answers of other addresses.
    pub(crate) region: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct DropLabels {
    pub(crate) reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct CookieLabels {
    pub(crate) cookie: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct LimitLabels {
    pub(crate) category: &'static str,
    pub(crate) action: &'static str,
}

impl Metrics {
    /// Counters at zero, shown by `registry` under `perigee_dns_`.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("perigee_dns");
        registry.register(
            "queries",
            "Queries by transport, kind of name and response code, those included whose answers were limited",
            metrics.queries.clone(),
        );
        registry.register(
            "answers",
            "Answers that a policy decided, by the policy and the region that they name",
            metrics.answers.clone(),
        );
        registry.register("dropped", "Messages that got no answer, by reason", metrics.dropped.clone());
        registry.register(
            "cookies",
            "Queries by what their cookie is worth: none, new (no server part yet), bad, good",
            metrics.cookies.clone(),
        );
        registry.register(
            "rate_limited",
            "Datagrams not answered in full because their network had too many such answers",
            metrics.limited.clone(),
        );
        registry.register(
            "answering_seconds",
            "Time from the bytes of a query to the decision on its answer, without sockets",
            metrics.latency.clone(),
        );
        registry.register(
            "tcp_connections_refused",
            "TCP connections (plain, TLS and HTTPS) closed because limit dns_tcp_connections was reached",
            metrics.tcp_refused.clone(),
        );
        registry.register(
            "tcp_client_connections_refused",
            "TCP connections closed because one client had too many",
            metrics.tcp_refused_client.clone(),
        );
        registry.register(
            "quic_connections_refused",
            "QUIC connections refused because as many as limit dns_tcp_connections were open",
            metrics.quic_refused.clone(),
        );
        registry.register(
            "quic_client_connections_refused",
            "QUIC connections refused because one client had too many",
            metrics.quic_refused_client.clone(),
        );
        registry.register(
            "late_answers_refused",
            "Queries dropped because a slow host already held too many answers back",
            metrics.late_refused.clone(),
        );
        metrics.signing.register(registry);
        registry.register(
            "log_entries_dropped",
            "Entries of the query log dropped because it was not written fast enough",
            metrics.log_dropped.clone(),
        );
        metrics
    }

    /// How many answers that a policy decided named the region with this code.
    pub fn answers_for(&self, region: &str) -> u64 {
        let count = |policy| self.answers.get_or_create(&AnswerLabels { policy, region: region.into() }).get();
        POLICIES.into_iter().chain(["cname"]).map(count).sum()
    }

    pub(crate) fn drop_for(&self, reason: &'static str) {
        self.drop_many(reason, 1);
    }

    pub(crate) fn drop_many(&self, reason: &'static str, count: u64) {
        self.dropped.get_or_create(&DropLabels { reason }).inc_by(count);
    }

    pub(crate) fn answered(&self, transport: Transport, response: &Response, took: Duration) {
        let labels =
            QueryLabels { transport: transport.label(), kind: response.kind.label(), rcode: rcode(response.code) };
        self.queries.get_or_create(&labels).inc();
        self.latency.observe(took);
    }

    pub(crate) fn cookie(&self, standing: Standing) {
        self.count_cookies(standing, 1);
    }

    pub(crate) fn count_cookies(&self, standing: Standing, count: u64) {
        self.cookies.get_or_create(&CookieLabels { cookie: standing.label() }).inc_by(count);
    }

    pub(crate) fn limited(&self, category: Category, verdict: Verdict) {
        let category = match category {
            Category::Answer => "answer",
            Category::NoData => "nodata",
            Category::NxDomain => "nxdomain",
            Category::Error => "error",
            Category::Referral => "referral",
        };
        let action = if verdict == Verdict::Slip { "slipped" } else { "dropped" };
        self.limited.get_or_create(&LimitLabels { category, action }).inc();
    }
}

/// A response code as the counters and the log write it.
pub(crate) const fn rcode(code: ResponseCode) -> &'static str {
    match code {
        ResponseCode::NoError => "NOERROR",
        ResponseCode::FormErr => "FORMERR",
        ResponseCode::NXDomain => "NXDOMAIN",
        ResponseCode::NotImp => "NOTIMP",
        ResponseCode::Refused => "REFUSED",
        ResponseCode::YXDomain => "YXDOMAIN",
        ResponseCode::BADVERS => "BADVERS",
        ResponseCode::BADCOOKIE => "BADCOOKIE",
        _ => "SERVFAIL",
    }
}

/// Upper bounds of the buckets in nanoseconds: 1, 2 and 5 of each decade from a microsecond to a second.
const BOUNDS_NS: [u64; 19] = [
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
];

/// A histogram of durations without a lock: threads that answer at the same time do not wait for each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latency {
    inner: Arc<Buckets>,
}

#[derive(Debug, Default)]
struct Buckets {
    /// One for each bound, and one beyond them.
    counts: [AtomicU64; BOUNDS_NS.len() + 1],
    sum_ns: AtomicU64,
}

impl Latency {
    pub(crate) fn observe(&self, took: Duration) {
        self.observe_many(took, 1);
    }

    /// Observes `count` answers that took `each`.
    pub(crate) fn observe_many(&self, each: Duration, count: u64) {
        let ns = u64::try_from(each.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_NS.partition_point(|bound| *bound < ns);
        if let Some(counted) = self.inner.counts.get(bucket) {
            counted.fetch_add(count, Ordering::Relaxed);
        }
        self.inner.sum_ns.fetch_add(ns.saturating_mul(count), Ordering::Relaxed);
    }
}

impl EncodeMetric for Latency {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let bounds = BOUNDS_NS.iter().map(|ns| *ns as f64 / 1e9).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> =
            bounds.zip(self.inner.counts.iter().map(|count| count.load(Ordering::Relaxed))).collect();
        let sum_s = self.inner.sum_ns.load(Ordering::Relaxed) as f64 / 1e9;
        // Of the same counts as the buckets, so that both agree while others go on counting.
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(sum_s, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Latency {
    const TYPE: MetricType = MetricType::Histogram;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_counted_in_the_bucket_that_bounds_them() {
        let mut registry = Registry::default();
        let latency = Latency::default();
        registry.register("took", "It", latency.clone());
        for ns in [0, 1_000, 1_001, 40_000, 1_000_000_000, 5_000_000_000] {
            latency.observe(Duration::from_nanos(ns));
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "took_bucket{le=\"0.000001\"} 2",
            "took_bucket{le=\"0.000002\"} 3",
            "took_bucket{le=\"0.00002\"} 3",
            "took_bucket{le=\"0.00005\"} 4",
            "took_bucket{le=\"1.0\"} 5",
            "took_bucket{le=\"+Inf\"} 6",
            "took_count 6",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
