use std::net::{IpAddr, SocketAddr};

use perigee_balance::{Id, best_of_equals, ranked};
use perigee_model::{ClientIp, EndpointTarget, LoadBalancerIndex, LoadBalancerNode, RegionIndex};
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
    /// Where to connect; of the flow's family.
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

/// How a second connection begins, so that the endpoint learns who the client is as far as it is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approach {
    /// The local address to connect from; none for the edge's own.
    pub source: Option<IpAddr>,
    /// The PROXY protocol version 2 header that goes first, if any.
    pub header: Option<ProxyHeader>,
}

/// Which PROXY protocol header opens a second connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// It names the client.
    Client,
    /// It names nobody: the connection is the edge's own.
    Local,
}

impl Candidate {
    /// The load balancer behind it; none of a direct one.
    pub const fn load_balancer(&self) -> Option<LoadBalancerIndex> {
        match self.via {
            Via::Node { load_balancer, .. } => Some(load_balancer),
            Via::Direct => None,
        }
    }

    /// How to begin the connection for `client` under the setting `client_ip`.
    ///
    /// A load balancer is connected to from the client's own address, or told it by a header, as the setting says. A
    /// direct endpoint takes no header: where the client's address is to be preserved it is the source if the setting
    /// allows that, and otherwise the endpoint sees the edge (`global-accelerator.md` section 7.3, "Perigee
    /// mechanics"). An address can only be the source of a connection within its own family.
    pub fn approach(&self, client: IpAddr, client_ip: ClientIp) -> Approach {
        let on_loopback = |address: IpAddr| matches!(address, IpAddr::V4(address) if address.is_loopback());
        let binds = match client_ip {
            ClientIp::Bind => true,
            ClientIp::ProxyV2 => false,
            ClientIp::Auto => on_loopback(client) && on_loopback(self.address.ip()),
        };
        let preserved = self.client_ip_preservation;
        let is_of_family = client.is_ipv4() == self.address.is_ipv4();
        Approach {
            source: (binds && preserved && is_of_family).then_some(client),
            header: match self.via {
                Via::Node { .. } if binds => None,
                Via::Node { .. } if preserved => Some(ProxyHeader::Client),
                Via::Node { .. } => Some(ProxyHeader::Local),
                Via::Direct => None,
            },
        }
    }
}

impl<'a> Router<'a> {
    /// The address that `decision` means for `flow`: that of the instance or elastic IP, or a node of the load balancer
    /// whose zone is in service, or any node when none is; of the flow's family. None when the decision refuses.
    ///
    /// The node is chosen by the same hash as the endpoint, so a client under `SOURCE_IP` keeps its node (Perigee's
    /// choice; the original hides its load balancers' nodes behind one address per zone).
    pub fn candidate(&self, flow: &Flow, decision: &Decision) -> Option<Candidate> {
        let Outcome::Endpoint { group, endpoint } = decision.outcome else { return None };
        match self.endpoint(group, endpoint).target {
            EndpointTarget::LoadBalancer(lb) => self.first_node(flow, group, endpoint, lb),
            EndpointTarget::Instance(_) | EndpointTarget::ElasticIp(_) => self.direct(flow, group, endpoint),
        }
    }

    /// Where `fast` turns when the first candidate fails, best first, without `first` itself.
    ///
    /// The other node of the same load balancer, then one node of each further endpoint by the law's own order (the
    /// rest of the group, the other groups by distance, dials ignored), then what is left. A blackholed region so costs
    /// two staggers, whatever its number of zones. Bounded by the number of nodes and endpoints configured.
    ///
    /// When the law has failed open, health tells nothing and every endpoint is one: the region it opened to may be the
    /// one that is dead. For the same reason the endpoints that are not eligible come last of all: a flow that every
    /// eligible endpoint has disappointed fails open by itself.
    pub fn alternatives(&self, flow: &Flow, first: &Candidate) -> Vec<Candidate> {
        let mut groups = vec![first.group];
        groups.extend(self.groups.closest().filter(|g| *g != first.group));
        let failed_open = !self.is_eligible(flow, first.group, first.endpoint);
        let mut next: Vec<Candidate> = Vec::new();
        let mut left: Vec<Candidate> = Vec::new();
        let mut same = self.places(flow, first.group, first.endpoint).into_iter().filter(|c| c.via != first.via);
        next.extend(same.next());
        left.extend(same);
        let mut last_resort: Vec<Candidate> = Vec::new();
        for group in groups {
            let all = self.ranked(flow, group, |e| self.is_of_family(flow, group, e), |_| 1.0);
            let (eligible, others) = if failed_open {
                (all, Vec::new())
            } else {
                let eligible = self.eligible(flow, group);
                let others = all.into_iter().filter(|e| !eligible.contains(e)).collect();
                (eligible, others)
            };
            for endpoint in eligible.into_iter().filter(|e| (group, *e) != (first.group, first.endpoint)) {
                let mut places = self.places(flow, group, endpoint).into_iter();
                next.extend(places.next());
                left.extend(places);
            }
            let others = others.into_iter().filter(|e| (group, *e) != (first.group, first.endpoint));
            last_resort.extend(others.flat_map(|endpoint| self.places(flow, group, endpoint)));
        }
        next.extend(left);
        next.extend(last_resort);
        next
    }

    /// The first of [`Self::places`] of a load balancer.
    fn first_node(&self, flow: &Flow, group: usize, endpoint: usize, lb: LoadBalancerIndex) -> Option<Candidate> {
        let mut nodes = self.nodes_to_use(flow, lb);
        let zones = nodes.clone().map(|(_, node)| zone_id(node));
        let position = best_of_equals(self.seed, &self.endpoint_key(flow), zones)?;
        let (node, at) = nodes.nth(position)?;
        self.node(flow, group, endpoint, lb, node, at)
    }

    /// The addresses of an endpoint in the flow's order of preference.
    fn places(&self, flow: &Flow, group: usize, endpoint: usize) -> Vec<Candidate> {
        let EndpointTarget::LoadBalancer(lb) = self.endpoint(group, endpoint).target else {
            return self.direct(flow, group, endpoint).into_iter().collect();
        };
        let nodes: Vec<(usize, &LoadBalancerNode)> = self.nodes_to_use(flow, lb).collect();
        ranked(self.seed, &self.endpoint_key(flow), nodes.iter().map(|(_, n)| (zone_id(n), 1.0)))
            .into_iter()
            .filter_map(|i| self.node(flow, group, endpoint, lb, nodes[i].0, nodes[i].1))
            .collect()
    }

    /// The nodes of the flow's family whose zone is in service, or all of the family when none is.
    fn nodes_to_use(
        &self,
        flow: &Flow,
        load_balancer: LoadBalancerIndex,
    ) -> impl Iterator<Item = (usize, &'a LoadBalancerNode)> + Clone + use<'a> {
        let is_ipv4 = flow.destination.is_ipv4();
        let health = &self.health.load_balancer(load_balancer).nodes;
        let in_service = |node: usize| health.get(node).is_some_and(|n| n.in_service);
        let all = self.snapshot.load_balancer(load_balancer).nodes.iter().enumerate();
        let nodes = all.filter(move |(_, node)| is_ipv4 || node.ipv6.is_some());
        let any = nodes.clone().any(|(node, _)| in_service(node));
        nodes.filter(move |(node, _)| !any || in_service(*node))
    }

    fn node(
        &self,
        flow: &Flow,
        group: usize,
        endpoint: usize,
        load_balancer: LoadBalancerIndex,
        node: usize,
        at: &LoadBalancerNode,
    ) -> Option<Candidate> {
        let ip = if flow.destination.is_ipv4() { at.address } else { at.ipv6?.into() };
        Some(self.candidate_at(flow, group, endpoint, Via::Node { load_balancer, node }, ip))
    }

    /// An instance or elastic IP; none when it has no address of the flow's family.
    fn direct(&self, flow: &Flow, group: usize, endpoint: usize) -> Option<Candidate> {
        let is_ipv4 = flow.destination.is_ipv4();
        let ip = match self.endpoint(group, endpoint).target {
            EndpointTarget::LoadBalancer(_) => None,
            EndpointTarget::Instance(index) if is_ipv4 => Some(self.snapshot.instance(index).address),
            EndpointTarget::Instance(index) => self.snapshot.instance(index).ipv6.map(IpAddr::V6),
            EndpointTarget::ElasticIp(index) => is_ipv4.then(|| self.snapshot.elastic_ip(index).address),
        };
        Some(self.candidate_at(flow, group, endpoint, Via::Direct, ip?))
    }

    fn candidate_at(&self, flow: &Flow, group: usize, endpoint: usize, via: Via, ip: IpAddr) -> Candidate {
        let endpoint_group = &self.listener.endpoint_groups[group];
        Candidate {
            group,
            endpoint,
            region: endpoint_group.region,
            via,
            address: SocketAddr::new(ip, endpoint_group.endpoint_port(flow.destination.port())),
            client_ip_preservation: self.endpoint(group, endpoint).client_ip_preservation,
        }
    }
}

fn zone_id(node: &LoadBalancerNode) -> Id<'_> {
    [node.zone.as_str().as_bytes(), b""]
}
