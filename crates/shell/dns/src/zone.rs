use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::rr::rdata::{NS, SOA};
use hickory_proto::rr::{Name, RData};
use perigee_model::{AcceleratorIndex, LoadBalancerIndex, Snapshot};
use tracing::warn;

use crate::response::RrSet;

/// TTL of the name server records: they change with the installation, not with health (`spec/dns.md` §3).
const NAME_SERVER_TTL_S: u32 = 3_600;
/// SOA refresh, retry and expire. Nobody transfers the zone; common values keep zone checkers quiet.
const SOA_TIMES_S: [i32; 3] = [3_600, 600, 1_209_600];

/// What stands at a name of the zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// The zone's own name.
    Apex,
    /// The name server's name.
    NameServer,
    /// A name answered by the latency policy: position in `DnsZone::latency_names`.
    Latency(usize),
    /// The explanation of a latency name.
    Why(usize),
    /// An accelerator's name.
    Accelerator(AcceleratorIndex),
    /// A load balancer's name.
    LoadBalancer(LoadBalancerIndex),
    /// Nothing but names below: no data, but not absent either (`spec/dns.md` §5.3).
    EmptyNonTerminal,
}

/// What a name is to the zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Neither the zone's own name nor one below it.
    Outside,
    /// Inside, but nothing is there or below.
    Absent,
    /// Something is there.
    Node(Node),
}

/// The names of one snapshot, made once for it.
#[derive(Debug)]
pub(crate) struct Zone {
    /// The snapshot it was made from.
    pub(crate) snapshot: Arc<Snapshot>,
    /// The apex in wire form, lower case, with the root; empty if it is no domain name, and then nothing is inside.
    origin_wire: Vec<u8>,
    origin: Name,
    /// By name relative to the apex, in wire form without the root, lower case.
    nodes: BTreeMap<Box<[u8]>, Node>,
    /// The name server's addresses.
    pub(crate) name_server: Vec<IpAddr>,
}

impl Zone {
    /// The zone of `snapshot`, served at `name_server`.
    ///
    /// Names that DNS cannot carry are left out with a warning; where two resources claim one name, the order is
    /// latency name, accelerator, load balancer (the configuration refuses both).
    pub(crate) fn new(snapshot: Arc<Snapshot>, name_server: Vec<IpAddr>) -> Self {
        let mut origin_wire = wire(&snapshot.dns.origin).unwrap_or_default();
        let origin = name_of(&origin_wire);
        if !origin_wire.is_empty() {
            origin_wire.push(0);
        }
        let mut zone = Self { origin_wire, origin, nodes: BTreeMap::new(), name_server, snapshot: snapshot.clone() };
        zone.nodes.insert(Box::default(), Node::Apex);
        for (position, latency) in snapshot.dns.latency_names.iter().enumerate() {
            zone.add(&latency.label, Node::Latency(position));
            zone.add(&format!("_why.{}", latency.label), Node::Why(position));
        }
        for (position, accelerator) in snapshot.accelerators.iter().enumerate() {
            zone.add(&format!("{}.accelerator", accelerator.name), Node::Accelerator(AcceleratorIndex(position)));
        }
        for (position, lb) in snapshot.load_balancers.iter().enumerate() {
            let region = &snapshot.region(lb.region).code;
            zone.add(&format!("{}.{region}.elb", lb.name), Node::LoadBalancer(LoadBalancerIndex(position)));
        }
        zone.add("ns1", Node::NameServer);
        zone
    }

    fn add(&mut self, name: &str, node: Node) {
        let Some(key) = wire(name) else {
            warn!(name, "left out of the zone: no domain name");
            return;
        };
        for (at, _) in labels(&key).skip(1) {
            self.nodes.entry(key[at..].into()).or_insert(Node::EmptyNonTerminal);
        }
        let entry = self.nodes.entry(key.into()).or_insert(Node::EmptyNonTerminal);
        if *entry == Node::EmptyNonTerminal {
            *entry = node;
        }
    }

    /// Every name below the apex and the apex, relative to it, in wire form without the root, lower case.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (&[u8], Node)> {
        self.nodes.iter().map(|(key, node)| (&**key, *node))
    }

    /// The apex in wire form, lower case, with the root; empty if it is no domain name.
    pub(crate) fn origin_wire(&self) -> &[u8] {
        &self.origin_wire
    }

    /// The labels right above the apex of names in the SOA record, with their length octets.
    pub(crate) fn labels_of_negative(&self) -> [&'static [u8]; 2] {
        [b"\x03ns1", b"\x0ahostmaster"]
    }

    /// What is at `name`, a name in wire form with its root, whatever the case.
    pub(crate) fn find(&self, name: &[u8]) -> Found {
        let mut lower = [0; 255];
        let Some(lower) = lower.get_mut(..name.len()) else { return Found::Outside };
        lower.copy_from_slice(name);
        // Length octets are at most 63, below every letter, so the whole name can be lowered as it stands.
        lower.make_ascii_lowercase();
        let Some(at) = lower.len().checked_sub(self.origin_wire.len()) else { return Found::Outside };
        let at_label = at == 0 || labels(&lower[..at]).last().is_some_and(|(start, len)| start + 1 + len == at);
        if self.origin_wire.is_empty() || lower[at..] != self.origin_wire[..] || !at_label {
            return Found::Outside;
        }
        self.nodes.get(&lower[..at]).map_or(Found::Absent, |node| Found::Node(*node))
    }

    /// The SOA record. Its TTL is that of negative answers, so that it fits both sections (RFC 2308 section 3).
    pub(crate) fn soa(&self) -> RrSet {
        let negative_ttl_s = seconds(self.snapshot.dns.negative_ttl);
        let [refresh, retry, expire] = SOA_TIMES_S;
        // Serials wrap around by design (RFC 1982).
        let serial = self.snapshot.generation as u32;
        let hostmaster = self.below("hostmaster");
        let soa = SOA::new(self.name_server_name(), hostmaster, serial, refresh, retry, expire, negative_ttl_s);
        RrSet::one(self.origin.clone(), negative_ttl_s, RData::SOA(soa))
    }

    /// The NS record, owned by `owner`: the apex as the client wrote it.
    pub(crate) fn ns(&self, owner: &Name) -> RrSet {
        RrSet::one(owner.clone(), NAME_SERVER_TTL_S, RData::NS(NS(self.name_server_name())))
    }

    /// TTL of the name server's addresses, seconds.
    pub(crate) const fn name_server_ttl_s() -> u32 {
        NAME_SERVER_TTL_S
    }

    fn name_server_name(&self) -> Name {
        self.below("ns1")
    }

    fn below(&self, label: &str) -> Name {
        // Only a zone name of nearly 255 octets has no room for the label; it stands for itself then.
        self.origin.prepend_label(label).unwrap_or_else(|_| self.origin.clone())
    }
}

/// A duration as a TTL: whole seconds, at most what RFC 2181 section 8 allows.
pub(crate) fn seconds(duration: std::time::Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX).min(0x7fff_ffff)
}

/// `name` in wire form without the root, lower case; none if a label is empty or above 63 octets, or all above 254.
fn wire(name: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(name.len() + 1);
    for label in name.split('.') {
        let len = u8::try_from(label.len()).ok().filter(|len| (1..=63).contains(len))?;
        out.push(len);
        out.extend(label.bytes().map(|b| b.to_ascii_lowercase()));
    }
    (out.len() < 255).then_some(out)
}

/// Start and length of each label of a name in wire form without its root.
fn labels(wire: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let len = usize::from(*wire.get(at)?);
        let start = at;
        at += 1 + len;
        Some((start, len))
    })
}

fn name_of(wire: &[u8]) -> Name {
    let mut name = Name::from_labels(labels(wire).map(|(at, len)| &wire[at + 1..at + 1 + len])).unwrap_or_default();
    name.set_fqdn(true);
    name
}
