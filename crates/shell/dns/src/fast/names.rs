use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use perigee_model::{LoadBalancerIndex, LoadBalancerName, Snapshot};
use perigee_steering::lowered_ttl;

use super::tables::Addresses;
use super::tally::Kind;
use super::template::Template;
use crate::zone::{Node, Zone, seconds};

/// What is answered at a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// What the slow path says.
    Slow,
    EmptyNonTerminal,
    NameServer {
        ttl_s: u32,
    },
    Accelerator {
        position: u32,
        ttl_s: u32,
    },
    LoadBalancer {
        position: u32,
        ttl_s: u32,
    },
    /// The nearest healthy region's load balancer of a name.
    Latency {
        service: u32,
        ttl_s: u32,
        lowered_ttl_s: u32,
    },
}

impl Entry {
    /// For the counters. Panics in no case: what the slow path answers is counted there.
    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Slow | Self::EmptyNonTerminal => Kind::Empty,
            Self::NameServer { .. } => Kind::NameServer,
            Self::Accelerator { .. } => Kind::Accelerator,
            Self::LoadBalancer { .. } => Kind::LoadBalancer,
            Self::Latency { .. } => Kind::Latency,
        }
    }
}

/// What a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// In no zone.
    Outside,
    /// In the zone, whose name begins after `above` octets, but nothing is there.
    Absent {
        above: usize,
    },
    Found {
        entry: Entry,
        above: usize,
    },
}

/// The names of a snapshot: what does not change with health.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) snapshot: Arc<Snapshot>,
    /// By whole name in wire form, lower case.
    entries: HashMap<Box<[u8]>, Entry, BuildHasherDefault<NameHasher>>,
    /// The zone's name in wire form, lower case; empty if it is none.
    origin: Box<[u8]>,
    pub(super) negative: Option<Template>,
    pub(super) name_server: Addresses,
    pub(super) accelerators: Box<[Addresses]>,
    /// For each name that latency names have in common, the load balancer of each region that has one.
    pub(super) services: Box<[Box<[Option<LoadBalancerIndex>]>]>,
}

impl Names {
    pub(super) fn new(zone: &Zone) -> Self {
        let snapshot = zone.snapshot.clone();
        let dns = &snapshot.dns;
        let mut services: Vec<Box<[Option<LoadBalancerIndex>]>> = Vec::new();
        let mut known: BTreeMap<&LoadBalancerName, u32> = BTreeMap::new();
        let mut service_of = |name| {
            *known.entry(name).or_insert_with(|| {
                let regions = 0..snapshot.regions.len();
                let of_region = |region| snapshot.find_load_balancer(perigee_model::RegionIndex(region), name);
                services.push(regions.map(of_region).collect());
                (services.len() - 1) as u32
            })
        };
        let mut entries = HashMap::default();
        for (key, node) in zone.nodes() {
            let entry = match node {
                Node::Apex | Node::Why(_) => Entry::Slow,
                Node::EmptyNonTerminal => Entry::EmptyNonTerminal,
                Node::NameServer => Entry::NameServer { ttl_s: Zone::name_server_ttl_s() },
                Node::Accelerator(index) => {
                    Entry::Accelerator { position: index.0 as u32, ttl_s: seconds(dns.accelerator_ttl) }
                }
                Node::LoadBalancer(index) => {
                    Entry::LoadBalancer { position: index.0 as u32, ttl_s: seconds(dns.load_balancer_ttl) }
                }
                Node::Latency(position) => {
                    let name = &dns.latency_names[position];
                    let service = service_of(&name.load_balancer);
                    let [ttl_s, lowered_ttl_s] = [name.ttl, lowered_ttl(name.ttl)].map(seconds);
                    Entry::Latency { service, ttl_s, lowered_ttl_s }
                }
            };
            entries.insert([key, zone.origin_wire()].concat().into(), entry);
        }
        Self {
            entries,
            origin: zone.origin_wire().into(),
            negative: Template::new(zone),
            name_server: Addresses::of(&zone.name_server),
            accelerators: snapshot.accelerators.iter().map(|a| Addresses::of(&a.addresses)).collect(),
            services: services.into(),
            snapshot: snapshot.clone(),
        }
    }

    /// What is at `name`, in wire form with its root, whatever the case.
    pub(super) fn find(&self, name: &[u8]) -> Lookup {
        let mut lower = [0; 255];
        let Some(lower) = lower.get_mut(..name.len()) else { return Lookup::Outside };
        lower.copy_from_slice(name);
        // Length octets are below every letter, so the whole name can be lowered as it stands.
        lower.make_ascii_lowercase();
        let Some(above) = lower.len().checked_sub(self.origin.len()) else { return Lookup::Outside };
        if let Some(entry) = self.entries.get(&*lower) {
            return Lookup::Found { entry: *entry, above };
        }
        let mut label = 0;
        while label < above {
            label += 1 + usize::from(lower[label]);
        }
        let is_inside = !self.origin.is_empty() && label == above && lower[above..] == *self.origin;
        if is_inside { Lookup::Absent { above } } else { Lookup::Outside }
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
