//! UDP flows under the law: the table beside the front tier's machine, as a driver has them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use perigee_health::{Evidence, Forced};
use perigee_model::{Behaviour, Instant, Snapshot, TransportProtocol};

use super::*;
use crate::edge::tests::{at, atlas, healthy_edge_on, is_seoul, snapshot};
use crate::{Edge, UdpFlows};

const IDLE: Duration = Duration::from_secs(30);

/// An edge whose only listener is one of UDP, and all of whose load balancers are well.
fn edge(behaviour: Behaviour) -> Edge {
    let mut snapshot = Snapshot::clone(&snapshot(behaviour));
    snapshot.accelerators[0].listeners[0].protocol = TransportProtocol::Udp;
    healthy_edge_on(Arc::new(snapshot))
}

fn flow(port: u16) -> Flow {
    Flow::udp(([127, 82, 200, 9], port).into(), ([127, 75, 2, 1], 8080).into())
}

/// What a driver does with a datagram: where it goes.
fn datagram(edge: &Edge, flows: &mut UdpFlows<SocketAddr>, flow: Flow, now: Instant) -> SocketAddr {
    let known = flows.find(&flow, now).and_then(|id| flows.get(id).copied());
    known.unwrap_or_else(|| {
        let to = edge.view().route_udp(&flow).expect("there is an endpoint").candidate.address;
        flows.open(flow, to, now);
        to
    })
}

fn seconds(s: u64) -> Instant {
    at(1_000 * s)
}

fn kill_seoul(edge: &mut Edge) {
    let lb = edge.view().snapshot.load_balancers[1].clone();
    let region = edge.view().snapshot.region(lb.region).code.clone();
    assert!(edge.force(&region, &lb.name, Some(Forced::Unhealthy)));
}

#[test]
fn t9_a_flow_with_a_datagram_every_29_s_stays_at_a_dead_endpoint_and_moves_after_a_gap_of_31_s() {
    for behaviour in [Behaviour::Aws, Behaviour::Fast] {
        let mut edge = edge(behaviour);
        let mut flows = UdpFlows::new(100, IDLE, 1);
        let first = datagram(&edge, &mut flows, flow(1), seconds(0));
        assert!(is_seoul(first));
        kill_seoul(&mut edge);
        for n in 1..=20 {
            assert_eq!(datagram(&edge, &mut flows, flow(1), seconds(29 * n)), first);
        }
        let moved = datagram(&edge, &mut flows, flow(1), seconds(29 * 20 + 31));
        assert!(!is_seoul(moved), "{behaviour:?}: silence ended the flow, and the next goes where somebody lives");
    }
}

#[test]
fn the_first_flow_after_detection_goes_elsewhere_and_the_old_one_stays() {
    let mut edge = edge(Behaviour::Fast);
    let mut flows = UdpFlows::new(100, IDLE, 1);
    let old = datagram(&edge, &mut flows, flow(1), seconds(0));
    let mut now = seconds(1);
    // Each closed port says so; when both nodes have, the region is known to be dead.
    for port in 2.. {
        let route = edge.view().route_udp(&flow(port)).expect("there is an endpoint");
        if !is_seoul(route.candidate.address) {
            assert!(port <= 4, "two nodes need two words");
            break;
        }
        edge.evidence(&route.subject.expect("a node is watched"), Evidence::Refused, now);
        now = now + Duration::from_millis(1);
    }
    assert!(!is_seoul(datagram(&edge, &mut flows, flow(100), now)));
    assert_eq!(datagram(&edge, &mut flows, flow(1), now), old);
}

#[test]
fn in_aws_a_closed_port_is_no_evidence() {
    let mut edge = edge(Behaviour::Aws);
    for port in 1..50 {
        let route = edge.view().route_udp(&flow(port)).expect("there is an endpoint");
        assert!(is_seoul(route.candidate.address));
        edge.evidence(&route.subject.expect("a node is watched"), Evidence::Refused, seconds(1));
    }
}

#[test]
fn the_endpoint_sees_the_clients_address_where_the_edge_can_bind_it() {
    let edge = edge(Behaviour::Fast);
    let client = flow(1).client.ip();
    assert_eq!(edge.view().route_udp(&flow(1)).map(|r| r.source), Ok(Some(client)));
    let far = Flow { client: ([203, 0, 113, 9], 1).into(), ..flow(1) };
    assert_eq!(edge.view().route_udp(&far).map(|r| r.source), Ok(None));
    let mut plain = Snapshot::clone(&edge.view().snapshot);
    for group in &mut plain.accelerators[0].listeners[0].endpoint_groups {
        group.endpoints[0].client_ip_preservation = false;
    }
    let edge = healthy_edge_on(Arc::new(plain));
    assert_eq!(edge.view().route_udp(&flow(1)).map(|r| r.source), Ok(None));
}

#[test]
fn a_flow_is_served_until_its_listener_goes_or_its_accelerator_is_disabled() {
    let mut edge = edge(Behaviour::Fast);
    assert!(edge.view().serves(&flow(1)));
    assert!(!edge.view().serves(&Flow::tcp(flow(1).client, flow(1).destination)));
    let mut next = Snapshot::clone(&edge.view().snapshot);
    next.accelerators[0].enabled = false;
    let next = Arc::new(next);
    edge.set_snapshot(next.clone(), atlas(&next), seconds(1));
    assert!(!edge.view().serves(&flow(1)));
    assert_eq!(edge.view().route_udp(&flow(1)).map(|_| ()), Err(Refusal::Disabled));
    let mut next = Snapshot::clone(&next);
    next.accelerators[0].enabled = true;
    next.accelerators[0].listeners.clear();
    let next = Arc::new(next);
    edge.set_snapshot(next.clone(), atlas(&next), seconds(2));
    assert!(!edge.view().serves(&flow(1)));
    assert_eq!(edge.view().route_udp(&flow(1)).map(|_| ()), Err(Refusal::NoListener));
}

#[test]
fn an_endpoint_taken_out_of_its_group_ends_no_flow() {
    let mut edge = edge(Behaviour::Fast);
    let mut next = Snapshot::clone(&edge.view().snapshot);
    for group in &mut next.accelerators[0].listeners[0].endpoint_groups {
        group.endpoints.clear();
    }
    let next = Arc::new(next);
    edge.set_snapshot(next.clone(), atlas(&next), seconds(1));
    assert!(edge.view().serves(&flow(1)), "a removed endpoint keeps its flows until they are silent");
    assert_eq!(edge.view().route_udp(&flow(1)).map(|_| ()), Err(Refusal::NoEndpoint));
}
