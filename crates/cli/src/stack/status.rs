use std::collections::BTreeMap;

use perigee_health::{DnsCheckStatus, Forced, HealthState, ProbeFailure, Reach, TargetState};
use perigee_model::AcceleratorIndex;
use serde::{Deserialize, Serialize};

use super::Stack;
use crate::hosts::HostKey;

/// What `status` shows: the JSON of the admin API, and what the command renders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Generation of the configuration in force.
    pub(crate) generation: u64,
    /// `fast` or `aws`.
    pub(crate) behaviour: String,
    /// Milliseconds since the process started.
    pub(crate) uptime_ms: u64,
    /// The front tier's view of every load balancer; empty in a process without a front tier.
    pub(crate) load_balancers: Vec<LoadBalancerStatus>,
    /// The endpoints that accelerators probe themselves; empty in a process that carries no flows.
    #[serde(default)]
    pub(crate) endpoints: Vec<EndpointStatus>,
    /// The targets as this process's nodes see them.
    pub(crate) targets: Vec<TargetStatus>,
    /// The edge, if this process runs one.
    pub(crate) edge: Option<EdgeStatus>,
    /// The DNS health checks, of a process that answers DNS.
    #[serde(default)]
    pub(crate) dns_health_checks: Vec<CheckStatus>,
    /// Faults in force, by machine.
    pub(crate) faults: BTreeMap<String, String>,
    /// Whose geographic data it is.
    pub(crate) attribution: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LoadBalancerStatus {
    pub(crate) region: String,
    pub(crate) city: String,
    pub(crate) name: String,
    /// What the samples say.
    pub(crate) measured: HealthState,
    /// What an operator says instead.
    pub(crate) forced: Option<Forced>,
    /// What counts.
    pub(crate) effective: HealthState,
    pub(crate) nodes: Vec<NodeStatus>,
    /// Percent of the edge's new flows of the last ten seconds.
    pub(crate) share_percent: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct NodeStatus {
    pub(crate) zone: String,
    pub(crate) address: String,
    pub(crate) reach: Reach,
    pub(crate) in_service: bool,
    pub(crate) failure: Option<ProbeFailure>,
}

/// An instance or elastic IP in an endpoint group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EndpointStatus {
    pub(crate) accelerator: String,
    /// Protocol and first port of the listener, such as `TCP 80`.
    pub(crate) listener: String,
    pub(crate) region: String,
    pub(crate) id: String,
    /// `instance` or `elastic IP`.
    pub(crate) kind: String,
    pub(crate) weight: u8,
    /// What probes and live connects say.
    pub(crate) measured: HealthState,
    /// What an operator says instead.
    pub(crate) forced: Option<Forced>,
    /// What counts.
    pub(crate) effective: HealthState,
    /// Why the last probe failed, none if it did not.
    pub(crate) failure: Option<ProbeFailure>,
    /// Whether its group has come back just now and is passed over while others can take the flow.
    pub(crate) held: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CheckStatus {
    /// By the name of the Route 53 API, such as `HTTP_STR_MATCH`.
    pub(crate) kind: String,
    pub(crate) inverted: bool,
    pub(crate) disabled: bool,
    /// How many milliseconds ago the latest failed probe ended.
    pub(crate) failed_ms_ago: Option<u64>,
    #[serde(flatten)]
    pub(crate) known: DnsCheckStatus,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TargetStatus {
    pub(crate) region: String,
    pub(crate) zone: String,
    pub(crate) target_group: String,
    pub(crate) target: String,
    /// Healthy if any node says so; none while no node of its load balancer answers.
    pub(crate) state: Option<TargetState>,
    /// The reason's API code.
    pub(crate) reason: Option<String>,
    /// Requests running on it, over all nodes.
    pub(crate) in_flight: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EdgeStatus {
    pub(crate) pop: Option<String>,
    pub(crate) active_flows: u32,
    pub(crate) listening: Vec<String>,
    /// Points of presence out of the anycast.
    pub(crate) dead_pops: Vec<String>,
    /// New flows of the last ten seconds by region.
    pub(crate) new_flows_10s: BTreeMap<String, u64>,
}

impl Stack {
    /// The state of this process now.
    pub(crate) fn status(&self) -> Status {
        let config = self.config();
        let settings = &config.snapshot.settings;
        let edge = self.edge_status();
        Status {
            generation: config.snapshot.generation,
            behaviour: format!("{:?}", settings.behaviour).to_lowercase(),
            uptime_ms: self.clock.now().as_nanos() / 1_000_000,
            load_balancers: self.load_balancer_status(edge.as_ref()),
            endpoints: self.endpoint_status(),
            targets: self.target_status(),
            edge,
            dns_health_checks: self.check_status(),
            faults: self.fault_status(),
            attribution: self.attribution().map(str::to_owned),
        }
    }

    fn load_balancer_status(&self, edge: Option<&EdgeStatus>) -> Vec<LoadBalancerStatus> {
        let Some(front) = &self.front else { return Vec::new() };
        let view = front.view();
        let total: u64 = edge.map_or(0, |e| e.new_flows_10s.values().sum());
        let lbs = view.snapshot.load_balancers.iter().zip(&view.health.load_balancers);
        lbs.map(|(lb, health)| {
            let region = view.snapshot.region(lb.region);
            let flows = edge.and_then(|e| e.new_flows_10s.get(region.code.as_str())).copied().unwrap_or(0);
            LoadBalancerStatus {
                region: region.code.to_string(),
                city: region.city.clone(),
                name: lb.name.to_string(),
                measured: health.measured,
                forced: health.forced,
                effective: health.effective(),
                share_percent: (total > 0).then(|| (1_000.0 * flows as f64 / total as f64).round() / 10.0),
                nodes: (lb.nodes.iter().zip(&health.nodes))
                    .map(|(node, health)| NodeStatus {
                        zone: node.zone.to_string(),
                        address: node.address.to_string(),
                        reach: health.reach,
                        in_service: health.in_service,
                        failure: health.failure,
                    })
                    .collect(),
            }
        })
        .collect()
    }

    fn endpoint_status(&self) -> Vec<EndpointStatus> {
        let Some(front) = self.front.as_ref().filter(|_| self.proxy.is_some()) else { return Vec::new() };
        let view = front.view();
        let snapshot = &view.snapshot;
        let mut endpoints = Vec::new();
        for (a, accelerator) in snapshot.accelerators.iter().enumerate() {
            for (l, listener) in accelerator.listeners.iter().enumerate() {
                let port = listener.port_ranges.first().map_or(0, |range| range.from_port);
                let known = view.health.probed.listener(AcceleratorIndex(a), l);
                for (group, health) in listener.endpoint_groups.iter().zip(known) {
                    for (endpoint, health_of) in group.endpoints.iter().zip(&health.endpoints) {
                        let Some(known) = health_of else { continue };
                        endpoints.push(EndpointStatus {
                            accelerator: accelerator.name.to_string(),
                            listener: format!("{} {port}", listener.protocol),
                            region: snapshot.region(group.region).code.to_string(),
                            id: snapshot.endpoint_id(endpoint.target).to_owned(),
                            kind: endpoint.target.kind().to_owned(),
                            weight: endpoint.weight.get(),
                            measured: known.measured,
                            forced: known.forced,
                            effective: known.effective(),
                            failure: known.failure,
                            held: health.held,
                        });
                    }
                }
            }
        }
        endpoints
    }

    fn check_status(&self) -> Vec<CheckStatus> {
        let Some(front) = self.front.as_ref().filter(|_| self.dns.is_some()) else { return Vec::new() };
        let (snapshot, now) = (front.view().snapshot.clone(), self.clock.now());
        let known = front.check_statuses();
        // By name, because a reload may have come between the two.
        let status = |known: DnsCheckStatus| {
            let check = snapshot.dns.health_checks.iter().find(|check| check.name == known.name)?;
            Some(CheckStatus {
                kind: check.kind.type_name().to_owned(),
                inverted: check.inverted,
                disabled: check.disabled,
                failed_ms_ago: known.last_failure.map(|last| now.since(last.at).as_millis() as u64),
                known,
            })
        };
        known.into_iter().filter_map(status).collect()
    }

    fn target_status(&self) -> Vec<TargetStatus> {
        let mut targets: BTreeMap<(String, String, String), TargetStatus> = BTreeMap::new();
        for (key, node) in self.regional.nodes() {
            // A dead node's last word is no word.
            let answers = node.host().fault().has_network();
            let HostKey::Node { region, .. } = key else { continue };
            for seen in node.status() {
                let address = std::net::SocketAddr::new(seen.target.address, seen.target.port).to_string();
                let id = (region.to_string(), seen.target_group.to_string(), address.clone());
                let state = answers.then_some(seen.state);
                let reason = seen.reason.filter(|_| answers).map(|r| r.code().to_owned());
                let entry = targets.entry(id).or_insert_with(|| TargetStatus {
                    region: region.to_string(),
                    zone: seen.target.zone.to_string(),
                    target_group: seen.target_group.to_string(),
                    target: address,
                    state,
                    reason: reason.clone(),
                    in_flight: 0,
                });
                entry.in_flight += seen.in_flight;
                if entry.state.is_none() || state == Some(TargetState::Healthy) {
                    entry.state = state;
                    entry.reason = reason;
                }
            }
        }
        targets.into_values().collect()
    }

    fn edge_status(&self) -> Option<EdgeStatus> {
        let (front, proxy) = (self.front.as_ref()?, self.proxy.as_ref()?);
        let view = front.view();
        let code = |pop: perigee_geo::PopIndex| view.atlas.pops()[pop.0].code.to_string();
        let status = proxy.status();
        Some(EdgeStatus {
            pop: view.pop.map(code),
            active_flows: status.active_flows,
            listening: status.listening.iter().map(ToString::to_string).collect(),
            dead_pops: view.dead_pops().iter().map(|p| code(*p)).collect(),
            new_flows_10s: status.new_flows_10s,
        })
    }

    fn fault_status(&self) -> BTreeMap<String, String> {
        let broken = |(_, host): &(HostKey, perigee_net::Host)| host.fault() != perigee_net::Fault::None;
        let all = self.hosts.all();
        all.into_iter().filter(broken).map(|(_, host)| (host.name().to_owned(), host.fault().to_string())).collect()
    }
}
