use std::collections::BTreeSet;

use perigee_model::{Endpoint, EndpointTarget, RegionIndex, Weight};

use crate::endpoint_groups::Scope;
use crate::instances::is_id;
use crate::key_path::quoted;
use crate::names::{RegionNames, listed};
use crate::reader::{Node, Table};

/// Reads the zero to ten endpoints of a group (`spec/global-accelerator.md` section 7). `region` is none when its own
/// key is wrong.
pub(crate) fn read(t: &Table<'_>, scope: &Scope<'_>, region: Option<(&str, &RegionNames<'_>)>) -> Vec<Endpoint> {
    let list = t.get("endpoints").and_then(|n| n.list_of(0..=10, "endpoints")).unwrap_or_default();
    let mut seen = BTreeSet::new();
    let mut made = Vec::new();
    for node in list {
        let Some(t) = node.table() else { continue };
        let id = t.need("endpoint_id");
        let weight = Weight::new(t.int_or("weight", 0..=255, Weight::DEFAULT.get()));
        let name = id.as_ref().and_then(Node::str);
        let target = id.as_ref().zip(name).zip(region).and_then(|((node, name), (code, names))| {
            let target = target(node, name, code, names)?;
            if scope.dual {
                dual_stack(node, name, target, names.index, scope);
            }
            Some(target)
        });
        let client_ip_preservation = preservation(&t, target, scope.dual);
        t.unbuilt(&["attachment_arn"]);
        t.finish();
        let (Some(id), Some(name), Some(target)) = (id, name, target) else { continue };
        // The same load balancer may be there twice, once per setting of client IP preservation (section 7.1).
        if seen.insert((target, client_ip_preservation)) {
            made.push(Endpoint { target, weight, client_ip_preservation });
        } else {
            id.problem(format!("duplicate: {name} is in the group already, with the same client IP preservation"));
        }
    }
    made
}

/// Whether the client's address is preserved; what the type cannot have is refused (section 7.3).
fn preservation(t: &Table<'_>, target: Option<EndpointTarget>, dual: bool) -> bool {
    let never = matches!(target, Some(EndpointTarget::ElasticIp(_)));
    t.or("client_ip_preservation_enabled", !never, !never, |n| {
        let is_on = n.bool()?;
        match (target, is_on) {
            (Some(EndpointTarget::ElasticIp(_)), true) => {
                n.problem("true is not accepted: the client's address is never preserved at an elastic IP");
            }
            (Some(EndpointTarget::Instance(_)), false) => {
                n.problem("false is not accepted: the client's address is always preserved at an instance");
            }
            (Some(EndpointTarget::LoadBalancer(_)), false) if dual => {
                n.problem("false is not accepted: a dual-stack accelerator preserves the client's address");
            }
            _ => {}
        }
        Some(is_on)
    })
}

/// What an endpoint of a dual-stack accelerator must be (section 2.4).
fn dual_stack(node: &Node<'_>, name: &str, target: EndpointTarget, region: RegionIndex, scope: &Scope<'_>) {
    let problem = match target {
        EndpointTarget::ElasticIp(_) => "is an elastic IP, which no dual-stack accelerator takes",
        EndpointTarget::LoadBalancer(_) if scope.resources.is_ipv4_load_balancer(region, name) => {
            "is of type ipv4: endpoints of a dual-stack accelerator must be dual-stack (ip_address_type = \"dualstack\")"
        }
        EndpointTarget::Instance(_) if scope.resources.is_ipv4_instance(region, name) => {
            "has no `ipv6`: endpoints of a dual-stack accelerator must be dual-stack"
        }
        EndpointTarget::LoadBalancer(_) | EndpointTarget::Instance(_) => return,
    };
    node.problem(format!("{} {problem}", quoted(name)));
}

/// The resource that an id means: a load balancer by its name, an instance or an elastic IP by its id.
fn target(node: &Node<'_>, name: &str, code: &str, names: &RegionNames<'_>) -> Option<EndpointTarget> {
    let load_balancer = names.load_balancers.get(name).copied().map(EndpointTarget::LoadBalancer);
    let instance = || names.instances.get(name).copied().map(EndpointTarget::Instance);
    let elastic_ip = || names.elastic_ips.get(name).copied().map(EndpointTarget::ElasticIp);
    let found = load_balancer.or_else(instance).or_else(elastic_ip);
    if found.is_none() && names.known {
        let absent = |kind: &str, known: String| format!("{code} has no {kind} {}; it has {known}", quoted(name));
        node.problem(if is_id(name, "i-") {
            absent("instance", listed(names.instances.keys().copied()))
        } else if is_id(name, "eipalloc-") {
            absent("elastic IP", listed(names.elastic_ips.keys().copied()))
        } else if is_id(name, "subnet-") {
            format!("{} is a subnet, which is an endpoint of custom routing accelerators alone", quoted(name))
        } else if name.starts_with("arn:") {
            format!("{} is not built yet; an endpoint is a load balancer by its name, or the id of an instance or elastic IP", quoted(name))
        } else {
            absent("load balancer", listed(names.load_balancers.keys().copied()))
        });
    }
    found
}
