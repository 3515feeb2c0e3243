use hickory_proto::rr::RecordType;
use perigee_model::dns::{
    BranchKey, Policy, PolicyBranch, PolicyGroup, PolicyName, PolicyNode, PolicyRecord, RecordTarget, RecordValues,
    ZoneFile,
};
use perigee_model::{LoadBalancerIndex, PolicyNodeIndex, ZoneIndex, fixtures};

use super::*;

fn record(target: RecordTarget, other: Option<(&str, &str)>) -> PolicyNode {
    let values = |(t, v): (&str, &str)| RecordValues { record_type: t.into(), values: vec![v.into()] };
    let others = other.map(values).into_iter().collect();
    PolicyNode::Record(PolicyRecord { ttl: std::time::Duration::from_secs(30), target, others })
}

#[test]
fn the_types_of_a_policy_name_are_those_of_all_its_answers() {
    let mut snapshot = fixtures::snapshot(&["ap-northeast-1"]);
    let branch = |node| PolicyBranch {
        set_identifier: format!("{node}"),
        key: BranchKey::Value,
        node: PolicyNodeIndex(node),
        health_check: None,
        evaluate_target_health: false,
    };
    snapshot.dns.zones[0].file =
        Some(ZoneFile { name: "z".into(), text: "web 60 TXT x\nweb 60 MX 1 web\nwww 60 CNAME web\n".into() });
    snapshot.dns.policy_nodes = vec![
        PolicyNode::Group(PolicyGroup { policy: Policy::Multivalue, branches: (1..4).map(branch).collect() }),
        record(RecordTarget::Addresses(vec![[192, 0, 2, 1].into()]), Some(("HTTPS", "1 ."))),
        record(RecordTarget::Name("www.perigee.test".into()), None),
        record(RecordTarget::Addresses(Vec::new()), Some(("SPF", "v=spf1"))),
        record(RecordTarget::LoadBalancer(LoadBalancerIndex(0)), None),
        record(RecordTarget::PolicyName(PolicyNameIndex(0)), Some(("CAA", "0 issue x"))),
    ];
    for (name, root) in [("many", 0), ("lb", 4), ("alias", 5)] {
        let name = format!("{name}.perigee.test");
        snapshot.dns.policy_names.push(PolicyName { zone: ZoneIndex(0), name, root: PolicyNodeIndex(root) });
    }
    assert_eq!(check_zones(&snapshot), []);
    let zones = Zones::new(Arc::new(snapshot), &[]);
    let (spf, caa) = (RecordType::Unknown(99), RecordType::CAA);
    let many = [RecordType::A, RecordType::MX, RecordType::TXT, RecordType::HTTPS, spf];
    assert_eq!(zones.policy_types(PolicyNameIndex(0)), many);
    assert_eq!(zones.policy_types(PolicyNameIndex(1)), [RecordType::A, RecordType::AAAA], "whatever it may become");
    assert_eq!(zones.policy_types(PolicyNameIndex(2)), [&many[..], &[caa]].concat());
}

#[test]
fn the_longest_zone_is_found() {
    let mut snapshot = fixtures::snapshot(&["ap-northeast-1"]);
    for origin in ["a.test", "b.a.test", "d.c.b.a.test"] {
        snapshot.dns.zones.push(perigee_model::dns::HostedZone::new(origin));
    }
    let zones = Zones::new(Arc::new(snapshot), &[]);
    let name = |text: &str| LowerName::of_wire(&[&key_of_text(text).unwrap()[..], &[0]].concat()).unwrap();
    for (text, zone, parent) in [
        ("a.test", Some(1), None),
        ("x.a.test", Some(1), Some(1)),
        ("b.a.test", Some(2), Some(1)),
        ("c.b.a.test", Some(2), Some(2)),
        ("x.y.d.c.b.A.TEST", Some(3), Some(3)),
        ("d.c.b.a.test", Some(3), Some(2)),
        ("test", None, None),
        ("xa.test", None, None),
    ] {
        let index = |found: Option<(&Zone, usize)>| found.map(|(zone, _)| zone.index.0);
        assert_eq!(index(zones.zone_of(&name(text))), zone, "{text}");
        assert_eq!(index(zones.parent_zone_of(&name(text))), parent, "{text}");
    }
}
