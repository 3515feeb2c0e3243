//! IPv6 beside IPv4 (`global-accelerator.md` section 2.4), and endpoints that are no load balancers.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use perigee_model::{ClientIp, EndpointTarget, InstanceIndex, LoadBalancerIndex, Weight};

use super::world::*;
use crate::*;

fn ipv6_flow(n: u16) -> Flow {
    let of = |last| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, n, last);
    Flow::tcp(
        SocketAddr::new(of(9).into(), 1_000 + n),
        SocketAddr::new(Ipv6Addr::new(0xfd75, 0, 0, 0, 0, 0, 0, 1).into(), 8080),
    )
}

/// Regions of one load balancer and one instance each; those in `dual` have IPv6 addresses.
fn world(dual: &[bool]) -> World {
    let mut world = World::new(dual.len());
    perigee_model::fixtures::add_instances(&mut world.snapshot);
    for (region, _) in dual.iter().enumerate().filter(|(_, dual)| **dual) {
        let r = region as u16;
        for (i, node) in world.snapshot.load_balancers[region].nodes.iter_mut().enumerate() {
            node.ipv6 = Some(Ipv6Addr::new(0xfd00, r, 0, 0, 0, 0, 0, 1 + i as u16));
        }
        world.snapshot.instances[region].ipv6 = Some(Ipv6Addr::new(0xfd00, r, 0, 0, 0, 0, 0, 0x20));
    }
    world
}

#[test]
fn a_flow_goes_to_the_address_of_its_own_family() {
    let world = world(&[true, true]);
    for n in 0..200 {
        assert!(world.candidate(&ipv6_flow(n)).is_some_and(|c| c.address.is_ipv6()));
        assert!(world.candidate(&flow(n.into())).is_some_and(|c| c.address.is_ipv4()));
    }
    let groups = world.groups();
    let router = world.router(&groups);
    let first = world.candidate(&ipv6_flow(1)).expect("a candidate");
    let rest = router.alternatives(&ipv6_flow(1), &first);
    assert_eq!(rest.len(), 5, "two nodes and an instance in each of two regions, less the first");
    assert!(rest.iter().all(|c| c.address.is_ipv6()));
}

#[test]
fn an_ipv6_flow_fails_over_to_a_region_that_has_ipv6_and_fails_open_only_there() {
    let mut world = world(&[false, true]);
    let decision = world.decide_flow(&ipv6_flow(1));
    assert_eq!(
        (decision.outcome, decision.reason),
        (Outcome::Endpoint { group: 1, endpoint: 0 }, RouteReason::Failover)
    );
    (0..2).for_each(|lb| world.fail(lb));
    for n in 0..50 {
        let decision = world.decide_flow(&ipv6_flow(n));
        assert_eq!(decision.reason, RouteReason::FailOpen);
        assert!(matches!(decision.outcome, Outcome::Endpoint { group: 1, .. }));
        assert!(
            matches!(world.decide(n.into()).outcome, Outcome::Endpoint { group: 0, .. }),
            "IPv4 opens to the closest"
        );
    }
}

#[test]
fn an_ipv6_flow_without_an_ipv6_endpoint_is_refused_for_a_reason_of_its_own() {
    let world = world(&[false, false]);
    let decision = world.decide_flow(&ipv6_flow(1));
    assert_eq!(decision, Decision { outcome: Outcome::Refuse, reason: RouteReason::NoIpv6Endpoint });
    assert_eq!(world.candidate(&ipv6_flow(1)), None);
}

#[test]
fn a_node_without_ipv6_takes_no_ipv6_flow() {
    let mut world = world(&[true]);
    world.snapshot.load_balancers[0].nodes[0].ipv6 = None;
    for n in 0..50 {
        let at = world.candidate(&ipv6_flow(n)).expect("a candidate");
        assert_ne!(at.via, Via::Node { load_balancer: LoadBalancerIndex(0), node: 0 });
    }
}

#[test]
fn an_instance_is_connected_to_directly_and_shares_by_its_weight() {
    let n = 100_000;
    let mut world = World::new(1).weights(&[100, 50]);
    world.snapshot.instances.push(perigee_model::Instance {
        id: perigee_model::InstanceId::new("i-0123456789abcdef0"),
        region: perigee_model::RegionIndex(0),
        address: [10, 0, 0, 20].into(),
        ipv6: None,
    });
    let endpoint = &mut world.listener_mut().endpoint_groups[0].endpoints[1];
    endpoint.target = EndpointTarget::Instance(InstanceIndex(0));
    endpoint.weight = Weight::new(50);
    let known = perigee_health::ProbedHealth { measured: perigee_health::HealthState::Healthy, ..Default::default() };
    world.probed(vec![perigee_health::GroupHealth { held: false, endpoints: vec![None, Some(known)] }]);
    within(world.count(n)[&(0, 1)], n, 1.0 / 3.0);
    let direct = (0..50).filter_map(|n| world.candidate(&flow(n))).find(|c| c.endpoint == 1).expect("some flow");
    assert_eq!((direct.via, direct.address), (Via::Direct, ([10, 0, 0, 20], 8080).into()));
}

#[test]
fn the_client_is_told_by_source_or_header_to_load_balancers_and_by_source_alone_to_others() {
    let candidate = |via, address: [u8; 4], client_ip_preservation| Candidate {
        group: 0,
        endpoint: 0,
        region: perigee_model::RegionIndex(0),
        via,
        address: (address, 80).into(),
        client_ip_preservation,
    };
    let node = Via::Node { load_balancer: LoadBalancerIndex(0), node: 0 };
    let near: IpAddr = [127, 81, 200, 9].into();
    let far: IpAddr = [198, 51, 100, 9].into();
    let (here, there) = ([127, 0, 0, 1], [10, 0, 0, 1]);
    let approach = |source, header| Approach { source, header };
    use ProxyHeader::{Client, Local};
    for (via, address, preserved, client, setting, expected) in [
        (node, here, true, near, ClientIp::Auto, approach(Some(near), None)),
        (node, here, false, near, ClientIp::Auto, approach(None, None)),
        (node, there, true, near, ClientIp::Auto, approach(None, Some(Client))),
        (node, there, false, far, ClientIp::Auto, approach(None, Some(Local))),
        (node, there, true, far, ClientIp::Bind, approach(Some(far), None)),
        (node, here, true, near, ClientIp::ProxyV2, approach(None, Some(Client))),
        (Via::Direct, here, true, near, ClientIp::Auto, approach(Some(near), None)),
        (Via::Direct, here, false, near, ClientIp::Auto, approach(None, None)),
        (Via::Direct, there, true, far, ClientIp::Auto, approach(None, None)),
        (Via::Direct, there, true, far, ClientIp::Bind, approach(Some(far), None)),
        (Via::Direct, here, true, near, ClientIp::ProxyV2, approach(None, None)),
    ] {
        assert_eq!(candidate(via, address, preserved).approach(client, setting), expected, "{via:?} {setting:?}");
    }
}
