use std::net::SocketAddr;

use perigee_balance::{best_of_equals, ranked};
use perigee_model::{LoadBalancerIndex, LoadBalancerNode, RegionIndex};
use serde::Serialize;

use crate::{Decision, Flow, Outcome, Router};

/// One address that a flow could be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// Position of the group in the listener.
    pub group: usize,
    /// Position of the endpoint in the group.
    pub endpoint: usize,
    /// The group's region.
    pub region: RegionIndex,
    /// What is at the address.
    pub via: Via,
    /// Where to connect.
    pub address: SocketAddr,
    /// Whether the endpoint is to see the client's address.
    pub client_ip_preservation: bool,
}

/// What is at a candidate's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// A load balancer's node, which takes a PROXY protocol header.
    Node {
        /// The load balancer.
        load_balancer: LoadBalancerIndex,
        /// Position of its node.
        node: usize,
    },
    /// The endpoint itself, somebody's server: plain TCP or UDP, nothing before the client's first byte.
    Direct,
}

impl Candidate {
    /// The load balancer behind it; none of a direct one.
    pub const fn load_balancer(&self) -> Option<LoadBalancerIndex> {
        match self.via {
            Via::Node { load_balancer, .. } => Some(load_balancer),
            Via::Direct => None,
        }
    }
}

impl<'a> Router<'a> {
    /// The address that `decision` means for `flow`: a node of the load balancer whose zone is in service, or any node
    /// when none is. None when the decision refuses.
    ///
    /// The node is chosen by the same hash as the endpoint, so a client under `SOURCE_IP` keeps its node (Perigee's
    /// choice; the original hides its load balancers' nodes behind one address per zone).
    pub fn candidate(&self, flow: &Flow, decision: &Decision) -> Option<Candidate> {
        let Outcome::Endpoint { group, endpoint } = decision.outcome else { return None };
        self.first_node(flow, group, endpoint)
    }

    /// Where `fast` turns when the first candidate fails, best first, without `first` itself.
    ///
    /// The other node of the same load balancer, then one node of each further endpoint by the law's own order (the
    /// rest of the group, the other groups by distance, dials ignored), then what is left. A blackholed region so costs
    /// two staggers, whatever its number of zones. Bounded by the number of nodes configured.
    ///
    /// When the law has failed open, health tells nothing and every endpoint is one: the region it opened to may be the
    /// one that is dead. For the same reason the endpoints that are not eligible come last of all: a flow that every
    /// eligible endpoint has disappointed fails open by itself.
    pub fn alternatives(&self, flow: &Flow, first: &Candidate) -> Vec<Candidate> {
        let mut groups = vec![first.group];
        groups.extend(self.groups.closest().filter(|g| *g != first.group));
        let failed_open = !self.is_eligible(&self.listener.endpoint_groups[first.group].endpoints[first.endpoint]);
        let mut next: Vec<Candidate> = Vec::new();
        let mut left: Vec<Candidate> = Vec::new();
        let mut same = self.nodes(flow, first.group, first.endpoint).into_iter().filter(|c| c.via != first.via);
        next.extend(same.next());
        left.extend(same);
        let mut last_resort: Vec<Candidate> = Vec::new();
        for group in groups {
            let (eligible, others) = if failed_open {
                (self.ranked(flow, group, |_| 1.0), Vec::new())
            } else {
                let eligible = self.eligible(flow, group);
                let others = self.ranked(flow, group, |_| 1.0).into_iter().filter(|e| !eligible.contains(e)).collect();
                (eligible, others)
            };
            for endpoint in eligible.into_iter().filter(|e| (group, *e) != (first.group, first.endpoint)) {
                let mut nodes = self.nodes(flow, group, endpoint).into_iter();
                next.extend(nodes.next());
                left.extend(nodes);
            }
            last_resort.extend(others.into_iter().flat_map(|endpoint| self.nodes(flow, group, endpoint)));
        }
        next.extend(left);
        next.extend(last_resort);
        next
    }

    /// The first of [`Self::nodes`].
    fn first_node(&self, flow: &Flow, group: usize, endpoint: usize) -> Option<Candidate> {
        let mut nodes = self.nodes_to_use(group, endpoint);
        let zones = nodes.clone().map(|(_, node)| node.zone.as_str().as_bytes());
        let position = best_of_equals(self.seed, &self.endpoint_key(flow), zones)?;
        nodes.nth(position).map(|(node, _)| self.candidate_at(flow, group, endpoint, node))
    }

    /// The nodes to use of an endpoint in the flow's order of preference.
    fn nodes(&self, flow: &Flow, group: usize, endpoint: usize) -> Vec<Candidate> {
        let nodes: Vec<(usize, &LoadBalancerNode)> = self.nodes_to_use(group, endpoint).collect();
        ranked(self.seed, &self.endpoint_key(flow), nodes.iter().map(|(_, n)| (n.zone.as_str().as_bytes(), 1.0)))
            .into_iter()
            .map(|i| self.candidate_at(flow, group, endpoint, nodes[i].0))
            .collect()
    }

    /// The nodes whose zone is in service, or all when none is.
    fn nodes_to_use(
        &self,
        group: usize,
        endpoint: usize,
    ) -> impl Iterator<Item = (usize, &'a LoadBalancerNode)> + Clone {
        let load_balancer = self.listener.endpoint_groups[group].endpoints[endpoint].load_balancer;
        let health = &self.health.load_balancer(load_balancer).nodes;
        let in_service = |node: usize| health.get(node).is_some_and(|n| n.in_service);
        let nodes = &self.snapshot.load_balancer(load_balancer).nodes;
        let any = (0..nodes.len()).any(in_service);
        nodes.iter().enumerate().filter(move |(node, _)| !any || in_service(*node))
    }

    fn candidate_at(&self, flow: &Flow, group: usize, endpoint: usize, node: usize) -> Candidate {
        let endpoint_group = &self.listener.endpoint_groups[group];
        let configured = &endpoint_group.endpoints[endpoint];
        let port = endpoint_group.endpoint_port(flow.destination.port());
        let lb = self.snapshot.load_balancer(configured.load_balancer);
        Candidate {
            group,
            endpoint,
            region: lb.region,
            via: Via::Node { load_balancer: configured.load_balancer, node },
            address: SocketAddr::new(lb.nodes[node].address, port),
            client_ip_preservation: configured.client_ip_preservation,
        }
    }
}
