//! Small snapshots for tests: regions in a row, one load balancer `shop` with two nodes in each.

use std::net::IpAddr;
use std::time::Duration;

use crate::{
    Accelerator, AcceleratorListener, AcceleratorName, Action, Behaviour, ClientAffinity, ClientIp, DnsZone,
    EdgeTiming, Endpoint, EndpointGroup, EndpointHealthCheck, EndpointTarget, HealthCheck, Instance, InstanceId,
    InstanceIndex, LatencyName, Limits, ListenerProtocol, LoadBalancer, LoadBalancerIndex, LoadBalancerListener,
    LoadBalancerName, LoadBalancerNode, Location, Matcher, PortRange, ProbeProtocol, Region, RegionCode, RegionIndex,
    Settings, Snapshot, Target, TargetGroup, TargetGroupIndex, TargetGroupName, TrafficDial, TransportProtocol, Weight,
    ZoneName,
};

/// A snapshot of `codes` (ascending): region `i` has the load balancer `shop` on 127.0.`i`.1 and 127.0.`i`.2, the
/// target group `web` with two targets, and the accelerator `shop` has a group with one endpoint in every region.
pub fn snapshot(codes: &[&str]) -> Snapshot {
    let regions = codes.iter().enumerate().map(|(i, code)| region(i, code)).collect();
    let indices = || (0..codes.len()).map(RegionIndex);
    let group = |region: RegionIndex| EndpointGroup {
        region,
        traffic_dial: TrafficDial::FULL,
        health_check: EndpointHealthCheck::tcp(8080),
        port_overrides: Vec::new(),
        endpoints: vec![Endpoint {
            target: EndpointTarget::LoadBalancer(LoadBalancerIndex(region.0)),
            weight: Weight::DEFAULT,
            client_ip_preservation: true,
        }],
    };
    Snapshot {
        generation: 1,
        settings: Settings {
            behaviour: Behaviour::Fast,
            client_ip: ClientIp::Auto,
            trusted_proxies: Vec::new(),
            timing: EdgeTiming::of(Behaviour::Fast),
            limits: Limits::default(),
        },
        dns: DnsZone {
            latency_names: vec![LatencyName {
                label: "app".into(),
                load_balancer: LoadBalancerName::new("shop"),
                ttl: Duration::from_secs(30),
            }],
            ..DnsZone::new("perigee.test")
        },
        regions,
        load_balancers: indices().map(|r| load_balancer(r, codes[r.0])).collect(),
        target_groups: indices().map(|r| target_group(r, codes[r.0])).collect(),
        instances: Vec::new(),
        elastic_ips: Vec::new(),
        accelerators: vec![Accelerator {
            name: AcceleratorName::new("shop"),
            addresses: vec![[127, 75, 2, 1].into(), [127, 99, 83, 1].into()],
            enabled: true,
            listeners: vec![AcceleratorListener {
                protocol: TransportProtocol::Tcp,
                port_ranges: vec![PortRange { from_port: 8080, to_port: 8080 }],
                client_affinity: ClientAffinity::None,
                endpoint_groups: indices().map(group).collect(),
            }],
        }],
    }
}

/// Gives every group of the first accelerator's first listener an endpoint more: an instance on 127.0.`region`.20, of
/// the default weight.
pub fn add_instances(snapshot: &mut Snapshot) {
    for group in &mut snapshot.accelerators[0].listeners[0].endpoint_groups {
        let index = InstanceIndex(snapshot.instances.len());
        snapshot.instances.push(Instance {
            id: InstanceId::new(&format!("i-{:017x}", index.0)),
            region: group.region,
            address: address(group.region, 20),
            ipv6: None,
        });
        group.endpoints.push(Endpoint {
            target: EndpointTarget::Instance(index),
            weight: Weight::DEFAULT,
            client_ip_preservation: true,
        });
    }
}

fn zone(code: &str, letter: char) -> ZoneName {
    ZoneName::new(&format!("{code}{letter}"))
}

fn region(i: usize, code: &str) -> Region {
    Region {
        code: RegionCode::new(code),
        city: code.into(),
        country: "XX".into(),
        location: Location { latitude: 0.0, longitude: i as f64 },
        zones: vec![zone(code, 'a'), zone(code, 'c')],
        load_balancers: vec![LoadBalancerIndex(i)],
        target_groups: vec![TargetGroupIndex(i)],
    }
}

fn address(region: RegionIndex, host: u8) -> IpAddr {
    [127, 0, u8::try_from(region.0).unwrap_or(u8::MAX), host].into()
}

fn load_balancer(region: RegionIndex, code: &str) -> LoadBalancer {
    let node = |letter, host| LoadBalancerNode {
        zone: zone(code, letter),
        address: address(region, host),
        ipv6: None,
        status_port: 7070,
    };
    LoadBalancer {
        name: LoadBalancerName::new("shop"),
        region,
        nodes: vec![node('a', 1), node('c', 2)],
        listeners: vec![LoadBalancerListener {
            protocol: ListenerProtocol::Http,
            port: 8080,
            rules: Vec::new(),
            default_action: Action::Forward { target_group: TargetGroupIndex(region.0) },
        }],
        idle_timeout: Duration::from_secs(60),
        client_keep_alive: Duration::from_secs(3600),
    }
}

fn target_group(region: RegionIndex, code: &str) -> TargetGroup {
    let target = |letter, host| Target { address: address(region, host), port: 9000, zone: zone(code, letter) };
    TargetGroup {
        name: TargetGroupName::new("web"),
        region,
        health_check: HealthCheck {
            protocol: ProbeProtocol::Http,
            port: None,
            path: "/check".into(),
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            healthy_threshold: 2,
            unhealthy_threshold: 2,
            matcher: Matcher::default(),
        },
        deregistration_delay: Duration::from_secs(300),
        routing_minimum_healthy: 1,
        dns_minimum_healthy: 1,
        targets: vec![target('a', 10), target('c', 11)],
    }
}
