use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

use hickory_proto::rr::{Name, RData, RecordType};
use perigee_model::{AcceleratorIndex, LoadBalancerIndex, PolicyNameIndex, ZoneIndex};

use super::wire_name::{MAX_NAME, labels, name_of};
use crate::response::RrSet;

/// By key. The hasher has no seed: who could choose keys to collide writes the zone, not the queries.
pub(super) type Map<V> = HashMap<Box<[u8]>, V, BuildHasherDefault<DefaultHasher>>;

/// Records of one type, without their owner.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredSet {
    pub(crate) record_type: RecordType,
    pub(crate) ttl_s: u32,
    /// At least one.
    pub(crate) data: Vec<RData>,
}

impl StoredSet {
    pub(crate) fn one(ttl_s: u32, data: RData) -> Self {
        Self { record_type: data.record_type(), ttl_s, data: vec![data] }
    }

    /// The set at `owner`, starting with another record at each `draw` (`spec/dns.md` section 2.2, simple policy).
    pub(crate) fn at(&self, owner: Name, draw: u64) -> RrSet {
        let mut data = self.data.clone();
        if let Some(first) = draw.checked_rem(data.len() as u64) {
            data.rotate_left(first as usize);
        }
        RrSet { owner, record_type: self.record_type, ttl_s: self.ttl_s, data }
    }
}

/// What makes a name what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// The zone's own name.
    Apex,
    /// A name server's name.
    NameServer,
    /// Records, and nothing else.
    Static,
    /// Another server's zone begins here.
    Delegation,
    /// A name answered by the latency policy: position in `DnsZone::latency_names`.
    Latency(usize),
    /// A name answered by a tree of policies.
    Policy(PolicyNameIndex),
    /// The explanation of a name.
    Why(Explained),
    /// An accelerator's name.
    Accelerator(AcceleratorIndex),
    /// A load balancer's name.
    LoadBalancer(LoadBalancerIndex),
    /// Nothing but names below: no data, but not absent either (`spec/dns.md` section 5.3).
    EmptyNonTerminal,
}

/// A name that can be explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Explained {
    /// Position in `DnsZone::latency_names`.
    Latency(usize),
    /// A policy name.
    Policy(PolicyNameIndex),
}

impl Node {
    /// Whether its answers are made per query.
    pub(crate) const fn is_dynamic(self) -> bool {
        matches!(self, Self::Latency(_) | Self::Policy(_) | Self::Why(_) | Self::Accelerator(_) | Self::LoadBalancer(_))
    }
}

/// What is at a name: the node's own answers, and records.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) node: Node,
    pub(crate) sets: Vec<StoredSet>,
}

impl Entry {
    pub(crate) fn set(&self, record_type: RecordType) -> Option<&StoredSet> {
        self.sets.iter().find(|set| set.record_type == record_type)
    }
}

/// What a name is to a zone.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found<'a> {
    /// Something is there, or a wildcard stands for it.
    Entry(&'a Entry),
    /// At or below a delegation, which begins at this octet of the key.
    Delegation(&'a Entry, usize),
    /// Below a DNAME, whose owner begins at this octet of the key.
    Dname(&'a StoredSet, usize),
    /// Nothing is there or below.
    Absent,
}

/// The names of one zone.
///
/// A name that holds anything is found with one look-up: names below a delegation are not among them, so nothing above
/// it can matter. Only a name that is not there is walked down to, from the apex, to find what stands for it.
#[derive(Debug)]
pub(crate) struct Zone {
    pub(crate) index: ZoneIndex,
    /// The apex as a key.
    pub(super) key: Box<[u8]>,
    /// By key relative to the apex, empty non-terminals included.
    pub(super) names: Map<Entry>,
    /// Addresses at and below delegations.
    pub(super) glue: Map<Vec<StoredSet>>,
    /// The SOA of negative answers: its TTL is the lesser of its own and the minimum (RFC 2308 section 5).
    pub(crate) negative_soa: RrSet,
    /// Whether client subnets count (E20).
    pub(crate) client_subnet: bool,
}

impl Zone {
    /// What `key`, relative to the apex and lower case, is to the zone.
    ///
    /// Source: RFC 1034 section 4.3.2, RFC 4592 (closest encloser and its wildcard), RFC 6672 (DNAME).
    pub(crate) fn find(&self, key: &[u8]) -> Found<'_> {
        if let Some(entry) = self.names.get(key) {
            return match entry.node {
                Node::Delegation => Found::Delegation(entry, 0),
                _ => Found::Entry(entry),
            };
        }
        let (encloser, at) = self.closest_encloser(key);
        let Some(encloser) = encloser else { return Found::Absent };
        if encloser.node == Node::Delegation {
            return Found::Delegation(encloser, at);
        }
        if let Some(dname) = encloser.set(RecordType::DNAME) {
            return Found::Dname(dname, at);
        }
        let mut wildcard = [0; MAX_NAME + 2];
        let len = 2 + key.len() - at;
        wildcard[..2].copy_from_slice(b"\x01*");
        wildcard[2..len].copy_from_slice(&key[at..]);
        self.names.get(&wildcard[..len]).map_or(Found::Absent, Found::Entry)
    }

    /// The longest existing name above `key`, and where it begins in it. None only in a zone without an apex.
    fn closest_encloser(&self, key: &[u8]) -> (Option<&Entry>, usize) {
        let mut starts = [0_u8; MAX_NAME / 2 + 1];
        let mut count = 0;
        for (start, _) in labels(key) {
            starts[count] = start as u8;
            count += 1;
        }
        let mut encloser = (self.names.get(&[][..]), key.len());
        for start in starts[..count].iter().rev().map(|start| usize::from(*start)) {
            match self.names.get(&key[start..]) {
                Some(entry) => encloser = (Some(entry), start),
                None => break,
            }
        }
        encloser
    }

    /// The apex as a key.
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Every name with what is there, relative to the apex, empty non-terminals included.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&[u8], &Entry)> {
        self.names.iter().map(|(key, entry)| (&**key, entry))
    }

    /// The addresses of a name server of a delegation, as far as this zone knows them.
    pub(crate) fn glue(&self, key: &[u8]) -> &[StoredSet] {
        if let Some(sets) = self.glue.get(key) {
            return sets;
        }
        // A name that policies answer is not among them: what depends on the client is never put here (E16b).
        self.names.get(key).map_or(&[], |entry| &entry.sets[..])
    }

    /// The whole name of a key relative to the apex, lower case.
    pub(crate) fn name(&self, key: &[u8]) -> Name {
        name_of(&[key, &self.key].concat())
    }
}
