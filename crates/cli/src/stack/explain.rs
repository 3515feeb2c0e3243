use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use perigee_admin::Explain;
use perigee_config::Config;
use perigee_dataplane::{Asked, Balancer, BalancerTrace, ChosenEndpoint, Edge, EdgeView, Explanation};
use perigee_health::{GroupReport, NodeReport};
use perigee_model::{Accelerator, CustomRoutingAccelerator, Instant, LoadBalancerIndex, TransportProtocol};
use perigee_rules::RequestHead;
use perigee_steering::Flow;
use serde::{Deserialize, Serialize};

use super::Stack;
use crate::geography::Geography;
use crate::hosts::HostKey;

/// All first probes of endpoints are due before this.
const FIRST_PROBES: Duration = Duration::from_secs(1);

/// An explanation with what it was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Explained {
    /// Whether a running stack's health was used; otherwise everything counts as healthy.
    pub(crate) live: bool,
    /// The whole way; its request is none when the node runs in another process.
    #[serde(flatten)]
    pub(crate) explanation: Explanation,
    /// Whose geographic data it is.
    pub(crate) attribution: Option<String>,
}

impl Stack {
    /// Explains one request with the health of now.
    ///
    /// Errors: in words; the host names no accelerator, or this process has no front tier.
    pub(crate) fn explain(&self, request: &Explain) -> Result<Explained, String> {
        let front = self.front.as_ref().ok_or("this process has no front tier; ask an edge or a DNS server")?;
        let explanation = explain(&front.view(), request, |chosen, head| {
            let nodes = self.regional.nodes();
            let is_it = |key: &HostKey| matches!(key, HostKey::Node { address, .. } if *address == chosen.address.ip());
            let (_, node) = nodes.iter().find(|(key, _)| is_it(key))?;
            Some(node.explain(chosen.address.port(), head))
        })?;
        Ok(Explained { live: true, explanation, attribution: self.attribution().map(str::to_owned) })
    }
}

/// Explains one request from the configuration alone: everything counts as healthy.
pub(crate) fn offline(config: &Config, request: &Explain) -> Result<Explained, String> {
    let geography = Geography::load(config)?;
    let edge = healthy(config, &geography)?;
    let (snapshot, now) = (edge.view().snapshot.clone(), Instant::START);
    let explanation = explain(edge.view(), request, |chosen, head| {
        let (lb, node) = snapshot.load_balancers.iter().enumerate().find_map(|(i, lb)| {
            let node = lb.nodes.iter().position(|n| n.address == chosen.address.ip())?;
            Some((LoadBalancerIndex(i), node))
        })?;
        let mut balancer = Balancer::new(snapshot.clone(), lb, node, now);
        while let Some(probe) = balancer.poll_probe(now) {
            balancer.probed(probe.id, Ok(Some(200)));
        }
        Some(balancer.explain(chosen.address.port(), head))
    })?;
    Ok(Explained { live: false, explanation, attribution: geography.attribution.map(str::to_owned) })
}

/// The front tier of a configuration in which every target is healthy.
pub(super) fn healthy(config: &Config, geography: &Geography) -> Result<Edge, String> {
    let snapshot = Arc::new(config.snapshot.clone());
    let now = Instant::START;
    let mut edge = Edge::new(snapshot.clone(), geography.atlas(config)?, None, now);
    while let Some(sample) = edge.poll_sample(now) {
        let region = snapshot.find_region(sample.node.region.as_str());
        let lb = region.and_then(|r| snapshot.find_load_balancer(r, &sample.node.load_balancer));
        let groups = lb.map(|lb| snapshot.load_balancer(lb).target_groups()).unwrap_or_default();
        let target_groups = groups.iter().map(|g| {
            let group = snapshot.target_group(*g);
            let registered = u32::try_from(group.targets.len()).unwrap_or(u32::MAX);
            GroupReport {
                name: group.name.to_string(),
                healthy: registered,
                initial: 0,
                registered,
                passes_dns: registered > 0,
            }
        });
        edge.sampled(&sample, Ok(NodeReport { target_groups: target_groups.collect() }), now);
    }
    // First probes are spread over a moment; here they all pass.
    while let Some(at) = edge.poll_endpoint_timeout().filter(|at| *at < now + FIRST_PROBES) {
        while let Some(probe) = edge.poll_endpoint_probe(at) {
            edge.endpoint_probed(&probe, Ok(()), at);
        }
    }
    Ok(edge)
}

fn explain(
    view: &EdgeView,
    request: &Explain,
    regional: impl FnOnce(&ChosenEndpoint, &RequestHead<'_>) -> Option<BalancerTrace>,
) -> Result<Explanation, String> {
    let destination = destination(view, request)?;
    // A flow's source port is part of its hash; port 0 stands for "some port".
    let flow = Flow::tcp(SocketAddr::new(request.client, 0), destination);
    let asked = Asked { method: &request.method, host: request.host.as_deref(), path: &request.path };
    Explanation::new(view, &flow, &asked, regional).map_err(|refusal| format!("the client would be reset: {refusal}"))
}

/// The accelerator that the host names (`NAME.accelerator.ZONE` or one of its addresses), or the first one; at the
/// address named, or the first of the client's family.
fn destination(view: &EdgeView, request: &Explain) -> Result<SocketAddr, String> {
    let accelerators = &view.snapshot.accelerators;
    let suffix = format!(".accelerator.{}", view.snapshot.dns.origin);
    let (host, port) = match request.host.as_deref() {
        None => (None, None),
        Some(host) => match host.parse::<SocketAddr>() {
            Ok(address) => (Some(address.ip().to_string()), Some(address.port())),
            Err(_) => match host.rsplit_once(':').filter(|(name, _)| !name.contains(':')) {
                Some((name, port)) => (Some(name.to_owned()), port.parse::<u16>().ok()),
                None => (Some(host.trim_matches(['[', ']']).to_owned()), None),
            },
        },
    };
    let address = host.as_deref().and_then(|host| host.parse::<IpAddr>().ok());
    let named = host.as_deref().and_then(|host| {
        let is_it = |a: &&Accelerator| {
            host.eq_ignore_ascii_case(&format!("{}{suffix}", a.name))
                || address.is_some_and(|ip| a.addresses.contains(&ip))
        };
        accelerators.iter().find(is_it)
    });
    if named.is_none()
        && let Some(host) = host.as_deref()
        && let Some(found) = custom_destination(view, host, &suffix, port)
    {
        return found;
    }
    let speaks_tcp = |a: &&Accelerator| a.listeners.iter().any(|l| l.protocol == TransportProtocol::Tcp);
    let usual = || accelerators.iter().find(speaks_tcp).or_else(|| accelerators.first());
    let accelerator = named.or_else(usual).ok_or("the configuration has no accelerator")?;
    let listeners = || accelerator.listeners.iter().filter(|l| l.protocol == TransportProtocol::Tcp);
    let first_port = listeners().next().and_then(|l| l.port_ranges.first()).map(|r| r.from_port);
    let first_port = first_port.ok_or_else(|| format!("accelerator {} has no TCP listener", accelerator.name))?;
    let port = port.filter(|p| listeners().any(|l| l.listens_on(*p))).unwrap_or(first_port);
    let asked = address.filter(|ip| accelerator.addresses.contains(ip));
    let of_family = || accelerator.addresses.iter().copied().find(|ip| ip.is_ipv4() == request.client.is_ipv4());
    let ip = asked.or_else(of_family).unwrap_or(accelerator.addresses[0]);
    Ok(SocketAddr::new(ip, port))
}

/// The port of the custom routing accelerator that the host names; none when it names none.
///
/// Errors: no port is named, or one that no listener has: which one is meant cannot be guessed.
fn custom_destination(
    view: &EdgeView,
    host: &str,
    suffix: &str,
    port: Option<u16>,
) -> Option<Result<SocketAddr, String>> {
    let is_meant = |a: &&CustomRoutingAccelerator| {
        host.eq_ignore_ascii_case(&format!("{}{suffix}", a.name)) || a.addresses.iter().any(|ip| ip.to_string() == host)
    };
    let accelerator = view.snapshot.custom_routing_accelerators.iter().find(is_meant)?;
    let address = accelerator.addresses.iter().find(|ip| ip.to_string() == host).unwrap_or(&accelerator.addresses[0]);
    let port = port.filter(|port| accelerator.listeners.iter().any(|l| l.listens_on(*port)));
    Some(port.map(|port| SocketAddr::new((*address).into(), port)).ok_or_else(|| {
        format!("name a port of custom routing accelerator {}, as in --host {address}:PORT", accelerator.name)
    }))
}
