use std::collections::BTreeMap;

use perigee_model::dns::{EndpointCheck, EndpointProtocol};
use perigee_model::{Accelerator, AcceleratorListener, EndpointGroup, EndpointTarget, ProbeProtocol, Snapshot};

use super::EndpointKey;

/// What is to be probed of a snapshot.
pub(super) struct Wanted {
    /// Every endpoint with what it is asked.
    pub(super) endpoints: BTreeMap<EndpointKey, EndpointCheck>,
    /// Every group that has one: its place, and by position in the group the endpoint's key, none for load balancers.
    pub(super) groups: Vec<((usize, usize, usize), Vec<Option<EndpointKey>>)>,
}

/// Finds the probed endpoints of a snapshot.
pub(super) fn wanted(snapshot: &Snapshot) -> Wanted {
    let mut wanted = Wanted { endpoints: BTreeMap::new(), groups: Vec::new() };
    for (a, accelerator) in snapshot.accelerators.iter().enumerate() {
        for (l, listener) in accelerator.listeners.iter().enumerate() {
            for (g, group) in listener.endpoint_groups.iter().enumerate() {
                let mut keys = Vec::new();
                for endpoint in &group.endpoints {
                    let key = EndpointKey::of(snapshot, accelerator, listener, group, endpoint.target);
                    if let Some(key) = &key {
                        let check = check_of(snapshot, listener, group, endpoint.target);
                        wanted.endpoints.extend(check.map(|check| (key.clone(), check)));
                    }
                    keys.push(key);
                }
                if keys.iter().any(Option::is_some) {
                    wanted.groups.push(((a, l, g), keys));
                }
            }
        }
    }
    wanted
}

impl EndpointKey {
    /// The key of an endpoint in a group; none for a load balancer, which is not probed.
    pub fn of(
        snapshot: &Snapshot,
        accelerator: &Accelerator,
        listener: &AcceleratorListener,
        group: &EndpointGroup,
        target: EndpointTarget,
    ) -> Option<Self> {
        target.is_probed().then(|| Self {
            accelerator: accelerator.name.clone(),
            listener: (listener.protocol, listener.port_ranges.first().map_or(0, |range| range.from_port)),
            region: snapshot.region(group.region).code.clone(),
            endpoint: snapshot.endpoint_id(target).into(),
        })
    }
}

/// What a probe of an endpoint asks. Probes go to the IPv4 address, which every endpoint has (Perigee's choice).
fn check_of(
    snapshot: &Snapshot,
    listener: &AcceleratorListener,
    group: &EndpointGroup,
    target: EndpointTarget,
) -> Option<EndpointCheck> {
    let address = match target {
        EndpointTarget::LoadBalancer(_) => return None,
        EndpointTarget::Instance(index) => snapshot.instance(index).address,
        EndpointTarget::ElasticIp(index) => snapshot.elastic_ip(index).address,
    };
    let (protocol, port) = listener.probe_of(group);
    Some(EndpointCheck {
        protocol: match protocol {
            ProbeProtocol::Tcp => EndpointProtocol::Tcp,
            ProbeProtocol::Http => EndpointProtocol::Http,
            ProbeProtocol::Https => EndpointProtocol::Https,
        },
        address: Some(address),
        domain_name: None,
        port,
        path: group.health_check.path.clone(),
        search: None,
        interval: group.health_check.interval,
        threshold: group.health_check.threshold_count.get(),
        sni: false,
        checkers: 1,
    })
}
