//! Every name of the zone, what is at it and what is not.

use std::net::IpAddr;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use perigee_model::{AcceleratorName, RegionIndex};

use crate::support::{
    A, AAAA, ANY, NS, Query, SEOUL, SEOUL_NODES, SOA, TOKYO, TOKYO_NODES, TXT, World, addresses, ask, ask_from,
    in_tokyo, query, strings,
};

fn ttl(message: &Message) -> Vec<u32> {
    message.answers.iter().map(|r| r.ttl).collect()
}

/// Fails unless the answer is a negative one with a SOA whose TTL is the zone's negative TTL.
fn assert_negative(message: &Message, code: ResponseCode, what: &str) {
    assert_eq!(message.metadata.response_code, code, "{what}");
    assert!(message.metadata.authoritative, "{what}");
    assert!(message.answers.is_empty(), "{what}: {:?}", message.answers);
    let [soa] = &message.authorities[..] else { panic!("{what}: {:?}", message.authorities) };
    assert_eq!((soa.record_type(), soa.ttl), (RecordType::SOA, 30), "{what}");
    assert_eq!(soa.name.to_string(), "perigee.test.", "{what}");
}

#[test]
fn the_nearest_region_answers_each_client() {
    let responder = World::new().responder();
    let seoul = ask(&responder, &query("app.perigee.test", A));
    assert!(seoul.metadata.authoritative && !seoul.metadata.recursion_available);
    assert_eq!(addresses(&seoul), SEOUL_NODES);
    assert_eq!(ttl(&seoul), [30, 30]);
    assert!(seoul.authorities.is_empty() && seoul.additionals.is_empty());
    assert_eq!(addresses(&ask_from(&responder, &query("app.perigee.test", A), in_tokyo())), TOKYO_NODES);
}

#[test]
fn a_dead_region_is_left_out_with_half_the_ttl_and_comes_back() {
    let mut world = World::new();
    let responder = world.responder();
    let question = query("app.perigee.test", A);
    world.kill(SEOUL, true);
    let answer = ask(&responder, &question);
    assert_eq!((addresses(&answer), ttl(&answer)), (TOKYO_NODES.map(String::from).to_vec(), vec![15, 15]));
    world.kill(TOKYO, true);
    assert_eq!(addresses(&ask(&responder, &question)), SEOUL_NODES, "all dead count as healthy");
    world.kill(TOKYO, false);
    world.kill(SEOUL, false);
    let answer = ask(&responder, &question);
    assert_eq!((addresses(&answer), ttl(&answer)), (SEOUL_NODES.map(String::from).to_vec(), vec![30, 30]));
}

#[test]
fn a_load_balancers_own_name_has_the_zones_in_service_and_all_when_none_is() {
    let mut world = World::new();
    let responder = world.responder();
    let question = query("shop.ap-northeast-2.elb.perigee.test", A);
    let answer = ask_from(&responder, &question, in_tokyo());
    assert_eq!(addresses(&answer), SEOUL_NODES, "the same for everyone");
    assert_eq!(ttl(&answer), [60, 60]);
    let lost: IpAddr = SEOUL_NODES[0].parse().unwrap();
    world.sample(|address| address != lost);
    assert_eq!(addresses(&ask(&responder, &question)), [SEOUL_NODES[1]]);
    world.sample(|address| !SEOUL_NODES.contains(&address.to_string().as_str()));
    assert_eq!(addresses(&ask(&responder, &question)), SEOUL_NODES, "none in service: all");
}

#[test]
fn an_accelerator_has_its_two_static_addresses_for_everyone_in_turns() {
    let mut world = World::new();
    let responder = world.responder();
    let question = query("shop.accelerator.perigee.test", A);
    let answer = ask(&responder, &question);
    assert_eq!(addresses(&answer), ["127.75.2.1", "127.99.83.1"]);
    assert_eq!(ttl(&answer), [300, 300]);
    let firsts: Vec<String> = (0..32).map(|_| ask(&responder, &question).answers[0].data.to_string()).collect();
    for address in ["127.75.2.1", "127.99.83.1"] {
        assert!(firsts.iter().filter(|first| *first == address).count() > 4, "{address} is never first: {firsts:?}");
    }
    world.kill(SEOUL, true);
    world.kill(TOKYO, true);
    assert_eq!(addresses(&ask(&responder, &question)).len(), 2, "health has no say");
}

#[test]
fn ipv6_addresses_are_answered_to_aaaa_alone() {
    let world = World::with(|snapshot| snapshot.load_balancers[1].nodes[0].address = "2001:db8::1".parse().unwrap());
    let responder = world.responder();
    assert_eq!(addresses(&ask(&responder, &query("app.perigee.test", AAAA))), ["2001:db8::1"]);
    assert_eq!(addresses(&ask(&responder, &query("app.perigee.test", A))), [SEOUL_NODES[1]]);
}

#[test]
fn the_explanation_says_what_was_chosen_why_and_what_was_passed_over() {
    let mut world = World::new();
    let responder = world.responder();
    let question = query("_why.app.perigee.test", TXT);
    let calm = strings(&ask(&responder, &question));
    assert_eq!(calm[0], "region=ap-northeast-2");
    assert_eq!(calm[1], "reason=lowest round trip");
    assert_eq!(calm[2], "client=127.82.200.9 (resolver)");
    assert_eq!(calm[3], "place=Seoul, KR (overlay)");
    assert!(calm[4].starts_with("round-trip=") && calm[4].ends_with(" ms"), "{}", calm[4]);
    assert_eq!(calm[5], "health=healthy");
    assert!(calm[6].starts_with("next=ap-northeast-1 ") && calm[6].ends_with(" ms healthy"), "{}", calm[6]);
    assert_eq!(calm[7..], ["ttl=30 s", "scope=/0"]);

    world.kill(SEOUL, true);
    let answer = ask(&responder, &question);
    let killed = strings(&answer);
    assert_eq!(killed[0], "region=ap-northeast-1");
    assert_eq!(killed[1], "reason=lowest round trip among the healthy");
    let passed: Vec<&String> = killed.iter().filter(|s| s.starts_with("passed-over=ap-northeast-2 ")).collect();
    assert!(passed.len() == 1 && passed[0].ends_with(" unhealthy"), "{killed:?}");
    assert!(killed.contains(&"ttl=15 s (shortened: a region is down)".to_owned()), "{killed:?}");
    assert_eq!(ttl(&answer), [0], "an explanation is not to be kept");
    let subnet = strings(&ask(&responder, &query("_why.app.perigee.test", TXT).subnet([133, 1, 2, 0], 24)));
    assert!(subnet.contains(&"client=133.1.2.0 (client subnet)".to_owned()), "{subnet:?}");
    assert!(subnet.contains(&"place=Tokyo, JP (database)".to_owned()), "{subnet:?}");
}

#[test]
fn the_apex_has_soa_and_two_name_servers_with_the_same_address() {
    let responder = World::new().responder();
    let soa = ask(&responder, &query("perigee.test", SOA));
    assert_eq!(soa.answers[0].record_type(), RecordType::SOA);
    let text = soa.answers[0].data.to_string();
    assert!(text.starts_with("ns1.perigee.test. hostmaster.perigee.test. 1 "), "{text}");
    let ns = ask(&responder, &query("perigee.test", NS));
    assert_eq!(addresses(&ns), ["ns1.perigee.test.", "ns2.perigee.test."]);
    for name in ["ns1.perigee.test", "ns2.perigee.test"] {
        assert_eq!(addresses(&ask(&responder, &query(name, A))), ["127.0.0.53"]);
    }
    assert_negative(&ask(&responder, &query("ns1.perigee.test", AAAA)), ResponseCode::NoError, "ns1 AAAA");
}

#[test]
fn what_exists_without_the_type_is_nodata_and_what_does_not_exist_is_nxdomain() {
    let responder = World::new().responder();
    let nodata: [(&str, u16); 18] = [
        ("app.perigee.test", AAAA),
        ("app.perigee.test", TXT),
        ("app.perigee.test", 65_280),
        ("app.perigee.test", 46),
        ("perigee.test", A),
        ("perigee.test", 43),
        ("_why.app.perigee.test", A),
        ("shop.accelerator.perigee.test", AAAA),
        ("shop.ap-northeast-1.elb.perigee.test", AAAA),
        ("shop.ap-northeast-1.elb.perigee.test", NS),
        ("accelerator.perigee.test", A),
        ("elb.perigee.test", A),
        ("ap-northeast-1.elb.perigee.test", A),
        ("ap-northeast-2.elb.perigee.test", AAAA),
        ("elb.perigee.test", ANY),
        ("ns1.perigee.test", TXT),
        ("ns1.perigee.test", SOA),
        ("app.perigee.test", 5),
    ];
    for (name, qtype) in nodata {
        assert_negative(&ask(&responder, &query(name, qtype)), ResponseCode::NoError, &format!("{name} {qtype}"));
    }
    for name in [
        "nothing.perigee.test",
        "x.app.perigee.test",
        "*.perigee.test",
        "_why.perigee.test",
        "_why.nothing.perigee.test",
        "shop.perigee.test",
        "nothing.accelerator.perigee.test",
        "nothing.ap-northeast-1.elb.perigee.test",
        "shop.us-east-1.elb.perigee.test",
        "us-east-1.elb.perigee.test",
        "a.b.c.d.e.f.perigee.test",
    ] {
        for qtype in [A, AAAA, TXT, ANY] {
            assert_negative(&ask(&responder, &query(name, qtype)), ResponseCode::NXDomain, &format!("{name} {qtype}"));
        }
    }
}

#[test]
fn names_outside_the_zone_and_other_classes_are_refused_without_a_word() {
    let responder = World::new().responder();
    let refused: [(&str, Query); 9] = [
        ("root", query("", NS)),
        ("parent", query("test", A)),
        ("other", query("example.com", A)),
        ("longer label", query("xperigee.test", A)),
        ("a label that holds the zone's bytes", query("x\u{7}perigee.test", A)),
        ("suffix", query("perigee.test.com", A)),
        ("chaos version", query("version.bind", TXT).class(3)),
        ("chaos id", query("id.server", TXT).class(3)),
        ("class ANY", query("app.perigee.test", A).class(255)),
    ];
    for (what, question) in refused {
        let answer = ask(&responder, &question);
        assert_eq!(answer.metadata.response_code, ResponseCode::Refused, "{what}");
        assert!(!answer.metadata.authoritative, "{what}");
        assert!(answer.answers.is_empty() && answer.authorities.is_empty() && answer.additionals.is_empty(), "{what}");
        assert_eq!(answer.queries.len(), 1, "{what}");
    }
}

#[test]
fn any_is_answered_with_a_short_hinfo() {
    let responder = World::new().responder();
    for name in ["perigee.test", "app.perigee.test", "shop.accelerator.perigee.test"] {
        let answer = ask(&responder, &query(name, ANY));
        assert_eq!(answer.answers.len(), 1);
        assert_eq!((answer.answers[0].record_type(), answer.answers[0].ttl), (RecordType::HINFO, 3_600));
        assert!(answer.answers[0].data.to_string().contains("RFC8482"));
    }
}

#[test]
fn a_new_snapshot_brings_its_names_at_once() {
    let mut world = World::new();
    let responder = world.responder();
    let question = query("new.shop.accelerator.perigee.test", A);
    assert_eq!(ask(&responder, &question).metadata.response_code, ResponseCode::NXDomain);
    let mut snapshot = (*world.edge.view().snapshot).clone();
    snapshot.generation = 2;
    // The accelerator called `new.shop` has a dot in its name, so `shop.accelerator` becomes an empty non-terminal.
    snapshot.accelerators[0].name = AcceleratorName::new("new.shop");
    snapshot.load_balancers[1].region = RegionIndex(1);
    let atlas = world.edge.view().atlas.clone();
    world.edge.set_snapshot(std::sync::Arc::new(snapshot), atlas, perigee_model::Instant::START);
    world.publish();
    assert_eq!(addresses(&ask(&responder, &question)).len(), 2);
    assert_negative(&ask(&responder, &query("shop.accelerator.perigee.test", A)), ResponseCode::NoError, "shop");
    let soa = ask(&responder, &query("perigee.test", SOA)).answers[0].data.to_string();
    assert!(soa.contains(" 2 "), "the serial is the generation: {soa}");
}

#[test]
fn a_dual_stack_accelerator_and_load_balancer_answer_both_families() {
    let world = World::with(|snapshot| {
        snapshot.accelerators[0].addresses.extend(["fd75::1", "fd99::1"].map(|a| a.parse::<IpAddr>().unwrap()));
        for (i, node) in snapshot.load_balancers[1].nodes.iter_mut().enumerate() {
            node.ipv6 = Some(format!("fd82::{}", i + 1).parse().unwrap());
        }
    });
    let responder = world.responder();
    let both = |name: &str| [A, AAAA].map(|kind| addresses(&ask(&responder, &query(name, kind))));
    assert_eq!(both("shop.accelerator.perigee.test")[1], ["fd75::1", "fd99::1"]);
    assert_eq!(both("shop.accelerator.perigee.test")[0].len(), 2);
    assert_eq!(both("shop.ap-northeast-2.elb.perigee.test")[1], ["fd82::1", "fd82::2"]);
    assert_eq!(both("app.perigee.test")[0], SEOUL_NODES);
    assert_eq!(both("app.perigee.test")[1], ["fd82::1", "fd82::2"]);
}
