use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hickory_proto::rr::{RData, RecordType};
use perigee_dataplane::EdgeView;
use perigee_model::Snapshot;
use perigee_model::dns::RecordValues;
use perigee_steering::TreeIndex;

use super::addresses::Addresses;
use super::name_table::NameTable;
use super::tally::Kind;
use super::template::Template;
use super::write::Writer;
use super::{A, AAAA};
use crate::metrics::policy_of;
use crate::zones::{LowerName, Node, Zone, Zones, seconds};

/// What is answered at a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Nothing but what is denied.
    Nothing,
    /// Addresses that stand in a zone, for [`Names::write_fixed`].
    Fixed(Fixed),
    Accelerator(u32),
    LoadBalancer(u32),
    /// A tree of routing policies.
    Tree(TreeIndex),
    /// The slow path answers for the name.
    Slow,
}

/// What is known of a name. With a hundred thousand names every pointer on the way to an answer is a wait for memory,
/// so nothing stands behind one that most answers need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) source: Source,
    pub(super) kind: Kind,
    /// Position in [`POLICIES`](crate::metrics::POLICIES) of the policy that decides first.
    pub(super) policy: Option<u8>,
    /// Position in [`Names::zones`].
    pub(super) zone: u32,
    /// Whether there are addresses of type A and of type AAAA at the name for some client.
    pub(super) has: [bool; 2],
    /// Position in [`Names::types`] of all types that there are for some client.
    types: u32,
}

impl Entry {
    /// A name of the slow path.
    const SLOW: Self =
        Self { source: Source::Slow, kind: Kind::Absent, policy: None, zone: 0, has: [false; 2], types: 0 };
}

/// Addresses of a zone's name: where they stand among all of their family, how many, and their TTLs in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fixed {
    first: [u32; 2],
    count: [u16; 2],
    ttl_s: [u32; 2],
}

/// A zone as far as its names are answered here.
#[derive(Debug)]
pub(super) struct FastZone {
    /// The apex in wire form with its root.
    pub(super) wire: Box<[u8]>,
    /// What stands behind the question in a negative answer; none leaves all of them to the slow path.
    pub(super) negative: Option<Template>,
    /// Whether what is not among the names is absent: no wildcard, DNAME or delegation could stand for it.
    pub(super) is_plain: bool,
    /// Whether answers to who wants signatures have some.
    pub(super) is_signed: bool,
    /// Whether client subnets count.
    pub(super) client_subnet: bool,
}

/// What a name is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lookup<'a> {
    /// Nothing that is known here: the slow path has to look.
    Unknown,
    /// In this zone, but nothing is there.
    Absent(&'a FastZone),
    Found(&'a Entry, &'a FastZone),
}

/// The names of a snapshot: what does not change with health.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) snapshot: Arc<Snapshot>,
    /// By whole name in wire form without the root, lower case.
    entries: NameTable<Entry>,
    /// The sets of types that names have, each ascending. Those that are no addresses are the slow path's.
    types: Vec<Box<[u16]>>,
    /// By the snapshot's index.
    zones: Vec<Option<FastZone>>,
    /// All that [`Source::Fixed`] speaks of.
    fixed_addresses: Addresses,
    pub(super) accelerators: Vec<Addresses>,
}

impl Names {
    /// The names of `zones`, with the trees of `view`.
    pub(super) fn new(zones: &Zones, view: &EdgeView) -> Self {
        let snapshot = zones.snapshot.clone();
        let mut names = Self {
            entries: NameTable::new(Vec::new()),
            types: Vec::new(),
            zones: snapshot.dns.zones.iter().map(|_| None).collect(),
            fixed_addresses: Addresses::default(),
            accelerators: snapshot.accelerators.iter().map(|a| Addresses::of(a.addresses.iter().copied())).collect(),
            snapshot,
        };
        let mut entries = Vec::new();
        for zone in zones.all() {
            names.add(zones, zone, view, &mut entries);
        }
        names.entries = NameTable::new(entries);
        names
    }

    fn add(&mut self, zones: &Zones, zone: &Zone, view: &EdgeView, entries: &mut Vec<(Box<[u8]>, Entry)>) {
        let mut is_plain = true;
        for (key, at) in zone.entries() {
            is_plain &= !key.starts_with(b"\x01*")
                && at.node != Node::Delegation
                && !at.sets.iter().any(|set| set.record_type == RecordType::DNAME);
            let entry = self.entry(zones, zone, at, view);
            entries.push(([key, zone.key()].concat().into(), entry.unwrap_or(Entry::SLOW)));
        }
        let settings = self.snapshot.dns.zone(zone.index);
        let fast = FastZone {
            wire: [zone.key(), &[0]].concat().into(),
            negative: Template::new(zone),
            is_plain,
            is_signed: settings.signing.is_some(),
            client_subnet: zone.client_subnet,
        };
        if let Some(slot) = self.zones.get_mut(zone.index.0) {
            *slot = Some(fast);
        }
    }

    /// None: the slow path answers for it.
    fn entry(&mut self, zones: &Zones, zone: &Zone, at: &crate::zones::Entry, view: &EdgeView) -> Option<Entry> {
        let mut types: Vec<RecordType> = at.sets.iter().map(|set| set.record_type).collect();
        match at.node {
            Node::Policy(index) => types.extend(zones.policy_types(index)),
            node => types.extend(zones.resource_types(node)),
        }
        if types.contains(&RecordType::CNAME) {
            return None;
        }
        let is_explained = self.snapshot.dns.server.synthesized_error;
        let source = match at.node {
            Node::Delegation | Node::Why(_) => return None,
            // What stands in a zone beside what is decided is the slow path's to tell apart.
            _ if at.node.is_dynamic() && !at.sets.is_empty() => return None,
            Node::Latency(_) | Node::Policy(_) if is_explained => return None,
            Node::Latency(position) => Source::Tree(view.trees().of_latency_name(position)),
            Node::Policy(index) => {
                let trees = view.trees();
                let tree = trees.of_policy_name(index);
                let is_address = |values: &RecordValues| ["A", "AAAA"].contains(&values.record_type.as_str());
                // Addresses written as values of a type are the slow path's.
                if trees.leaves(tree).iter().any(|leaf| trees.leaf(*leaf).others.iter().any(is_address)) {
                    return None;
                }
                Source::Tree(tree)
            }
            Node::Accelerator(index) => Source::Accelerator(index.0 as u32),
            Node::LoadBalancer(index) => Source::LoadBalancer(index.0 as u32),
            Node::EmptyNonTerminal => Source::Nothing,
            Node::Apex | Node::NameServer | Node::Static => self.fixed(at)?,
        };
        let mut types: Vec<u16> = types.into_iter().map(u16::from).collect();
        types.sort_unstable();
        types.dedup();
        let policy = policy_of(&self.snapshot.dns, at.node).map(|policy| policy as u8);
        let has = [A, AAAA].map(|address| types.binary_search(&address).is_ok());
        let types = self.types_at(types);
        Some(Entry { source, kind: Kind::of(at.node)?, policy, zone: zone.index.0 as u32, has, types })
    }

    /// Where `types` stand; there are few sets of them, since names are much alike.
    fn types_at(&mut self, types: Vec<u16>) -> u32 {
        let known = self.types.iter().position(|known| **known == *types);
        known.unwrap_or_else(|| {
            self.types.push(types.into());
            self.types.len() - 1
        }) as u32
    }

    /// Whether the name has the type for some client.
    pub(super) fn has_type(&self, entry: &Entry, qtype: u16) -> bool {
        match qtype {
            A => entry.has[0],
            AAAA => entry.has[1],
            _ => self.types.get(entry.types as usize).is_some_and(|types| types.binary_search(&qtype).is_ok()),
        }
    }

    /// None: more addresses than a datagram holds.
    fn fixed(&mut self, at: &crate::zones::Entry) -> Option<Source> {
        let mut fixed = Fixed { first: self.fixed_addresses.counts(), ..Fixed::default() };
        for (family, record_type) in [RecordType::A, RecordType::AAAA].into_iter().enumerate() {
            let Some(set) = at.set(record_type) else { continue };
            fixed.ttl_s[family] = set.ttl_s;
            fixed.count[family] = u16::try_from(set.data.len()).ok()?;
            for data in &set.data {
                match data {
                    RData::A(a) => self.fixed_addresses.push(Ipv4Addr::from(*a).into()),
                    RData::AAAA(aaaa) => self.fixed_addresses.push(Ipv6Addr::from(*aaaa).into()),
                    _ => {}
                }
            }
        }
        if fixed.count == [0, 0] {
            return Some(Source::Nothing);
        }
        Some(Source::Fixed(fixed))
    }

    /// Writes the addresses that `fixed` speaks of; how many.
    pub(super) fn write_fixed(&self, writer: &mut Writer<'_>, fixed: &Fixed, qtype: u16, draw: u64) -> Option<usize> {
        let family = usize::from(qtype == AAAA);
        let first = fixed.first[family] as usize;
        let range = first..first + usize::from(fixed.count[family]);
        self.fixed_addresses.write_range(writer, qtype, range, fixed.ttl_s[family], draw)
    }

    /// See [`NameTable::is_large`].
    pub(super) const fn is_large(&self) -> bool {
        self.entries.is_large()
    }

    /// Reads what [`Self::find`] will read first ([`NameTable::touch`]).
    pub(super) fn touch(&self, name: &[u8]) {
        if let Some(lower) = LowerName::of_wire(name) {
            self.entries.touch(lower.as_wire());
        }
    }

    /// What is at `name`, in wire form with its root, whatever the case; `zones` must be those that this was made of.
    pub(super) fn find(&self, zones: &Zones, name: &[u8]) -> Lookup<'_> {
        let Some(lower) = LowerName::of_wire(name) else { return Lookup::Unknown };
        let zone_at = |index: usize| self.zones.get(index).and_then(Option::as_ref);
        match self.entries.get(lower.as_wire()) {
            Some(Entry { source: Source::Slow, .. }) => Lookup::Unknown,
            Some(entry) => zone_at(entry.zone as usize).map_or(Lookup::Unknown, |zone| Lookup::Found(entry, zone)),
            None => {
                let zone = zones.zone_of(&lower).and_then(|(zone, _)| zone_at(zone.index.0));
                zone.filter(|zone| zone.is_plain).map_or(Lookup::Unknown, Lookup::Absent)
            }
        }
    }

    pub(super) fn accelerator_ttl_s(&self) -> u32 {
        seconds(self.snapshot.dns.accelerator_ttl)
    }

    pub(super) fn load_balancer_ttl_s(&self) -> u32 {
        seconds(self.snapshot.dns.load_balancer_ttl)
    }
}
