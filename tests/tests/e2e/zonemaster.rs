//! The zone as Zonemaster judges it, from the root down.

use std::net::SocketAddr;

use perigee_tests::figures::Figures;
use perigee_tests::stack::{Setup, Stack};
use perigee_tests::zonemaster::{Finding, PORT, judge, port_is_allowed};

/// Warnings and errors that are about this test's world and not about an answer, with the reason of each.
const ACCEPTED: [(&str, &str); 5] = [
    ("NAMESERVER_IP_PRIVATE_NETWORK", "a test's server is at a loopback address"),
    ("NOT_ENOUGH_NS_DEL", "the stack is one process and so one name server"),
    ("NOT_ENOUGH_NS_CHILD", "likewise"),
    ("NOT_ENOUGH_IPV4_NS_DEL", "likewise"),
    ("NOT_ENOUGH_IPV4_NS_CHILD", "likewise"),
];

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

#[test]
fn zonemaster_finds_nothing_wrong_with_the_zone() {
    port_is_allowed();
    let stack = Stack::with(&Setup { dns_port: PORT, ..Setup::default() });
    let server = SocketAddr::new(stack.slot().dns().ip(), PORT);
    let findings = judge(stack.slot(), "perigee.test", server, "");
    let mut figures = Figures::of("zonemaster_finds_nothing_wrong_with_the_zone");
    for level in ["CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO"] {
        figures.note(level, findings.iter().filter(|f| f.level == level).count() as u64, "");
    }
    for finding in findings.iter().filter(|finding| finding.level != "INFO") {
        figures.note(&format!("{} {}", finding.testcase, finding.tag), finding.level.as_str(), "");
    }
    drop(figures);
    let accepted = |finding: &Finding| ACCEPTED.iter().any(|(tag, _)| *tag == finding.tag);
    let ours: Vec<&Finding> = findings.iter().filter(|f| f.is_grave() && !accepted(f)).collect();
    assert!(ours.is_empty(), "{ours:#?}");
    for tag in WANTED.into_iter().chain(ACCEPTED.map(|(tag, _)| tag)) {
        assert!(findings.iter().any(|finding| finding.tag == tag), "no {tag} in {findings:#?}");
    }
}
