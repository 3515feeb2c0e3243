use std::net::SocketAddr;

use perigee_balance::ranked;
use perigee_model::LoadBalancerIndex;
use serde::Serialize;

use crate::{Decision, Flow, Outcome, Router};

/// One address that a flow could be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// Position of the group in the listener.
    pub group: usize,
    /// Position of the endpoint in the group.
    pub endpoint: usize,
    /// The load balancer.
    pub load_balancer: LoadBalancerIndex,
    /// Position of its node.
    pub node: usize,
    /// Where to connect.
    pub address: SocketAddr,
    /// Whether the load balancer is to see the client's address.
    pub client_ip_preservation: bool,
}

impl Router<'_> {
    /// The address that `decision` means for `flow`: a node of the load balancer whose zone is in service, or any node
    /// when none is. None when the decision refuses.
    ///
    /// The node is chosen by the same hash as the endpoint, so a client under `SOURCE_IP` keeps its node (Perigee's
    /// choice; the original hides its load balancers' nodes behind one address per zone).
    pub fn candidate(&self, flow: &Flow, decision: &Decision) -> Option<Candidate> {
        let Outcome::Endpoint { group, endpoint } = decision.outcome else { return None };
        self.nodes(flow, group, endpoint).into_iter().next()
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
        groups.extend(self.groups_by_distance().into_iter().filter(|g| *g != first.group));
        let failed_open = !self.is_eligible(&self.listener.endpoint_groups[first.group].endpoints[first.endpoint]);
        let mut next: Vec<Candidate> = Vec::new();
        let mut left: Vec<Candidate> = Vec::new();
        let mut same = self.nodes(flow, first.group, first.endpoint).into_iter().filter(|c| c.node != first.node);
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

    fn nodes(&self, flow: &Flow, group: usize, endpoint: usize) -> Vec<Candidate> {
        let endpoint_group = &self.listener.endpoint_groups[group];
        let configured = &endpoint_group.endpoints[endpoint];
        let lb = self.snapshot.load_balancer(configured.load_balancer);
        let health = self.health.load_balancer(configured.load_balancer);
        let in_service = |node: usize| health.nodes.get(node).is_some_and(|n| n.in_service);
        let any = (0..lb.nodes.len()).any(in_service);
        let port = endpoint_group.endpoint_port(flow.destination.port());
        ranked(self.seed, &self.endpoint_key(flow), lb.nodes.iter().map(|n| (n.zone.as_str().as_bytes(), 1.0)))
            .into_iter()
            .filter(|node| !any || in_service(*node))
            .map(|node| Candidate {
                group,
                endpoint,
                load_balancer: configured.load_balancer,
                node,
                address: SocketAddr::new(lb.nodes[node].address, port),
                client_ip_preservation: configured.client_ip_preservation,
            })
            .collect()
    }
}
