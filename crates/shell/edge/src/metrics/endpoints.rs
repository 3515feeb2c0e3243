use std::fmt;
use std::sync::Arc;

use perigee_dataplane::EdgeView;
use perigee_model::{AcceleratorIndex, RegionIndex};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::flows::{Dimensions, FlowFamilies};
use super::labels::{Route, listener};
use crate::Front;

/// The dimensions of an endpoint group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GroupLabels {
    accelerator: String,
    accelerator_name: String,
    listener: String,
    endpoint_group: String,
}

/// The two documented metrics of endpoints, worked out from the view whenever they are asked for, and the series of
/// flows that are there without traffic.
#[derive(Debug)]
pub(super) struct Endpoints {
    pub(super) front: Arc<Front>,
    pub(super) flows: FlowFamilies,
}

impl Collector for Endpoints {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let view = self.front.view();
        self.show_flows(&view);
        let groups = groups(&view);
        for (name, help, healthy) in [
            ("healthy_endpoint_count", "HealthyEndpointCount: endpoints that are healthy", true),
            ("unhealthy_endpoint_count", "UnhealthyEndpointCount: endpoints that are not", false),
        ] {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (labels, counts) in &groups {
                let count = if healthy { counts.healthy } else { counts.unhealthy };
                ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX)).encode(metric.encode_family(labels)?)?;
            }
        }
        Ok(())
    }
}

impl Endpoints {
    /// "Always when enabled": what is counted of flows stands at zero before the first, for the edge that the operator
    /// is nearest to.
    pub(super) fn show_flows(&self, view: &EdgeView) {
        let pop = view.pop_of(view.atlas.here());
        for (accelerator, listener, region) in enabled(view) {
            for address in &view.snapshot.accelerator(accelerator).addresses {
                let route = Route { accelerator, listener, region: Some(region), pop, address: *address };
                self.flows.show(&Dimensions::new(view, &route));
            }
        }
    }
}

/// How many endpoints of a group are in which state. Those of which nothing is known yet are in neither.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    healthy: usize,
    unhealthy: usize,
}

/// The endpoint groups of enabled accelerators, by position: accelerator, listener, region.
fn enabled(view: &EdgeView) -> impl Iterator<Item = (AcceleratorIndex, usize, RegionIndex)> {
    let accelerators = view.snapshot.accelerators.iter().enumerate().filter(|(_, a)| a.enabled);
    accelerators.flat_map(|(index, accelerator)| {
        accelerator.listeners.iter().enumerate().flat_map(move |(listener, l)| {
            l.endpoint_groups.iter().map(move |group| (AcceleratorIndex(index), listener, group.region))
        })
    })
}

fn groups(view: &EdgeView) -> Vec<(GroupLabels, Counts)> {
    let mut groups = Vec::new();
    for (index, position, region) in enabled(view) {
        let accelerator = view.snapshot.accelerator(index);
        let endpoint_groups = &accelerator.listeners[position].endpoint_groups;
        let mut counts = Counts::default();
        for endpoint in endpoint_groups.iter().filter(|g| g.region == region).flat_map(|g| &g.endpoints) {
            match view.health.load_balancers[endpoint.load_balancer.0].effective() {
                perigee_health::HealthState::Healthy => counts.healthy += 1,
                perigee_health::HealthState::Unhealthy => counts.unhealthy += 1,
                perigee_health::HealthState::Initial => {}
            }
        }
        let labels = GroupLabels {
            accelerator: accelerator.id().to_string(),
            accelerator_name: accelerator.name.to_string(),
            listener: listener(view, index, position),
            endpoint_group: view.snapshot.region(region).code.to_string(),
        };
        groups.push((labels, counts));
    }
    groups
}
