//! Names that trees of routing policies answer.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, RecordType};
use perigee_dns::{Responder, Transport, check_zones};
use perigee_model::dns::{
    BranchKey, DnsCheckKind, DnsHealthCheck, Policy, PolicyBranch, PolicyGroup, PolicyName, PolicyNode, PolicyRecord,
    RecordTarget, RecordValues, WeightedDraw,
};
use perigee_model::{
    AcceleratorIndex, HealthCheckIndex, LoadBalancerIndex, PolicyNameIndex, PolicyNodeIndex, RegionIndex, Snapshot,
    ZoneIndex, fixtures,
};

use crate::support::{
    A, AAAA, ANY, Query, SEOUL, SEOUL_NODES, TOKYO, TOKYO_NODES, TXT, World, add_zone, addresses, ask, ask_from,
    decode, in_seoul, in_tokyo, options_of, query, strings, subnet_of,
};

const MX: u16 = 15;
const HTTPS: u16 = 65;

const ZONE: &str = "$TTL 300\n\
    web A 192.0.2.3\nweb A 192.0.2.4\nweb TXT alias\n\
    www CNAME web\nlink CNAME pick\n\
    pick MX 10 web\nloop1 CNAME loop2\nloop2 CNAME loop1\nout CNAME www.elsewhere.test.\nsub NS ns.elsewhere.test.\n";

/// A tree as it is written in a test.
enum Tree {
    Record(RecordTarget, Vec<(&'static str, Vec<&'static str>)>),
    Group(Policy, Vec<(BranchKey, Option<usize>, Self)>),
}

fn at(addresses: &[&str]) -> Tree {
    Tree::Record(RecordTarget::Addresses(addresses.iter().map(|a| a.parse().unwrap()).collect()), Vec::new())
}

fn with(tree: Tree, record_type: &'static str, values: &[&'static str]) -> Tree {
    match tree {
        Tree::Record(target, mut others) => {
            others.push((record_type, values.to_vec()));
            Tree::Record(target, others)
        }
        Tree::Group(..) => panic!("a group has no values"),
    }
}

fn alias(target: RecordTarget) -> Tree {
    Tree::Record(target, Vec::new())
}

fn failover(primary: Tree, secondary: Tree) -> Tree {
    let branches = vec![(BranchKey::Primary, Some(0), primary), (BranchKey::Secondary, None, secondary)];
    Tree::Group(Policy::Failover, branches)
}

/// Puts `tree` behind the nodes that there are, parents first; where it starts.
fn plant(nodes: &mut Vec<PolicyNode>, tree: Tree) -> PolicyNodeIndex {
    let index = nodes.len();
    match tree {
        Tree::Record(target, others) => {
            let values = |(record_type, values): (&str, Vec<&str>)| RecordValues {
                record_type: record_type.into(),
                values: values.iter().map(ToString::to_string).collect(),
            };
            let others = others.into_iter().map(values).collect();
            nodes.push(PolicyNode::Record(PolicyRecord { ttl: Duration::from_secs(40), target, others }));
        }
        Tree::Group(policy, branches) => {
            nodes.push(PolicyNode::Group(PolicyGroup { policy, branches: Vec::new() }));
            let mut planted = Vec::new();
            for (position, (key, check, tree)) in branches.into_iter().enumerate() {
                planted.push(PolicyBranch {
                    set_identifier: format!("set{position}"),
                    key,
                    node: plant(nodes, tree),
                    health_check: check.map(HealthCheckIndex),
                    evaluate_target_health: true,
                });
            }
            nodes[index] = PolicyNode::Group(PolicyGroup { policy, branches: planted });
        }
    }
    PolicyNodeIndex(index)
}

/// Adds `zone.test` and these names of it.
fn plan(snapshot: &mut Snapshot, names: Vec<(&str, Tree)>) {
    add_zone(snapshot, "zone.test", ZONE);
    let kind = DnsCheckKind::Calculated { threshold: 0, children: Vec::new() };
    snapshot.dns.health_checks = vec![DnsHealthCheck { name: "check".into(), kind, inverted: false, disabled: false }];
    for (name, tree) in names {
        let root = plant(&mut snapshot.dns.policy_nodes, tree);
        snapshot.dns.policy_names.push(PolicyName { zone: ZoneIndex(1), name: name.into(), root });
    }
}

fn world(names: Vec<(&str, Tree)>) -> World {
    let world = World::with(|snapshot| plan(snapshot, names));
    assert_eq!(check_zones(&world.edge.view().snapshot), []);
    world
}

fn judge(world: &World, healthy: bool) {
    let mut view = (**world.edge.view()).clone();
    view.set_checks(vec![healthy]);
    world.view.store(Arc::new(view));
}

/// Type, TTL and data of the answers, sorted.
fn answers(message: &Message) -> Vec<String> {
    let text = |r: &hickory_proto::rr::Record| format!("{} {} {}", r.record_type(), r.ttl, r.data);
    let mut answers: Vec<String> = message.answers.iter().map(text).collect();
    answers.sort();
    answers
}

fn assert_nodata(responder: &Responder, question: &Query, what: &str) {
    let answer = ask(responder, question);
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError, "{what}");
    assert!(answer.answers.is_empty() && answer.authorities.len() == 1, "{what}: {answer:?}");
    assert_eq!(answer.authorities[0].name.to_string(), "zone.test.");
}

#[test]
fn every_target_is_answered_with_its_own_records_and_ttl() {
    let target = |target| alias(target);
    let world = world(vec![
        ("addresses.zone.test", at(&["192.0.2.1", "192.0.2.2", "2001:db8::1"])),
        ("lb.zone.test", target(RecordTarget::LoadBalancer(LoadBalancerIndex(1)))),
        ("accelerator.zone.test", target(RecordTarget::Accelerator(AcceleratorIndex(0)))),
        ("other.zone.test", target(RecordTarget::PolicyName(PolicyNameIndex(0)))),
        ("file.zone.test", target(RecordTarget::Name("www.zone.test".into()))),
        ("resource.zone.test", target(RecordTarget::Name("shop.ap-northeast-1.elb.perigee.test".into()))),
    ]);
    let responder = world.responder();
    let seoul: Vec<String> = SEOUL_NODES.iter().map(|a| format!("A 60 {a}")).collect();
    let tokyo: Vec<String> = TOKYO_NODES.iter().map(|a| format!("A 60 {a}")).collect();
    let rows: Vec<(&str, u16, Vec<String>)> = vec![
        ("addresses.zone.test", A, vec!["A 40 192.0.2.1".into(), "A 40 192.0.2.2".into()]),
        ("addresses.zone.test", AAAA, vec!["AAAA 40 2001:db8::1".into()]),
        ("lb.zone.test", A, seoul),
        ("accelerator.zone.test", A, vec!["A 300 127.75.2.1".into(), "A 300 127.99.83.1".into()]),
        ("other.zone.test", A, vec!["A 40 192.0.2.1".into(), "A 40 192.0.2.2".into()]),
        ("file.zone.test", A, vec!["A 300 192.0.2.3".into(), "A 300 192.0.2.4".into()]),
        ("file.zone.test", TXT, vec!["TXT 300 alias".into()]),
        ("resource.zone.test", A, tokyo),
    ];
    for (name, qtype, expected) in rows {
        let answer = ask(&responder, &query(name, qtype));
        assert_eq!(answers(&answer), expected, "{name} {qtype}");
        assert!(answer.answers.iter().all(|r| r.name.to_string() == format!("{name}.")), "{name}: no name is seen");
        assert!(answer.metadata.authoritative && answer.authorities.is_empty() && answer.additionals.is_empty());
    }
    for (name, qtype) in [("file.zone.test", AAAA), ("lb.zone.test", AAAA), ("addresses.zone.test", MX)] {
        assert_nodata(&responder, &query(name, qtype), name);
    }
}

#[test]
fn the_other_types_and_the_hints_follow_the_same_choice() {
    let side = |v4: &str, v6: &str, text: &'static str| {
        let tree = with(at(&[v4, v6]), "HTTPS", &["1 . alpn=h3,h2"]);
        with(tree, "TXT", std::slice::from_ref(Box::leak(Box::new(text))))
    };
    let world = world(vec![(
        "app.zone.test",
        failover(side("192.0.2.1", "2001:db8::1", "one"), side("192.0.2.2", "2001:db8::2", "two")),
    )]);
    let responder = world.responder();
    for (healthy, text, v4, v6, ttl) in
        [(true, "one", "192.0.2.1", "2001:db8::1", 40), (false, "two", "192.0.2.2", "2001:db8::2", 20)]
    {
        judge(&world, healthy);
        assert_eq!(answers(&ask(&responder, &query("app.zone.test", A))), [format!("A {ttl} {v4}")]);
        assert_eq!(answers(&ask(&responder, &query("app.zone.test", AAAA))), [format!("AAAA {ttl} {v6}")]);
        assert_eq!(answers(&ask(&responder, &query("app.zone.test", TXT))), [format!("TXT {ttl} {text}")]);
        let https = ask(&responder, &query("app.zone.test", HTTPS));
        assert_eq!(https.answers[0].ttl, ttl, "the TTL is that of the addresses");
        let data = https.answers[0].data.to_string();
        assert!(data.contains("alpn=h3,h2"), "{data}");
        assert!(data.contains(&format!("ipv4hint={v4}")) && data.contains(&format!("ipv6hint={v6}")), "{data}");
    }
}

#[test]
fn hints_that_are_given_and_aliases_are_left_as_they_are() {
    let world = world(vec![
        ("given.zone.test", with(at(&["192.0.2.1"]), "HTTPS", &["1 . ipv4hint=192.0.2.99"])),
        ("else.zone.test", with(at(&["192.0.2.1"]), "HTTPS", &["1 web alpn=h2"])),
        ("mode.zone.test", with(at(&["192.0.2.1"]), "HTTPS", &["0 web"])),
    ]);
    let responder = world.responder();
    for (name, expected) in [
        ("given.zone.test", "1 . ipv4hint=192.0.2.99,"),
        ("else.zone.test", "1 web.zone.test. alpn=h2,"),
        ("mode.zone.test", "0 web.zone.test."),
    ] {
        let data = ask(&responder, &query(name, HTTPS)).answers[0].data.to_string();
        assert_eq!(data.trim_end(), expected, "{name}");
    }
}

#[test]
fn a_weighted_name_answers_by_weight_and_a_multivalue_one_with_all() {
    let weight = |w, tree| (BranchKey::Weight(w), None, tree);
    let branches = vec![weight(3, at(&["192.0.2.1"])), weight(1, at(&["192.0.2.2"])), weight(0, at(&["192.0.2.3"]))];
    let many = (0..12).map(|i| (BranchKey::Value, None, at(&[&format!("192.0.2.{i}")]))).collect();
    let same = (0..3).map(|_| (BranchKey::Value, None, at(&["192.0.2.1"]))).collect();
    let world = world(vec![
        ("weighted.zone.test", Tree::Group(Policy::Weighted { draw: WeightedDraw::PerQuery }, branches)),
        ("many.zone.test", Tree::Group(Policy::Multivalue, many)),
        ("same.zone.test", Tree::Group(Policy::Multivalue, same)),
    ]);
    let responder = world.responder();
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..4_000 {
        let answer = ask(&responder, &query("weighted.zone.test", A));
        assert_eq!(answer.answers.len(), 1);
        *counts.entry(answer.answers[0].data.to_string()).or_default() += 1;
    }
    assert_eq!(counts.len(), 2, "weight 0 is never answered: {counts:?}");
    // Six standard deviations of a binomial distribution.
    assert!(counts["192.0.2.1"].abs_diff(3_000) < 165, "{counts:?}");
    let answer = ask(&responder, &query("many.zone.test", A));
    assert_eq!(answer.answers.len(), 8);
    assert_eq!(addresses(&answer), addresses(&ask(&responder, &query("many.zone.test", A))), "the same for a resolver");
    assert_eq!(addresses(&ask(&responder, &query("same.zone.test", A))), ["192.0.2.1"], "a set has each record once");
}

#[test]
fn a_policys_cname_is_sent_and_followed() {
    let cname = |target: &'static str| {
        let tree = Tree::Record(RecordTarget::Addresses(Vec::new()), Vec::new());
        with(tree, "CNAME", std::slice::from_ref(Box::leak(Box::new(target))))
    };
    let world = world(vec![
        ("app.zone.test", failover(cname("web"), cname("www.elsewhere.test."))),
        ("pick.zone.test", at(&["192.0.2.7"])),
    ]);
    let responder = world.responder();
    let both = ["A 300 192.0.2.3", "A 300 192.0.2.4", "CNAME 40 web.zone.test."];
    assert_eq!(answers(&ask(&responder, &query("app.zone.test", A))), both);
    for question in [
        query("app.zone.test", 5),
        query("app.zone.test", ANY),
        query("app.zone.test", A).subnet([168, 126, 63, 0], 24),
    ] {
        assert_eq!(answers(&ask(&responder, &question)), ["CNAME 40 web.zone.test."]);
    }
    assert_nodata(&responder, &query("app.zone.test", 46), "RRSIG is the CNAME's own");
    judge(&world, false);
    assert_eq!(answers(&ask(&responder, &query("app.zone.test", A))), ["CNAME 20 www.elsewhere.test."]);
    let link = ask(&responder, &query("link.zone.test", A));
    assert_eq!(answers(&link), ["A 40 192.0.2.7", "CNAME 300 pick.zone.test."], "a CNAME may lead to a policy");
}

#[test]
fn policies_stand_beside_records_at_wildcards_and_at_the_apex() {
    let world = world(vec![
        ("zone.test", at(&["192.0.2.1"])),
        ("*.any.zone.test", at(&["192.0.2.2"])),
        ("pick.zone.test", at(&["192.0.2.7"])),
    ]);
    let responder = world.responder();
    assert_eq!(addresses(&ask(&responder, &query("zone.test", A))), ["192.0.2.1"]);
    assert_eq!(ask(&responder, &query("zone.test", 6)).answers[0].record_type(), RecordType::SOA);
    assert_eq!(ask(&responder, &query("zone.test", 2)).answers.len(), 2);
    let wild = ask(&responder, &query("x.y.any.zone.test", A));
    assert_eq!(
        (addresses(&wild), wild.answers[0].name.to_string()),
        (vec!["192.0.2.2".into()], "x.y.any.zone.test.".into())
    );
    assert_nodata(&responder, &query("any.zone.test", A), "what the wildcard hangs from");
    assert_eq!(answers(&ask(&responder, &query("pick.zone.test", MX))), ["MX 300 10 web.zone.test."]);
    assert_eq!(addresses(&ask(&responder, &query("pick.zone.test", A))), ["192.0.2.7"]);
    assert_eq!(ask(&responder, &query("pick.zone.test", ANY)).answers[0].record_type(), RecordType::HINFO);
}

fn by_region() -> Tree {
    let branch = |region, lb| {
        let target = alias(RecordTarget::LoadBalancer(LoadBalancerIndex(lb)));
        (BranchKey::Region(RegionIndex(region)), None, target)
    };
    Tree::Group(Policy::Latency, vec![branch(0, 0), branch(1, 1)])
}

#[test]
fn scopes_are_those_of_the_decision_and_zero_where_the_zone_leaves_subnets_aside() {
    let make = |client_subnet| {
        World::with(|snapshot| {
            plan(snapshot, vec![("near.zone.test", by_region()), ("flat.zone.test", at(&["192.0.2.1"]))]);
            snapshot.dns.zones[1].client_subnet = client_subnet;
        })
    };
    let ask = |world: &World, name: &str, qtype| {
        let question = query(name, qtype).subnet([133, 1, 2, 0], 24);
        let bytes = world.responder().answer(&question.bytes(), in_seoul(), Transport::Udp).unwrap();
        (addresses(&decode(&bytes)), subnet_of(&bytes).unwrap()[3])
    };
    let uses = make(true);
    let (near, scope) = ask(&uses, "near.zone.test", A);
    assert_eq!(near, TOKYO_NODES, "133/8 is in Tokyo");
    assert!((1..=24).contains(&scope), "{scope}");
    assert_eq!(ask(&uses, "near.zone.test", AAAA), (Vec::new(), 0), "a negative answer is for everyone");
    assert_eq!(ask(&uses, "flat.zone.test", A), (vec!["192.0.2.1".into()], 0));
    let ignores = make(false);
    let (near, scope) = ask(&ignores, "near.zone.test", A);
    assert_eq!((near, scope), (SEOUL_NODES.map(String::from).to_vec(), 0), "the resolver is in Seoul");
}

#[test]
fn a_policy_over_load_balancers_follows_the_client_and_their_health() {
    let mut world = world(vec![("near.zone.test", by_region())]);
    let responder = world.responder();
    assert_eq!(addresses(&ask(&responder, &query("near.zone.test", A))), SEOUL_NODES);
    assert_eq!(addresses(&ask_from(&responder, &query("near.zone.test", A), in_tokyo())), TOKYO_NODES);
    world.kill(SEOUL, true);
    let answer = ask(&responder, &query("near.zone.test", A));
    assert_eq!((addresses(&answer), answer.answers[0].ttl), (TOKYO_NODES.map(String::from).to_vec(), 30));
    world.kill(TOKYO, true);
    assert_eq!(addresses(&ask(&responder, &query("near.zone.test", A))), SEOUL_NODES, "all dead count as healthy");
}

#[test]
fn every_policy_name_is_explained() {
    let world =
        world(vec![("app.zone.test", failover(at(&["192.0.2.1"]), at(&["192.0.2.2"]))), ("zone.test", by_region())]);
    let responder = world.responder();
    judge(&world, false);
    let answer = ask(&responder, &query("_why.app.zone.test", TXT).subnet([133, 1, 2, 0], 24));
    let lines = strings(&answer);
    let has = |start: &str| lines.iter().any(|line| line.starts_with(start));
    for start in [
        "name=app.zone.test A",
        "answer=192.0.2.2",
        "reason=the next choice that is healthy",
        "client=133.1.2.0/24 (client subnet)",
        "place=Tokyo, JP",
        "policy=failover",
        "branch=set0 primary unhealthy",
        "picked=set1 secondary healthy",
        "ttl=20 s",
        "scope=/0",
    ] {
        assert!(has(start), "{start} is not in {lines:#?}");
    }
    assert_eq!(answer.answers[0].ttl, 0);
    let apex = strings(&ask(&responder, &query("_why.zone.test", TXT).edns(&[])));
    assert!(apex.iter().any(|line| line.contains("shop")), "{apex:#?}");
    assert_nodata(&responder, &query("_why.app.zone.test", A), "text alone");
}

#[test]
fn an_explanation_of_a_large_tree_fits_a_datagram() {
    let id = |i: u8| (BranchKey::Weight(i), None, at(&[&format!("192.0.2.{i}")]));
    let group = || Tree::Group(Policy::Weighted { draw: WeightedDraw::PerQuery }, (0..100).map(id).collect());
    let nested = (0..100).map(|i| (BranchKey::Weight(i), None, group())).collect();
    let world = world(vec![("big.zone.test", Tree::Group(Policy::Weighted { draw: WeightedDraw::PerQuery }, nested))]);
    let question = query("_why.big.zone.test", TXT).subnet([133, 1, 2, 0], 24);
    let bytes = world.responder().answer(&question.bytes(), in_seoul(), Transport::Udp).unwrap();
    let answer = decode(&bytes);
    assert!(!answer.metadata.truncation && bytes.len() <= 1_232, "{}", bytes.len());
    assert!(strings(&answer).iter().any(|line| line.starts_with("scope=/")));
}

#[test]
fn answers_of_policies_say_so_if_they_are_to() {
    let world = World::with(|snapshot| {
        plan(snapshot, vec![("app.zone.test", at(&["192.0.2.1"]))]);
        snapshot.dns.server.synthesized_error = true;
    });
    let responder = world.responder();
    for (name, qtype, expected) in [
        ("app.zone.test", A, vec![(15, vec![0, 29])]),
        ("app.perigee.test", A, vec![(15, vec![0, 29])]),
        ("web.zone.test", A, vec![]),
        ("app.zone.test", AAAA, vec![]),
    ] {
        let bytes = responder.answer(&query(name, qtype).edns(&[]).bytes(), in_seoul(), Transport::Udp).unwrap();
        assert_eq!(options_of(&bytes), Some(expected), "{name} {qtype}");
    }
}

#[test]
fn what_a_policy_cannot_answer_is_told_beforehand() {
    let empty = || Tree::Record(RecordTarget::Addresses(Vec::new()), Vec::new());
    let name = |target: &str| alias(RecordTarget::Name(target.into()));
    let address = || at(&["192.0.2.1"]);
    let multivalue = Tree::Group(Policy::Multivalue, vec![(BranchKey::Value, None, with(empty(), "CNAME", &["web"]))]);
    let rows: Vec<(&str, Tree, &str)> = vec![
        ("web.zone.test", address(), "A records are given by the policy and by the zone file"),
        ("www.zone.test", address(), "a CNAME has nothing else beside it"),
        ("x.test", address(), "the policy name is no domain name in its zone"),
        ("x.sub.zone.test", address(), "the name is at or below a delegation"),
        ("sub.zone.test", address(), "the name is at or below a delegation"),
        ("x.zone.test", name("nothing.zone.test"), "alias to nothing.zone.test: there is no such name"),
        ("x.zone.test", name("www.elsewhere.test"), "alias to www.elsewhere.test: it is in none of the zones"),
        ("x.zone.test", name("out.zone.test"), "alias to out.zone.test: it is in none of the zones"),
        ("x.zone.test", name("loop1.zone.test"), "alias to loop1.zone.test: its CNAMEs go in a circle"),
        ("x.zone.test", name("a.sub.zone.test"), "alias to a.sub.zone.test: it is delegated"),
        ("x.zone.test", name("app.perigee.test"), "alias to app.perigee.test: it is answered by a policy"),
        ("x.zone.test", with(empty(), "HTTPS", &["0 . alpn=h2"]), "HTTPS: priority 0 is an alias"),
        ("x.zone.test", with(empty(), "MX", &["10"]), "MX: words are missing"),
        ("x.zone.test", with(empty(), "TXT", &["a\nb"]), "TXT: the value is more than one line"),
        ("x.zone.test", with(empty(), "TXT", &[]), "TXT: there is no value"),
        ("x.zone.test", with(empty(), "NS", &["web"]), "NS: no policy can decide"),
        ("x.zone.test", with(empty(), "A", &["192.0.2.1"]), "A: no policy can decide"),
        ("x.zone.test", with(empty(), "CNAME", &["web", "www"]), "CNAME: a name has one CNAME"),
        ("x.zone.test", with(with(empty(), "TXT", &["a"]), "TXT", &["b"]), "TXT is given twice"),
        ("x.zone.test", multivalue, "a multivalue answer cannot be a CNAME"),
        ("x.zone.test", failover(with(empty(), "CNAME", &["web"]), address()), "some answers are a CNAME"),
        ("zone.test", with(empty(), "CNAME", &["web"]), "an answer is a CNAME, but the zone file has records"),
    ];
    for (owner, tree, expected) in rows {
        let mut snapshot = fixtures::snapshot(&[TOKYO, SEOUL]);
        plan(&mut snapshot, vec![(owner, tree)]);
        let problems: Vec<String> = check_zones(&snapshot).iter().map(ToString::to_string).collect();
        assert!(!problems.is_empty() && problems.iter().all(|p| p.contains(owner)), "{owner}: {problems:?}");
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected}: {problems:?}");
    }
}

#[test]
fn no_address_of_a_family_is_no_data_and_never_no_name() {
    let world = world(vec![("app.zone.test", failover(at(&["192.0.2.1", "2001:db8::1"]), at(&["192.0.2.2"])))]);
    let responder = world.responder();
    judge(&world, false);
    let v6: Vec<IpAddr> = ask(&responder, &query("app.zone.test", AAAA))
        .answers
        .iter()
        .filter_map(|r| match r.data {
            RData::AAAA(v6) => Some(IpAddr::V6(v6.0)),
            _ => None,
        })
        .collect();
    assert_eq!(v6, ["2001:db8::1".parse::<IpAddr>().unwrap()], "the only one there is, healthy or not");
}
