//! EDNS Client Subnet (RFC 7871; the cases E1 to E20 of the specification).

use hickory_proto::op::{Message, ResponseCode};
use perigee_dns::{Responder, Transport};
use perigee_geo::shipped;
use proptest::prelude::*;

use crate::support::{
    A, AAAA, NS, Query, SEOUL_NODES, TOKYO_NODES, TXT, World, addresses, decode, in_seoul, options_of, query, subnet_of,
};

fn ask(responder: &Responder, question: &Query) -> (Message, Option<Vec<u8>>) {
    let bytes = responder.answer(&question.bytes(), in_seoul(), Transport::Udp).unwrap();
    (decode(&bytes), subnet_of(&bytes))
}

#[test]
fn the_subnet_decides_rather_than_the_resolver_and_comes_back_with_its_scope() {
    let responder = World::new().responder();
    let (answer, subnet) = ask(&responder, &query("app.perigee.test", A).subnet([133, 1, 2, 0], 24));
    assert_eq!(addresses(&answer), TOKYO_NODES);
    let subnet = subnet.expect("the option comes back");
    assert_eq!((&subnet[..3], &subnet[4..]), (&[0, 1, 24][..], &[133, 1, 2][..]), "unchanged but for the scope");
    let (seoul, subnet) = ask(&responder, &query("app.perigee.test", A).subnet([168, 126, 63, 0], 24));
    assert_eq!(addresses(&seoul), SEOUL_NODES);
    assert_eq!(subnet.unwrap()[3], 16, "168.126.0.0/16 is the shortest that holds no other order");
}

#[test]
fn a_query_without_a_subnet_gets_none_back() {
    let responder = World::new().responder();
    let (answer, subnet) = ask(&responder, &query("app.perigee.test", A).edns(&[]));
    assert_eq!((addresses(&answer), subnet), (SEOUL_NODES.map(String::from).to_vec(), None));
    let bytes = responder.answer(&query("app.perigee.test", A).bytes(), in_seoul(), Transport::Udp).unwrap();
    assert!(options_of(&bytes).is_none(), "no OPT without OPT");
}

#[test]
fn a_scope_may_be_longer_than_the_source() {
    let responder = World::new().responder();
    let (_, subnet) = ask(&responder, &query("app.perigee.test", A).subnet([127, 82, 0, 0], 16));
    // Inside 127.82.0.0/16 only 127.82.200.0/24 is placed: its neighbours must not share an answer with it.
    assert!(subnet.as_ref().is_some_and(|s| s[2] == 16 && s[3] > 16), "{subnet:?}");
}

#[test]
fn answers_that_are_the_same_for_everyone_have_scope_zero() {
    let responder = World::new().responder();
    for (name, qtype) in [
        ("shop.accelerator.perigee.test", A),
        ("shop.ap-northeast-2.elb.perigee.test", A),
        ("perigee.test", NS),
        ("perigee.test", 6),
        ("ns1.perigee.test", A),
        ("app.perigee.test", AAAA),
        ("app.perigee.test", 255),
        ("nothing.perigee.test", A),
        ("elb.perigee.test", A),
        ("example.com", A),
    ] {
        let (_, subnet) = ask(&responder, &query(name, qtype).subnet([168, 126, 63, 0], 24));
        assert_eq!(subnet, Some(vec![0, 1, 24, 0, 168, 126, 63]), "{name} {qtype}");
    }
}

#[test]
fn an_opt_out_is_answered_for_the_resolver_and_echoed() {
    let responder = World::new().responder();
    for option in [&[0_u8, 1, 0, 0][..], &[0, 2, 0, 0], &[0, 0, 0, 0]] {
        let (answer, subnet) = ask(&responder, &query("app.perigee.test", A).edns(&[(8, option)]));
        assert_eq!(addresses(&answer), SEOUL_NODES);
        assert_eq!(subnet.as_deref(), Some(option));
    }
}

#[test]
fn malformed_subnets_get_formerr_and_an_opt_without_a_subnet() {
    let responder = World::new().responder();
    let bad: [(&str, Vec<&[u8]>); 12] = [
        ("empty", vec![&[]]),
        ("three octets", vec![&[0, 1, 0]]),
        ("scope set", vec![&[0, 1, 24, 24, 1, 2, 3]]),
        ("address too short", vec![&[0, 1, 24, 0, 1, 2]]),
        ("address too long", vec![&[0, 1, 24, 0, 1, 2, 3, 4]]),
        ("address without source", vec![&[0, 1, 0, 0, 1]]),
        ("bits beyond the source", vec![&[0, 1, 20, 0, 168, 126, 63]]),
        ("source 33", vec![&[0, 1, 33, 0, 1, 2, 3, 4, 5]]),
        ("source 129", vec![&[0, 2, 129, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]),
        ("family 3", vec![&[0, 3, 0, 0]]),
        ("family 0 with an address", vec![&[0, 0, 8, 0, 1]]),
        ("twice", vec![&[0, 1, 8, 0, 1], &[0, 1, 8, 0, 1]]),
    ];
    for (what, options) in bad {
        let options: Vec<(u16, &[u8])> = options.into_iter().map(|o| (8, o)).collect();
        for (name, qtype) in [("app.perigee.test", A), ("shop.accelerator.perigee.test", A), ("example.com", TXT)] {
            let bytes =
                responder.answer(&query(name, qtype).edns(&options).bytes(), in_seoul(), Transport::Udp).unwrap();
            let answer = Message::from_vec(&bytes).unwrap();
            assert_eq!(answer.metadata.response_code, ResponseCode::FormErr, "{what}");
            assert!(answer.answers.is_empty() && answer.queries.len() == 1, "{what}");
            assert_eq!(options_of(&bytes), Some(vec![]), "{what}");
        }
    }
}

#[test]
fn a_private_subnet_says_nothing_and_its_whole_block_shares_the_answer() {
    let world = World::with_database(shipped::CITY);
    let responder = world.responder();
    for (address, source, block) in
        [([10, 1, 2, 0], 24, 8), ([172, 20, 0, 0], 16, 12), ([192, 168, 7, 0], 24, 16), ([203, 0, 113, 0], 24, 24)]
    {
        let (answer, subnet) = ask(&responder, &query("app.perigee.test", A).subnet(address, source));
        assert_eq!(addresses(&answer), SEOUL_NODES, "decided by the resolver: {address:?}");
        let scope = subnet.expect("an echo")[3];
        assert!(scope <= block, "{address:?}/{scope} cuts the block /{block}");
    }
    let (answer, subnet) = ask(&responder, &query("app.perigee.test", A).subnet([127, 81, 200, 0], 24));
    assert_eq!(addresses(&answer), TOKYO_NODES, "the laboratory places loopback networks");
    assert_eq!(subnet.map(|s| s[3]), Some(24));
}

#[test]
fn an_address_that_nobody_knows_is_answered_for_the_resolver() {
    let responder = World::new().responder();
    let (answer, subnet) = ask(&responder, &query("app.perigee.test", A).subnet([8, 8, 8, 0], 24));
    assert_eq!(addresses(&answer), SEOUL_NODES);
    // 0.0.0.0/2 holds nothing that the database or the overlay knows, 64.0.0.0/2 does: 127.0.0.0/16.
    assert_eq!(subnet.map(|s| s[3]), Some(2), "all of the unknown may share the answer");
}

#[test]
fn an_ipv6_address_that_carries_an_ipv4_one_is_placed_by_it() {
    let responder = World::new().responder();
    let nat64 = [0, 2, 120, 0, 0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 133, 1, 2];
    let (answer, subnet) = ask(&responder, &query("app.perigee.test", A).edns(&[(8, &nat64)]));
    assert_eq!(addresses(&answer), TOKYO_NODES);
    assert!(subnet.as_ref().is_some_and(|s| (97..=120).contains(&s[3])), "{subnet:?}");
}

#[test]
fn health_changes_the_answer_and_never_the_scope() {
    let mut world = World::new();
    let responder = world.responder();
    let question = query("app.perigee.test", A).subnet([168, 126, 63, 0], 24);
    let (before, scope_before) = ask(&responder, &question);
    world.kill(crate::support::SEOUL, true);
    let (after, scope_after) = ask(&responder, &question);
    assert_ne!(addresses(&before), addresses(&after));
    assert_eq!(scope_before, scope_after);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_network_inside_a_scope_is_told_the_same(
        start in prop_oneof![
            any::<[u8; 3]>().prop_map(|[a, b, c]| [a, b, c, 0]),
            prop::sample::select(vec![[168, 126, 63, 0], [133, 1, 2, 0], [127, 81, 200, 0], [127, 82, 200, 0]]),
        ],
        other: u32,
    ) {
        let responder = World::new().responder();
        let (answer, subnet) = ask(&responder, &query("app.perigee.test", A).subnet(start, 24));
        let scope = u32::from(subnet.unwrap()[3]);
        let mask = u32::MAX.checked_shl(32 - scope).unwrap_or(0);
        let inside = (u32::from_be_bytes(start) & mask | other & !mask) & 0xffff_ff00;
        let (same, subnet) = ask(&responder, &query("app.perigee.test", A).subnet(inside.to_be_bytes(), 24));
        prop_assert_eq!(addresses(&answer), addresses(&same));
        prop_assert_eq!(u32::from(subnet.unwrap()[3]), scope);
    }
}
