//! From a snapshot to its zones, with every problem on the way.

mod compose;
mod made;

use perigee_model::{AcceleratorIndex, LoadBalancerIndex, PolicyNameIndex, Snapshot, ZoneIndex};
use std::collections::BTreeSet;
use std::net::IpAddr;

use hickory_proto::rr::rdata::PTR;
use hickory_proto::rr::{RData, RecordType};

use super::master_file::{self, Sets, reverse_key};
use super::policy::{self, Policies};
use super::problem::{Problems, ZoneProblem};
use super::wire_name::{below, key_of_text, labels, name_of, text_of};
use super::zone::{Explained, Map, Node, StoredSet, Zone};

/// What [`super::Zones`] are made of.
pub(super) struct Parts {
    pub(super) zones: Vec<Option<Zone>>,
    pub(super) by_origin: Map<ZoneIndex>,
    pub(super) policies: Policies,
}

/// A zone while it is gathered.
struct Draft {
    index: ZoneIndex,
    key: Box<[u8]>,
    /// What problems call it.
    file: String,
    sets: Sets,
    nodes: Vec<(Box<[u8]>, Node)>,
    /// Keys of delegations to zones that are served here as well: nobody is ever referred to them.
    inner: BTreeSet<Box<[u8]>>,
    /// Whether the name servers are given, and so must have addresses.
    has_own_servers: bool,
}

impl Draft {
    fn problem(&self, problems: &mut Problems, key: &[u8], what: impl Into<String>) {
        problems.add(&self.file, None, &text_of(&[key, &self.key].concat()), what);
    }

    fn set(&self, key: &[u8], record_type: RecordType) -> Option<&StoredSet> {
        self.sets.get(key)?.iter().find(|set| set.record_type == record_type)
    }

    /// Adds a set where there is none of its type and no CNAME.
    fn supply(&mut self, key: &[u8], set: StoredSet) {
        let sets = self.sets.entry(key.into()).or_default();
        let excludes = |s: &StoredSet| s.record_type == RecordType::CNAME && !key.is_empty();
        if !sets.iter().any(|s| s.record_type == set.record_type || excludes(s)) {
            sets.push(set);
        }
    }
}

/// The zones of `snapshot` and what is wrong with them; what is wrong is left out.
pub(super) fn build(snapshot: &Snapshot, name_server: &[IpAddr]) -> (Parts, Vec<ZoneProblem>) {
    let mut problems = Problems::default();
    let mut by_origin = Map::default();
    let mut drafts: Vec<Option<Draft>> = Vec::with_capacity(snapshot.dns.zones.len());
    for position in 0..snapshot.dns.zones.len() {
        drafts.push(draft(snapshot, ZoneIndex(position), &mut by_origin, &mut problems));
    }
    add_built_in_names(snapshot, &mut drafts, &mut problems);
    add_policy_names(snapshot, &mut drafts, &mut problems);
    for draft in drafts.iter_mut().flatten() {
        made::add(snapshot, draft, name_server);
    }
    add_reverse_names(snapshot, &mut drafts, &by_origin);
    add_inner_delegations(&mut drafts, &by_origin);

    let composed: Vec<Option<(Zone, Draft)>> =
        drafts.into_iter().map(|draft| compose::compose(snapshot, draft?, &mut problems)).collect();
    let (zones, drafts): (Vec<Option<Zone>>, Vec<Option<Draft>>) =
        composed.into_iter().map(|both| both.map_or((None, None), |(zone, draft)| (Some(zone), Some(draft)))).unzip();
    for (zone, draft) in zones.iter().flatten().zip(drafts.iter().flatten()) {
        compose::check_name_servers(zone, draft, &mut problems);
    }
    let policies = policy::read(snapshot, &zones, &by_origin, &mut problems);
    (Parts { zones, by_origin, policies }, problems.into_vec())
}

fn draft(
    snapshot: &Snapshot,
    index: ZoneIndex,
    by_origin: &mut Map<ZoneIndex>,
    problems: &mut Problems,
) -> Option<Draft> {
    let zone = snapshot.dns.zone(index);
    let file = zone.file.as_ref().map_or_else(|| format!("zone {}", zone.origin), |file| file.name.clone());
    let Some(key) = key_of_text(&zone.origin) else {
        problems.add(&file, None, &zone.origin, "the origin is no domain name");
        return None;
    };
    if by_origin.contains_key(&key[..]) {
        problems.add(&file, None, &zone.origin, "there is a zone of this origin already");
        return None;
    }
    by_origin.insert(key.clone().into(), index);
    let sets = zone.file.as_ref().map(|file| master_file::read(file, &key, problems)).unwrap_or_default();
    let has_own_servers = sets.get(&[][..]).is_some_and(|sets| sets.iter().any(|s| s.record_type == RecordType::NS));
    let key = key.into();
    Some(Draft { index, key, file, sets, nodes: Vec::new(), inner: BTreeSet::new(), has_own_servers })
}

/// The names that Perigee makes from its resources, all in the first zone.
fn add_built_in_names(snapshot: &Snapshot, drafts: &mut [Option<Draft>], problems: &mut Problems) {
    let Some(Some(draft)) = drafts.first_mut() else { return };
    let mut add = |name: String, node| match key_of_text(&name) {
        Some(key) if key.len() + draft.key.len() <= super::wire_name::MAX_NAME => draft.nodes.push((key.into(), node)),
        _ => problems.add(&draft.file, None, &name, "the name is no domain name below the zone"),
    };
    for (position, latency) in snapshot.dns.latency_names.iter().enumerate() {
        add(latency.label.clone(), Node::Latency(position));
        add(format!("_why.{}", latency.label), Node::Why(Explained::Latency(position)));
    }
    for (position, accelerator) in snapshot.accelerators.iter().enumerate() {
        add(format!("{}.accelerator", accelerator.name), Node::Accelerator(AcceleratorIndex(position)));
    }
    for (position, lb) in snapshot.load_balancers.iter().enumerate() {
        let region = &snapshot.region(lb.region).code;
        add(format!("{}.{region}.elb", lb.name), Node::LoadBalancer(LoadBalancerIndex(position)));
    }
}

/// Policy names and their explanations; a wildcard has none, for it is the asked name that would have to be explained.
fn add_policy_names(snapshot: &Snapshot, drafts: &mut [Option<Draft>], problems: &mut Problems) {
    for (position, policy) in snapshot.dns.policy_names.iter().enumerate() {
        let index = PolicyNameIndex(position);
        let Some(Some(draft)) = drafts.get_mut(policy.zone.0) else { continue };
        let key = key_of_text(&policy.name);
        let Some(relative) = key.as_deref().and_then(|key| below(key, &draft.key)) else {
            problems.add(&draft.file, None, &policy.name, "the policy name is no domain name in its zone");
            continue;
        };
        draft.nodes.push((relative.into(), Node::Policy(index)));
        let why = [b"\x04_why", relative].concat();
        if !relative.starts_with(b"\x01*") && why.len() + draft.key.len() <= super::wire_name::MAX_NAME {
            draft.nodes.push((why.into(), Node::Why(Explained::Policy(index))));
        }
    }
}

/// PTR of the accelerators' addresses, where a zone covers them and says nothing else (`spec/dns.md` section 1, R4).
fn add_reverse_names(snapshot: &Snapshot, drafts: &mut [Option<Draft>], by_origin: &Map<ZoneIndex>) {
    let origin = key_of_text(&snapshot.dns.origin).unwrap_or_default();
    for accelerator in &snapshot.accelerators {
        let Some(name) = key_of_text(&format!("{}.accelerator", accelerator.name)) else { continue };
        let name = name_of(&[&name[..], &origin[..]].concat());
        for address in &accelerator.addresses {
            let Some(key) = reverse_key(*address) else { continue };
            let Some((index, at)) = zone_above(&key, by_origin, 0) else { continue };
            let Some(Some(draft)) = drafts.get_mut(index.0) else { continue };
            let ttl_s = super::seconds(snapshot.dns.accelerator_ttl);
            draft.supply(&key[..at], StoredSet::one(ttl_s, RData::PTR(PTR(name.clone()))));
        }
    }
}

/// A zone served here is delegated by the zone above it, if that is served here too: the DS record of the one is data of
/// the other, and must not be denied as if the name were not there.
fn add_inner_delegations(drafts: &mut [Option<Draft>], by_origin: &Map<ZoneIndex>) {
    for child in 0..drafts.len() {
        let Some(draft) = &drafts[child] else { continue };
        let (key, ns) = (draft.key.clone(), draft.set(&[], RecordType::NS).cloned());
        let (Some((parent, at)), Some(ns)) = (zone_above(&key, by_origin, 1), ns) else { continue };
        let Some(Some(parent)) = drafts.get_mut(parent.0) else { continue };
        parent.supply(&key[..at], ns);
        parent.inner.insert(key[..at].into());
    }
}

/// The zone that `key` is in and the octets before its apex, leaving out the first `skipped` labels.
pub(super) fn zone_above(key: &[u8], by_origin: &Map<ZoneIndex>, skipped: usize) -> Option<(ZoneIndex, usize)> {
    let suffixes = labels(key).map(|(start, _)| start).chain([key.len()]);
    suffixes.skip(skipped).find_map(|start| Some((*by_origin.get(&key[start..])?, start)))
}
