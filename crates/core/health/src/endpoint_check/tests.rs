use std::time::Duration;

use perigee_model::dns::EndpointProtocol;
use perigee_model::{
    AcceleratorIndex, Behaviour, ElasticIp, ElasticIpIndex, Endpoint, LoadBalancerIndex, PortOverride, ProbeProtocol,
    RegionIndex, ThresholdCount, TransportProtocol, Weight, fixtures,
};
use proptest::prelude::*;

use super::*;

const FAIL: Result<(), ProbeFailure> = Err(ProbeFailure::Timeout);
const PASS: Result<(), ProbeFailure> = Ok(());

fn s(seconds: f64) -> Instant {
    Instant::START + Duration::from_secs_f64(seconds)
}

/// A region with one group, whose endpoints are the load balancer `shop` and one instance, or the instance alone.
fn snapshot(behaviour: Behaviour, threshold: u8, with_load_balancer: bool) -> Snapshot {
    let mut snapshot = fixtures::snapshot(&["r"]);
    fixtures::add_instances(&mut snapshot);
    snapshot.settings.behaviour = behaviour;
    snapshot.settings.timing = perigee_model::EdgeTiming::of(behaviour);
    let group = &mut snapshot.accelerators[0].listeners[0].endpoint_groups[0];
    group.health_check.interval = Duration::from_secs(10);
    group.health_check.threshold_count = ThresholdCount::new(threshold).expect("a count");
    if !with_load_balancer {
        group.endpoints.remove(0);
    }
    snapshot
}

/// The machine with a clock of its own.
struct Lab {
    snapshot: Snapshot,
    checks: EndpointChecks,
    load_balancers: Vec<LoadBalancerHealth>,
    now: Instant,
}

impl Lab {
    fn new(snapshot: Snapshot) -> Self {
        let checks = EndpointChecks::new(&snapshot, 7, s(0.0));
        let load_balancers = snapshot.load_balancers.iter().map(|lb| LoadBalancerHealth::unknown(lb.nodes.len()));
        Self { load_balancers: load_balancers.collect(), checks, snapshot, now: s(0.0) }
    }

    fn view(&mut self) -> ProbedView {
        self.checks.view(&self.snapshot, &self.load_balancers, self.now)
    }

    fn group(&mut self) -> GroupHealth {
        self.view().listener(AcceleratorIndex(0), 0)[0].clone()
    }

    /// The state of the group's last endpoint, the instance.
    fn state(&mut self) -> HealthState {
        let group = self.group();
        group.state(group.endpoints.len() - 1)
    }

    fn key(&self) -> EndpointKey {
        self.checks.watched[0].key.clone()
    }

    /// Goes on to the next probe and gives it `result` at once.
    fn probe(&mut self, result: Result<(), ProbeFailure>) {
        loop {
            if let Some(probe) = self.checks.poll_probe(self.now) {
                self.checks.probed(&probe, result, self.now);
                self.view();
                return;
            }
            self.now = self.checks.poll_timeout().expect("something is due").max(self.now);
            self.checks.handle_timeout(self.now);
            self.view();
        }
    }

    fn evidence(&mut self, evidence: Evidence) {
        let key = self.key();
        self.checks.evidence(&key, evidence, self.now);
    }

    /// Lets time go by without a probe being made.
    fn wait(&mut self, seconds: f64) {
        self.now = self.now + Duration::from_secs_f64(seconds);
        self.checks.handle_timeout(self.now);
    }
}

#[test]
fn one_pass_leaves_initial_and_the_threshold_turns_it_both_ways() {
    use HealthState::{Healthy, Initial, Unhealthy};
    let mut lab = Lab::new(snapshot(Behaviour::Aws, 3, false));
    assert_eq!(lab.state(), Initial);
    let results = [PASS, FAIL, FAIL, PASS, FAIL, FAIL, FAIL, PASS, PASS, FAIL, PASS, PASS, PASS];
    let mut states = Vec::new();
    for result in results {
        lab.probe(result);
        states.push(lab.state());
    }
    let expected = [[Healthy; 6].as_slice(), &[Unhealthy; 6], &[Healthy]].concat();
    assert_eq!(states, expected);

    let mut lab = Lab::new(snapshot(Behaviour::Aws, 3, false));
    for state in [Initial, Initial, Unhealthy] {
        lab.probe(FAIL);
        assert_eq!(lab.state(), state);
    }
}

#[test]
fn detection_takes_between_two_and_three_intervals_with_a_threshold_of_three() {
    let mut lab = Lab::new(snapshot(Behaviour::Aws, 3, false));
    lab.probe(PASS);
    let died = lab.now;
    while lab.state() == HealthState::Healthy {
        lab.probe(FAIL);
    }
    let took = lab.now.since(died).as_secs_f64();
    assert!((28.4..=31.6).contains(&took), "three intervals of 10 s, five per cent of jitter: {took}");
}

#[test]
fn probes_ask_what_the_group_says_and_of_udp_listeners_tcp_on_the_first_port() {
    let mut snapshot = snapshot(Behaviour::Aws, 3, false);
    snapshot.elastic_ips.push(ElasticIp {
        id: perigee_model::AllocationId::new("eipalloc-00000001"),
        region: RegionIndex(0),
        address: [192, 0, 2, 7].into(),
    });
    let listener = &mut snapshot.accelerators[0].listeners[0];
    let group = &mut listener.endpoint_groups[0];
    group.endpoints.push(Endpoint {
        target: EndpointTarget::ElasticIp(ElasticIpIndex(0)),
        weight: Weight::DEFAULT,
        client_ip_preservation: false,
    });
    (group.health_check.protocol, group.health_check.port) = (ProbeProtocol::Https, 443);
    group.health_check.path = "/up".into();
    let mut udp = listener.clone();
    udp.protocol = TransportProtocol::Udp;
    snapshot.accelerators[0].listeners.push(udp);
    let mut checks = EndpointChecks::new(&snapshot, 0, s(0.0));
    let mut asked = Vec::new();
    while let Some(probe) = checks.poll_probe(s(1.0)) {
        let address = probe.endpoint.address.map(|a| a.to_string()).unwrap_or_default();
        asked.push((
            probe.key.listener.0,
            address,
            probe.endpoint.protocol,
            probe.endpoint.port,
            probe.endpoint.path.clone(),
        ));
    }
    asked.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    let ask = |protocol, address: &str, probe, port| (protocol, address.to_owned(), probe, port, "/up".to_owned());
    use TransportProtocol::{Tcp, Udp};
    assert_eq!(
        asked,
        [
            ask(Tcp, "127.0.0.20", EndpointProtocol::Https, 443),
            ask(Tcp, "192.0.2.7", EndpointProtocol::Https, 443),
            ask(Udp, "127.0.0.20", EndpointProtocol::Tcp, 8080),
            ask(Udp, "192.0.2.7", EndpointProtocol::Tcp, 8080),
        ]
    );
}

#[test]
fn t13_a_port_override_moves_the_traffic_and_not_the_probe() {
    let mut snapshot = snapshot(Behaviour::Aws, 3, false);
    let listener = &mut snapshot.accelerators[0].listeners[0];
    listener.port_ranges[0] = perigee_model::PortRange { from_port: 80, to_port: 80 };
    let group = &mut listener.endpoint_groups[0];
    group.health_check.port = 80;
    group.port_overrides = vec![PortOverride { listener_port: 80, endpoint_port: 480 }];
    assert_eq!(group.endpoint_port(80), 480);
    let mut checks = EndpointChecks::new(&snapshot, 0, s(0.0));
    assert_eq!(checks.poll_probe(s(1.0)).expect("a probe").endpoint.port, 80);
}

#[test]
fn t16_an_instance_behind_a_udp_listener_without_a_tcp_server_is_unhealthy() {
    let mut snapshot = snapshot(Behaviour::Aws, 3, false);
    let listener = &mut snapshot.accelerators[0].listeners[0];
    listener.protocol = TransportProtocol::Udp;
    listener.endpoint_groups[0].health_check.protocol = ProbeProtocol::Http;
    let mut lab = Lab::new(snapshot);
    for _ in 0..3 {
        lab.now = lab.checks.poll_timeout().expect("a probe is due").max(lab.now);
        let probe = lab.checks.poll_probe(lab.now).expect("a probe");
        let answered = probe.endpoint.protocol != EndpointProtocol::Tcp;
        let result = if answered { PASS } else { Err(ProbeFailure::Connection) };
        lab.checks.probed(&probe, result, lab.now);
    }
    assert_eq!(lab.state(), HealthState::Unhealthy);
}

#[test]
fn in_aws_live_connects_are_no_evidence() {
    let mut lab = Lab::new(snapshot(Behaviour::Aws, 3, false));
    lab.probe(PASS);
    (0..10).for_each(|_| lab.evidence(Evidence::Refused));
    assert_eq!(lab.state(), HealthState::Healthy);
}

#[test]
fn in_fast_a_refused_connect_is_enough_and_asks_at_once_and_only_once() {
    let mut lab = Lab::new(snapshot(Behaviour::Fast, 3, false));
    lab.probe(PASS);
    lab.wait(1.0);
    lab.evidence(Evidence::Refused);
    assert_eq!(lab.state(), HealthState::Unhealthy);
    let probe = lab.checks.poll_probe(lab.now).expect("a probe is asked for at once");
    lab.checks.probed(&probe, FAIL, lab.now);
    (0..10).for_each(|_| lab.evidence(Evidence::Refused));
    assert!(lab.checks.poll_timeout() >= Some(lab.now + Duration::from_secs(9)), "no probe more for all that");
    lab.probe(PASS);
    assert_eq!(lab.state(), HealthState::Unhealthy, "it is held");
    lab.wait(1.0);
    assert_eq!(lab.state(), HealthState::Healthy);
}

#[test]
fn in_fast_one_slow_connect_may_be_chance_and_two_in_a_row_are_not() {
    let mut lab = Lab::new(snapshot(Behaviour::Fast, 3, false));
    lab.probe(PASS);
    for evidence in [Evidence::Slow, Evidence::Connected, Evidence::Slow] {
        lab.evidence(evidence);
    }
    assert_eq!(lab.state(), HealthState::Healthy);
    lab.evidence(Evidence::Slow);
    assert_eq!(lab.state(), HealthState::Unhealthy);
}

#[test]
fn a_pass_that_began_before_the_evidence_does_not_lift_the_suspicion() {
    let mut lab = Lab::new(snapshot(Behaviour::Fast, 3, false));
    lab.probe(PASS);
    lab.now = lab.checks.poll_timeout().expect("a probe is due");
    let probe = lab.checks.poll_probe(lab.now).expect("a probe");
    lab.wait(0.5);
    lab.evidence(Evidence::TimedOut);
    lab.checks.probed(&probe, PASS, lab.now);
    lab.wait(2.0);
    assert_eq!(lab.state(), HealthState::Unhealthy);
    lab.probe(PASS);
    lab.wait(1.0);
    assert_eq!(lab.state(), HealthState::Healthy);
}

#[test]
fn t17_in_aws_a_group_that_recovered_is_held_for_thirty_seconds_and_no_longer() {
    let mut lab = Lab::new(snapshot(Behaviour::Aws, 1, false));
    lab.probe(PASS);
    assert!(!lab.group().held, "it begins");
    lab.probe(FAIL);
    lab.probe(PASS);
    assert_eq!((lab.state(), lab.group().held), (HealthState::Healthy, true));
    assert!(lab.checks.poll_timeout().is_some_and(|at| at <= lab.now + Duration::from_secs(30)), "it wakes for it");
    lab.wait(29.9);
    assert!(lab.group().held);
    lab.wait(0.1);
    assert!(!lab.group().held);
}

#[test]
fn a_group_whose_load_balancer_is_back_is_not_held() {
    let mut lab = Lab::new(snapshot(Behaviour::Aws, 1, true));
    lab.load_balancers[0].measured = HealthState::Healthy;
    lab.view();
    lab.load_balancers[0].measured = HealthState::Unhealthy;
    lab.view();
    lab.load_balancers[0].measured = HealthState::Healthy;
    assert!(!lab.group().held);
    assert_eq!(lab.group().endpoints[0], None, "load balancers are judged elsewhere");
    assert_eq!(lab.snapshot.load_balancer(LoadBalancerIndex(0)).name.as_str(), "shop");
}

#[test]
fn the_operators_word_stands_above_the_probes_and_outlives_a_reload() {
    let mut lab = Lab::new(snapshot(Behaviour::Aws, 3, false));
    lab.probe(PASS);
    let (region, id) = (RegionCode::new("r"), lab.key().endpoint);
    assert!(lab.checks.force(&region, &id, Some(Forced::Unhealthy)));
    lab.checks.set_snapshot(&lab.snapshot, lab.now);
    assert_eq!(lab.state(), HealthState::Unhealthy);
    assert!(lab.checks.force(&region, &id, None) && !lab.checks.force(&region, "i-00000000", None));
    assert_eq!(lab.state(), HealthState::Healthy);
}

#[test]
fn a_reload_keeps_what_is_known_and_a_probe_of_what_is_asked_no_more_is_dropped() {
    let mut lab = Lab::new(snapshot(Behaviour::Aws, 1, false));
    lab.probe(PASS);
    lab.now = lab.checks.poll_timeout().expect("a probe is due");
    let probe = lab.checks.poll_probe(lab.now).expect("a probe");
    lab.snapshot.accelerators[0].listeners[0].endpoint_groups[0].health_check.port = 9999;
    lab.checks.set_snapshot(&lab.snapshot, lab.now);
    assert!(!lab.checks.probed(&probe, FAIL, lab.now));
    assert_eq!(lab.state(), HealthState::Healthy);
    assert_eq!(lab.checks.poll_probe(lab.now).expect("it asks again").endpoint.port, 9999);
    lab.snapshot.accelerators[0].listeners[0].endpoint_groups[0].endpoints.clear();
    lab.checks.set_snapshot(&lab.snapshot, lab.now);
    assert!(lab.checks.is_empty() && lab.checks.poll_timeout().is_none());
}

#[test]
fn the_edges_and_the_endpoints_ask_out_of_step() {
    let mut snapshot = fixtures::snapshot(&["a", "b", "c", "d"]);
    fixtures::add_instances(&mut snapshot);
    let first = |salt, n: usize| EndpointChecks::new(&snapshot, salt, s(0.0)).timers.iter().nth(n).map(|(at, _)| *at);
    let mut firsts: Vec<_> =
        (0..20).flat_map(|salt| (0..4).map(move |n| (salt, n))).map(|(e, n)| first(e, n)).collect();
    assert!(firsts.iter().all(|at| at.is_some_and(|at| at < s(1.0))));
    firsts.sort_unstable();
    firsts.dedup();
    assert_eq!(firsts.len(), 80);
}

proptest! {
    /// Whatever happens: in `fast` an endpoint comes back at most once per hold, and the number of probes in a time does
    /// not grow with failures, but for one a suspicion.
    #[test]
    fn flapping_changes_an_endpoint_once_per_hold_and_costs_no_more_probes(
        events in proptest::collection::vec((0_u8..4, 0_u64..4_000), 1..300),
        threshold in 1_u8..4,
    ) {
        let mut lab = Lab::new(snapshot(Behaviour::Fast, threshold, false));
        lab.probe(PASS);
        let hold = lab.snapshot.settings.timing.recovery_hold;
        let (mut rises, mut falls, mut probes) = (Vec::new(), Vec::new(), 0_u32);
        let mut before = lab.state();
        for (event, later) in events {
            lab.now = lab.now + Duration::from_millis(later);
            lab.checks.handle_timeout(lab.now);
            match event {
                0 | 1 => {
                    if let Some(probe) = lab.checks.poll_probe(lab.now) {
                        probes += 1;
                        lab.checks.probed(&probe, if event == 0 { PASS } else { FAIL }, lab.now);
                    }
                }
                2 => lab.evidence(Evidence::Refused),
                _ => lab.evidence(Evidence::Slow),
            }
            let after = lab.state();
            match (before, after) {
                (HealthState::Unhealthy, HealthState::Healthy) => rises.push(lab.now),
                (HealthState::Healthy, HealthState::Unhealthy) => falls.push(lab.now),
                _ => {}
            }
            before = after;
        }
        for changes in [&rises, &falls] {
            prop_assert!(changes.windows(2).all(|two| two[1].since(two[0]) >= hold));
        }
        let regular = lab.now.since(s(0.0)).as_secs_f64() / 9.5 + 1.0;
        prop_assert!(f64::from(probes) <= regular + falls.len() as f64, "{probes} probes");
    }
}
