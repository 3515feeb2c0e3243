use std::sync::Arc;
use std::time::Duration;

use perigee_model::{
    Behaviour, DestinationConfiguration, EdgeTiming, Instant, PortRange, Protocols, TrafficRule, TrafficScope, fixtures,
};
use perigee_steering::RouteReason;

use super::super::tests::{at, atlas};
use super::*;
use crate::{AcceleratorRef, ConnectFailure, Connection, Edge, Output};

/// Two regions, and the accelerator `game` that leads to 127.82.16.0/28: port 10000 to 127.82.16.4:7000, 10001 to
/// 127.82.16.4:7001 and so on.
fn snapshot(behaviour: Behaviour) -> Snapshot {
    let mut snapshot = fixtures::snapshot(&["ap-northeast-1", "ap-northeast-2"]);
    snapshot.settings.behaviour = behaviour;
    snapshot.settings.timing = EdgeTiming::of(behaviour);
    let ports = PortRange { from_port: 10_000, to_port: 10_099 };
    let destinations = DestinationConfiguration {
        port_range: PortRange { from_port: 7000, to_port: 7001 },
        protocols: Protocols { tcp: true, udp: false },
    };
    let addresses = [[127, 75, 3, 1].into(), [127, 99, 84, 1].into()];
    let cidr = "127.82.16.0/28".parse().unwrap();
    fixtures::add_custom_routing(&mut snapshot, addresses, cidr, ports, destinations);
    snapshot
}

fn allow(snapshot: &mut Snapshot, last: u8, ports: &[u16]) {
    let scope = TrafficScope::Destinations { addresses: vec![[127, 82, 16, last].into()], ports: ports.to_vec() };
    let endpoint = &mut snapshot.custom_routing_accelerators[0].listeners[0].endpoint_groups[0].endpoints[0];
    endpoint.traffic.push(TrafficRule { state: TrafficState::Allow, scope });
}

fn edge(snapshot: Snapshot) -> Edge {
    let snapshot = Arc::new(snapshot);
    Edge::new(snapshot.clone(), atlas(&snapshot), None, at(0))
}

fn flow(port: u16) -> Flow {
    Flow::tcp(([127, 81, 200, 9], 5_555).into(), ([127, 99, 84, 1], port).into())
}

fn open(edge: &Edge, flow: Flow) -> Result<Connection, Refusal> {
    edge.view().open(flow, at(0))
}

#[test]
fn an_allowed_port_leads_to_its_destination_from_the_clients_address_whatever_health_is() {
    let mut snapshot = snapshot(Behaviour::Fast);
    allow(&mut snapshot, 5, &[7001]);
    let edge = edge(snapshot);
    let mut connection = open(&edge, flow(10_003)).unwrap();
    assert_eq!(connection.accelerator(), AcceleratorRef::CustomRouting(CustomRoutingIndex(0)));
    assert_eq!(connection.accelerator().name(&edge.view().snapshot).as_str(), "game");
    assert_eq!(connection.decision().reason, RouteReason::Mapped);
    let Some(Output::Connect { attempt: 0, candidate }) = connection.poll_output() else { panic!("no connect") };
    assert_eq!(candidate.address, "127.82.16.5:7001".parse().unwrap());
    assert_eq!((candidate.via, candidate.region.0, candidate.client_ip_preservation), (Via::Direct, 1, true));
    connection.connected(0);
    assert_eq!(connection.poll_output(), Some(Output::Use { attempt: 0, candidate }));
    assert_eq!(connection.poll_output(), None, "a destination is nobody's evidence");
}

#[test]
fn what_is_denied_unmapped_or_of_another_protocol_gets_no_answer_and_what_is_no_listeners_a_reset() {
    let mut snapshot = snapshot(Behaviour::Aws);
    allow(&mut snapshot, 5, &[7001]);
    let edge = edge(snapshot);
    let refusal = |flow| open(&edge, flow).map(|_| ()).unwrap_err();
    assert_eq!(refusal(flow(10_002)), Refusal::Denied, "allowed is one port of the address");
    assert_eq!(refusal(flow(10_001)), Refusal::Denied, "allowed is one address");
    assert_eq!(refusal(flow(10_022)), Refusal::Denied, "eleven addresses and two ports are 22 ports");
    let udp = Flow { protocol: perigee_model::TransportProtocol::Udp, ..flow(10_003) };
    assert_eq!(refusal(udp), Refusal::Denied);
    assert_eq!(refusal(flow(10_100)), Refusal::NoListener);
    assert!(Refusal::Denied.is_silent() && !Refusal::NoListener.is_silent());
}

#[test]
fn a_destination_that_fails_is_not_replaced_in_either_behaviour() {
    for behaviour in [Behaviour::Fast, Behaviour::Aws] {
        let mut snapshot = snapshot(behaviour);
        allow(&mut snapshot, 4, &[]);
        let edge = edge(snapshot);
        let mut refused = open(&edge, flow(10_000)).unwrap();
        assert!(matches!(refused.poll_output(), Some(Output::Connect { .. })));
        refused.failed(0, ConnectFailure::Refused, at(1));
        assert_eq!(refused.poll_output(), Some(Output::Refuse(Refusal::Refused)));
        let mut silent = open(&edge, flow(10_000)).unwrap();
        assert!(matches!(silent.poll_output(), Some(Output::Connect { .. })));
        let timeout = edge.view().snapshot.settings.timing.connect_timeout;
        assert_eq!(silent.poll_timeout(), Some(at(0) + timeout), "nobody to turn to, so no stagger");
        silent.handle_timeout(at(0) + timeout);
        assert_eq!(silent.poll_output(), Some(Output::Abandon { attempt: 0 }));
        assert_eq!(silent.poll_output(), Some(Output::Refuse(Refusal::TimedOut)));
    }
}

#[test]
fn a_disabled_accelerator_refuses_and_keeps_its_map() {
    let mut snapshot = snapshot(Behaviour::Fast);
    allow(&mut snapshot, 4, &[]);
    snapshot.custom_routing_accelerators[0].enabled = false;
    let edge = edge(snapshot);
    assert_eq!(open(&edge, flow(10_000)).map(|_| ()), Err(Refusal::Disabled));
    assert_eq!(edge.view().mapping(CustomRoutingIndex(0)).len(), 22);
}

#[test]
fn a_reload_keeps_every_port_and_what_forbids_that_is_known_before() {
    let first = snapshot(Behaviour::Fast);
    let mut edge = edge(first.clone());
    let later = |ms: u64| -> Instant { at(0) + Duration::from_millis(ms) };
    // Another subnet before the first one, and a listener that grew at its low end.
    let mut grown = first.clone();
    let mut other = grown.subnets[0].clone();
    other.id = perigee_model::SubnetId::new("subnet-00000001");
    other.cidr = "127.82.17.0/28".parse().unwrap();
    grown.subnets.insert(0, other);
    let listener = &mut grown.custom_routing_accelerators[0].listeners[0];
    listener.port_ranges[0].from_port = 9_000;
    let endpoints = &mut listener.endpoint_groups[0].endpoints;
    let mut before = endpoints[0].clone();
    before.subnet.0 = 0;
    endpoints[0].subnet.0 = 1;
    endpoints.insert(0, before);
    assert_eq!(edge.view().mapping_problems(&grown), []);
    let grown = Arc::new(grown);
    edge.set_snapshot(grown.clone(), atlas(&grown), later(1));
    let destination =
        |edge: &Edge, port| edge.view().mapping(CustomRoutingIndex(0)).destination(port).map(|d| d.address.to_string());
    assert_eq!(destination(&edge, 10_000).as_deref(), Some("127.82.16.4:7000"), "the first one stays");
    assert_eq!(destination(&edge, 9_000).as_deref(), Some("127.82.17.4:7000"), "the new one takes the first free run");
    let cold = Edge::new(grown.clone(), atlas(&grown), None, later(1));
    assert_eq!(destination(&cold, 9_022).as_deref(), Some("127.82.16.4:7000"), "a cold start follows the file");
    let shrunk = edge.view().mapping_problems(&first);
    let range = PortRange { from_port: 9_000, to_port: 10_099 };
    assert_eq!(shrunk, [(CustomRoutingIndex(0), MappingError::Shrunk { listener: 0, range })]);
}

#[test]
fn the_explanation_names_the_destination_and_whether_it_answers() {
    let mut snapshot = snapshot(Behaviour::Fast);
    allow(&mut snapshot, 4, &[7000]);
    let edge = edge(snapshot);
    let text = |port| edge.view().explain(&flow(port)).unwrap().to_string();
    let open = text(10_000);
    assert!(open.contains("accelerator game") && open.contains("127.82.16.4:7000 in subnet-0000aaaa"), "{open}");
    assert!(open.ends_with("TCP, ALLOW\n           -> connected: the port leads there"), "{open}");
    let denied = text(10_001);
    assert!(denied.ends_with("TCP, DENY\n           -> no answer: traffic to the destination is denied"), "{denied}");
    let unmapped = text(10_050);
    assert!(unmapped.ends_with("accelerator game\n           -> no answer: no subnet holds the port"), "{unmapped}");
    assert_eq!(edge.view().explain(&flow(20)), Err(Refusal::NoListener));
}
