use std::fmt;
use std::sync::Arc;

use perigee_dataplane::EdgeView;
use perigee_health::HealthState;
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
        for Group { listener: (accelerator, listener), region, .. } in enabled(view) {
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

/// A group of an enabled accelerator.
struct Group {
    /// Its listener: accelerator and position in it.
    listener: (AcceleratorIndex, usize),
    /// Its position in the listener.
    position: usize,
    region: RegionIndex,
}

fn enabled(view: &EdgeView) -> impl Iterator<Item = Group> {
    let accelerators = view.snapshot.accelerators.iter().enumerate().filter(|(_, a)| a.enabled);
    let listeners = accelerators.flat_map(|(index, accelerator)| {
        accelerator.listeners.iter().enumerate().map(move |(at, listener)| ((AcceleratorIndex(index), at), listener))
    });
    listeners.flat_map(|(at, listener)| {
        let groups = listener.endpoint_groups.iter().enumerate();
        groups.map(move |(position, group)| Group { listener: at, position, region: group.region })
    })
}

fn groups(view: &EdgeView) -> Vec<(GroupLabels, Counts)> {
    let counted = enabled(view).map(|Group { listener: at, position, region }| {
        let accelerator = view.snapshot.accelerator(at.0);
        let mut counts = Counts::default();
        for endpoint in 0..accelerator.listeners[at.1].endpoint_groups[position].endpoints.len() {
            match view.endpoint_state(at, position, endpoint) {
                HealthState::Healthy => counts.healthy += 1,
                HealthState::Unhealthy => counts.unhealthy += 1,
                HealthState::Initial => {}
            }
        }
        let labels = GroupLabels {
            accelerator: accelerator.id().to_string(),
            accelerator_name: accelerator.name.to_string(),
            listener: listener(view, at.0, at.1),
            endpoint_group: view.snapshot.region(region).code.to_string(),
        };
        (labels, counts)
    });
    counted.collect()
}
