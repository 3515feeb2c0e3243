//! Stacks made for a scenario: the same application in every region, one accelerator in front of all.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use perigee_geo::{TableRegion, Tables};
use perigee_model::{
    Accelerator, AcceleratorListener, AcceleratorName, Action, Behaviour, ClientAffinity, ClientIp, DnsZone,
    EdgeTiming, Endpoint, EndpointGroup, EndpointHealthCheck, EndpointTarget, HealthCheck, LatencyName, Limits,
    ListenerProtocol, LoadBalancer, LoadBalancerIndex, LoadBalancerListener, LoadBalancerName, LoadBalancerNode,
    Matcher, PortRange, ProbeProtocol, Region, RegionCode, RegionIndex, Settings, Snapshot, Target, TargetGroup,
    TargetGroupIndex, TargetGroupName, TrafficDial, TransportProtocol, Weight, ZoneName,
};

use crate::{Scenario, StackShape};

/// Port of the accelerator and of the load balancers.
const PORT: u16 = 8080;

/// The configuration that `shape` means: in each region a load balancer `shop` with a node and targets in each zone, all
/// of them behind the accelerator `shop` and the name `app`. Addresses are private ones, 10.R.Z.x.
///
/// Errors: in words; a region that the table does not have, or a dial of a region that the stack does not have.
pub fn stack_of(shape: &StackShape, tables: &Tables) -> Result<Snapshot, String> {
    let mut regions: Vec<&TableRegion> = if shape.regions.is_empty() {
        tables.regions().iter().collect()
    } else {
        let find = |code: &String| {
            let known = tables.regions().iter().find(|r| r.code.as_str() == code);
            known.ok_or_else(|| format!("stack.regions: the table has no region {code}"))
        };
        shape.regions.iter().map(find).collect::<Result<_, _>>()?
    };
    regions.sort_by(|a, b| a.code.cmp(&b.code));
    regions.dedup_by(|a, b| a.code == b.code);
    if let Some(code) = shape.dials.keys().find(|code| !regions.iter().any(|r| r.code.as_str() == **code)) {
        return Err(format!("stack.dials: the stack has no region {code}"));
    }
    let dial = |code: &str| {
        let percent = shape.dials.get(code).copied().unwrap_or(100.0);
        TrafficDial::new(percent).map_err(|_| format!("stack.dials.{code}: must be 0 to 100"))
    };
    let mut groups = Vec::new();
    for (i, region) in regions.iter().enumerate() {
        groups.push(EndpointGroup {
            region: RegionIndex(i),
            traffic_dial: dial(region.code.as_str())?,
            health_check: EndpointHealthCheck::tcp(PORT),
            port_overrides: Vec::new(),
            endpoints: vec![Endpoint {
                target: EndpointTarget::LoadBalancer(LoadBalancerIndex(i)),
                weight: Weight::DEFAULT,
                client_ip_preservation: true,
            }],
        });
    }
    let affinity = if shape.client_affinity == "SOURCE_IP" { ClientAffinity::SourceIp } else { ClientAffinity::None };
    let places: Vec<Place> = regions.iter().enumerate().map(|(i, r)| Place::new(i, r, shape)).collect();
    Ok(Snapshot {
        generation: 1,
        settings: Settings {
            behaviour: Behaviour::Fast,
            client_ip: ClientIp::ProxyV2,
            trusted_proxies: Vec::new(),
            timing: EdgeTiming::of(Behaviour::Fast),
            limits: Limits::default(),
        },
        dns: DnsZone {
            latency_names: vec![LatencyName {
                label: "app".into(),
                load_balancer: LoadBalancerName::new("shop"),
                ttl: Duration::from_secs(shape.ttl_s),
            }],
            ..DnsZone::new("perigee.test")
        },
        regions: places.iter().map(Place::region).collect(),
        load_balancers: places.iter().map(Place::load_balancer).collect(),
        target_groups: places.iter().map(|p| p.target_group(shape)).collect(),
        instances: Vec::new(),
        elastic_ips: Vec::new(),
        accelerators: vec![Accelerator {
            name: AcceleratorName::new("shop"),
            addresses: vec![[10, 255, 1, 1].into(), [10, 255, 2, 1].into()],
            enabled: true,
            listeners: vec![AcceleratorListener {
                protocol: TransportProtocol::Tcp,
                port_ranges: vec![PortRange { from_port: PORT, to_port: PORT }],
                client_affinity: affinity,
                endpoint_groups: groups,
            }],
        }],
    })
}

/// One region of the stack.
struct Place<'a> {
    index: usize,
    table: &'a TableRegion,
    zones: Vec<ZoneName>,
}

impl<'a> Place<'a> {
    fn new(index: usize, table: &'a TableRegion, shape: &StackShape) -> Self {
        let count = shape.zones.min(usize::from(table.zones)).max(1);
        let zone = |letter: char| ZoneName::new(&format!("{}{letter}", table.code));
        Self { index, table, zones: ('a'..='z').take(count).map(zone).collect() }
    }

    /// Address `host` of the `zone`-th zone: hosts beyond a byte spill over into the next network of the zone.
    fn address(&self, zone: usize, host: usize) -> IpAddr {
        let byte = |n: usize| u8::try_from(n).unwrap_or(u8::MAX);
        Ipv4Addr::new(10, byte(self.index), byte(zone * 8 + host / 200), byte(host % 200)).into()
    }

    fn region(&self) -> Region {
        Region {
            code: RegionCode::new(self.table.code.as_str()),
            city: self.table.city.to_string(),
            country: self.table.country.to_string(),
            location: self.table.location,
            zones: self.zones.clone(),
            load_balancers: vec![LoadBalancerIndex(self.index)],
            target_groups: vec![TargetGroupIndex(self.index)],
        }
    }

    fn load_balancer(&self) -> LoadBalancer {
        let node = |(i, zone): (usize, &ZoneName)| LoadBalancerNode {
            zone: zone.clone(),
            address: self.address(i, 1),
            ipv6: None,
            status_port: 7070,
        };
        LoadBalancer {
            name: LoadBalancerName::new("shop"),
            region: RegionIndex(self.index),
            nodes: self.zones.iter().enumerate().map(node).collect(),
            listeners: vec![LoadBalancerListener {
                protocol: ListenerProtocol::Http,
                port: PORT,
                rules: Vec::new(),
                default_action: Action::Forward { target_group: TargetGroupIndex(self.index) },
            }],
            idle_timeout: Duration::from_secs(60),
            client_keep_alive: Duration::from_secs(3_600),
        }
    }

    fn target_group(&self, shape: &StackShape) -> TargetGroup {
        let in_zone = |(i, zone): (usize, &ZoneName)| {
            let zone = zone.clone();
            (0..shape.targets_per_zone).map(move |n| (i, n, zone.clone())).collect::<Vec<_>>()
        };
        let target = |(i, n, zone)| Target { address: self.address(i, 10 + n), port: 9000, zone };
        TargetGroup {
            name: TargetGroupName::new("web"),
            region: RegionIndex(self.index),
            health_check: HealthCheck {
                protocol: ProbeProtocol::Http,
                port: None,
                path: "/check".into(),
                interval: Duration::from_secs(shape.health_check_interval_s),
                timeout: Duration::from_secs(2),
                healthy_threshold: 2,
                unhealthy_threshold: 2,
                matcher: Matcher::default(),
            },
            deregistration_delay: Duration::from_secs(300),
            routing_minimum_healthy: 1,
            dns_minimum_healthy: 1,
            targets: self.zones.iter().enumerate().flat_map(in_zone).map(target).collect(),
        }
    }
}

/// The configuration with the scenario's behaviour and times in it.
///
/// Times that neither the scenario nor the configuration's author chose follow the behaviour: where the behaviour
/// changes, so do they. Errors: an unknown key of `[timing]`.
pub(crate) fn settled(snapshot: &Snapshot, scenario: &Scenario) -> Result<Snapshot, String> {
    let groups = snapshot.accelerators.iter().flat_map(|a| &a.listeners).flat_map(|l| &l.endpoint_groups);
    if groups.flat_map(|g| &g.endpoints).any(|e| e.target.is_probed()) {
        return Err(
            "the configuration has instances or elastic IPs as endpoints; a virtual run plays load balancers alone"
                .into(),
        );
    }
    let mut listeners = snapshot.accelerators.iter().flat_map(|a| &a.listeners);
    if listeners.next().is_some_and(|l| l.protocol != TransportProtocol::Tcp) {
        return Err("the first accelerator's first listener is of UDP; a virtual run plays TCP alone".into());
    }
    let mut snapshot = snapshot.clone();
    let behaviour = if scenario.behaviour == "aws" { Behaviour::Aws } else { Behaviour::Fast };
    let settings = &mut snapshot.settings;
    if settings.behaviour != behaviour {
        settings.behaviour = behaviour;
        settings.timing = EdgeTiming::of(behaviour);
    }
    for (key, value) in &scenario.timing {
        let ms = Duration::from_millis(*value);
        let timing = &mut settings.timing;
        match key.as_str() {
            "lb_health_poll_ms" => timing.lb_health_poll = ms,
            "lb_health_timeout_ms" => timing.lb_health_timeout = ms,
            "lb_health_misses" => {
                timing.lb_health_misses = u8::try_from(*value).map_err(|_| "timing.lb_health_misses: too many")?;
            }
            "connect_stagger_ms" => timing.connect_stagger = ms,
            "connect_timeout_ms" => timing.connect_timeout = ms,
            "recovery_hold_ms" => timing.recovery_hold = ms,
            "tcp_idle_timeout_seconds" => timing.tcp_idle_timeout = Duration::from_secs(*value),
            other => return Err(format!("timing.{other}: there is no such time")),
        }
        if *value == 0 && key != "recovery_hold_ms" {
            return Err(format!("timing.{key}: must be above 0"));
        }
    }
    Ok(snapshot)
}

#[cfg(test)]
mod tests {
    use perigee_geo::shipped;

    use super::*;

    fn tables() -> Tables {
        Tables::parse(shipped::REGIONS, shipped::REGION_RTT, shipped::EDGES).unwrap()
    }

    #[test]
    fn a_stack_of_the_whole_table_has_every_region_and_no_address_twice() {
        let shape = StackShape { targets_per_zone: 150, ..StackShape::default() };
        let snapshot = stack_of(&shape, &tables()).unwrap();
        assert_eq!(snapshot.regions.len(), 32);
        let nodes = snapshot.load_balancers.iter().flat_map(|lb| lb.nodes.iter().map(|n| n.address));
        let targets = snapshot.target_groups.iter().flat_map(|g| g.targets.iter().map(|t| t.address));
        let mut all: Vec<IpAddr> = nodes.chain(targets).collect();
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(snapshot.regions.windows(2).all(|w| w[0].code < w[1].code));
    }

    #[test]
    fn what_a_shape_names_must_exist() {
        let tables = tables();
        let unknown = StackShape { regions: vec!["moon-1".into()], ..StackShape::default() };
        assert!(stack_of(&unknown, &tables).unwrap_err().contains("moon-1"));
        let dial = StackShape {
            dials: [("eu-west-1".into(), 50.0)].into(),
            regions: vec!["us-east-1".into()],
            ..StackShape::default()
        };
        assert!(stack_of(&dial, &tables).unwrap_err().contains("eu-west-1"));
    }
}
