//! Random zones and random names: the server's answer against a search by brute force.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use proptest::prelude::*;

use crate::support::{A, TXT, World, add_zone, ask, query};

/// What stands at a name of the zone.
#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    A,
    Txt,
    Both,
    Cname,
    Delegation,
}

/// Labels, nearest to the apex first.
type Labels = Vec<&'static str>;

#[derive(Debug, PartialEq)]
enum Expected {
    Records(RecordType, String),
    NoData,
    NoName,
    Referral(String),
}

fn text(labels: &[&str]) -> String {
    let labels: Vec<&str> = labels.iter().rev().copied().collect();
    labels.join(".")
}

/// RFC 1034 section 4.3.2 and RFC 4592 section 3.3.1 as they are written, over a list.
fn expected(zone: &[(Labels, What)], name: &[&str], qtype: RecordType) -> Expected {
    let at = |labels: &[&str]| zone.iter().find(|(owner, _)| owner == labels).map(|(_, what)| *what);
    let is_delegation = |labels: &[&str]| at(labels) == Some(What::Delegation);
    let cut = (1..=name.len()).map(|n| &name[..n]).find(|labels| is_delegation(labels));
    if let Some(cut) = cut {
        return Expected::Referral(text(cut));
    }
    let is_occluded = |owner: &[&str]| (1..owner.len()).any(|n| is_delegation(&owner[..n]));
    let exists = |labels: &[&str]| {
        labels.is_empty() || zone.iter().any(|(owner, _)| !is_occluded(owner) && owner.starts_with(labels))
    };
    let source: Labels = if exists(name) {
        name.iter().map(|label| *LABELS.iter().find(|l| *l == label).unwrap()).collect()
    } else {
        let encloser = (0..name.len()).rev().map(|n| &name[..n]).find(|labels| exists(labels)).unwrap();
        let mut wildcard: Labels = encloser.iter().map(|label| *LABELS.iter().find(|l| *l == label).unwrap()).collect();
        wildcard.push("*");
        if !exists(&wildcard) {
            return Expected::NoName;
        }
        wildcard
    };
    match (at(&source), qtype) {
        (Some(What::Cname), _) => Expected::Records(RecordType::CNAME, "elsewhere.test.".into()),
        (Some(What::A | What::Both), RecordType::A) => Expected::Records(qtype, "192.0.2.1".into()),
        (Some(What::Txt | What::Both), RecordType::TXT) => Expected::Records(qtype, "x".into()),
        _ => Expected::NoData,
    }
}

fn observed(message: &Message) -> Expected {
    let code = message.metadata.response_code;
    match (&message.answers[..], &message.authorities[..]) {
        ([record], []) if code == ResponseCode::NoError && message.metadata.authoritative => {
            Expected::Records(record.record_type(), record.data.to_string())
        }
        ([], [soa]) if soa.record_type() == RecordType::SOA && message.metadata.authoritative => match code {
            ResponseCode::NoError => Expected::NoData,
            ResponseCode::NXDomain => Expected::NoName,
            other => panic!("{other}"),
        },
        ([], [ns]) if ns.record_type() == RecordType::NS && !message.metadata.authoritative => {
            let owner = ns.name.to_string();
            Expected::Referral(owner.strip_suffix(".zone.test.").unwrap_or(&owner).into())
        }
        _ => panic!("{message:?}"),
    }
}

const LABELS: [&str; 4] = ["a", "b", "c", "*"];

fn labels() -> impl Strategy<Value = Labels> {
    prop::collection::vec(prop::sample::select(&LABELS[..]), 1..5)
}

fn what() -> impl Strategy<Value = What> {
    prop::sample::select(vec![What::A, What::Txt, What::Both, What::Cname, What::Delegation])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn every_name_of_a_random_zone_is_what_brute_force_finds(
        names in prop::collection::btree_map(labels(), what(), 0..12),
        asked in prop::collection::vec(labels(), 1..24),
    ) {
        // A wildcard cannot delegate; it has an address then.
        let zone: Vec<(Labels, What)> = names
            .into_iter()
            .map(|(owner, what)| {
                let is_wildcard = owner.last() == Some(&"*");
                (owner, if is_wildcard && what == What::Delegation { What::A } else { what })
            })
            .collect();
        let mut file = String::from("$TTL 60\n");
        for (owner, what) in &zone {
            let owner = text(owner);
            file += &match what {
                What::A => format!("{owner} A 192.0.2.1\n"),
                What::Txt => format!("{owner} TXT x\n"),
                What::Both => format!("{owner} A 192.0.2.1\n{owner} TXT x\n"),
                What::Cname => format!("{owner} CNAME elsewhere.test.\n"),
                What::Delegation => format!("{owner} NS ns.elsewhere.test.\n"),
            };
        }
        let world = WORLD.with(|world| {
            let mut snapshot = (*world.edge.view().snapshot).clone();
            add_zone(&mut snapshot, "zone.test", &file);
            prop_assert_eq!(perigee_dns::check_zones(&snapshot), []);
            let mut view = (**world.edge.view()).clone();
            view.snapshot = std::sync::Arc::new(snapshot);
            world.view.store(std::sync::Arc::new(view));
            Ok(world.responder())
        });
        let responder = world?;
        let owners = zone.iter().map(|(owner, _)| owner.clone());
        for name in asked.iter().cloned().chain(owners) {
            for (qtype, record_type) in [(A, RecordType::A), (TXT, RecordType::TXT)] {
                let answer = ask(&responder, &query(&format!("{}.zone.test", text(&name)), qtype));
                let expected = expected(&zone, &name, record_type);
                prop_assert_eq!(observed(&answer), expected, "{} {}\n{}", text(&name), record_type, file);
            }
        }
    }
}

thread_local! {
    static WORLD: World = World::new();
}
