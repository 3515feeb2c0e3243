use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// All documented dimensions at once: a flow counts in one series, and any set of dimensions is a sum over the others.
///
/// `accelerator_name` and `source_region` follow from `accelerator` and `endpoint_group`, `network_protocol` from
/// `accelerator_ip_address`: they make no more series.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Dimensions {
    /// The accelerator's UUID.
    pub(crate) accelerator: String,
    pub(crate) accelerator_name: String,
    /// The listener's transport and first port, such as `tcp-8080`.
    pub(crate) listener: String,
    /// The region of the endpoint group; [`NONE`] for a flow that had none.
    pub(crate) endpoint_group: String,
    /// Where the endpoints are.
    pub(crate) source_region: &'static str,
    /// Where the clients' edge is.
    pub(crate) destination_edge: &'static str,
    /// `TCP` or `UDP`.
    pub(crate) transport_protocol: &'static str,
    /// The static address that the client asked for.
    pub(crate) accelerator_ip_address: String,
    /// `IPv4` or `IPv6`.
    pub(crate) network_protocol: &'static str,
}

/// What a label says where there is nothing to say.
pub(crate) const NONE: &str = "-";

/// The nine documented metrics of flows (`global-accelerator.md` section 13). Clones share the figures.
#[derive(Clone, Debug, Default)]
pub(crate) struct FlowFamilies {
    new_flows: Family<Dimensions, Counter>,
    active_flows: Family<Dimensions, Gauge>,
    bytes_in: Family<Dimensions, Counter>,
    bytes_out: Family<Dimensions, Counter>,
    packets: Family<Dimensions, Counter>,
    dropped: Family<Dimensions, Counter>,
    edge_resets: Family<Dimensions, Counter>,
    client_resets: Family<Dimensions, Counter>,
    endpoint_resets: Family<Dimensions, Counter>,
}

/// The figures of one set of dimensions, found once, so that counting is an addition.
#[derive(Clone, Debug, Default)]
pub(crate) struct FlowCounters {
    pub(crate) new_flows: Counter,
    pub(crate) active_flows: Gauge,
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
    pub(crate) packets: Counter,
    pub(crate) edge_resets: Counter,
    pub(crate) client_resets: Counter,
    pub(crate) endpoint_resets: Counter,
}

impl FlowFamilies {
    /// Counters from zero, registered under `aws_globalaccelerator_`.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let families = Self::default();
        let r = registry.sub_registry_with_prefix(super::NAMESPACE);
        r.register("new_flow_count", "NewFlowCount: flows joined to an endpoint", families.new_flows.clone());
        r.register("active_flow_count", "ActiveFlowCount: flows open now", families.active_flows.clone());
        r.register(
            "processed_bytes_in",
            "ProcessedBytesIn: bytes towards endpoints, headers included",
            families.bytes_in.clone(),
        );
        r.register(
            "processed_bytes_out",
            "ProcessedBytesOut: bytes from endpoints, headers included",
            families.bytes_out.clone(),
        );
        r.register("packets_processed", "PacketsProcessed: packets from and to clients", families.packets.clone());
        r.register(
            "flows_dropped_no_endpoint_found",
            "Flows_Dropped_No_Endpoint_Found: flows without an endpoint of their address family",
            families.dropped.clone(),
        );
        r.register("tcp_aga_reset_count", "TCP_AGA_Reset_Count: resets by the edge", families.edge_resets.clone());
        r.register(
            "tcp_client_reset_count",
            "TCP_Client_Reset_Count: resets by clients",
            families.client_resets.clone(),
        );
        r.register(
            "tcp_endpoint_reset_count",
            "TCP_Endpoint_Reset_Count: resets by endpoints",
            families.endpoint_resets.clone(),
        );
        families
    }

    /// The figures of joined flows with these dimensions. Those of TCP alone are not shown for UDP.
    pub(crate) fn counters(&self, labels: &Dimensions) -> FlowCounters {
        let of = |family: &Family<Dimensions, Counter>| family.get_or_create_owned(labels);
        let tcp = |family| if labels.transport_protocol == "TCP" { of(family) } else { Counter::default() };
        FlowCounters {
            new_flows: of(&self.new_flows),
            active_flows: self.active_flows.get_or_create_owned(labels),
            bytes_in: of(&self.bytes_in),
            bytes_out: of(&self.bytes_out),
            packets: of(&self.packets),
            edge_resets: tcp(&self.edge_resets),
            client_resets: tcp(&self.client_resets),
            endpoint_resets: tcp(&self.endpoint_resets),
        }
    }

    /// Makes the series that are there without traffic.
    pub(crate) fn show(&self, labels: &Dimensions) {
        drop(self.active_flows.get_or_create(labels));
        drop(self.packets.get_or_create(labels));
    }

    /// The count of clients with these dimensions that gave up before they had an endpoint.
    pub(crate) fn client_resets(&self, labels: &Dimensions) -> Counter {
        self.client_resets.get_or_create_owned(labels)
    }

    /// The count of clients with these dimensions that the edge reset before they had an endpoint.
    pub(crate) fn edge_resets(&self, labels: &Dimensions) -> Counter {
        self.edge_resets.get_or_create_owned(labels)
    }

    /// The count of flows that no endpoint has an address for.
    pub(crate) fn dropped(&self, labels: &Dimensions) -> Counter {
        self.dropped.get_or_create_owned(labels)
    }
}
