use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use perigee_geo::{Atlas, Leg, PlaceIndex, PopIndex};
use perigee_health::{EndpointKey, LoadBalancerHealth, NodeKey, ProbedView, Subject, View};
use perigee_model::{AcceleratorIndex, Instant, LatencyName, LoadBalancerIndex, Snapshot};
use perigee_steering::{
    Answer, Candidate, DnsClient, Flow, PolicyDecision, RecordKind, Router, TreeIndex, TreeStates, Trees, Via, answer,
    load_balancer_addresses,
};

use super::plan::Plan;
use super::{Connection, Refusal};

/// What the front tier decides on at one moment: configuration, geography and health, all of one instant.
#[derive(Clone, Debug)]
pub struct EdgeView {
    /// The configuration.
    pub snapshot: Arc<Snapshot>,
    /// The geography of the configuration's regions.
    pub atlas: Arc<Atlas>,
    /// The health of load balancers, probed endpoints and DNS health checks. Changed by this type's own methods alone, so that the trees'
    /// states follow.
    pub health: View,
    /// The one point of presence of this edge, if it stands for one.
    pub pop: Option<PopIndex>,
    pub(super) dead_pops: Vec<PopIndex>,
    plan: Arc<Plan>,
    /// Of `health`; made when first asked for, then kept up with it.
    tree_states: OnceLock<Arc<TreeStates>>,
}

impl EdgeView {
    pub(super) fn new(snapshot: Arc<Snapshot>, atlas: Arc<Atlas>, health: View, pop: Option<PopIndex>) -> Self {
        let plan = Arc::new(Plan::new(&snapshot, &atlas));
        Self { snapshot, atlas, health, pop, dead_pops: Vec::new(), plan, tree_states: OnceLock::new() }
    }

    /// Puts what is known of one load balancer in its place.
    pub(super) fn set_load_balancer(&mut self, index: LoadBalancerIndex, health: LoadBalancerHealth) {
        self.health.load_balancers[index.0] = health;
        self.refresh_trees();
    }

    /// Puts what is known of the probed endpoints in its place. No tree asks for it.
    pub(super) fn set_probed(&mut self, probed: ProbedView) {
        self.health.probed = probed;
    }

    /// Puts the verdicts of the DNS health checks in their place.
    pub fn set_checks(&mut self, checks: Vec<bool>) {
        self.health.checks = checks;
        self.refresh_trees();
    }

    /// Makes the trees' states anew if anybody uses trees, so that no question has to wait for it.
    fn refresh_trees(&mut self) {
        let states = |trees: &Arc<Trees>| Arc::new(TreeStates::new(trees, &self.health));
        self.tree_states = self.plan.trees_made().map(states).map(OnceLock::from).unwrap_or_default();
    }

    /// Makes the trees and their states at once if `before` had them, as its successor in service does.
    pub(super) fn prepare_as(&self, before: &Self) {
        if before.plan.trees_made().is_some() {
            self.tree_states();
        }
    }

    /// The trees of all names with routing policies. Made by the first call, which takes a while: a server makes it
    /// before it serves, and later configurations then come with their trees.
    pub fn trees(&self) -> &Arc<Trees> {
        self.plan.trees(&self.snapshot, &self.atlas)
    }

    /// The health of the trees' nodes in this view.
    pub fn tree_states(&self) -> &TreeStates {
        self.tree_states.get_or_init(|| Arc::new(TreeStates::new(self.trees(), &self.health)))
    }

    /// What a tree answers a client ([`Trees::decide`]) in this view; `draw` is a uniform random number.
    pub fn decide_name(&self, tree: TreeIndex, kind: RecordKind, client: &DnsClient, draw: u64) -> PolicyDecision {
        self.trees().decide(self.tree_states(), tree, kind, client, draw, &mut ())
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

    /// The accelerator and listener of an address, protocol and port. Errors: there is none, or it is disabled.
    pub(super) fn listener(&self, flow: &Flow) -> Result<(AcceleratorIndex, usize), Refusal> {
        self.plan.listener(&self.snapshot, flow)
    }

    /// The law for a listener as seen from `pop`.
    pub(super) fn router(&self, at: (AcceleratorIndex, usize), pop: PopIndex) -> Router<'_> {
        Router::new(&self.snapshot, at, self.plan.groups(at, pop), &self.health, self.plan.seed(at.0))
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

    /// What a connect to a candidate of the listener at `at` is evidence about.
    pub(super) fn subject(&self, at: (AcceleratorIndex, usize), candidate: &Candidate) -> Option<Subject> {
        let accelerator = self.snapshot.accelerator(at.0);
        let listener = &accelerator.listeners[at.1];
        match candidate.via {
            Via::Node { load_balancer, node } => {
                let lb = self.snapshot.load_balancer(load_balancer);
                Some(Subject::Node(NodeKey {
                    region: self.snapshot.region(lb.region).code.clone(),
                    load_balancer: lb.name.clone(),
                    // Nodes are known by their IPv4 address, whichever of the two was tried.
                    address: lb.nodes[node].address,
                }))
            }
            Via::Direct => {
                let group = &listener.endpoint_groups[candidate.group];
                let target = group.endpoints[candidate.endpoint].target;
                EndpointKey::of(&self.snapshot, accelerator, listener, group, target).map(Subject::Endpoint)
            }
        }
    }
}
