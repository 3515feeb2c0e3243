use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hickory_proto::rr::{RData, RecordType};
use perigee_dataplane::EdgeView;
use perigee_model::Snapshot;
use perigee_model::dns::RecordValues;
use perigee_steering::TreeIndex;

use super::addresses::Addresses;
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
    Fixed(u32),
    Accelerator(u32),
    LoadBalancer(u32),
    /// A tree of routing policies.
    Tree(TreeIndex),
}

/// A name that can be answered here.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) source: Source,
    pub(super) kind: Kind,
    /// Position in [`POLICIES`](crate::metrics::POLICIES) of the policy that decides first.
    pub(super) policy: Option<u8>,
    /// Position in [`Names::zones`].
    pub(super) zone: u32,
    /// Whether there are addresses of type A and of type AAAA at the name for some client.
    pub(super) has: [bool; 2],
    /// All types that there are for some client, ascending. Those that are no addresses are the slow path's.
    types: Box<[u16]>,
}

impl Entry {
    /// Whether the name has the type for some client.
    pub(super) fn has_type(&self, qtype: u16) -> bool {
        match qtype {
            A => self.has[0],
            AAAA => self.has[1],
            _ => self.types.binary_search(&qtype).is_ok(),
        }
    }
}

/// Addresses of a zone's name: where they stand among all of their family, how many, and their TTLs in seconds. With a
/// hundred thousand names every pointer on the way to an answer is a wait for memory.
#[derive(Clone, Copy, Debug, Default)]
struct Fixed {
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
    /// By whole name in wire form without the root, lower case. None: for the slow path.
    entries: HashMap<Box<[u8]>, Option<Entry>, BuildHasherDefault<NameHasher>>,
    /// By the snapshot's index.
    zones: Vec<Option<FastZone>>,
    fixed: Vec<Fixed>,
    /// All that `fixed` speaks of.
    fixed_addresses: Addresses,
    pub(super) accelerators: Vec<Addresses>,
}

impl Names {
    /// The names of `zones`, with the trees of `view`.
    pub(super) fn new(zones: &Zones, view: &EdgeView) -> Self {
        let snapshot = zones.snapshot.clone();
        let mut names = Self {
            entries: HashMap::default(),
            zones: snapshot.dns.zones.iter().map(|_| None).collect(),
            fixed: Vec::new(),
            fixed_addresses: Addresses::default(),
            accelerators: snapshot.accelerators.iter().map(|a| Addresses::of(a.addresses.iter().copied())).collect(),
            snapshot,
        };
        for zone in zones.all() {
            names.add(zones, zone, view);
        }
        names
    }

    fn add(&mut self, zones: &Zones, zone: &Zone, view: &EdgeView) {
        let mut is_plain = true;
        for (key, at) in zone.entries() {
            is_plain &= !key.starts_with(b"\x01*")
                && at.node != Node::Delegation
                && !at.sets.iter().any(|set| set.record_type == RecordType::DNAME);
            let entry = self.entry(zones, zone, at, view);
            self.entries.insert([key, zone.key()].concat().into(), entry);
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
        Some(Entry { source, kind: Kind::of(at.node)?, policy, zone: zone.index.0 as u32, has, types: types.into() })
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
        self.fixed.push(fixed);
        Some(Source::Fixed((self.fixed.len() - 1) as u32))
    }

    /// Writes the addresses at `position`; how many.
    pub(super) fn write_fixed(&self, writer: &mut Writer<'_>, position: u32, qtype: u16, draw: u64) -> Option<usize> {
        let fixed = self.fixed.get(position as usize)?;
        let family = usize::from(qtype == AAAA);
        let first = fixed.first[family] as usize;
        let range = first..first + usize::from(fixed.count[family]);
        self.fixed_addresses.write_range(writer, qtype, range, fixed.ttl_s[family], draw)
    }

    /// What is at `name`, in wire form with its root, whatever the case; `zones` must be those that this was made of.
    pub(super) fn find(&self, zones: &Zones, name: &[u8]) -> Lookup<'_> {
        let Some(lower) = LowerName::of_wire(name) else { return Lookup::Unknown };
        let zone_at = |index: usize| self.zones.get(index).and_then(Option::as_ref);
        match self.entries.get(lower.as_wire()) {
            Some(Some(entry)) => {
                zone_at(entry.zone as usize).map_or(Lookup::Unknown, |zone| Lookup::Found(entry, zone))
            }
            Some(None) => Lookup::Unknown,
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

/// Hashes names, eight octets at a time. The names in the table are the operator's own, so nobody chooses which of them
/// collide.
#[derive(Default)]
pub(super) struct NameHasher(u64);

impl NameHasher {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            let mut octets = [0; 8];
            octets.copy_from_slice(word);
            self.add(u64::from_le_bytes(octets));
        }
        let mut rest = [0; 8];
        rest[..words.remainder().len()].copy_from_slice(words.remainder());
        self.add(u64::from_le_bytes(rest));
    }

    fn write_usize(&mut self, len: usize) {
        self.add(len as u64);
    }

    fn finish(&self) -> u64 {
        // The table takes its place from the low bits and its tag from the high ones; multiplying fills the high ones.
        self.0 ^ (self.0 >> 32)
    }
}
