use std::net::{IpAddr, SocketAddr};

use perigee_health::{Forced, HealthState};
use perigee_model::{AcceleratorIndex, EndpointTarget, LatencyName};
use perigee_steering::{DnsClient, Flow, Note, PolicyExplanation, RecordKind, TreeIndex, Via};
use serde::{Deserialize, Serialize};

use super::{EdgeView, Refusal};

/// Why a flow goes where it goes, for people: the same facts the decision used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteExplanation {
    /// The client.
    pub client: IpAddr,
    /// Where it is, in words.
    pub place: String,
    /// Who says so: `overlay`, `database` or `unknown`.
    pub place_origin: String,
    /// The edge that takes it, by code.
    pub pop: String,
    /// The edge's city.
    pub pop_city: String,
    /// Estimated round trip between client and edge, milliseconds.
    pub client_to_pop_ms: f32,
    /// The accelerator's name.
    pub accelerator: String,
    /// The address and port connected to.
    pub destination: SocketAddr,
    /// The endpoint groups, closest first.
    pub groups: Vec<ConsideredGroup>,
    /// Where the flow goes; none when it is refused.
    pub chosen: Option<ChosenEndpoint>,
    /// Why there, in words.
    pub reason: String,
}

/// An endpoint group on the way to the decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConsideredGroup {
    /// Its region.
    pub region: String,
    /// Estimated round trip between edge and region, milliseconds.
    pub rtt_ms: f32,
    /// Its dial in percent.
    pub traffic_dial: f64,
    /// Its endpoints, in the configuration's order.
    pub endpoints: Vec<ConsideredEndpoint>,
    /// What was found, in order.
    pub notes: Vec<String>,
}

/// An endpoint on the way to the decision: all that its share and its turn depend on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConsideredEndpoint {
    /// Its load balancer's name, or its id.
    pub id: String,
    /// `load balancer`, `instance` or `elastic IP`.
    pub kind: String,
    /// Its weight.
    pub weight: u8,
    /// What is measured.
    pub measured: HealthState,
    /// What an operator says instead.
    pub forced: Option<Forced>,
    /// The flow's hash for it, 0 to 1: of the eligible ones the greatest `weight / -ln(hash)` takes the flow.
    pub hash: f64,
}

/// Where a flow goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChosenEndpoint {
    /// The region.
    pub region: String,
    /// `load balancer`, `instance` or `elastic IP`.
    pub kind: String,
    /// The load balancer's name, or the endpoint's id.
    pub endpoint: String,
    /// The zone of the load balancer's node; none of an endpoint that is no load balancer.
    pub zone: Option<String>,
    /// The address and port of the node or of the endpoint itself.
    pub address: SocketAddr,
}

/// Why a name is answered as it is, for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NameExplanation {
    /// The name, without the zone.
    pub label: String,
    /// Where the client is, in words.
    pub place: String,
    /// The region of the answer.
    pub region: Option<String>,
    /// The addresses.
    pub addresses: Vec<IpAddr>,
    /// Seconds the answer may be kept.
    pub ttl_s: u64,
    /// Whether that is less than configured because a region of the name is down; not part of the serialized form.
    #[serde(skip)]
    pub degraded: bool,
    /// Why, in words.
    pub reason: String,
    /// Regions nearest first: code, estimated round trip in milliseconds, health.
    pub considered: Vec<(String, f32, HealthState)>,
}

impl EdgeView {
    /// Explains what would happen to `flow`; sends nothing and changes nothing.
    ///
    /// Errors: those of [`EdgeView::open`].
    pub fn explain(&self, flow: &Flow) -> Result<RouteExplanation, Refusal> {
        let listener = self.listener(flow)?;
        let located = self.atlas.locate(flow.client.ip());
        let pop = self.pop_of(located.place_index);
        let router = self.router(listener, pop);
        let accelerator = self.snapshot.accelerator(listener.0);
        let groups = &accelerator.listeners[listener.1].endpoint_groups;
        let mut notes: Vec<(usize, Note)> = Vec::new();
        let decision = router.decide(flow, &mut notes);
        let chosen = router.candidate(flow, &decision).map(|candidate| {
            let target = groups[candidate.group].endpoints[candidate.endpoint].target;
            let zone = match candidate.via {
                Via::Node { load_balancer, node } => {
                    Some(self.snapshot.load_balancer(load_balancer).nodes[node].zone.to_string())
                }
                Via::Direct => None,
            };
            ChosenEndpoint {
                region: self.snapshot.region(candidate.region).code.to_string(),
                kind: target.kind().to_owned(),
                endpoint: self.snapshot.endpoint_id(target).to_owned(),
                zone,
                address: candidate.address,
            }
        });
        let mut considered: Vec<(f32, ConsideredGroup)> = groups
            .iter()
            .enumerate()
            .map(|(i, group)| {
                let leg = self.atlas.pop_order(pop).iter().find(|leg| leg.region == group.region);
                let rtt_ms = leg.map_or(f32::INFINITY, |leg| leg.rtt_ms);
                let endpoints = group.endpoints.iter().enumerate().map(|(e, endpoint)| {
                    let (measured, forced) = self.word_on(listener, i, e, endpoint.target);
                    ConsideredEndpoint {
                        id: self.snapshot.endpoint_id(endpoint.target).to_owned(),
                        kind: endpoint.target.kind().to_owned(),
                        weight: endpoint.weight.get(),
                        measured,
                        forced,
                        hash: router.draw_for(flow, i, e),
                    }
                });
                let group = ConsideredGroup {
                    region: self.snapshot.region(group.region).code.to_string(),
                    rtt_ms,
                    traffic_dial: group.traffic_dial.percent(),
                    endpoints: endpoints.collect(),
                    notes: notes.iter().filter(|(g, _)| *g == i).map(|(_, note)| note.to_string()).collect(),
                };
                (rtt_ms, group)
            })
            .collect();
        considered.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.region.cmp(&b.1.region)));
        let at = &self.atlas.pops()[pop.0];
        Ok(RouteExplanation {
            client: flow.client.ip(),
            place: located.place.to_string(),
            place_origin: format!("{:?}", located.origin).to_lowercase(),
            pop: at.code.to_string(),
            pop_city: at.city.to_string(),
            client_to_pop_ms: self.atlas.client_to_pop_ms(located.place_index, pop),
            accelerator: accelerator.name.to_string(),
            destination: flow.destination,
            groups: considered.into_iter().map(|(_, group)| group).collect(),
            chosen,
            reason: decision.reason.to_string(),
        })
    }

    /// What is measured of an endpoint, and what an operator says of it.
    fn word_on(
        &self,
        (accelerator, listener): (AcceleratorIndex, usize),
        group: usize,
        endpoint: usize,
        target: EndpointTarget,
    ) -> (HealthState, Option<Forced>) {
        match target {
            EndpointTarget::LoadBalancer(index) => {
                let health = self.health.load_balancer(index);
                (health.measured, health.forced)
            }
            EndpointTarget::Instance(_) | EndpointTarget::ElasticIp(_) => {
                let known = self.health.probed.listener(accelerator, listener).get(group);
                let known = known.and_then(|group| group.endpoints.get(endpoint).copied().flatten());
                known.map_or((HealthState::Initial, None), |known| (known.measured, known.forced))
            }
        }
    }

    /// Explains the answer to a name for a client network.
    pub fn explain_name(&self, name: &LatencyName, client: IpAddr) -> NameExplanation {
        let answer = self.answer(name, client);
        let code = |region| self.snapshot.region(region).code.to_string();
        NameExplanation {
            label: name.label.clone(),
            place: self.atlas.locate(client).place.to_string(),
            region: answer.region.map(code),
            addresses: answer.addresses,
            ttl_s: answer.ttl.as_secs(),
            degraded: answer.degraded,
            reason: answer.reason.to_string(),
            considered: answer.considered.iter().map(|c| (code(c.region), c.rtt_ms, c.health)).collect(),
        }
    }

    /// Explains the answer of a name's tree to a client; `draw` stands for the random number of the weighted policy.
    pub fn explain_policy(
        &self,
        tree: TreeIndex,
        kind: RecordKind,
        client: &DnsClient,
        draw: u64,
    ) -> PolicyExplanation {
        self.trees().explain(&self.snapshot, &self.atlas, self.tree_states(), tree, kind, client, draw)
    }
}
