//! Headers, EDNS, truncation and everything that is not a query.

use hickory_proto::op::{Message, OpCode, ResponseCode};
use perigee_dns::Transport;
use proptest::prelude::*;

use crate::support::{A, Query, SOA, TXT, World, addresses, ask, decode, in_seoul, options_of, query, strings};

#[test]
fn the_question_comes_back_bit_for_bit_whatever_its_case() {
    let world = World::new();
    let responder = world.responder();
    for name in ["aPp.PeRiGeE.TeSt", "APP.PERIGEE.TEST", "app.perigee.test", "NoThInG.Perigee.Test", "ExAmPlE.cOm"] {
        let question = query(name, A);
        let bytes = responder.answer(&question.bytes(), in_seoul(), Transport::Udp).unwrap();
        assert_eq!(&bytes[12..12 + question.question.len()], &question.question[..], "{name}");
        for record in Message::from_vec(&bytes).unwrap().answers {
            assert_eq!(record.name.to_string(), format!("{name}."), "owners keep the case");
        }
    }
}

#[test]
fn identifier_and_rd_are_copied_and_the_other_flags_are_not() {
    let responder = World::new().responder();
    let all = Query { flags: [0x01, 0x30], ..query("app.perigee.test", A) };
    let bytes = responder.answer(&all.bytes(), in_seoul(), Transport::Udp).unwrap();
    assert_eq!(&bytes[..4], [0xbe, 0xef, 0x85, 0x00], "QR, AA and RD; neither RA, AD, CD nor Z");
}

#[test]
fn other_operations_are_refused_or_not_implemented() {
    let responder = World::new().responder();
    for (opcode, code) in [
        (1, ResponseCode::NotImp),
        (2, ResponseCode::NotImp),
        (3, ResponseCode::NotImp),
        (4, ResponseCode::Refused),
        (5, ResponseCode::Refused),
        (6, ResponseCode::NotImp),
        (15, ResponseCode::NotImp),
    ] {
        let answer = ask(&responder, &Query { flags: [opcode << 3, 0], ..query("perigee.test", 6).edns(&[]) });
        assert_eq!(answer.metadata.response_code, code, "opcode {opcode}");
        assert_eq!(answer.metadata.op_code, OpCode::from_u8(opcode));
        assert!(answer.edns.is_some() && answer.queries.len() == 1 && answer.answers.is_empty());
    }
}

#[test]
fn types_that_are_no_data_are_refused_each_in_its_way() {
    let responder = World::new().responder();
    for (qtype, udp, tcp) in [
        (41, ResponseCode::FormErr, ResponseCode::FormErr),
        (250, ResponseCode::FormErr, ResponseCode::FormErr),
        (128, ResponseCode::FormErr, ResponseCode::FormErr),
        (249, ResponseCode::NotImp, ResponseCode::NotImp),
        (253, ResponseCode::NotImp, ResponseCode::NotImp),
        (254, ResponseCode::NotImp, ResponseCode::NotImp),
        (251, ResponseCode::Refused, ResponseCode::Refused),
        (252, ResponseCode::FormErr, ResponseCode::Refused),
    ] {
        for (transport, code) in [(Transport::Udp, udp), (Transport::Tcp, tcp)] {
            let bytes = responder.answer(&query("perigee.test", qtype).bytes(), in_seoul(), transport).unwrap();
            assert_eq!(Message::from_vec(&bytes).unwrap().metadata.response_code, code, "type {qtype} {transport:?}");
        }
    }
}

#[test]
fn a_question_for_changes_is_refused_with_the_soa_record_that_clients_send() {
    let responder = World::new().responder();
    let soa = [&[0xc0, 12, 0, 6, 0, 1, 0, 0, 0, 0, 0, 22, 0, 0][..], &[0, 0, 0, 7], &[0; 16]].concat();
    for (qtype, authorities, code) in [
        (251, 1, ResponseCode::Refused),
        (251, 2, ResponseCode::FormErr),
        (252, 1, ResponseCode::FormErr),
        (SOA, 1, ResponseCode::FormErr),
        (A, 1, ResponseCode::FormErr),
    ] {
        let mut question = query("perigee.test", qtype);
        question.counts[2] = authorities;
        question.rest = soa.repeat(authorities.into());
        for transport in [Transport::Udp, Transport::Tcp] {
            for (has_opt, question) in [(false, question.clone()), (true, question.clone().edns(&[]))] {
                let answer = responder.answer(&question.bytes(), in_seoul(), transport).unwrap();
                let answer = decode(&answer);
                assert_eq!(answer.metadata.response_code, code, "type {qtype} {transport:?}");
                assert_eq!(answer.edns.is_some(), has_opt, "type {qtype} {transport:?}");
                assert!(answer.queries.len() == 1 && answer.answers.is_empty() && answer.authorities.is_empty());
            }
        }
    }
}

#[test]
fn a_message_with_too_much_is_refused_with_an_opt_record_if_it_had_one() {
    let responder = World::new().responder();
    let record = [0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1];
    for (what, counts, extra, questions) in [
        ("answers", [1, 1, 0, 0], &record[..], 1),
        ("authorities", [1, 0, 1, 0], &record, 1),
        ("two questions", [2, 0, 0, 0], b"\xc0\x0c\x00\x01\x00\x01", 0),
    ] {
        let question = Query { counts, rest: extra.to_vec(), ..query("app.perigee.test", A) };
        for (has_opt, question) in [(false, question.clone()), (true, question.edns(&[]))] {
            let answer = ask(&responder, &question);
            assert_eq!(answer.metadata.response_code, ResponseCode::FormErr, "{what}");
            assert_eq!((answer.edns.is_some(), answer.queries.len()), (has_opt, questions), "{what}");
        }
    }
}

#[test]
fn edns_is_answered_with_one_opt_of_our_size_and_do_copied() {
    let responder = World::new().responder();
    let answer = ask(&responder, &query("app.perigee.test", A).opt(4_096, 0, 0xc000, &[(9, &[1; 8]), (65_001, b"x")]));
    let edns = answer.edns.unwrap();
    assert_eq!((edns.max_payload(), edns.version(), edns.flags().dnssec_ok, edns.flags().z), (1_232, 0, true, 0));
    assert!(edns.options().as_ref().is_empty(), "unknown options are ignored");
}

#[test]
fn a_version_above_zero_is_badvers_without_an_answer() {
    let responder = World::new().responder();
    let bytes = responder
        .answer(&query("app.perigee.test", A).opt(1_232, 1, 0, &[]).bytes(), in_seoul(), Transport::Udp)
        .unwrap();
    let answer = Message::from_vec(&bytes).unwrap();
    assert!(answer.answers.is_empty());
    let edns = answer.edns.unwrap();
    assert_eq!((bytes[3] & 0x0f, edns.rcode_high(), edns.version()), (0, 1, 0), "extended code 16, version 0");
}

#[test]
fn a_refusal_outside_the_zone_says_not_authoritative() {
    let responder = World::new().responder();
    let bytes = responder.answer(&query("example.com", A).edns(&[]).bytes(), in_seoul(), Transport::Udp).unwrap();
    assert_eq!(options_of(&bytes), Some(vec![(15, vec![0, 20])]));
}

#[test]
fn what_does_not_fit_a_datagram_is_truncated_to_nothing_and_whole_over_tcp() {
    let world = World::with(|snapshot| {
        let node = snapshot.load_balancers[1].nodes[0].clone();
        snapshot.load_balancers[1].nodes = (0..100_u8)
            .map(|i| perigee_model::LoadBalancerNode { address: [127, 0, 9, i].into(), ..node.clone() })
            .collect();
    });
    let responder = world.responder();
    let name = "shop.ap-northeast-2.elb.perigee.test";
    for (question, limit) in [
        (query(name, A), 512),
        (query(name, A).opt(100, 0, 0, &[]), 512),
        (query(name, A).opt(700, 0, 0, &[]), 700),
        (query(name, A).opt(65_535, 0, 0, &[]), 1_232),
    ] {
        let bytes = responder.answer(&question.bytes(), in_seoul(), Transport::Udp).unwrap();
        let cut = Message::from_vec(&bytes).unwrap();
        assert!(bytes.len() <= limit && cut.metadata.truncation && cut.answers.is_empty(), "{limit}");
        assert_eq!(cut.edns.is_some(), question.counts[3] == 1);
        let bytes = responder.answer(&question.bytes(), in_seoul(), Transport::Tcp).unwrap();
        let whole = Message::from_vec(&bytes).unwrap();
        assert!(!whole.metadata.truncation);
        assert_eq!(addresses(&whole).len(), 100);
    }
}

#[test]
fn an_explanation_of_many_regions_fits_a_datagram_with_edns() {
    let responder = World::new().responder();
    let bytes =
        responder.answer(&query("_why.app.perigee.test", TXT).edns(&[]).bytes(), in_seoul(), Transport::Udp).unwrap();
    let answer = Message::from_vec(&bytes).unwrap();
    assert!(!answer.metadata.truncation && strings(&answer).len() >= 8, "{} octets", bytes.len());
}

#[test]
fn responses_and_short_messages_are_never_answered() {
    let (responder, _, registry) = World::new().responder_and_metrics();
    let response = Query { flags: [0x80, 0], ..query("app.perigee.test", A) }.bytes();
    for transport in [Transport::Udp, Transport::Tcp] {
        assert_eq!(responder.answer(&response, in_seoul(), transport), None);
        assert_eq!(responder.answer(&[0; 11], in_seoul(), transport), None);
        assert_eq!(responder.answer(&[], in_seoul(), transport), None);
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(text.contains("perigee_dns_dropped_total{reason=\"response\"} 2"), "{text}");
    assert!(text.contains("perigee_dns_dropped_total{reason=\"short\"} 4"), "{text}");
}

#[test]
fn queries_are_counted_by_transport_kind_and_code_and_answers_by_region() {
    let (responder, metrics, registry) = World::new().responder_and_metrics();
    for question in [query("app.perigee.test", A), query("nothing.perigee.test", A), query("app.perigee.test", 28)] {
        ask(&responder, &question);
    }
    responder.answer(&query("example.com", A).bytes(), in_seoul(), Transport::Tcp).unwrap();
    responder.answer(&[0; 12], in_seoul(), Transport::Tcp).unwrap();
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        "perigee_dns_queries_total{transport=\"udp\",kind=\"latency\",rcode=\"NOERROR\"} 2",
        "perigee_dns_queries_total{transport=\"udp\",kind=\"absent\",rcode=\"NXDOMAIN\"} 1",
        "perigee_dns_queries_total{transport=\"tcp\",kind=\"outside\",rcode=\"REFUSED\"} 1",
        "perigee_dns_queries_total{transport=\"tcp\",kind=\"none\",rcode=\"FORMERR\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert_eq!(metrics.answers_for(crate::support::SEOUL), 1);
    assert_eq!(metrics.answers_for(crate::support::TOKYO), 0);
}

/// Fails unless `answer` is one that a server may give to `message`: nothing to responses, never more than the limit.
fn assert_sane(message: &[u8], answer: Option<Vec<u8>>) {
    let is_query = message.len() >= 12 && message[2] & 0x80 == 0;
    assert_eq!(answer.is_some(), is_query);
    let Some(answer) = answer else { return };
    assert_eq!(answer[..2], message[..2], "the identifier is copied");
    assert!(answer[2] & 0x80 != 0 && answer[3] & 0x80 == 0, "a response without recursion");
    assert!(answer.len() <= 1_232);
    decode(&answer);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn garbage_never_panics_and_is_dropped_or_refused(message: Vec<u8>) {
        let responder = WORLD.with(World::responder);
        let answer = responder.answer(&message, in_seoul(), Transport::Udp);
        if let Some(answer) = &answer {
            // Random bytes are as good as never a query: what opcode 0 says must be FORMERR.
            let code = answer[3] & 0x0f;
            let expected = match message[2] >> 3 & 0x0f { 0 => 1, 4 | 5 => 5, _ => 4 };
            prop_assert_eq!(code, expected);
        }
        assert_sane(&message, answer);
    }

    #[test]
    fn damaged_queries_never_panic(
        name in prop::sample::select(vec!["app.perigee.test", "_why.app.perigee.test", "perigee.test", "x.y.z"]),
        damage in prop::collection::vec((0_usize..80, any::<u8>()), 0..6),
        cut in 0_usize..80,
    ) {
        let responder = WORLD.with(World::responder);
        let mut message = query(name, A).subnet([168, 126, 63, 0], 24).bytes();
        for (at, byte) in damage {
            if let Some(b) = message.get_mut(at) {
                *b = byte;
            }
        }
        if cut < 40 {
            message.truncate(message.len() - cut.min(message.len()));
        }
        for transport in [Transport::Udp, Transport::Tcp] {
            assert_sane(&message, responder.answer(&message, in_seoul(), transport));
        }
    }

    #[test]
    fn names_of_any_bytes_and_case_are_echoed(labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..64), 0..4)) {
        let responder = WORLD.with(World::responder);
        let mut question: Vec<u8> = labels.iter().flat_map(|l| [vec![l.len() as u8], l.clone()].concat()).collect();
        if question.len() > 254 - 14 {
            return Ok(());
        }
        question.extend(b"\x07pErIgEe\x04tEsT\x00\x00\x01\x00\x01");
        let query = Query { question, ..query("x", A) };
        let answer = responder.answer(&query.bytes(), in_seoul(), Transport::Udp).unwrap();
        prop_assert_eq!(&answer[12..12 + query.question.len()], &query.question[..]);
    }
}

thread_local! {
    static WORLD: World = World::new();
}
