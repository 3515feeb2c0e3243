//! What a zone is refused for: all of it at once, with file, line and owner.

use perigee_dns::check_zones;
use perigee_model::dns::HostedZone;
use perigee_model::{Snapshot, fixtures};

use crate::support::{SEOUL, TOKYO, add_zone};

fn problems(change: impl FnOnce(&mut Snapshot)) -> Vec<String> {
    let mut snapshot = fixtures::snapshot(&[TOKYO, SEOUL]);
    change(&mut snapshot);
    check_zones(&snapshot).iter().map(ToString::to_string).collect()
}

#[test]
fn a_sound_configuration_has_no_problems() {
    assert_eq!(problems(|_| {}), [""; 0]);
    assert_eq!(problems(|s| s.dns.zones.push(HostedZone::new("other.test"))), [""; 0]);
    assert_eq!(problems(|s| add_zone(s, "z.test", "@ 60 NS ns\nns 60 A 192.0.2.1\nsub 60 NS ns\n")), [""; 0]);
    let wildcard = "@ 60 NS ns.servers\n*.servers 60 A 192.0.2.1\n";
    assert_eq!(problems(|s| add_zone(s, "z.test", wildcard)), [""; 0]);
}

#[test]
fn every_rule_of_a_zone_is_checked() {
    for (text, expected) in [
        ("@ 60 SOA a b 1 2 3 4 5\n@ 60 SOA a b 2 2 3 4 5\n", "z.test.zone: z.test.: a zone has one SOA record"),
        ("a 60 SOA a b 1 2 3 4 5\n", "z.test.zone: a.z.test.: SOA stands at"),
        ("a 60 CNAME b\na 60 A 192.0.2.1\n", "z.test.zone: a.z.test.: a CNAME has no other records"),
        ("a 60 CNAME b\na 60 CNAME c\n", "z.test.zone: a.z.test.: a name has one CNAME"),
        ("@ 60 CNAME b\n", "z.test.zone: z.test.: a CNAME has no other records"),
        ("a 60 DNAME b\na 60 DNAME c\n", "z.test.zone: a.z.test.: a name has one DNAME"),
        ("a 60 DNAME b\nx.a 60 A 192.0.2.1\n", "z.test.zone: x.a.z.test.: the name is below a DNAME"),
        ("*.a 60 DNAME b\n", "z.test.zone: *.a.z.test.: a wildcard has no DNAME"),
        ("a 60 DNAME b\na 60 NS c.test.\n", "z.test.zone: a.z.test.: a delegation has no DNAME"),
        ("*.a 60 NS c.test.\n", "z.test.zone: *.a.z.test.: a wildcard has no NS"),
        ("a 60 DS 1 13 2 00\n", "z.test.zone: a.z.test.: DS stands at a delegation alone"),
        ("@ 60 DS 1 13 2 00\n", "z.test.zone: z.test.: the zone's own DS"),
        ("@ 60 NS ns\n", "z.test.zone: z.test.: name server ns.z.test. has no address"),
        ("@ 60 NS ns\nns 60 CNAME b\n", "z.test.zone: z.test.: name server ns.z.test. is a CNAME"),
        ("@ 60 NS ns\nns 60 TXT b\n", "z.test.zone: z.test.: name server ns.z.test. has no address"),
        ("sub 60 NS ns.sub\n", "z.test.zone: sub.z.test.: name server ns.sub.z.test. needs an address"),
        ("@ 60 NS ns.a\na 60 DNAME b\n", "z.test.zone: z.test.: name server ns.a.z.test. is below a DNAME"),
        ("a 60 A 192.0.2\n", "z.test.zone:1: a.z.test.: `192.0.2` is no IPv4 address"),
        ("\n\n$INCLUDE /etc/passwd\n", "z.test.zone:3: $INCLUDE is refused"),
    ] {
        let found = problems(|snapshot| add_zone(snapshot, "z.test", text));
        assert!(found.len() == 1 && found[0].starts_with(expected), "{text}: {found:#?}");
    }
}

#[test]
fn files_and_resources_cannot_claim_the_same_records() {
    let file = |text: &str| {
        problems(|snapshot| {
            add_zone(snapshot, "x.test", text);
            snapshot.dns.zones[0].file = snapshot.dns.zones.pop().unwrap().file;
        })
    };
    for (text, expected) in [
        ("app 60 A 192.0.2.1\n", "x.test.zone: app.perigee.test.: Perigee makes the A records"),
        ("app 60 CNAME b\n", "x.test.zone: app.perigee.test.: a CNAME has nothing else beside it"),
        ("_why.app 60 TXT b\n", "x.test.zone: _why.app.perigee.test.: Perigee makes the TXT records"),
        ("elb 60 NS ns.other.test.\n", "x.test.zone: shop.ap-northeast-1.elb.perigee.test.: the name is at or below"),
        ("elb 60 DNAME other.test.\n", "x.test.zone: shop.ap-northeast-1.elb.perigee.test.: the name is below a DNAME"),
    ] {
        let found = file(text);
        assert!(!found.is_empty() && found[0].starts_with(expected), "{text}: {found:#?}");
    }
    assert_eq!(file("app 60 TXT b\napp 60 MX 1 app\n"), [""; 0]);
}

#[test]
fn all_problems_of_all_zones_are_told_at_once_up_to_a_bound() {
    let bad: String = (0..500).map(|i| format!("n{i} A 192.0.2.1\n")).collect();
    let found = problems(|snapshot| {
        snapshot.dns.zones.push(HostedZone::new("a..b"));
        snapshot.dns.zones.push(HostedZone::new("perigee.test"));
        add_zone(snapshot, "z.test", "a 60 A x\n");
        add_zone(snapshot, "y.test", &bad);
    });
    assert_eq!(found[0], "zone a..b: a..b: the origin is no domain name");
    assert_eq!(found[1], "zone perigee.test: perigee.test: there is a zone of this origin already");
    assert!(found[2].starts_with("z.test.zone:1: a.z.test.: "), "{}", found[2]);
    assert_eq!(found.last().unwrap(), "zones: 303 more problems");
    assert_eq!(found.len(), 201);
}
