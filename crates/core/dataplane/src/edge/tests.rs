mod endpoints;

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use perigee_geo::{Database, Overlay, Tables, shipped};
use perigee_health::{GroupReport, HealthState, Reach};
use perigee_model::{Behaviour, EdgeTiming, Location, fixtures};
use perigee_steering::{Flow, RouteReason};

use super::*;

const SEOUL_CLIENT: [u8; 4] = [127, 82, 200, 9];

fn at(ms: u64) -> Instant {
    Instant::START + Duration::from_millis(1_000 + ms)
}

fn atlas(snapshot: &Snapshot) -> Arc<Atlas> {
    static DATA: OnceLock<(Arc<Database>, Tables, Overlay)> = OnceLock::new();
    let (database, tables, overlay) = DATA.get_or_init(|| {
        let tables = Tables::parse(shipped::REGIONS, shipped::REGION_RTT, shipped::EDGES).expect("shipped tables");
        let overlay = Overlay::parse(shipped::OVERLAY).expect("shipped overlay");
        (Arc::new(Database::load(shipped::CITY).expect("shipped database")), tables, overlay)
    });
    let regions: Vec<(RegionCode, Location)> = snapshot.regions.iter().map(|r| (r.code.clone(), r.location)).collect();
    Arc::new(Atlas::build(database, tables, overlay, &regions, "Seoul").expect("an atlas"))
}

fn snapshot(behaviour: Behaviour) -> Arc<Snapshot> {
    let mut snapshot = fixtures::snapshot(&["ap-northeast-1", "ap-northeast-2"]);
    snapshot.settings.behaviour = behaviour;
    snapshot.settings.timing = EdgeTiming::of(behaviour);
    Arc::new(snapshot)
}

fn report(healthy: u32) -> NodeReport {
    let group = GroupReport { name: "web".into(), healthy, initial: 0, registered: 2, passes_dns: healthy > 0 };
    NodeReport { target_groups: vec![group] }
}

/// An edge whose every node answered that all is well.
fn healthy_edge(behaviour: Behaviour) -> Edge {
    let snapshot = snapshot(behaviour);
    let mut edge = Edge::new(snapshot.clone(), atlas(&snapshot), None, at(0));
    while let Some(sample) = edge.poll_sample(at(0)) {
        edge.sampled(&sample, Ok(report(2)), at(0));
    }
    assert!(edge.view().health.load_balancers.iter().all(perigee_health::LoadBalancerHealth::is_healthy));
    edge
}

fn flow(port: u16) -> Flow {
    Flow::tcp((SEOUL_CLIENT, port).into(), ([127, 75, 2, 1], 8080).into())
}

/// Opens a flow and drives it against a network in which `reachable` says what a connect gives: done, refused or none
/// for silence. Gives the address it ended at and how long that took; evidence goes back into the edge.
fn drive(
    edge: &mut Edge,
    port: u16,
    start: u64,
    reachable: impl Fn(SocketAddr) -> Option<bool>,
) -> (Result<SocketAddr, Refusal>, u64) {
    let mut connection = edge.view().open(flow(port), at(start)).expect("the flow is taken");
    let mut now = at(start);
    loop {
        while let Some(output) = connection.poll_output() {
            match output {
                Output::Connect { attempt, candidate } => match reachable(candidate.address) {
                    Some(true) => connection.connected(attempt),
                    Some(false) => connection.failed(attempt, ConnectFailure::Refused, now),
                    None => {}
                },
                Output::Use { candidate, .. } => {
                    while let Some(output) = connection.poll_output() {
                        if let Output::Evidence { subject, evidence } = output {
                            edge.evidence(&subject, evidence, now);
                        }
                    }
                    return (Ok(candidate.address), (now - at(start)).as_millis() as u64);
                }
                Output::Refuse(refusal) => return (Err(refusal), (now - at(start)).as_millis() as u64),
                Output::Evidence { subject, evidence } => {
                    edge.evidence(&subject, evidence, now);
                }
                Output::Abandon { .. } => {}
            }
        }
        now = connection.poll_timeout().expect("an undecided flow waits for something");
        connection.handle_timeout(now);
    }
}

/// Region 1 (Seoul) has addresses 127.0.1.x in the fixture.
fn is_seoul(address: SocketAddr) -> bool {
    matches!(address.ip(), std::net::IpAddr::V4(ip) if ip.octets()[2] == 1)
}

#[test]
fn a_client_in_seoul_is_taken_by_icn_and_goes_to_seoul() {
    let mut edge = healthy_edge(Behaviour::Fast);
    let (end, _) = drive(&mut edge, 1, 0, |_| Some(true));
    assert!(is_seoul(end.expect("connected")));
    let explanation = edge.view().explain(&flow(1)).expect("explained");
    assert_eq!((explanation.pop.as_str(), explanation.groups[0].region.as_str()), ("ICN", "ap-northeast-2"));
    assert_eq!(explanation.reason, RouteReason::Closest.to_string());
}

#[test]
fn in_fast_a_crashed_region_costs_no_client_anything() {
    let mut edge = healthy_edge(Behaviour::Fast);
    for port in 1..200 {
        let (end, waited) = drive(&mut edge, port, u64::from(port), |a| Some(!is_seoul(a)));
        assert!(!is_seoul(end.expect("no client is refused")));
        assert_eq!(waited, 0);
    }
    assert_eq!(edge.view().health.load_balancers[1].measured, HealthState::Unhealthy, "live connects were evidence");
}

#[test]
fn in_fast_a_blackholed_region_costs_two_staggers_until_it_is_known_and_nothing_after() {
    let mut edge = healthy_edge(Behaviour::Fast);
    let waits: Vec<u64> = (1..100)
        .map(|port| {
            let (end, waited) =
                drive(&mut edge, port, u64::from(port), |a| if is_seoul(a) { None } else { Some(true) });
            assert!(!is_seoul(end.expect("no client is refused")));
            waited
        })
        .collect();
    assert!(waits.iter().all(|w| *w <= 400), "{waits:?}");
    assert_eq!(waits.iter().filter(|w| **w > 0).count(), 2, "{waits:?}");
}

#[test]
fn slowness_of_everybody_alike_is_no_evidence_against_anybody() {
    let edge = healthy_edge(Behaviour::Fast);
    let mut connection = edge.view().open(flow(1), at(0)).expect("taken");
    for _ in 0..2 {
        connection.handle_timeout(connection.poll_timeout().expect("a stagger"));
    }
    connection.connected(0);
    let is_slow = |o: &Output| matches!(o, Output::Evidence { evidence: Evidence::Slow, .. });
    assert!(
        !std::iter::from_fn(|| connection.poll_output()).any(|o| is_slow(&o)),
        "the first was slow but not overtaken"
    );
}

#[test]
fn a_region_that_is_far_is_not_suspected_for_being_overtaken_by_a_nearer_one() {
    let mut edge = healthy_edge(Behaviour::Fast);
    // From London both regions are farther than the stagger is long; whoever is second may still be first.
    for port in 1..=20 {
        let flow = Flow { client: ([127, 44, 200, 9], port).into(), ..flow(port) };
        let mut connection = edge.view().open(flow, at(0)).expect("taken");
        for _ in 0..2 {
            connection.handle_timeout(connection.poll_timeout().expect("a stagger"));
        }
        connection.connected(2);
        while let Some(output) = connection.poll_output() {
            if let Output::Evidence { subject, evidence } = output {
                assert_ne!(evidence, Evidence::Slow, "{subject:?}");
                edge.evidence(&subject, evidence, at(500));
            }
        }
    }
    assert!(edge.view().health.load_balancers.iter().all(perigee_health::LoadBalancerHealth::is_healthy));
}

#[test]
fn in_aws_a_refused_connect_is_the_clients_reset_and_a_silent_one_too_after_ten_seconds() {
    let mut edge = healthy_edge(Behaviour::Aws);
    assert_eq!(drive(&mut edge, 1, 0, |a| Some(!is_seoul(a))), (Err(Refusal::Refused), 0));
    assert_eq!(drive(&mut edge, 2, 0, |a| (!is_seoul(a)).then_some(true)), (Err(Refusal::TimedOut), 10_000));
    assert!(edge.view().health.load_balancers[1].is_healthy(), "live connects are no evidence in aws");
}

#[test]
fn in_aws_three_missed_samples_move_new_flows_and_one_answer_brings_them_home() {
    let mut edge = healthy_edge(Behaviour::Aws);
    let mut down_at = None;
    for tick in 1..=4 {
        let now = at(tick * 10_000);
        while let Some(sample) = edge.poll_sample(now) {
            let dead = sample.node.region.as_str() == "ap-northeast-2";
            let result = if dead { Err(ProbeFailure::Connection) } else { Ok(report(2)) };
            edge.sampled(&sample, result, now);
        }
        if down_at.is_none() && !edge.view().health.load_balancers[1].is_healthy() {
            down_at = Some(tick * 10);
        }
    }
    assert_eq!(down_at, Some(30), "interval 10 s times 3 misses");
    assert!(!is_seoul(drive(&mut edge, 1, 41_000, |_| Some(true)).0.expect("connected")));
    while let Some(sample) = edge.poll_sample(at(50_000)) {
        edge.sampled(&sample, Ok(report(2)), at(50_000));
    }
    assert!(is_seoul(drive(&mut edge, 1, 51_000, |_| Some(true)).0.expect("connected")));
}

#[test]
fn with_every_region_dead_the_client_is_refused_after_all_were_tried() {
    let mut edge = healthy_edge(Behaviour::Fast);
    assert_eq!(drive(&mut edge, 1, 0, |_| Some(false)).0, Err(Refusal::Refused));
}

#[test]
fn a_late_winner_does_not_take_a_flow_that_is_joined_already() {
    let edge = healthy_edge(Behaviour::Fast);
    let mut connection = edge.view().open(flow(1), at(0)).expect("taken");
    connection.handle_timeout(connection.poll_timeout().expect("a stagger"));
    connection.connected(1);
    connection.connected(0);
    let outputs: Vec<Output> = std::iter::from_fn(|| connection.poll_output()).collect();
    let uses = outputs.iter().filter(|o| matches!(o, Output::Use { .. })).count();
    assert_eq!(uses, 1);
    assert!(outputs.contains(&Output::Abandon { attempt: 0 }));
    assert_eq!(connection.poll_timeout(), None);
}

#[test]
fn an_edges_own_trouble_is_no_evidence_against_the_region() {
    let edge = healthy_edge(Behaviour::Fast);
    let mut connection = edge.view().open(flow(1), at(0)).expect("taken");
    connection.failed(0, ConnectFailure::Local, at(0));
    let outputs: Vec<Output> = std::iter::from_fn(|| connection.poll_output()).collect();
    assert!(!outputs.iter().any(|o| matches!(o, Output::Evidence { .. })), "{outputs:?}");
}

#[test]
fn a_dead_pops_clients_go_to_the_next_one() {
    let mut edge = healthy_edge(Behaviour::Fast);
    let icn = edge.view().atlas.find_pop("ICN").expect("ICN");
    assert!(edge.set_pop(icn, false));
    assert!(!edge.set_pop(icn, false));
    let elsewhere = edge.view().explain(&flow(1)).expect("explained").pop;
    assert_ne!(elsewhere, "ICN");
    assert!(edge.set_pop(icn, true));
    assert_eq!(edge.view().explain(&flow(1)).expect("explained").pop, "ICN");
}

#[test]
fn a_reload_keeps_what_is_known_and_a_disabled_accelerator_refuses() {
    let mut edge = healthy_edge(Behaviour::Fast);
    let mut next = Snapshot::clone(&edge.view().snapshot);
    next.generation = 2;
    next.accelerators[0].enabled = false;
    let next = Arc::new(next);
    edge.set_snapshot(next.clone(), atlas(&next), at(100));
    assert!(edge.view().health.load_balancers.iter().all(|lb| lb.nodes.iter().all(|n| n.reach == Reach::Up)));
    assert_eq!(edge.view().open(flow(1), at(100)).map(|_| ()), Err(Refusal::Disabled));
    let stray = Flow { destination: ([127, 75, 2, 1], 81).into(), ..flow(1) };
    assert_eq!(edge.view().open(stray, at(100)).map(|_| ()), Err(Refusal::Disabled));
}

#[test]
fn names_follow_the_health_view() {
    let mut edge = healthy_edge(Behaviour::Fast);
    let name = edge.view().snapshot.dns.latency_names[0].clone();
    let region = |edge: &Edge| edge.view().explain_name(&name, SEOUL_CLIENT.into()).region;
    assert_eq!(region(&edge).as_deref(), Some("ap-northeast-2"));
    edge.force(&RegionCode::new("ap-northeast-2"), &LoadBalancerName::new("shop"), Some(Forced::Unhealthy));
    assert_eq!(region(&edge).as_deref(), Some("ap-northeast-1"));
}

#[test]
fn a_known_place_decides_as_the_address_does() {
    let mut edge = healthy_edge(Behaviour::Fast);
    let atlas = edge.view().atlas.clone();
    edge.set_pop(atlas.find_pop("ICN").expect("ICN"), false);
    for (i, client) in
        [SEOUL_CLIENT, [127, 81, 200, 9], [133, 1, 2, 3], [8, 8, 8, 8], [240, 0, 0, 1]].iter().enumerate()
    {
        let flow = Flow { client: (*client, 1_000 + i as u16).into(), ..flow(1) };
        let place = atlas.locate(flow.client.ip()).place_index;
        let [mut by_address, mut by_place] =
            [edge.view().open(flow, at(0)), edge.view().open_at(flow, place, at(0))].map(|c| c.expect("taken"));
        assert_eq!((by_address.pop(), by_address.poll_output()), (by_place.pop(), by_place.poll_output()));
        let mut pops = Vec::new();
        atlas.pops_by_distance(place, &mut pops);
        assert_eq!(Some(by_place.pop()), pops.into_iter().find(|pop| !edge.view().dead_pops().contains(pop)));
    }
}

/// A snapshot with an endpoint check of one prober, and its inversion.
fn checked() -> Arc<Snapshot> {
    use perigee_model::dns::{DnsCheckKind, DnsHealthCheck, EndpointCheck, EndpointProtocol};
    let mut snapshot = Snapshot::clone(&snapshot(Behaviour::Fast));
    let endpoint = EndpointCheck {
        protocol: EndpointProtocol::Tcp,
        address: Some([192, 0, 2, 1].into()),
        domain_name: None,
        port: 80,
        path: "/".into(),
        search: None,
        interval: Duration::from_secs(10),
        threshold: 1,
        sni: true,
        checkers: 1,
    };
    let check = |name: &str, inverted| DnsHealthCheck {
        name: name.into(),
        kind: DnsCheckKind::Endpoint(endpoint.clone()),
        inverted,
        disabled: false,
    };
    snapshot.dns.health_checks = vec![check("a", false), check("b", true)];
    Arc::new(snapshot)
}

#[test]
fn the_view_carries_the_verdicts_of_the_dns_health_checks_and_keeps_them_over_samples_and_reloads() {
    let snapshot = checked();
    let mut edge = Edge::new(snapshot.clone(), atlas(&snapshot), None, at(0));
    assert_eq!(edge.view().health.checks, [true, false], "new checks, the second inverted");
    while let Some(probe) = edge.poll_dns_probe(at(10_000)) {
        let before = edge.view().clone();
        let changed = edge.dns_probed(&probe, Err(ProbeFailure::Timeout), at(10_000));
        assert!(changed && !Arc::ptr_eq(&before, edge.view()));
    }
    assert_eq!(edge.view().health.checks, [false, true]);
    while let Some(sample) = edge.poll_sample(at(10_000)) {
        edge.sampled(&sample, Ok(report(2)), at(10_000));
    }
    assert_eq!(edge.view().health.checks, [false, true]);
    edge.set_snapshot(snapshot.clone(), atlas(&snapshot), at(10_000));
    assert_eq!(edge.view().health.checks, [false, true]);
    assert!(edge.force_check("b", Some(Forced::Unhealthy)));
    assert_eq!(edge.view().health.checks, [false, false]);
    assert!(edge.force_check("b", None) && !edge.force_check("nobody", None));
    assert_eq!(edge.check_statuses()[1].votes, 0);
}

#[test]
fn a_result_that_changes_no_verdict_leaves_the_view_as_it_is() {
    let snapshot = checked();
    let mut edge = Edge::new(snapshot.clone(), atlas(&snapshot), None, at(0));
    let before = edge.view().clone();
    while let Some(probe) = edge.poll_dns_probe(at(10_000)) {
        assert!(!edge.dns_probed(&probe, Ok(()), at(10_000)));
    }
    assert!(Arc::ptr_eq(&before, edge.view()));
}

#[test]
fn an_edge_that_nobody_probes_for_is_settled_and_not_woken_for_its_checks() {
    let snapshot = checked();
    let mut edge = Edge::new(snapshot.clone(), atlas(&snapshot), None, at(0));
    while let Some(sample) = edge.poll_sample(at(0)) {
        edge.sampled(&sample, Ok(report(2)), at(0));
    }
    assert!(edge.is_settled() && edge.is_steady());
    edge.skip_to(at(60_000));
    assert!(edge.poll_timeout() >= Some(at(60_000)), "only samples wake it");
    assert!(edge.poll_dns_timeout() < Some(at(10_000)), "a driver that probes is told of the probes");
    assert_eq!(edge.view().health.checks, [true, false]);
}

/// What the DNS name `app` answers a client in Seoul, by its tree.
fn by_tree(edge: &Edge) -> (Option<perigee_model::RegionIndex>, bool) {
    let view = edge.view();
    let client =
        perigee_steering::DnsClient { network: Some((SEOUL_CLIENT.into(), 24)), resolver: [127, 0, 0, 1].into() };
    let tree = view.trees().of_latency_name(0);
    let decision = view.decide_name(tree, perigee_steering::RecordKind::A, &client, 0);
    let leaf = decision.leaves.as_slice().first().map(|leaf| view.trees().leaf(*leaf));
    (leaf.and_then(|leaf| leaf.region), decision.degraded)
}

#[test]
fn trees_follow_health_and_configuration_as_the_latency_law_does() {
    use perigee_model::RegionIndex;
    let mut edge = healthy_edge(Behaviour::Fast);
    let law = |edge: &Edge| {
        let view = edge.view();
        let answer = view.answer(&view.snapshot.dns.latency_names[0], SEOUL_CLIENT.into());
        (answer.region, answer.degraded)
    };
    assert_eq!(by_tree(&edge), (Some(RegionIndex(1)), false));
    let seoul = RegionCode::new("ap-northeast-2");
    let name = LoadBalancerName::new("shop");
    edge.force(&seoul, &name, Some(Forced::Unhealthy));
    assert_eq!(by_tree(&edge), (Some(RegionIndex(0)), true));
    assert_eq!(by_tree(&edge), law(&edge));
    let snapshot = edge.view().snapshot.clone();
    edge.set_snapshot(snapshot.clone(), atlas(&snapshot), at(1));
    assert_eq!(by_tree(&edge), law(&edge));
    edge.force(&seoul, &name, None);
    assert_eq!(by_tree(&edge), (Some(RegionIndex(1)), false));
    let client = perigee_steering::DnsClient { network: None, resolver: SEOUL_CLIENT.into() };
    let view = edge.view();
    let explanation = view.explain_policy(view.trees().of_latency_name(0), perigee_steering::RecordKind::A, &client, 0);
    assert_eq!(explanation.answers, ["load balancer shop in ap-northeast-2"]);
    assert!(explanation.to_string().contains("longer round trip"), "{explanation}");
}

#[test]
fn t15_one_port_of_a_tcp_and_a_udp_listener_leads_to_two_listeners() {
    let mut snapshot = Snapshot::clone(&snapshot(Behaviour::Fast));
    let mut udp = snapshot.accelerators[0].listeners[0].clone();
    udp.protocol = perigee_model::TransportProtocol::Udp;
    udp.endpoint_groups.truncate(1);
    snapshot.accelerators[0].listeners.push(udp);
    let snapshot = Arc::new(snapshot);
    let edge = Edge::new(snapshot.clone(), atlas(&snapshot), None, at(0));
    let tcp = flow(1);
    let udp = Flow::udp(tcp.client, tcp.destination);
    let groups = |flow: &Flow| edge.view().explain(flow).expect("explained").groups.len();
    assert_eq!((groups(&tcp), groups(&udp)), (2, 1));
    let stray = Flow { destination: ([127, 75, 2, 1], 81).into(), ..udp };
    assert_eq!(edge.view().open(stray, at(0)).map(|_| ()), Err(Refusal::NoListener));
}
