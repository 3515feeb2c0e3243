//! From a draft to a zone: delegations cut off what is below them, names in between come to be, contradictions are told.

use std::collections::BTreeSet;

use hickory_proto::rr::rdata::{CNAME, NS};
use hickory_proto::rr::{Name, RData, RecordType};
use perigee_model::Snapshot;

use super::super::policy::resource_types;
use super::super::problem::Problems;
use super::super::wire_name::{LowerName, below, labels, name_of};
use super::super::zone::{Entry, Found, Map, Node, StoredSet, Zone};
use super::Draft;
use crate::response::RrSet;

/// The zone of `draft`, and the draft without its records. None if it has no SOA record, which only a file's refused
/// records can bring about.
pub(super) fn compose(snapshot: &Snapshot, mut draft: Draft, problems: &mut Problems) -> Option<(Zone, Draft)> {
    check_apex(&draft, problems);
    let soa = draft.set(&[], RecordType::SOA)?;
    let Some(RData::SOA(data)) = soa.data.first() else { return None };
    let negative_soa = RrSet::one(name_of(&draft.key), soa.ttl_s.min(data.minimum), RData::SOA(data.clone()));

    let marked = |record_type| -> BTreeSet<Box<[u8]>> {
        let has = |sets: &[StoredSet]| sets.iter().any(|set| set.record_type == record_type);
        draft.sets.iter().filter(|(_, sets)| has(sets)).map(|(key, _)| key.clone()).collect()
    };
    let mut delegations = marked(RecordType::NS);
    delegations.retain(|key| !key.is_empty() && !is_wildcard(key));
    let dnames = marked(RecordType::DNAME);

    let mut names: Map<Entry> = Map::default();
    let mut glue: Map<Vec<StoredSet>> = Map::default();
    for (key, mut sets) in std::mem::take(&mut draft.sets) {
        let is_delegation = delegations.contains(&key);
        if is_delegation || is_below(&key, &delegations) {
            if is_delegation && dnames.contains(&key) {
                draft.problem(problems, &key, "a delegation has no DNAME (RFC 6672 section 2.3)");
            }
            let is_address = |set: &StoredSet| matches!(set.record_type, RecordType::A | RecordType::AAAA);
            let addresses: Vec<StoredSet> = sets.iter().filter(|set| is_address(set)).cloned().collect();
            if !addresses.is_empty() {
                glue.insert(key.clone(), addresses);
            }
            // What else is there belongs to the zone below, and is never answered from here.
            sets.retain(|set| is_delegation && matches!(set.record_type, RecordType::NS | RecordType::DS));
            if !is_delegation || is_below(&key, &delegations) {
                continue;
            }
        }
        if is_below(&key, &dnames) {
            draft.problem(problems, &key, "the name is below a DNAME, where there can be none (RFC 6672 section 2.4)");
            continue;
        }
        check_sets(&draft, &key, &mut sets, problems);
        let node = if is_delegation {
            Node::Delegation
        } else if key.is_empty() {
            Node::Apex
        } else {
            Node::Static
        };
        names.insert(key, Entry { node, sets });
    }
    for (key, node) in std::mem::take(&mut draft.nodes) {
        if delegations.contains(&key) || is_below(&key, &delegations) {
            draft.problem(problems, &key, "the name is at or below a delegation and would never be answered");
        } else if is_below(&key, &dnames) {
            draft.problem(problems, &key, "the name is below a DNAME, where there can be none (RFC 6672 section 2.4)");
        } else {
            add_node(snapshot, &draft, &mut names, key, node, problems);
        }
    }
    add_empty_non_terminals(&mut names);
    let zone = Zone {
        index: draft.index,
        key: draft.key.clone(),
        names,
        glue,
        negative_soa,
        client_subnet: snapshot.dns.zone(draft.index).client_subnet,
    };
    Some((zone, draft))
}

fn check_apex(draft: &Draft, problems: &mut Problems) {
    if draft.set(&[], RecordType::SOA).is_some_and(|soa| soa.data.len() > 1) {
        draft.problem(problems, &[], "a zone has one SOA record");
    }
    if draft.set(&[], RecordType::DS).is_some() {
        draft.problem(problems, &[], "the zone's own DS record belongs into the zone above (RFC 4035 section 3.1.4.1)");
    }
}

/// Tells of sets that cannot be at `key`, and takes out those that would be answered wrongly.
fn check_sets(draft: &Draft, key: &[u8], sets: &mut Vec<StoredSet>, problems: &mut Problems) {
    let count = |record_type| sets.iter().find(|s| s.record_type == record_type).map_or(0, |s| s.data.len());
    let refused = [
        (
            count(RecordType::CNAME) > 0 && sets.len() > 1,
            "a CNAME has no other records beside it (RFC 2181 section 10.1)",
        ),
        (count(RecordType::CNAME) > 1, "a name has one CNAME (RFC 2181 section 10.1)"),
        (count(RecordType::DNAME) > 1, "a name has one DNAME (RFC 6672 section 2.4)"),
        (count(RecordType::DNAME) > 0 && is_wildcard(key), "a wildcard has no DNAME (RFC 6672 section 3.3)"),
        (count(RecordType::NS) > 0 && is_wildcard(key), "a wildcard has no NS (`spec/dns.md` section 2.1)"),
        (count(RecordType::SOA) > 0 && !key.is_empty(), "SOA stands at the zone's own name alone"),
        (
            count(RecordType::DS) > 0 && !key.is_empty() && count(RecordType::NS) == 0,
            "DS stands at a delegation alone, beside its NS",
        ),
    ];
    for (is_refused, what) in refused {
        if is_refused {
            draft.problem(problems, key, what);
        }
    }
    if count(RecordType::CNAME) > 0 {
        sets.retain(|set| set.record_type == RecordType::CNAME || key.is_empty());
    }
    let is_misplaced = |set: &StoredSet| match set.record_type {
        RecordType::SOA => !key.is_empty(),
        RecordType::NS | RecordType::DNAME => is_wildcard(key),
        RecordType::CNAME => key.is_empty(),
        RecordType::DS => key.is_empty(),
        _ => false,
    };
    sets.retain(|set| !is_misplaced(set));
    for set in sets {
        if matches!(set.record_type, RecordType::SOA | RecordType::CNAME | RecordType::DNAME) {
            set.data.truncate(1);
        }
    }
}

fn add_node(
    snapshot: &Snapshot,
    draft: &Draft,
    names: &mut Map<Entry>,
    key: Box<[u8]>,
    node: Node,
    problems: &mut Problems,
) {
    let entry = names.entry(key.clone()).or_insert_with(|| Entry { node, sets: Vec::new() });
    if entry.node.is_dynamic() && entry.node != node {
        draft.problem(problems, &key, "two resources claim the name");
        return;
    }
    if node.is_dynamic() && entry.set(RecordType::CNAME).is_some() {
        draft.problem(problems, &key, "a CNAME has nothing else beside it (RFC 2181 section 10.1)");
        return;
    }
    let made = resource_types(snapshot, node);
    if let Some(set) = entry.sets.iter().find(|set| made.contains(&set.record_type)) {
        let what =
            format!("Perigee makes the {} records of this name; the zone file cannot give them", set.record_type);
        draft.problem(problems, &key, what);
    }
    entry.sets.retain(|set| !made.contains(&set.record_type));
    entry.node = node;
}

/// Names that have nothing but names below them exist too (RFC 4592 section 2.2.2).
fn add_empty_non_terminals(names: &mut Map<Entry>) {
    let between: BTreeSet<Box<[u8]>> = names
        .keys()
        .flat_map(|key| labels(key).skip(1).map(move |(start, _)| &key[start..]))
        .filter(|key| !names.contains_key(*key))
        .map(Into::into)
        .collect();
    for key in between {
        names.insert(key, Entry { node: Node::EmptyNonTerminal, sets: Vec::new() });
    }
}

/// A name server inside the zone needs an address there, or nobody finds it (RFC 1912 section 2.3).
pub(super) fn check_name_servers(zone: &Zone, draft: &Draft, problems: &mut Problems) {
    let mut keys: Vec<&[u8]> =
        zone.names.iter().filter(|(_, entry)| entry.node == Node::Delegation).map(|(key, _)| &key[..]).collect();
    keys.sort_unstable();
    if draft.has_own_servers {
        keys.insert(0, &[]);
    }
    for key in keys.into_iter().filter(|key| !draft.inner.contains(*key)) {
        let servers = zone.names.get(key).and_then(|entry| entry.set(RecordType::NS));
        for data in servers.into_iter().flat_map(|set| &set.data) {
            let RData::NS(NS(server)) = data else { continue };
            if let Some(what) = refused_server(zone, key, server) {
                draft.problem(problems, key, format!("name server {server} {what}"));
            }
        }
    }
}

fn refused_server(zone: &Zone, delegation: &[u8], server: &Name) -> Option<&'static str> {
    let server = LowerName::of(server)?;
    let key = below(server.as_wire(), &zone.key)?;
    if zone.glue.contains_key(key) {
        return None;
    }
    match zone.find(key) {
        Found::Entry(entry)
            if matches!(entry.sets.first().map(|set| &set.data[..]), Some([RData::CNAME(CNAME(_))])) =>
        {
            Some("is a CNAME (RFC 2181 section 10.3)")
        }
        Found::Entry(entry) => {
            let is_address = |set: &StoredSet| matches!(set.record_type, RecordType::A | RecordType::AAAA);
            let has_address = entry.node.is_dynamic() || entry.sets.iter().any(is_address);
            (!has_address).then_some("has no address in the zone")
        }
        Found::Delegation(_, at) if !delegation.is_empty() && key[at..] != *delegation => None,
        Found::Delegation(..) => Some("needs an address here, since its name is below the delegation"),
        Found::Dname(..) => Some("is below a DNAME (RFC 2181 section 10.3)"),
        Found::Absent => Some("has no address in the zone"),
    }
}

fn is_wildcard(key: &[u8]) -> bool {
    key.starts_with(b"\x01*")
}

/// Whether one of `marked` is above `key`.
fn is_below(key: &[u8], marked: &BTreeSet<Box<[u8]>>) -> bool {
    let above = |marked: &BTreeSet<Box<[u8]>>| {
        let starts = labels(key).map(|(start, _)| start).chain([key.len()]).skip(1);
        starts.into_iter().any(|start| marked.contains(&key[start..]))
    };
    !marked.is_empty() && !key.is_empty() && above(marked)
}
