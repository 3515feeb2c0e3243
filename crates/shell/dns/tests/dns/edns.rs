//! Cookies, identity, keepalive, padding and extended errors.

use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use perigee_dns::{Moment, Responder, Transport};
use perigee_model::dns::DnsServer;

use crate::support::{
    A, AAAA, Query, SEOUL_NODES, TXT, World, addresses, decode, in_seoul, options_of, query, strings,
};

const NSID: u16 = 3;
const COOKIE: u16 = 10;
const KEEPALIVE: u16 = 11;
const PADDING: u16 = 12;
const ERROR: u16 = 15;
const ENCRYPTED: [Transport; 3] = [Transport::Tls, Transport::Https, Transport::Quic];

fn responder(change: impl FnOnce(&mut DnsServer)) -> Responder {
    World::with(|snapshot| change(&mut snapshot.dns.server)).responder()
}

fn at(unix_s: u64) -> Moment {
    Moment { unix: Duration::from_secs(unix_s), elapsed_ms: 0 }
}

fn ask(responder: &Responder, question: &Query, transport: Transport, unix_s: u64) -> Vec<u8> {
    responder.answer_at(&question.bytes(), in_seoul(), transport, at(unix_s)).unwrap()
}

fn option(bytes: &[u8], code: u16) -> Option<Vec<u8>> {
    let found: Vec<Vec<u8>> =
        options_of(bytes).unwrap_or_default().into_iter().filter(|(c, _)| *c == code).map(|(_, data)| data).collect();
    assert!(found.len() <= 1, "an option comes once");
    found.into_iter().next()
}

fn code(bytes: &[u8]) -> ResponseCode {
    let message = Message::from_vec(bytes).unwrap();
    let high = message.edns.as_ref().map_or(0, |edns| edns.rcode_high());
    ResponseCode::from(high, bytes[3] & 0x0f)
}

#[test]
fn a_cookie_is_learned_used_and_renewed() {
    let responder = responder(|_| {});
    let first = ask(&responder, &query("app.perigee.test", A).edns(&[(COOKIE, &[1; 8])]), Transport::Udp, 5_000);
    let learned = option(&first, COOKIE).expect("a cookie");
    assert_eq!((learned.len(), &learned[..8]), (24, &[1; 8][..]));
    for (later_s, is_kept) in [(0, true), (1_800, true), (1_801, false), (3_600, false), (3_601, false)] {
        let again = query("app.perigee.test", A).edns(&[(COOKIE, &learned)]);
        let back = option(&ask(&responder, &again, Transport::Udp, 5_000 + later_s), COOKIE);
        assert_eq!(back.as_ref() == Some(&learned), is_kept, "{later_s} s later");
        assert_eq!(back.map(|cookie| cookie.len()), Some(24));
    }
}

#[test]
fn every_kind_of_response_carries_the_cookie_and_none_without_the_option() {
    let responder = responder(|_| {});
    for (what, question) in [
        ("an answer", query("app.perigee.test", A)),
        ("no such name", query("nothing.perigee.test", A)),
        ("outside", query("example.com", A)),
        ("not implemented", Query { flags: [0x10, 0], ..query("app.perigee.test", A) }),
        ("a type that is none", query("app.perigee.test", 250)),
        ("a malformed subnet", query("app.perigee.test", A)),
    ] {
        let mut options: Vec<(u16, &[u8])> = vec![(COOKIE, &[1; 8])];
        if what == "a malformed subnet" {
            options.push((8, &[0, 9, 0, 0]));
        }
        for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
            let with = ask(&responder, &question.clone().edns(&options), transport, 5_000);
            assert_eq!(option(&with, COOKIE).map(|cookie| cookie.len()), Some(24), "{what}");
            let without = ask(&responder, &question.clone().edns(&[]), transport, 5_000);
            assert_eq!(option(&without, COOKIE), None, "{what}");
        }
    }
}

#[test]
fn cookies_of_other_lengths_are_formerr_and_switched_off_they_are_ignored() {
    let on = responder(|_| {});
    let off = responder(|server| server.cookies = false);
    for len in [0, 7, 9, 15, 41] {
        let bytes = ask(&on, &query("app.perigee.test", A).edns(&[(COOKIE, &vec![1; len])]), Transport::Udp, 5_000);
        assert_eq!((code(&bytes), option(&bytes, COOKIE)), (ResponseCode::FormErr, None), "{len} octets");
    }
    let bytes = ask(&off, &query("app.perigee.test", A).edns(&[(COOKIE, &[1; 8])]), Transport::Udp, 5_000);
    assert_eq!((code(&bytes), option(&bytes, COOKIE)), (ResponseCode::NoError, None));
}

#[test]
fn a_query_for_nothing_but_a_cookie_gets_just_that() {
    let nothing = Query { counts: [0; 4], question: vec![], ..query("", A) };
    let on = responder(|_| {});
    let bytes = ask(&on, &nothing.clone().edns(&[(COOKIE, &[1; 8])]), Transport::Udp, 5_000);
    assert_eq!((code(&bytes), &bytes[4..12]), (ResponseCode::NoError, &[0, 0, 0, 0, 0, 0, 0, 1][..]));
    assert_eq!(option(&bytes, COOKIE).map(|cookie| cookie.len()), Some(24));
    for options in [&[][..], &[(COOKIE, &[1; 9][..])]] {
        assert_eq!(code(&ask(&on, &nothing.clone().edns(options), Transport::Udp, 5_000)), ResponseCode::FormErr);
    }
    let off = responder(|server| server.cookies = false);
    let bytes = ask(&off, &nothing.edns(&[(COOKIE, &[1; 8])]), Transport::Udp, 5_000);
    assert_eq!(code(&bytes), ResponseCode::FormErr);
}

#[test]
fn servers_that_share_their_secrets_accept_each_others_cookies_through_a_roll() {
    let old = responder(|server| server.cookie_secrets = vec![[1; 16]]);
    let rolled = responder(|server| server.cookie_secrets = vec![[2; 16], [1; 16]]);
    let new = responder(|server| server.cookie_secrets = vec![[2; 16]]);
    let small = |server: &mut DnsServer, secrets: Vec<[u8; 16]>| {
        server.cookie_secrets = secrets;
        server.uncookied_octets = Some(60);
    };
    let judge_rolled = responder(|server| small(server, vec![[2; 16], [1; 16]]));
    let judge_new = responder(|server| small(server, vec![[2; 16]]));
    let learn = |from: &Responder| {
        option(&ask(from, &query("app.perigee.test", A).edns(&[(COOKIE, &[1; 8])]), Transport::Udp, 5_000), COOKIE)
            .unwrap()
    };
    assert_eq!(learn(&rolled), learn(&new), "made with the newest");
    assert_ne!(learn(&rolled), learn(&old));
    for (judge, cookie, is_good) in [
        (&judge_rolled, learn(&old), true),
        (&judge_rolled, learn(&new), true),
        (&judge_new, learn(&rolled), true),
        (&judge_new, learn(&old), false),
    ] {
        let bytes = ask(judge, &query("app.perigee.test", A).edns(&[(COOKIE, &cookie)]), Transport::Udp, 5_000);
        assert_eq!(bytes[2] & 0x02 == 0, is_good, "a good cookie gets a whole answer");
    }
}

#[test]
fn without_a_good_cookie_datagrams_may_be_kept_small() {
    let responder = responder(|server| server.uncookied_octets = Some(60));
    let plain = query("app.perigee.test", A);
    let new = plain.clone().edns(&[(COOKIE, &[1; 8])]);
    let learned = option(&ask(&responder, &new, Transport::Udp, 5_000), COOKIE).unwrap();
    let good = plain.clone().edns(&[(COOKIE, &learned)]);
    let bad = plain.clone().edns(&[(COOKIE, &[2; 24])]);
    for (question, transport, is_whole) in [
        (&plain, Transport::Udp, false),
        (&new, Transport::Udp, false),
        (&bad, Transport::Udp, false),
        (&good, Transport::Udp, true),
        (&plain, Transport::Tcp, true),
        (&bad, Transport::Quic, true),
    ] {
        let message = Message::from_vec(&ask(&responder, question, transport, 5_000)).unwrap();
        assert_eq!(!message.metadata.truncation, is_whole);
        assert_eq!(addresses(&message).len(), if is_whole { 2 } else { 0 });
    }
}

#[test]
fn the_identity_is_told_to_who_asks_if_there_is_one() {
    let named = responder(|server| server.identity = Some("seoul-1".into()));
    let nameless = responder(|_| {});
    let asking = query("app.perigee.test", A).edns(&[(NSID, &[])]);
    assert_eq!(option(&ask(&named, &asking, Transport::Udp, 0), NSID).as_deref(), Some(&b"seoul-1"[..]));
    assert_eq!(option(&ask(&named, &query("app.perigee.test", A).edns(&[]), Transport::Udp, 0), NSID), None);
    assert_eq!(option(&ask(&nameless, &asking, Transport::Udp, 0), NSID), None);
}

#[test]
fn questions_about_the_server_are_answered_only_if_that_is_switched_on() {
    let on = responder(|server| {
        server.chaos = true;
        server.identity = Some("seoul-1".into());
    });
    let off = responder(|server| server.identity = Some("seoul-1".into()));
    for (name, says) in [("id.server", "seoul-1"), ("Hostname.Bind", "seoul-1"), ("version.BIND", "Perigee ")] {
        let bytes = ask(&on, &query(name, TXT).class(3), Transport::Udp, 0);
        let answer = Message::from_vec(&bytes).unwrap();
        assert!(strings(&answer)[0].starts_with(says), "{name}");
        assert_eq!((answer.answers[0].dns_class.into(), answer.answers[0].ttl), (3_u16, 0));
        assert_eq!(code(&ask(&off, &query(name, TXT).class(3), Transport::Udp, 0)), ResponseCode::Refused);
    }
    for question in
        [query("id.server", A).class(3), query("app.perigee.test", TXT).class(3), query("id.server", TXT).class(4)]
    {
        assert_eq!(code(&ask(&on, &question, Transport::Udp, 0)), ResponseCode::Refused);
    }
}

#[test]
fn keepalive_is_for_connections_whose_idle_time_is_known() {
    let responder = responder(|_| {});
    let asking = query("app.perigee.test", A).edns(&[(KEEPALIVE, &[])]);
    for transport in [Transport::Udp, Transport::Tcp, Transport::Quic] {
        assert_eq!(option(&ask(&responder, &asking, transport, 0), KEEPALIVE), None, "no connection here");
    }
}

#[test]
fn padding_comes_back_on_encrypted_transports_in_blocks_of_468() {
    let responder = responder(|server| server.identity = Some("seoul-1".into()));
    for name in ["app.perigee.test", "_why.app.perigee.test", "nothing.perigee.test", "example.com"] {
        let plain = query(name, if name.starts_with('_') { TXT } else { A });
        let padded = plain.clone().edns(&[(NSID, &[]), (PADDING, &[0; 30])]);
        for transport in ENCRYPTED {
            let bytes = ask(&responder, &padded, transport, 0);
            assert_eq!(bytes.len() % 468, 0, "{name} {transport:?}");
            assert!(option(&bytes, PADDING).is_some_and(|data| data.iter().all(|octet| *octet == 0)));
            assert!(option(&bytes, NSID).is_some());
            Message::from_vec(&bytes).unwrap();
            let bytes = ask(&responder, &plain.clone().edns(&[]), transport, 0);
            assert_eq!(option(&bytes, PADDING), None, "not asked for");
        }
        for transport in [Transport::Udp, Transport::Tcp] {
            assert_eq!(option(&ask(&responder, &padded, transport, 0), PADDING), None, "for everybody to see anyway");
        }
    }
}

#[test]
fn extended_errors_say_why() {
    let responder = responder(|server| server.synthesized_error = true);
    for (what, question, expected) in [
        ("outside", query("example.com", A).edns(&[]), Some(20)),
        ("opcode", Query { flags: [0x10, 0], ..query("perigee.test", A) }.edns(&[]), Some(21)),
        ("NOTIFY", Query { flags: [0x20, 0], ..query("perigee.test", 6) }.edns(&[]), Some(21)),
        ("TKEY", query("perigee.test", 249).edns(&[]), Some(21)),
        ("NXNAME", query("perigee.test", 128).edns(&[]), Some(30)),
        ("made by a policy", query("app.perigee.test", A).edns(&[]), Some(29)),
        ("from the zone", query("ns1.perigee.test", A).edns(&[]), None),
        ("no EDNS", query("example.com", A), None),
    ] {
        let bytes = ask(&responder, &question, Transport::Udp, 0);
        let found = option(&bytes, ERROR).map(|data| u16::from_be_bytes([data[0], data[1]]));
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn a_refusal_echoes_the_subnet_with_scope_zero() {
    let responder = responder(|_| {});
    for flags in [[0x20, 0], [0x10, 0]] {
        let question = Query { flags, ..query("app.perigee.test", A).subnet([168, 126, 63, 0], 24) };
        let bytes = ask(&responder, &question, Transport::Udp, 0);
        assert_eq!(option(&bytes, 8), Some(vec![0, 1, 24, 0, 168, 126, 63]));
    }
}

#[test]
fn all_options_at_once_are_counted_before_the_answer_is_fitted() {
    let mut seen = [false; 2];
    for nodes in 1..30_u8 {
        let world = World::with(|snapshot| {
            snapshot.dns.server.identity = Some("i".repeat(128));
            let node = snapshot.load_balancers[1].nodes[0].clone();
            snapshot.load_balancers[1].nodes = (0..nodes)
                .map(|i| perigee_model::LoadBalancerNode { address: [127, 0, 9, i].into(), ..node.clone() })
                .collect();
        });
        let options: [(u16, &[u8]); 4] =
            [(NSID, &[]), (COOKIE, &[1; 8]), (8, &[0, 1, 24, 0, 133, 1, 2]), (PADDING, &[])];
        let question = query("shop.ap-northeast-2.elb.perigee.test", A).opt(512, 0, 0x8000, &options);
        let bytes = ask(&world.responder(), &question, Transport::Udp, 0);
        let message = Message::from_vec(&bytes).unwrap();
        assert!(bytes.len() <= 512, "{nodes} nodes");
        // Header, question and OPT of this query, and 16 octets a record.
        let whole = 12 + question.question.len() + 11 + 132 + 28 + 11 + 16 * usize::from(nodes);
        assert_eq!(message.metadata.truncation, whole > 512, "{nodes} nodes");
        assert_eq!(message.answers.len(), if whole > 512 { 0 } else { nodes.into() });
        assert_eq!(options_of(&bytes).unwrap().len(), 3);
        seen[usize::from(message.metadata.truncation)] = true;
    }
    assert_eq!(seen, [true; 2], "both sides of the limit");
}

#[test]
fn an_aaaa_question_is_no_error_for_a_name_with_ipv4_alone() {
    let responder = responder(|_| {});
    let bytes = ask(&responder, &query("app.perigee.test", AAAA).edns(&[]), Transport::Tls, 0);
    assert_eq!(code(&bytes), ResponseCode::NoError);
    let bytes = ask(&responder, &query("app.perigee.test", A).edns(&[]), Transport::Tls, 0);
    assert_eq!(addresses(&Message::from_vec(&bytes).unwrap()), SEOUL_NODES);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]

    #[test]
    fn any_options_are_answered_within_the_limit_and_padded_if_asked(
        options in proptest::collection::vec(
            (
                proptest::prop_oneof![
                    proptest::prelude::Just(3_u16),
                    proptest::prelude::Just(8),
                    proptest::prelude::Just(10),
                    proptest::prelude::Just(11),
                    proptest::prelude::Just(12),
                    proptest::prelude::any::<u16>(),
                ],
                proptest::collection::vec(proptest::prelude::any::<u8>(), 0..42),
            ),
            0..6,
        ),
        payload: u16,
        flags: u16,
    ) {
        thread_local! {
            static RESPONDER: Responder = responder(|server| server.identity = Some("seoul-1".into()));
        }
        let list: Vec<(u16, &[u8])> = options.iter().map(|(code, data)| (*code, &data[..])).collect();
        let question = query("app.perigee.test", A).opt(payload, 0, flags, &list);
        for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
            let bytes = RESPONDER.with(|responder| ask(responder, &question, transport, 5_000));
            let limit = payload.clamp(512, 1_232);
            proptest::prop_assert!(transport != Transport::Udp || bytes.len() <= limit.into());
            proptest::prop_assert!(decode(&bytes).edns.is_some(), "an OPT for an OPT");
            let back = options_of(&bytes).unwrap();
            let asked = |code: u16| list.iter().any(|(asked, _)| *asked == code);
            for (code, _) in &back {
                proptest::prop_assert!(*code == ERROR || asked(*code), "option {code} was not asked for");
            }
            let is_good = bytes[3] & 0x0f == 0;
            if is_good && transport == Transport::Tls && asked(PADDING) {
                proptest::prop_assert_eq!(bytes.len() % 468, 0);
            }
        }
    }
}
