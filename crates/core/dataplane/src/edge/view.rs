use std::net::IpAddr;
use std::sync::Arc;

use perigee_geo::{Atlas, Leg, PlaceIndex, PopIndex};
use perigee_health::{NodeKey, View};
use perigee_model::{AcceleratorIndex, Instant, LatencyName, LoadBalancerIndex, Snapshot};
use perigee_steering::{Answer, Candidate, Flow, Router, answer, load_balancer_addresses};

use super::plan::Plan;
use super::{Connection, Refusal};

/// What the front tier decides on at one moment: configuration, geography and health, all of one instant.
#[derive(Clone, Debug)]
pub struct EdgeView {
    /// The configuration.
    pub snapshot: Arc<Snapshot>,
    /// The geography of the configuration's regions.
    pub atlas: Arc<Atlas>,
    /// The load balancers' health.
    pub health: View,
    /// The one point of presence of this edge, if it stands for one.
    pub pop: Option<PopIndex>,
    pub(super) dead_pops: Vec<PopIndex>,
    plan: Arc<Plan>,
}

impl EdgeView {
    pub(super) fn new(snapshot: Arc<Snapshot>, atlas: Arc<Atlas>, health: View, pop: Option<PopIndex>) -> Self {
        let plan = Arc::new(Plan::new(&snapshot, &atlas));
        Self { snapshot, atlas, health, pop, dead_pops: Vec::new(), plan }
    }

    /// The points of presence out of the anycast.
    pub fn dead_pops(&self) -> &[PopIndex] {
        &self.dead_pops
    }

    /// The point of presence that takes a client at `place`: this edge's own, or the nearest alive.
    pub fn pop_of(&self, place: PlaceIndex) -> PopIndex {
        if let Some(pop) = self.pop {
            return pop;
        }
        let nearest = self.atlas.pop(place);
        if !self.dead_pops.contains(&nearest) {
            return nearest;
        }
        self.atlas.nearest_pop(place, |pop| !self.dead_pops.contains(&pop)).unwrap_or(nearest)
    }

    /// The accelerator and listener of an address and port. Errors: there is none, or it is disabled.
    pub(super) fn listener(&self, flow: &Flow) -> Result<(AcceleratorIndex, usize), Refusal> {
        self.plan.listener(&self.snapshot, flow)
    }

    /// The law for a listener as seen from `pop`.
    pub(super) fn router(&self, at: (AcceleratorIndex, usize), pop: PopIndex) -> Router<'_> {
        let listener = &self.snapshot.accelerator(at.0).listeners[at.1];
        Router::new(&self.snapshot, listener, self.plan.groups(at, pop), &self.health, self.plan.seed(at.0))
    }

    /// Takes a new flow: decides where it goes and gives the machine that gets it there.
    ///
    /// Errors: nothing listens there, the accelerator is disabled, or the listener has no endpoint; the client is then
    /// reset.
    pub fn open(self: &Arc<Self>, flow: Flow, now: Instant) -> Result<Connection, Refusal> {
        let pop = match self.pop {
            Some(pop) => pop,
            None => self.pop_of(self.atlas.locate(flow.client.ip()).place_index),
        };
        Connection::open(self.clone(), flow, pop, now)
    }

    /// As [`Self::open`] for a client whose place is known already: the same decision, without the search for its
    /// address. `place` must be where the atlas locates the client.
    ///
    /// Errors: those of [`Self::open`].
    pub fn open_at(self: &Arc<Self>, flow: Flow, place: PlaceIndex, now: Instant) -> Result<Connection, Refusal> {
        Connection::open(self.clone(), flow, self.pop_of(place), now)
    }

    /// The answer to a name of the latency policy for a client network, decided on the same order that its ECS scope
    /// speaks about.
    pub fn answer(&self, name: &LatencyName, client: IpAddr) -> Answer {
        self.answer_by(name, self.atlas.order_of_network(client))
    }

    /// As [`Self::answer`] for a client whose order of regions is known already; it must be of this view's atlas.
    pub fn answer_by(&self, name: &LatencyName, order: &[Leg]) -> Answer {
        answer(&self.snapshot, name, order, &self.health)
    }

    /// The addresses in a load balancer's own name, and whether any node is left out.
    pub fn load_balancer_addresses(&self, load_balancer: LoadBalancerIndex) -> (Vec<IpAddr>, bool) {
        load_balancer_addresses(&self.snapshot, load_balancer, &self.health)
    }

    /// The node behind a candidate, as the monitor names it.
    pub fn node_key(&self, candidate: &Candidate) -> NodeKey {
        let lb = self.snapshot.load_balancer(candidate.load_balancer);
        NodeKey {
            region: self.snapshot.region(lb.region).code.clone(),
            load_balancer: lb.name.clone(),
            address: candidate.address.ip(),
        }
    }
}
