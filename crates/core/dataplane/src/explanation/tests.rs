use perigee_health::{TargetReason, TargetState};
use perigee_model::{Field, Target, TargetGroupName, ZoneName};
use perigee_rules::RuleTrace;

use super::*;
use crate::{ConsideredGroup, RespondReason, TargetTrace};

fn endpoint(id: &str, kind: &str, weight: u8, forced: Option<perigee_health::Forced>) -> ConsideredEndpoint {
    let measured = HealthState::Healthy;
    ConsideredEndpoint { id: id.into(), kind: kind.into(), weight, measured, forced, hash: 0.25 }
}

fn explanation() -> Explanation {
    let target = Target { address: [127, 0, 1, 10].into(), port: 9000, zone: ZoneName::new("ap-northeast-2a") };
    let state = |state, reason, eligible| TargetTrace { target: target.clone(), state, reason, in_flight: 3, eligible };
    Explanation {
        names: vec![NameExplanation {
            label: "app".into(),
            place: "Seoul, KR".into(),
            region: Some("ap-northeast-2".into()),
            addresses: vec![[127, 0, 1, 1].into()],
            ttl_s: 15,
            degraded: true,
            reason: "lowest round trip".into(),
            considered: vec![
                ("ap-northeast-2".into(), 1.0, HealthState::Healthy),
                ("ap-northeast-1".into(), 34.5, HealthState::Initial),
            ],
        }],
        route: RouteExplanation {
            client: [127, 82, 200, 9].into(),
            place: "Seoul, KR".into(),
            place_origin: "overlay".into(),
            pop: "ICN".into(),
            pop_city: "Seoul".into(),
            client_to_pop_ms: 0.7,
            accelerator: "shop".into(),
            destination: ([127, 75, 2, 1], 8080).into(),
            groups: vec![ConsideredGroup {
                region: "ap-northeast-2".into(),
                rtt_ms: 1.0,
                traffic_dial: 100.0,
                endpoints: vec![
                    endpoint("shop", "load balancer", 128, None),
                    endpoint("i-0123456789abcdef0", "instance", 1, Some(perigee_health::Forced::Unhealthy)),
                ],
                notes: vec!["chosen".into()],
            }],
            chosen: Some(ChosenEndpoint {
                region: "ap-northeast-2".into(),
                kind: "load balancer".into(),
                endpoint: "shop".into(),
                zone: Some("ap-northeast-2a".into()),
                address: ([127, 0, 1, 1], 8080).into(),
            }),
            reason: "the closest group takes it".into(),
        },
        request: Some(BalancerTrace {
            rules: vec![
                RuleTrace {
                    priority: Some(10),
                    outcome: RuleOutcome::PassedOver {
                        field: Field::PathPattern,
                        values: vec!["/api/*".into()],
                        found: Some("/check".into()),
                    },
                },
                RuleTrace { priority: None, outcome: RuleOutcome::Matched },
            ],
            target_group: Some(TargetGroupName::new("web")),
            fail_open: true,
            targets: vec![
                state(TargetState::Healthy, None, true),
                state(TargetState::Unhealthy, Some(TargetReason::Timeout), false),
            ],
            chosen: Some(target.clone()),
            refusal: None,
        }),
        request_line: "GET /check".into(),
    }
}

#[test]
fn the_text_tells_hop_by_hop() {
    let text = "\
client   127.82.200.9 is in Seoul, KR (overlay)
DNS      app -> ap-northeast-2 for 15 s: lowest round trip
           ap-northeast-2      1.0 ms  healthy
           ap-northeast-1     34.5 ms  not judged yet
anycast  127.75.2.1:8080 -> edge ICN (Seoul), about 1 ms away
edge     accelerator shop, endpoint groups by distance:
           ap-northeast-2      1.0 ms  dial 100  shop (weight 128, healthy, hash 0.250), i-0123456789abcdef0 (weight 1, healthy, forced unhealthy, hash 0.250)  <- chosen
           -> ap-northeast-2 shop in ap-northeast-2a at 127.0.1.1:8080: the closest group takes it
region   GET /check, rules by priority:
           rule 10       passed over
           rule default  matched
           target group web (fails open: all registered targets):
           127.0.1.10:9000        healthy, 3 in flight
           127.0.1.10:9000        unhealthy Target.Timeout, 3 in flight
           -> 127.0.1.10:9000 in ap-northeast-2a: next in turn";
    assert_eq!(explanation().to_string(), text);
}

#[test]
fn what_leads_nowhere_says_why() {
    let mut explanation = explanation();
    let request = explanation.request.as_mut().expect("a request");
    request.chosen = None;
    request.refusal = Some(RespondReason::NoRegisteredTargets { target_group: TargetGroupName::new("web") });
    let ending = "-> refused: target group web has no registered target";
    assert!(explanation.to_string().ends_with(ending));
    explanation.request = None;
    assert!(explanation.to_string().ends_with("runs in another process; ask its admin API"));
    let chosen = explanation.route.chosen.as_mut().expect("chosen");
    (chosen.kind, chosen.endpoint, chosen.zone) = ("instance".into(), "i-0123456789abcdef0".into(), None);
    let text = explanation.to_string();
    assert!(text.ends_with("region   the instance gets the flow as it is: no rules"), "{text}");
    assert!(text.contains("-> ap-northeast-2 i-0123456789abcdef0 at 127.0.1.1:8080:"), "{text}");
    explanation.route.chosen = None;
    explanation.route.reason = "there is no endpoint".into();
    assert!(explanation.route.to_string().ends_with("-> reset: there is no endpoint"));
}
