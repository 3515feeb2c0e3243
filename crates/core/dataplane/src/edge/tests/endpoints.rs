//! Endpoints that are no load balancers, and IPv6, through the whole machine.

use std::collections::BTreeMap;

use perigee_health::ProbedHealth;
use perigee_model::AcceleratorIndex;
use perigee_steering::{Candidate, Via};

use super::*;

/// Two regions with an instance each and nothing else; Tokyo is 127.0.0.20, Seoul 127.0.1.20.
fn instances(behaviour: Behaviour) -> Arc<Snapshot> {
    let mut snapshot = Snapshot::clone(&snapshot(behaviour));
    fixtures::add_instances(&mut snapshot);
    for group in &mut snapshot.accelerators[0].listeners[0].endpoint_groups {
        group.endpoints.remove(0);
        group.health_check.interval = Duration::from_secs(10);
    }
    Arc::new(snapshot)
}

/// An edge and what it is told of its endpoints.
struct Lab {
    edge: Edge,
    now: Instant,
}

impl Lab {
    fn new(behaviour: Behaviour) -> Self {
        let snapshot = instances(behaviour);
        let mut lab = Self { edge: Edge::new(snapshot.clone(), atlas(&snapshot), None, at(0)), now: at(0) };
        lab.run(Duration::from_secs(2), |_| true);
        lab
    }

    /// Lets `time` go by, in which probes pass if `is_up` says so of their address.
    fn run(&mut self, time: Duration, is_up: impl Fn(std::net::IpAddr) -> bool) {
        let end = self.now + time;
        while let Some(due) = self.edge.poll_endpoint_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.edge.handle_endpoint_timeout(self.now);
            while let Some(probe) = self.edge.poll_endpoint_probe(self.now) {
                let up = probe.endpoint.address.is_some_and(&is_up);
                self.edge.endpoint_probed(&probe, if up { Ok(()) } else { Err(ProbeFailure::Timeout) }, self.now);
            }
        }
        self.now = end;
        self.edge.handle_endpoint_timeout(end);
    }

    fn first(&self, flow: Flow) -> Candidate {
        let mut connection = self.edge.view().open(flow, self.now).expect("taken");
        match connection.poll_output() {
            Some(Output::Connect { candidate, .. }) => candidate,
            other => panic!("{other:?}"),
        }
    }

    /// Position of the region that a new flow of a client in Seoul is sent to: 0 is Tokyo, 1 Seoul.
    fn region(&self) -> usize {
        self.first(flow(1)).region.0
    }
}

const SEOUL: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 1, 20));

#[test]
fn t17_in_aws_new_flows_return_thirty_seconds_after_the_region_recovered_and_old_ones_stay() {
    let mut lab = Lab::new(Behaviour::Aws);
    assert_eq!(lab.region(), 1);
    lab.run(Duration::from_secs(60), |address| address != SEOUL);
    assert_eq!(lab.region(), 0);
    let old = lab.edge.view().open(flow(2), lab.now).expect("taken");
    // Three passes, ten seconds apart, then the hold.
    let recovered = lab.now;
    let mut returned = None;
    for _ in 0..90 {
        lab.run(Duration::from_secs(1), |_| true);
        if lab.region() == 1 {
            returned = Some(lab.now.since(recovered).as_secs());
            break;
        }
    }
    let returned = returned.expect("flows return");
    assert!((50..=62).contains(&returned), "20 to 31 s of checks and 30 s of hold: {returned}");
    assert_eq!(old.decision().outcome, perigee_steering::Outcome::Endpoint { group: 0, endpoint: 0 }, "old flows stay");
}

#[test]
fn in_fast_a_refused_connect_moves_on_inside_the_connection_and_the_next_flow_starts_elsewhere() {
    let mut lab = Lab::new(Behaviour::Fast);
    let now = lab.now.since(at(0)).as_millis() as u64;
    let (reached, took) = drive(&mut lab.edge, 1, now, |address| Some(address.ip() != SEOUL));
    assert_eq!((reached.map(|a| a.ip()), took), (Ok([127, 0, 0, 20].into()), 0));
    assert_eq!(lab.region(), 0, "one refused connect was enough");
    // A probe at once, a pass, the hold of a second: the region is back.
    lab.run(Duration::from_secs(1), |_| true);
    lab.run(Duration::from_secs(1), |_| true);
    assert_eq!(lab.region(), 1);
}

#[test]
fn in_aws_a_refused_connect_is_the_clients_reset_at_an_instance_too() {
    let mut lab = Lab::new(Behaviour::Aws);
    let now = lab.now.since(at(0)).as_millis() as u64;
    let (reached, _) = drive(&mut lab.edge, 1, now, |address| Some(address.ip() != SEOUL));
    assert_eq!(reached, Err(Refusal::Refused));
    assert_eq!(lab.region(), 1);
}

#[test]
fn two_edges_with_one_snapshot_and_one_health_agree() {
    let (one, other) = (Lab::new(Behaviour::Fast), Lab::new(Behaviour::Fast));
    let mut regions = BTreeMap::new();
    for port in 0..2_000 {
        let flow = Flow { client: ([127, 44, 200, (port % 250) as u8], port).into(), ..flow(port) };
        let chosen = one.first(flow);
        assert_eq!(chosen, other.first(flow));
        *regions.entry(chosen.region.0).or_insert(0) += 1;
    }
    assert!(!regions.is_empty());
}

#[test]
fn an_ipv6_flow_without_an_ipv6_endpoint_is_refused_for_a_reason_of_its_own() {
    let mut snapshot = Snapshot::clone(&instances(Behaviour::Fast));
    let v6 = |n| std::net::IpAddr::from([0xfd75, 0, 0, 0, 0, 0, 0, n]);
    snapshot.accelerators[0].addresses.extend([v6(1), v6(2)]);
    assert!(snapshot.accelerators[0].is_dual_stack());
    assert_eq!(snapshot.accelerators[0].network_zone(v6(2)), Some(1));
    let flow = Flow::tcp((v6(9), 1).into(), (v6(1), 8080).into());
    let open = |snapshot: Snapshot| {
        let snapshot = Arc::new(snapshot);
        let edge = Edge::new(snapshot.clone(), atlas(&snapshot), None, at(0));
        edge.view().open(flow, at(0)).map(|mut connection| connection.poll_output())
    };
    assert_eq!(open(snapshot.clone()), Err(Refusal::NoIpv6Endpoint));
    assert_eq!(Refusal::NoIpv6Endpoint.name(), "no_ipv6_endpoint");
    snapshot.instances[0].ipv6 = Some([0xfd00, 0, 0, 0, 0, 0, 0, 0x20].into());
    let Ok(Some(Output::Connect { candidate, .. })) = open(snapshot) else { panic!("it was refused") };
    assert_eq!((candidate.region.0, candidate.address.is_ipv6(), candidate.via), (0, true, Via::Direct));
}

#[test]
fn the_explanation_names_dial_hash_weight_and_health_of_every_endpoint() {
    let mut snapshot = Snapshot::clone(&snapshot(Behaviour::Fast));
    fixtures::add_instances(&mut snapshot);
    let snapshot = Arc::new(snapshot);
    let mut edge = Edge::new(snapshot.clone(), atlas(&snapshot), None, at(0));
    assert!(edge.force_endpoint(
        &RegionCode::new("ap-northeast-2"),
        snapshot.instances[1].id.as_str(),
        Some(Forced::Healthy)
    ));
    let route = edge.view().explain(&flow(1)).expect("explained");
    let text = route.to_string();
    let endpoints = &route.groups[0].endpoints;
    assert_eq!(endpoints.iter().map(|e| e.kind.as_str()).collect::<Vec<_>>(), ["load balancer", "instance"]);
    assert!(endpoints.iter().all(|e| e.hash > 0.0 && e.hash < 1.0 && e.weight == 128));
    let hash = format!("hash {:.3}", endpoints[1].hash);
    for word in
        ["dial 100", "weight 128, not judged yet, forced healthy", &hash, "i-00000000000000001 at 127.0.1.20:8080"]
    {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
}

#[test]
fn a_reload_keeps_what_is_known_of_the_instances() {
    let mut lab = Lab::new(Behaviour::Aws);
    let mut next = Snapshot::clone(&lab.edge.view().snapshot);
    next.generation += 1;
    next.accelerators[0].listeners[0].endpoint_groups[0].traffic_dial = perigee_model::TrafficDial::FULL;
    let next = Arc::new(next);
    let before = lab.edge.view().health.probed.clone();
    lab.edge.set_snapshot(next.clone(), atlas(&next), lab.now);
    assert_eq!(lab.edge.view().health.probed, before);
    let known = &before.listener(AcceleratorIndex(0), 0)[1].endpoints[0];
    assert_eq!(known.map(|k| k.measured), Some(HealthState::Healthy));
    assert_eq!(known.map(|k| ProbedHealth { failure: None, ..k }), *known, "the last probe passed");
}
