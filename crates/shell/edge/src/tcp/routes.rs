use std::collections::HashMap;
use std::sync::Arc;

use perigee_dataplane::Connection;
use perigee_steering::Candidate;
use prometheus_client::metrics::counter::Counter;

use crate::metrics::FlowLabels;
use crate::{Metrics, Route};

/// The ways that flows of one configuration take, with what is counted for each: names are made once, not per flow.
#[derive(Debug, Default)]
pub(super) struct Routes {
    generation: u64,
    known: HashMap<Key, (Arc<Route>, Counter)>,
}

/// Accelerator, listener, group, endpoint and point of presence.
type Key = (usize, usize, usize, usize, usize);

impl Routes {
    /// The way of a flow to `candidate`, and its counter of new flows.
    pub(super) fn of(
        &mut self,
        connection: &Connection,
        candidate: &Candidate,
        metrics: &Metrics,
    ) -> &(Arc<Route>, Counter) {
        let view = connection.view();
        let (snapshot, pop) = (&view.snapshot, connection.pop());
        if self.generation != snapshot.generation {
            self.generation = snapshot.generation;
            self.known.clear();
        }
        let (accelerator, listener) = (connection.accelerator(), connection.listener());
        let key = (accelerator.0, listener, candidate.group, candidate.endpoint, pop.0);
        self.known.entry(key).or_insert_with(|| {
            let group = &snapshot.accelerator(accelerator).listeners[listener].endpoint_groups[candidate.group];
            let route = Route {
                accelerator: snapshot.accelerator(accelerator).name.clone(),
                listener,
                group: candidate.group,
                region: snapshot.region(candidate.region).code.clone(),
                endpoint: snapshot.endpoint_id(group.endpoints[candidate.endpoint].target).to_owned(),
                pop: view.atlas.pops()[pop.0].code.to_string(),
            };
            let labels = FlowLabels {
                accelerator: route.accelerator.to_string(),
                pop: route.pop.clone(),
                region: route.region.to_string(),
            };
            let counter = metrics.new_flows.get_or_create(&labels).clone();
            (Arc::new(route), counter)
        })
    }
}
