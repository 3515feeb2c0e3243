use std::collections::HashMap;

use perigee_dataplane::{AcceleratorRef, Connection};
use perigee_steering::Candidate;
use prometheus_client::metrics::counter::Counter;

use crate::Metrics;
use crate::metrics::FlowLabels;

/// The ways that flows of one configuration take, with what is counted for each: names are made once, not per flow.
#[derive(Debug, Default)]
pub(super) struct Routes {
    generation: u64,
    known: HashMap<Key, Way>,
}

/// Accelerator, region and point of presence.
type Key = (AcceleratorRef, usize, usize);

/// What flows of one way have in common.
#[derive(Debug)]
pub(super) struct Way {
    /// The region's code.
    pub(super) region: String,
    /// The point of presence's code.
    pub(super) pop: String,
    pub(super) new_flows: Counter,
}

impl Routes {
    /// The way of a flow to `candidate`.
    pub(super) fn of(&mut self, connection: &Connection, candidate: &Candidate, metrics: &Metrics) -> &Way {
        let view = connection.view();
        let (snapshot, pop) = (&view.snapshot, connection.pop());
        if self.generation != snapshot.generation {
            self.generation = snapshot.generation;
            self.known.clear();
        }
        let accelerator = connection.accelerator();
        let key = (accelerator, candidate.region.0, pop.0);
        self.known.entry(key).or_insert_with(|| {
            let labels = FlowLabels {
                accelerator: accelerator.name(snapshot).to_string(),
                pop: view.atlas.pops()[pop.0].code.to_string(),
                region: snapshot.region(candidate.region).code.to_string(),
            };
            let counter = metrics.new_flows.get_or_create(&labels).clone();
            Way { region: labels.region, pop: labels.pop, new_flows: counter }
        })
    }
}
