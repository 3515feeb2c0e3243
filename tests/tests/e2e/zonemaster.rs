//! The zone as Zonemaster judges it, from the root down.

use std::net::SocketAddr;

use perigee_tests::dig::dig;
use perigee_tests::figures::Figures;
use perigee_tests::program::Folder;
use perigee_tests::slot::Slot;
use perigee_tests::stack::{Setup, Stack};
use perigee_tests::zonemaster::{Finding, PORT, judge, port_is_allowed};

/// Warnings and errors that are about this test's world and not about an answer, with the reason of each.
const ACCEPTED: [(&str, &str); 1] = [("NAMESERVER_IP_PRIVATE_NETWORK", "a test's servers are at loopback addresses")];

/// What must have been found, so that an empty judgement is not a good one.
const WANTED: [&str; 14] = [
    "ADDRESSES_MATCH",
    "ARE_AUTHORITATIVE",
    "AXFR_FAILURE",
    "CAN_BE_RESOLVED",
    "CASE_QUERIES_RESULTS_OK",
    "EDNS0_SUPPORT",
    "HAS_NAMESERVERS",
    "HAS_PARENT",
    "NAMES_MATCH",
    "NO_RECURSOR",
    "NO_UPWARD_REFERRAL",
    "QNAME_CASE_SENSITIVE",
    "SAME_SOURCE_IP",
    "SOA_EXISTS",
];

/// And of a signed zone.
const SIGNED: [&str; 3] = ["ALGORITHM_OK", "DS15_HAS_CDS_AND_CDNSKEY", "RRSIG_EXPIRATION"];

/// Notes what was found, and fails at whatever is grave and not `accepted`, or `wanted` and not there.
fn all_is_well(test: &str, findings: &[Finding], accepted: &[(&str, &str)], wanted: &[&str]) {
    let mut figures = Figures::of(test);
    for level in ["CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO"] {
        figures.note(level, findings.iter().filter(|f| f.level == level).count() as u64, "");
    }
    for finding in findings.iter().filter(|finding| finding.level != "INFO") {
        figures.note(&format!("{} {}", finding.testcase, finding.tag), finding.level.as_str(), "");
    }
    drop(figures);
    let is_accepted = |finding: &Finding| accepted.iter().any(|(tag, _)| *tag == finding.tag);
    let ours: Vec<&Finding> = findings.iter().filter(|f| f.is_grave() && !is_accepted(f)).collect();
    assert!(ours.is_empty(), "{ours:#?}");
    for tag in wanted.iter().copied().chain(accepted.iter().map(|(tag, _)| *tag)) {
        assert!(findings.iter().any(|finding| finding.tag == tag), "no {tag} in {findings:#?}");
    }
}

#[test]
fn zonemaster_finds_nothing_wrong_with_the_zone() {
    port_is_allowed();
    let stack = Stack::with(&Setup { dns_port: PORT, dns_hosts: 2, ..Setup::default() });
    let servers = [("ns1", stack.slot().address(53, 1)), ("ns2", stack.slot().address(53, 2))];
    let findings = judge(stack.slot(), "perigee.test", &servers, "");
    all_is_well("zonemaster_finds_nothing_wrong_with_the_zone", &findings, &ACCEPTED, &WANTED);
}

/// A zone file beside a name with a policy, signed, behind two addresses; the parent has the DS that the zone asks for,
/// and `denial` is how Zonemaster calls its proofs.
fn signed(test: &str, signing: &str, denial: &str) {
    port_is_allowed();
    let folder = Folder::make(test);
    // The name servers' addresses are known with the stack alone, so its first configuration has no such zone.
    let mut setup = Setup { dns_port: PORT, dns_hosts: 2, ..Setup::default() };
    let stack = Stack::with(&setup);
    let slot: &Slot = stack.slot();
    let servers = [("ns1", slot.address(53, 1)), ("ns2", slot.address(53, 2))];
    let text = format!(
        "$ORIGIN shop.test.\n$TTL 3600\n@ SOA ns1 hostmaster 1 14400 3600 1209600 3600\n@ NS ns1\n@ NS ns2\n\
         @ MX 10 mail\n@ TXT \"v=spf1 -all\"\nns1 A {}\nns2 A {}\nmail A 192.0.2.25\nwww CNAME app\n*.wild A 192.0.2.80\n",
        servers[0].1, servers[1].1,
    );
    let file = folder.write("shop.test.zone", &text);
    setup.tables = format!(
        "[dns.zones.\"shop.test\"]\nfile = \"{}\"\n[dns.zones.\"shop.test\".signing]\n{signing}\n\
         [dns.zones.\"shop.test\".names.app]\npolicy = \"latency\"\nload_balancer = \"shop\"\n",
        file.display()
    );
    stack.write(&setup);
    let reload = stack.command(&["reload"]);
    assert!(reload.status.success(), "{}", String::from_utf8_lossy(&reload.stderr));
    let server = SocketAddr::new(servers[0].1, PORT);
    let wished = dig(server, "shop.test", "CDS", None, None);
    assert!(!wished.records.is_empty(), "no CDS record");
    let at_parent: String = wished.data().iter().map(|ds| format!("shop.test. DS {ds}\n")).collect();
    let findings = judge(slot, "shop.test", &servers, &at_parent);
    all_is_well(test, &findings, &ACCEPTED, &[&WANTED[..], &SIGNED, &[denial]].concat());
}

#[test]
fn zonemaster_finds_nothing_wrong_with_a_signed_zone() {
    signed("zonemaster_finds_nothing_wrong_with_a_signed_zone", "", "DS10_HAS_NSEC");
}

#[test]
fn zonemaster_finds_nothing_wrong_with_a_zone_signed_with_nsec3() {
    signed("zonemaster_finds_nothing_wrong_with_a_zone_signed_with_nsec3", "nsec3 = true", "DS10_HAS_NSEC3");
}
