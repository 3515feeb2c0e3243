use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use perigee_health::{ProbeFailure, TargetReason, TargetState};
use perigee_model::{
    Action, Behaviour, ClientIp, Condition, DnsZone, EdgeTiming, Field, HealthCheck, Instant, Limits, ListenerProtocol,
    LoadBalancer, LoadBalancerIndex, LoadBalancerListener, LoadBalancerName, LoadBalancerNode, Location, Matcher,
    ProbeProtocol, Region, RegionCode, RegionIndex, Rule, Settings, Snapshot, Target, TargetGroup, TargetGroupIndex,
    TargetGroupName, ZoneName,
};
use perigee_rules::RequestHead;

use super::{Balancer, BalancerOutput, Probe, RequestToken, RespondReason, Routing};

const HEAD: RequestHead<'_> = RequestHead { host: Some("app.test"), path: "/" };
const API: RequestHead<'_> = RequestHead { host: Some("app.test"), path: "/api/x" };
const LB: LoadBalancerIndex = LoadBalancerIndex(0);

const fn at(ms: u64) -> Instant {
    Instant::from_nanos(1_000_000_000 + ms * 1_000_000)
}

fn target(n: u8) -> Target {
    Target { address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)), port: 9000, zone: ZoneName::new("za") }
}

fn group(name: &str, targets: &[u8]) -> TargetGroup {
    TargetGroup {
        name: TargetGroupName::new(name),
        region: RegionIndex(0),
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
        deregistration_delay: Duration::from_secs(30),
        routing_minimum_healthy: 1,
        dns_minimum_healthy: 1,
        targets: targets.iter().map(|n| target(*n)).collect(),
    }
}

/// One load balancer of two nodes: `/api/*` goes to the second group, everything else to the first.
fn snapshot(web: TargetGroup, api: TargetGroup) -> Snapshot {
    let forward = |n| Action::Forward { target_group: TargetGroupIndex(n) };
    let node = |n, zone: &str| LoadBalancerNode {
        zone: ZoneName::new(zone),
        address: IpAddr::V4(Ipv4Addr::new(10, 0, 1, n)),
        ipv6: None,
        status_port: 8081,
    };
    let rule = Rule {
        priority: 10,
        conditions: vec![Condition { field: Field::PathPattern, values: vec!["/api/*".into()] }],
        action: forward(1),
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
        dns: DnsZone::new("perigee.test"),
        regions: vec![Region {
            code: RegionCode::new("r"),
            city: "C".into(),
            country: "KR".into(),
            location: Location { latitude: 0.0, longitude: 0.0 },
            zones: vec![ZoneName::new("za"), ZoneName::new("zb")],
            load_balancers: vec![LB],
            target_groups: vec![TargetGroupIndex(0), TargetGroupIndex(1)],
        }],
        load_balancers: vec![LoadBalancer {
            name: LoadBalancerName::new("shop"),
            region: RegionIndex(0),
            nodes: vec![node(1, "za"), node(2, "zb")],
            listeners: vec![LoadBalancerListener {
                protocol: ListenerProtocol::Http,
                port: 80,
                rules: vec![rule],
                default_action: forward(0),
            }],
            idle_timeout: Duration::from_secs(60),
            client_keep_alive: Duration::from_secs(3600),
        }],
        target_groups: vec![web, api],
        instances: Vec::new(),
        elastic_ips: Vec::new(),
        accelerators: Vec::new(),
    }
}

fn balancer(web: &[u8]) -> Balancer {
    Balancer::new(Arc::new(snapshot(group("web", web), group("api", &[]))), LB, 0, at(0))
}

fn reload(balancer: &mut Balancer, web: TargetGroup, now: Instant) {
    balancer.set_snapshot(Arc::new(snapshot(web, group("api", &[]))), LB, 0, now);
}

fn probes(balancer: &mut Balancer, now: Instant) -> Vec<Probe> {
    std::iter::from_fn(|| balancer.poll_probe(now)).collect()
}

fn outputs(balancer: &mut Balancer) -> Vec<BalancerOutput> {
    std::iter::from_fn(|| balancer.poll_output()).collect()
}

/// Probes everything that is due and answers 200 for the targets in `up`, a refusal for the others.
fn check(balancer: &mut Balancer, up: &[u8], now: Instant) {
    for probe in probes(balancer, now) {
        let good = up.iter().any(|n| target(*n).address == probe.target.address);
        balancer.probed(probe.id, if good { Ok(Some(200)) } else { Err(ProbeFailure::Connection) });
    }
}

fn route(balancer: &mut Balancer, head: &RequestHead<'_>) -> (u8, bool, RequestToken) {
    match balancer.route(80, head) {
        Routing::Forward(f) => {
            let IpAddr::V4(ip) = f.target.address else { panic!("targets are IPv4 here") };
            (ip.octets()[3], f.fail_open, f.token)
        }
        Routing::Respond { status, reason } => panic!("{status} {reason}"),
    }
}

/// Routes `n` requests that end at once; gives the targets.
fn turns(balancer: &mut Balancer, n: usize) -> Vec<u8> {
    (0..n)
        .map(|_| {
            let (target, _, token) = route(balancer, &HEAD);
            balancer.request_finished(token);
            target
        })
        .collect()
}

fn states(balancer: &Balancer) -> Vec<TargetState> {
    balancer.targets().iter().map(|t| t.state).collect()
}

#[test]
fn healthy_targets_take_turns_and_the_others_get_nothing() {
    let mut b = balancer(&[1, 2, 3]);
    check(&mut b, &[1, 3], at(0));
    assert_eq!(states(&b), [TargetState::Healthy, TargetState::Initial, TargetState::Healthy]);
    assert_eq!(turns(&mut b, 4), [1, 3, 1, 3]);
    assert!(!route(&mut b, &HEAD).1);
}

#[test]
fn initial_targets_take_part_in_fail_open_only() {
    let mut b = balancer(&[1, 2]);
    let (first, fail_open, token) = route(&mut b, &HEAD);
    b.request_finished(token);
    assert_eq!((first, fail_open), (1, true));
    assert_eq!(turns(&mut b, 2), [2, 1]);
    check(&mut b, &[2], at(0));
    assert_eq!(turns(&mut b, 2), [2, 2]);
}

#[test]
fn all_targets_unhealthy_fails_open_to_all_of_them() {
    let mut b = balancer(&[1, 2]);
    check(&mut b, &[1, 2], at(0));
    check(&mut b, &[], at(5_000));
    check(&mut b, &[], at(10_000));
    assert_eq!(states(&b), [TargetState::Unhealthy; 2]);
    let (_, fail_open, token) = route(&mut b, &HEAD);
    b.request_finished(token);
    assert!(fail_open);
    assert_eq!(
        {
            let mut t = turns(&mut b, 2);
            t.sort_unstable();
            t
        },
        [1, 2]
    );
    let report = b.report();
    let web = report.target_groups.iter().find(|g| g.name == "web").expect("it is referred to");
    assert_eq!((web.healthy, web.registered, web.passes_dns), (0, 2, false));
}

#[test]
fn fewer_healthy_targets_than_the_minimum_fail_open() {
    let mut web = group("web", &[1, 2, 3]);
    web.routing_minimum_healthy = 2;
    let mut b = Balancer::new(Arc::new(snapshot(web, group("api", &[]))), LB, 0, at(0));
    check(&mut b, &[1], at(0));
    assert_eq!(turns(&mut b, 3), [1, 2, 3]);
    check(&mut b, &[1, 2], at(5_000));
    assert_eq!(turns(&mut b, 4), [1, 2, 1, 2]);
}

#[test]
fn a_group_without_targets_is_answered_by_503_and_an_unknown_port_too() {
    let mut b = balancer(&[1]);
    let none = RespondReason::NoRegisteredTargets { target_group: TargetGroupName::new("api") };
    assert_eq!(b.route(80, &API), Routing::Respond { status: 503, reason: none });
    assert_eq!(b.route(81, &HEAD), Routing::Respond { status: 503, reason: RespondReason::NoListener { port: 81 } });
}

#[test]
fn the_rule_decides_the_group_and_each_group_has_its_own_turn() {
    let mut b = Balancer::new(Arc::new(snapshot(group("web", &[1, 2]), group("api", &[7, 8]))), LB, 0, at(0));
    check(&mut b, &[1, 2, 7, 8], at(0));
    assert_eq!(route(&mut b, &HEAD).0, 1);
    assert_eq!(route(&mut b, &API).0, 7);
    assert_eq!(route(&mut b, &HEAD).0, 2);
    assert_eq!(route(&mut b, &API).0, 8);
}

#[test]
fn nodes_begin_their_turns_with_different_targets() {
    let config = Arc::new(snapshot(group("web", &[1, 2]), group("api", &[])));
    let first = |node| route(&mut Balancer::new(config.clone(), LB, node, at(0)), &HEAD).0;
    assert_eq!((first(0), first(1)), (1, 2));
}

#[test]
fn checks_go_from_start_to_start_whatever_the_answer_takes() {
    let mut b = balancer(&[1]);
    assert_eq!(b.poll_timeout(), Some(at(0)));
    let first = probes(&mut b, at(0));
    assert_eq!(first.len(), 1);
    assert_eq!(b.poll_timeout(), None, "nothing is due while the probe runs");
    assert!(probes(&mut b, at(6_000)).is_empty());
    b.probed(first[0].id, Ok(Some(200)));
    assert_eq!(b.poll_timeout(), Some(at(5_000)));
    assert_eq!(probes(&mut b, at(5_020)).len(), 1);
    b.probed(first[0].id, Ok(Some(200)));
    assert_eq!(b.poll_timeout(), Some(at(10_000)), "a late start does not shift the schedule");
}

#[test]
fn the_matcher_judges_the_status_and_the_reason_follows() {
    let mut b = balancer(&[1]);
    for (n, result) in [(0, Ok(Some(500))), (1, Ok(Some(404)))] {
        let probe = probes(&mut b, at(n * 5_000)).remove(0);
        assert_eq!((probe.path.as_str(), probe.address.port()), ("/check", 9000));
        b.probed(probe.id, result);
    }
    let status = b.targets().remove(0);
    assert_eq!((status.state, status.reason), (TargetState::Unhealthy, Some(TargetReason::ResponseCodeMismatch)));
    assert!(matches!(
        outputs(&mut b)[..],
        [BalancerOutput::Health { failure: Some(ProbeFailure::ResponseCode { code: 404 }), .. }]
    ));
}

#[test]
fn a_target_taken_away_drains_and_its_running_requests_are_cut_at_the_deadline() {
    let mut b = balancer(&[1, 2]);
    check(&mut b, &[1, 2], at(0));
    let (one, _, _running) = route(&mut b, &HEAD);
    assert_eq!(one, 1);
    outputs(&mut b);
    reload(&mut b, group("web", &[2]), at(1_000));
    assert!(matches!(outputs(&mut b)[..], [BalancerOutput::Draining { .. }]));
    assert_eq!(turns(&mut b, 3), [2, 2, 2]);
    assert_eq!(states(&b), [TargetState::Draining, TargetState::Healthy]);
    assert_eq!(b.targets()[0].draining_until, Some(at(31_000)));
    b.handle_timeout(at(30_999));
    assert!(outputs(&mut b).is_empty());
    b.handle_timeout(at(31_000));
    assert!(matches!(outputs(&mut b)[..], [BalancerOutput::Gone { in_flight: 1, .. }]));
    assert_eq!(states(&b), [TargetState::Healthy]);
}

#[test]
fn a_draining_target_is_neither_probed_nor_counted_nor_chosen_when_all_else_fails() {
    let mut b = balancer(&[1, 2]);
    check(&mut b, &[1], at(0));
    check(&mut b, &[1], at(5_000));
    reload(&mut b, group("web", &[2]), at(6_000));
    assert_eq!(probes(&mut b, at(10_000)).iter().map(|p| p.target.clone()).collect::<Vec<_>>(), [target(2)]);
    assert_eq!(turns(&mut b, 3), [2, 2, 2], "fail open leaves draining targets out");
    let web = b.report().target_groups.into_iter().find(|g| g.name == "web").expect("it is referred to");
    assert_eq!((web.healthy, web.registered), (0, 1));
}

#[test]
fn a_delay_of_zero_cuts_at_once() {
    let mut b = balancer(&[1]);
    let (_, _, _running) = route(&mut b, &HEAD);
    let mut web = group("web", &[]);
    web.deregistration_delay = Duration::ZERO;
    reload(&mut b, web, at(1));
    assert!(matches!(
        outputs(&mut b)[..],
        [BalancerOutput::Draining { .. }, BalancerOutput::Gone { in_flight: 1, .. }]
    ));
}

#[test]
fn a_target_that_returns_while_draining_starts_again_as_initial_and_keeps_its_requests() {
    let mut b = balancer(&[1, 2]);
    check(&mut b, &[1, 2], at(0));
    let (_, _, token) = route(&mut b, &HEAD);
    reload(&mut b, group("web", &[2]), at(1_000));
    reload(&mut b, group("web", &[1, 2]), at(2_000));
    assert_eq!(states(&b), [TargetState::Initial, TargetState::Healthy]);
    b.handle_timeout(at(60_000));
    assert_eq!(b.targets()[0].in_flight, 1);
    b.request_finished(token);
    assert_eq!(b.targets()[0].in_flight, 0);
}

#[test]
fn a_reload_keeps_health_turn_and_order_and_checks_the_new_target_at_once() {
    let mut b = balancer(&[1, 2]);
    check(&mut b, &[1, 2], at(0));
    assert_eq!(turns(&mut b, 1), [1]);
    reload(&mut b, group("web", &[3, 2, 1]), at(1_000));
    assert_eq!(states(&b), [TargetState::Healthy, TargetState::Healthy, TargetState::Initial]);
    assert_eq!(b.poll_timeout(), Some(at(1_000)));
    assert_eq!(turns(&mut b, 2), [2, 1]);
    check(&mut b, &[3], at(1_000));
    assert_eq!(turns(&mut b, 3), [2, 3, 1]);
}

#[test]
fn a_group_no_longer_referred_to_drains_whole_and_is_not_reported() {
    let mut b = Balancer::new(Arc::new(snapshot(group("web", &[1]), group("api", &[7]))), LB, 0, at(0));
    check(&mut b, &[1, 7], at(0));
    let mut config = snapshot(group("web", &[1]), group("api", &[7]));
    config.load_balancers[0].listeners[0].rules.clear();
    b.set_snapshot(Arc::new(config), LB, 0, at(1_000));
    assert_eq!(b.report().target_groups.iter().map(|g| g.name.as_str()).collect::<Vec<_>>(), ["web"]);
    assert_eq!(states(&b), [TargetState::Draining, TargetState::Healthy], "groups register in name order");
    assert_eq!(route(&mut b, &API).0, 1);
    b.handle_timeout(at(31_000));
    assert_eq!(b.targets().len(), 1);
}

#[test]
fn after_a_restart_nothing_is_known_of_the_targets_and_all_are_checked_at_once() {
    let mut b = balancer(&[1, 2]);
    check(&mut b, &[1], at(0));
    check(&mut b, &[1], at(5_000));
    let lost = probes(&mut b, at(10_000));
    assert_eq!(lost.len(), 2);
    b.restart(at(12_000));
    assert_eq!(states(&b), [TargetState::Initial; 2]);
    check(&mut b, &[1, 2], at(12_000));
    assert_eq!(states(&b), [TargetState::Healthy; 2]);
}

#[test]
fn explaining_says_what_routing_then_does_and_moves_nothing() {
    let mut b = balancer(&[1, 2, 3]);
    check(&mut b, &[1, 2], at(0));
    for _ in 0..5 {
        let before = b.explain(80, &HEAD);
        assert_eq!(b.explain(80, &HEAD), before);
        let (_, fail_open, token) = route(&mut b, &HEAD);
        let chosen = b.targets().into_iter().find(|t| t.in_flight == 1).map(|t| t.target);
        assert_eq!((before.chosen, before.fail_open), (chosen, fail_open));
        assert_eq!(before.targets.iter().map(|t| t.eligible).collect::<Vec<_>>(), [true, true, false]);
        b.request_finished(token);
    }
    let empty = b.explain(80, &API);
    assert_eq!(empty.chosen, None);
    assert_eq!(empty.refusal, Some(RespondReason::NoRegisteredTargets { target_group: TargetGroupName::new("api") }));
}

mod random {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Event {
        Route,
        Finish,
        Check(Vec<u8>),
        Targets(Vec<u8>),
        Wait(u64),
    }

    fn event() -> impl Strategy<Value = Event> {
        let some = || proptest::sample::subsequence(vec![1_u8, 2, 3, 4], 0..=4);
        prop_oneof![
            6 => Just(Event::Route),
            4 => Just(Event::Finish),
            3 => some().prop_map(Event::Check),
            1 => some().prop_map(Event::Targets),
            2 => (0_u64..8_000).prop_map(Event::Wait),
        ]
    }

    proptest! {
        /// Whatever happens: only registered targets are chosen, only healthy ones unless failing open, and the
        /// requests counted are the requests running.
        #[test]
        fn no_order_of_events_breaks_the_laws(events in proptest::collection::vec(event(), 1..80)) {
            let mut b = balancer(&[1, 2]);
            let mut registered = vec![1_u8, 2];
            let mut running: Vec<RequestToken> = Vec::new();
            let mut now = 0;
            for event in events {
                match event {
                    Event::Route => match b.route(80, &HEAD) {
                        Routing::Respond { .. } => prop_assert!(registered.is_empty()),
                        Routing::Forward(f) => {
                            prop_assert!(registered.iter().any(|n| target(*n) == f.target));
                            let state = b.targets().into_iter().find(|t| t.target == f.target).map(|t| t.state);
                            prop_assert!(f.fail_open || state == Some(TargetState::Healthy));
                            let any_healthy = b.targets().iter().any(|t| t.state == TargetState::Healthy);
                            prop_assert_eq!(f.fail_open, !any_healthy);
                            running.push(f.token);
                        }
                    },
                    Event::Finish => if let Some(token) = running.pop() { b.request_finished(token) },
                    Event::Check(up) => check(&mut b, &up, at(now)),
                    Event::Targets(targets) => {
                        reload(&mut b, group("web", &targets), at(now));
                        registered = targets;
                    }
                    Event::Wait(ms) => {
                        now += ms;
                        b.handle_timeout(at(now));
                    }
                }
                for output in outputs(&mut b) {
                    if let BalancerOutput::Gone { id, in_flight, .. } = output {
                        let before = running.len();
                        running.retain(|t| t.target_id() != id);
                        prop_assert_eq!(before - running.len(), in_flight as usize);
                    }
                }
                let counted: u32 = b.targets().iter().map(|t| t.in_flight).sum();
                prop_assert_eq!(counted as usize, running.len());
            }
        }
    }
}
