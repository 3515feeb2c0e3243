//! Names of zone files: every row of the specification's tables on types and names.

use std::sync::Arc;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};
use perigee_dns::{Responder, Transport};
use perigee_model::Instant;

use crate::support::{
    A, AAAA, ANY, NS, SOA, TXT, World, add_zone, addresses, ask, decode, in_seoul, options_of, query, subnet_of,
};

const CNAME: u16 = 5;
const PTR: u16 = 12;
const MX: u16 = 15;
const SRV: u16 = 33;
const DNAME: u16 = 39;
const DS: u16 = 43;
const RRSIG: u16 = 46;
const SVCB: u16 = 64;
const HTTPS: u16 = 65;
const CAA: u16 = 257;

const ZONE: &str = r#"
$TTL 300
@           SOA   ns1 host 7 3600 600 86400 60
            NS    ns1
            NS    ns.other.test.
            A     192.0.2.1
            MX    10 mail
            CAA   0 issue "ca.test"
ns1         A     192.0.2.53
mail        A     192.0.2.2
web         A     192.0.2.3
            AAAA  2001:db8::3
            HTTPS 1 . alpn=h3,h2 ipv4hint=192.0.2.3
            TXT   "one" "two words"
            TYPE65280 \# 2 0102
_sip._tcp   SRV   1 2 5060 web
_8443._foo  SVCB  0 web
www         CNAME web
out         CNAME www.elsewhere.test.
lost        CNAME nothing
half        CNAME txt
txt         TXT   "x"
over        CNAME www.second.test.
away        CNAME host.sub
loop1       CNAME loop2
loop2       CNAME loop1
c1          CNAME c2
c2          CNAME c3
c3          CNAME c4
c4          CNAME c5
c5          CNAME c6
c6          CNAME c7
c7          CNAME c8
c8          CNAME c9
c9          A     192.0.2.9
*.wild      A     192.0.2.4
x.y.wild    TXT   "x"
*.alias     CNAME web
a.b.c       TXT   "deep"
old         DNAME new
host.new    A     192.0.2.5
longer      DNAME aaaaaaaaaabbbbbbbbbbccccccccccaaaaaaaaaabbbbbbbbbbcccccccccc.aaaaaaaaaabbbbbbbbbbccccccccccaaaaaaaaaabbbbbbbbbbcccccccccc.test.
sub         NS    ns.sub
            NS    ns1
            NS    ns.other.test.
            DS    1 13 2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
            A     192.0.2.66
ns.sub      A     192.0.2.6
            AAAA  2001:db8::6
host.sub    A     192.0.2.66
plain       NS    ns.other.test.
"#;

const SECOND: &str = "@ 60 SOA ns1 host 1 2 3 4 90\n@ 60 NS ns1\nns1 60 A 192.0.2.53\nwww 60 A 192.0.2.7\n";

fn world() -> World {
    World::with(|snapshot| {
        add_zone(snapshot, "second.test", SECOND);
        add_zone(snapshot, "zone.test", ZONE);
        add_zone(snapshot, "made.test", "www 60 A 192.0.2.8\n");
        add_zone(snapshot, "inner.zone.test", "www 60 A 192.0.2.8\n");
        add_zone(snapshot, "75.127.in-addr.arpa", "9.9 60 PTR nine.test.\n");
    })
}

/// A message as text: code and AA, then the records of answer, authority and additional, each section sorted.
fn said(message: &Message) -> Vec<String> {
    let metadata = &message.metadata;
    let code = match metadata.response_code {
        ResponseCode::NoError => "NOERROR",
        ResponseCode::NXDomain => "NXDOMAIN",
        ResponseCode::YXDomain => "YXDOMAIN",
        ResponseCode::Refused => "REFUSED",
        other => panic!("{other}"),
    };
    let mut lines = vec![format!("{code}{}", if metadata.authoritative { " aa" } else { "" })];
    for (section, records) in [("an", &message.answers), ("au", &message.authorities), ("ad", &message.additionals)] {
        let text = |record: &Record| {
            let data = match &record.data {
                RData::SOA(_) | RData::Unknown { .. } => String::new(),
                data => format!(" {data}"),
            };
            format!("{section} {} {} {}{data}", record.name, record.ttl, record.record_type())
        };
        let mut section: Vec<String> = records.iter().map(text).collect();
        section.sort();
        lines.extend(section);
    }
    lines
}

fn assert_says(responder: &Responder, name: &str, qtype: u16, expected: &[&str]) {
    let bytes = responder.answer(&query(name, qtype).edns(&[]).bytes(), in_seoul(), Transport::Udp).unwrap();
    let udp = said(&decode(&bytes));
    let bytes = responder.answer(&query(name, qtype).edns(&[]).bytes(), in_seoul(), Transport::Tcp).unwrap();
    assert_eq!(udp, expected, "{name} {qtype}");
    assert_eq!(said(&decode(&bytes)), expected, "{name} {qtype} over TCP");
}

const NODATA: [&str; 2] = ["NOERROR aa", "au zone.test. 60 SOA"];
const NXDOMAIN: [&str; 2] = ["NXDOMAIN aa", "au zone.test. 60 SOA"];
const HINFO: &str = "3600 HINFO RFC8482 ";

#[test]
fn records_of_a_zone_file_are_answered_by_name_and_type() {
    let responder = world().responder();
    let rows: &[(&str, u16, &[&str])] = &[
        ("zone.test", SOA, &["NOERROR aa", "an zone.test. 300 SOA"]),
        (
            "zone.test",
            NS,
            &["NOERROR aa", "an zone.test. 300 NS ns.other.test.", "an zone.test. 300 NS ns1.zone.test."],
        ),
        ("zone.test", A, &["NOERROR aa", "an zone.test. 300 A 192.0.2.1"]),
        ("zone.test", MX, &["NOERROR aa", "an zone.test. 300 MX 10 mail.zone.test."]),
        ("zone.test", CAA, &["NOERROR aa", "an zone.test. 300 CAA 0 issue \"ca.test\""]),
        ("web.zone.test", AAAA, &["NOERROR aa", "an web.zone.test. 300 AAAA 2001:db8::3"]),
        ("web.zone.test", TXT, &["NOERROR aa", "an web.zone.test. 300 TXT onetwo words"]),
        ("web.zone.test", 65_280, &["NOERROR aa", "an web.zone.test. 300 Unknown"]),
        ("_sip._tcp.zone.test", SRV, &["NOERROR aa", "an _sip._tcp.zone.test. 300 SRV 1 2 5060 web.zone.test."]),
        ("_8443._foo.zone.test", SVCB, &["NOERROR aa", "an _8443._foo.zone.test. 300 SVCB 0 web.zone.test."]),
        ("web.zone.test", SVCB, &NODATA),
        ("web.zone.test", 65_281, &NODATA),
        ("web.zone.test", RRSIG, &NODATA),
        ("web.zone.test", DS, &NODATA),
        ("zone.test", DS, &NODATA),
        ("zone.test", AAAA, &NODATA),
        ("c.zone.test", A, &NODATA),
        ("b.c.zone.test", ANY, &NODATA),
        ("nothing.zone.test", A, &NXDOMAIN),
        ("nothing.zone.test", ANY, &NXDOMAIN),
        ("x.a.b.c.zone.test", TXT, &NXDOMAIN),
        ("x.web.zone.test", A, &NXDOMAIN),
        ("second.test", MX, &["NOERROR aa", "au second.test. 60 SOA"]),
        (
            "made.test",
            NS,
            &["NOERROR aa", "an made.test. 3600 NS ns1.made.test.", "an made.test. 3600 NS ns2.made.test."],
        ),
        ("made.test", SOA, &["NOERROR aa", "an made.test. 30 SOA"]),
        ("ns2.made.test", A, &["NOERROR aa", "an ns2.made.test. 3600 A 127.0.0.53"]),
        ("elsewhere.test", A, &["REFUSED"]),
    ];
    for (name, qtype, expected) in rows {
        assert_says(&responder, name, *qtype, expected);
    }
    let https = ask(&responder, &query("web.zone.test", HTTPS));
    let text = https.answers[0].data.to_string();
    assert!(text.contains("alpn=h3,h2") && text.contains("ipv4hint=192.0.2.3"), "{text}");
}

#[test]
fn any_is_a_hinfo_or_the_cname() {
    let responder = world().responder();
    for (name, expected) in [
        ("zone.test", format!("an zone.test. {HINFO}")),
        ("web.zone.test", format!("an web.zone.test. {HINFO}")),
        ("q.wild.zone.test", format!("an q.wild.zone.test. {HINFO}")),
        ("www.zone.test", "an www.zone.test. 300 CNAME web.zone.test.".into()),
    ] {
        assert_says(&responder, name, ANY, &["NOERROR aa", &expected]);
    }
}

#[test]
fn wildcards_stand_for_names_that_are_not_there() {
    let responder = world().responder();
    let rows: &[(&str, u16, &[&str])] = &[
        ("q.wild.zone.test", A, &["NOERROR aa", "an q.wild.zone.test. 300 A 192.0.2.4"]),
        ("p.q.wild.zone.test", A, &["NOERROR aa", "an p.q.wild.zone.test. 300 A 192.0.2.4"]),
        ("*.wild.zone.test", A, &["NOERROR aa", "an *.wild.zone.test. 300 A 192.0.2.4"]),
        ("q.wild.zone.test", AAAA, &NODATA),
        ("wild.zone.test", A, &NODATA),
        // `y.wild` exists, so neither it nor what is below it is the wildcard's (RFC 4592 section 2.2.1).
        ("y.wild.zone.test", A, &NODATA),
        ("z.y.wild.zone.test", A, &NXDOMAIN),
        ("x.y.wild.zone.test", A, &NODATA),
        (
            "q.alias.zone.test",
            A,
            &["NOERROR aa", "an q.alias.zone.test. 300 CNAME web.zone.test.", "an web.zone.test. 300 A 192.0.2.3"],
        ),
    ];
    for (name, qtype, expected) in rows {
        assert_says(&responder, name, *qtype, expected);
    }
}

#[test]
fn cnames_are_followed_inside_the_own_zones() {
    let responder = world().responder();
    let www = "an www.zone.test. 300 CNAME web.zone.test.";
    let rows: &[(&str, u16, &[&str])] = &[
        ("www.zone.test", A, &["NOERROR aa", "an web.zone.test. 300 A 192.0.2.3", www]),
        ("www.zone.test", CNAME, &["NOERROR aa", www]),
        ("www.zone.test", MX, &["NOERROR aa", www, "au zone.test. 60 SOA"]),
        ("www.zone.test", RRSIG, &NODATA),
        ("out.zone.test", A, &["NOERROR aa", "an out.zone.test. 300 CNAME www.elsewhere.test."]),
        (
            "lost.zone.test",
            A,
            &["NXDOMAIN aa", "an lost.zone.test. 300 CNAME nothing.zone.test.", "au zone.test. 60 SOA"],
        ),
        ("half.zone.test", A, &["NOERROR aa", "an half.zone.test. 300 CNAME txt.zone.test.", "au zone.test. 60 SOA"]),
        (
            "over.zone.test",
            A,
            &["NOERROR aa", "an over.zone.test. 300 CNAME www.second.test.", "an www.second.test. 60 A 192.0.2.7"],
        ),
        (
            "over.zone.test",
            AAAA,
            &["NOERROR aa", "an over.zone.test. 300 CNAME www.second.test.", "au second.test. 60 SOA"],
        ),
        ("away.zone.test", A, &["NOERROR aa", "an away.zone.test. 300 CNAME host.sub.zone.test."]),
        (
            "loop1.zone.test",
            A,
            &[
                "NOERROR aa",
                "an loop1.zone.test. 300 CNAME loop2.zone.test.",
                "an loop2.zone.test. 300 CNAME loop1.zone.test.",
            ],
        ),
    ];
    for (name, qtype, expected) in rows {
        assert_says(&responder, name, *qtype, expected);
    }
    let eight = ask(&responder, &query("c1.zone.test", A));
    assert_eq!(eight.metadata.response_code, ResponseCode::NoError);
    assert_eq!(eight.answers.len(), 8, "eight links and no address: {:?}", eight.answers);
    assert!(eight.answers.iter().all(|record| record.record_type() == RecordType::CNAME));
    assert_eq!(ask(&responder, &query("c2.zone.test", A)).answers.len(), 8, "seven links and the address");
}

#[test]
fn with_a_client_subnet_only_the_first_link_is_sent() {
    let responder = world().responder();
    for (name, target) in [
        ("www.zone.test", "web.zone.test."),
        ("lost.zone.test", "nothing.zone.test."),
        ("c1.zone.test", "c2.zone.test."),
    ] {
        let question = query(name, A).subnet([168, 126, 63, 0], 24);
        let bytes = responder.answer(&question.bytes(), in_seoul(), Transport::Udp).unwrap();
        let answer = decode(&bytes);
        assert_eq!(addresses(&answer), [target]);
        assert_eq!((answer.metadata.response_code, answer.authorities.len()), (ResponseCode::NoError, 0));
        assert_eq!(subnet_of(&bytes), Some(vec![0, 1, 24, 0, 168, 126, 63]), "the same for everyone (E4)");
    }
    let renamed = ask(&responder, &query("host.old.zone.test", A).subnet([168, 126, 63, 0], 24));
    assert_eq!(renamed.answers.len(), 2, "DNAME and the CNAME that it makes");
}

#[test]
fn a_dname_moves_everything_below_it() {
    let responder = world().responder();
    let dname = "an old.zone.test. 300 DNAME";
    let rows: &[(&str, u16, &[&str])] = &[
        ("old.zone.test", DNAME, &["NOERROR aa", dname]),
        ("old.zone.test", A, &NODATA),
        (
            "host.old.zone.test",
            A,
            &[
                "NOERROR aa",
                "an host.new.zone.test. 300 A 192.0.2.5",
                "an host.old.zone.test. 300 CNAME host.new.zone.test.",
                dname,
            ],
        ),
        ("host.old.zone.test", CNAME, &["NOERROR aa", "an host.old.zone.test. 300 CNAME host.new.zone.test.", dname]),
        (
            "a.b.old.zone.test",
            A,
            &["NXDOMAIN aa", "an a.b.old.zone.test. 300 CNAME a.b.new.zone.test.", dname, "au zone.test. 60 SOA"],
        ),
    ];
    for (name, qtype, expected) in rows {
        assert_says(&responder, name, *qtype, expected);
    }
    let label = "x".repeat(63);
    let long = format!("{label}.{label}.{label}.longer.zone.test");
    assert_says(&responder, &long, A, &["YXDOMAIN aa", "an longer.zone.test. 300 DNAME"]);
    let cased = ask(&responder, &query("HoSt.OLD.zone.test", A));
    assert!(cased.answers.iter().any(|r| r.data.to_string() == "HoSt.new.zone.test."), "{:?}", cased.answers);
}

#[test]
fn delegations_refer_with_glue_and_without_authority() {
    let responder = world().responder();
    let referral: &[&str] = &[
        "NOERROR",
        "au sub.zone.test. 300 DS 1 ECDSAP256SHA256 SHA-256 00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF",
        "au sub.zone.test. 300 NS ns.other.test.",
        "au sub.zone.test. 300 NS ns.sub.zone.test.",
        "au sub.zone.test. 300 NS ns1.zone.test.",
        "ad ns.sub.zone.test. 300 A 192.0.2.6",
        "ad ns.sub.zone.test. 300 AAAA 2001:db8::6",
        "ad ns1.zone.test. 300 A 192.0.2.53",
    ];
    // A DS without anybody's signature says nothing, whether or not a signer has taken it out.
    let without_ds = |message: &Message| -> Vec<String> {
        said(message).into_iter().filter(|line| !line.contains(" DS ")).collect()
    };
    let expected: Vec<String> = referral.iter().filter(|l| !l.contains(" DS ")).map(ToString::to_string).collect();
    for (name, qtype) in [
        ("sub.zone.test", A),
        ("sub.zone.test", NS),
        ("sub.zone.test", ANY),
        ("host.sub.zone.test", A),
        ("ns.sub.zone.test", A),
        ("nothing.at.all.sub.zone.test", TXT),
        ("host.sub.zone.test", DS),
    ] {
        let answer = ask(&responder, &query(name, qtype).edns(&[]));
        assert_eq!(without_ds(&answer), expected, "{name} {qtype}");
        let glue: Vec<String> = answer.additionals.iter().map(|r| r.name.to_string()).collect();
        assert_eq!(glue.last().map(String::as_str), Some("ns1.zone.test."), "what is below the cut comes first");
    }
    assert_says(&responder, "plain.zone.test", A, &["NOERROR", "au plain.zone.test. 300 NS ns.other.test."]);
    assert_says(&responder, "plain.zone.test", DS, &NODATA);
    let ds = ask(&responder, &query("sub.zone.test", DS));
    assert!(ds.metadata.authoritative && ds.answers.len() == 1, "DS is the upper zone's: {ds:?}");
}

#[test]
fn a_zone_inside_another_answers_for_itself_but_for_its_ds() {
    let responder = world().responder();
    assert_says(&responder, "www.inner.zone.test", A, &["NOERROR aa", "an www.inner.zone.test. 60 A 192.0.2.8"]);
    assert_says(&responder, "x.inner.zone.test", A, &["NXDOMAIN aa", "au inner.zone.test. 30 SOA"]);
    assert_says(&responder, "inner.zone.test", DS, &NODATA);
    assert_says(&responder, "www.inner.zone.test", DS, &["NOERROR aa", "au inner.zone.test. 30 SOA"]);
}

#[test]
fn accelerators_have_reverse_names_where_a_zone_covers_them() {
    let responder = world().responder();
    let name = "1.2.75.127.in-addr.arpa";
    let expected = "an 1.2.75.127.in-addr.arpa. 300 PTR shop.accelerator.perigee.test.";
    assert_says(&responder, name, PTR, &["NOERROR aa", expected]);
    assert_says(
        &responder,
        "9.9.75.127.in-addr.arpa",
        PTR,
        &["NOERROR aa", "an 9.9.75.127.in-addr.arpa. 60 PTR nine.test."],
    );
    assert_says(&responder, "1.83.99.127.in-addr.arpa", PTR, &["REFUSED"]);
    let own = World::with(|s| add_zone(s, "2.75.127.in-addr.arpa", "1 60 PTR other.test.\n")).responder();
    assert_says(&own, name, PTR, &["NOERROR aa", "an 1.2.75.127.in-addr.arpa. 60 PTR other.test."]);
}

#[test]
fn a_custom_routing_accelerator_has_its_addresses_under_its_name_and_back() {
    let world = World::with(|snapshot| {
        add_zone(snapshot, "75.127.in-addr.arpa", "9.9 60 PTR nine.test.\n");
        snapshot.custom_routing_accelerators.push(perigee_model::CustomRoutingAccelerator {
            name: perigee_model::AcceleratorName::new("game"),
            addresses: [[127, 75, 2, 7].into(), [127, 99, 84, 1].into()],
            enabled: true,
            listeners: vec![],
        });
    });
    assert_eq!(perigee_dns::check_zones(&world.edge.view().snapshot), []);
    let responder = world.responder();
    let mut got = addresses(&ask(&responder, &query("game.accelerator.perigee.test", A)));
    got.sort_unstable();
    assert_eq!(got.iter().map(ToString::to_string).collect::<Vec<_>>(), ["127.75.2.7", "127.99.84.1"]);
    let expected = "an 7.2.75.127.in-addr.arpa. 300 PTR game.accelerator.perigee.test.";
    assert_says(&responder, "7.2.75.127.in-addr.arpa", PTR, &["NOERROR aa", expected]);
}

#[test]
fn a_file_adds_to_the_built_in_zone_whose_serial_stays_the_generation() {
    let world = World::with(|snapshot| {
        add_zone(snapshot, "x.test", "@ 60 SOA a b 99 1 2 3 20\n@ 60 TXT \"x\"\napp 60 TXT \"y\"\n");
        let file = snapshot.dns.zones.pop().unwrap().file;
        snapshot.dns.zones[0].file = file;
        snapshot.generation = 5;
    });
    assert_eq!(perigee_dns::check_zones(&world.edge.view().snapshot), []);
    let responder = world.responder();
    let soa = ask(&responder, &query("perigee.test", SOA)).answers[0].data.to_string();
    assert!(soa.starts_with("a.perigee.test. b.perigee.test. 5 1 2 3 20"), "{soa}");
    assert_says(&responder, "app.perigee.test", TXT, &["NOERROR aa", "an app.perigee.test. 60 TXT y"]);
    assert_says(&responder, "app.perigee.test", MX, &["NOERROR aa", "au perigee.test. 20 SOA"]);
    assert_eq!(addresses(&ask(&responder, &query("app.perigee.test", A))).len(), 2, "the policy is still there");
}

#[test]
fn names_outside_every_zone_are_refused_as_not_ours() {
    let responder = world().responder();
    for name in ["", "test", "other.test", "xzone.test", "zone.test.com"] {
        let bytes = responder.answer(&query(name, A).edns(&[]).bytes(), in_seoul(), Transport::Udp).unwrap();
        assert_eq!(said(&decode(&bytes)), ["REFUSED"], "{name}");
        assert_eq!(options_of(&bytes), Some(vec![(15, vec![0, 20])]), "{name}");
    }
}

#[test]
fn values_take_turns() {
    let text: String = (0..4).map(|i| format!("many 60 A 192.0.2.{i}\n")).collect();
    let responder = World::with(|snapshot| add_zone(snapshot, "zone.test", &text)).responder();
    let question = query("many.zone.test", A);
    let mut firsts: Vec<String> = (0..64).map(|_| ask(&responder, &question).answers[0].data.to_string()).collect();
    firsts.sort();
    firsts.dedup();
    assert_eq!(firsts.len(), 4);
}

#[test]
fn a_hundred_thousand_names_are_all_answered_and_a_reload_brings_them_at_once() {
    let names: String = (0..100_000).map(|i| format!("n{i} A 10.{}.{}.{}\n", i >> 16, i >> 8 & 255, i & 255)).collect();
    let mut world = World::new();
    let (responder, ..) = world.responder_and_metrics();
    let mut snapshot = (*world.edge.view().snapshot).clone();
    add_zone(&mut snapshot, "big.test", &format!("$TTL 60\n{names}"));
    snapshot.generation = 2;
    let snapshot = Arc::new(snapshot);
    assert_says(&responder, "n7.big.test", A, &["REFUSED"]);
    responder.prepare(&snapshot);
    assert_says(&responder, "n7.big.test", A, &["REFUSED"]);
    let atlas = world.edge.view().atlas.clone();
    world.edge.set_snapshot(snapshot, atlas, Instant::START);
    world.publish();
    for i in [0, 7, 65_535, 65_536, 99_999] {
        let expected = format!("an n{i}.big.test. 60 A 10.{}.{}.{}", i >> 16, i >> 8 & 255, i & 255);
        assert_says(&responder, &format!("n{i}.big.test"), A, &["NOERROR aa", &expected]);
    }
    assert_says(&responder, "n100000.big.test", A, &["NXDOMAIN aa", "au big.test. 30 SOA"]);
}
