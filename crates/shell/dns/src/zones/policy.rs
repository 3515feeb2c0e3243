//! What is known of policy names beforehand: the records at their answers, and the types that they could have.

use std::net::IpAddr;

use hickory_proto::rr::RecordType;
use perigee_model::dns::{Policy, PolicyNode, PolicyRecord, RecordTarget, RecordValues};
use perigee_model::{PolicyNameIndex, PolicyNodeIndex, Snapshot, ZoneIndex};

use super::build::zone_above;
use super::master_file;
use super::problem::Problems;
use super::rdata;
use super::wire_name::{LowerName, key_of_text};
use super::zone::{Entry, Found, Map, Node, StoredSet, Zone};
use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::CNAME;

/// Links that an alias may lead over before it counts as a circle; as many as CNAMEs are followed.
pub(crate) const MAX_LINKS: usize = 8;
/// Nodes on the way from a policy name to an answer, aliases included. The model promises that there is no circle; a
/// snapshot that breaks the promise must not break the server.
const MAX_DEPTH: usize = 64;

/// Everything that policies answer, by index.
#[derive(Debug, Default)]
pub(super) struct Policies {
    /// By node: the records of other types than addresses.
    pub(super) sets: Vec<Vec<StoredSet>>,
    /// By policy name: its possible types, ascending.
    pub(super) types: Vec<Vec<RecordType>>,
}

/// The types that `node` answers itself, whoever asks; those of policy names are only known when all zones are.
pub(super) fn resource_types(snapshot: &Snapshot, node: Node) -> Vec<RecordType> {
    let families = |addresses: &mut dyn Iterator<Item = IpAddr>| {
        let mut types: Vec<RecordType> = addresses.map(type_of).collect();
        types.sort_unstable_by_key(|t| u16::from(*t));
        types.dedup();
        types
    };
    match node {
        Node::Accelerator(index) => families(&mut snapshot.accelerator(index).addresses.iter().copied()),
        // Whichever node is in service, and whatever it is replaced by: a type denied once stays denied for a while.
        Node::LoadBalancer(_) | Node::Latency(_) => vec![RecordType::A, RecordType::AAAA],
        Node::Why(_) => vec![RecordType::TXT],
        Node::Apex | Node::NameServer | Node::Static | Node::Delegation | Node::Policy(_) | Node::EmptyNonTerminal => {
            Vec::new()
        }
    }
}

const fn type_of(address: IpAddr) -> RecordType {
    match address {
        IpAddr::V4(_) => RecordType::A,
        IpAddr::V6(_) => RecordType::AAAA,
    }
}

struct Reader<'a> {
    snapshot: &'a Snapshot,
    zones: &'a [Option<Zone>],
    by_origin: &'a Map<ZoneIndex>,
    policies: Policies,
}

/// Reads all policy names' trees.
pub(super) fn read(
    snapshot: &Snapshot,
    zones: &[Option<Zone>],
    by_origin: &Map<ZoneIndex>,
    problems: &mut Problems,
) -> Policies {
    let policies = Policies {
        sets: vec![Vec::new(); snapshot.dns.policy_nodes.len()],
        types: vec![Vec::new(); snapshot.dns.policy_names.len()],
    };
    let mut reader = Reader { snapshot, zones, by_origin, policies };
    for position in 0..snapshot.dns.policy_names.len() {
        reader.read_values(PolicyNameIndex(position), problems);
    }
    for position in 0..snapshot.dns.policy_names.len() {
        let index = PolicyNameIndex(position);
        let mut types = Vec::new();
        reader.collect_types(snapshot.dns.policy_name(index).root, 0, &mut types);
        types.sort_unstable_by_key(|t| u16::from(*t));
        types.dedup();
        reader.policies.types[position] = types;
        reader.check_types(index, problems);
    }
    reader.policies
}

impl Reader<'_> {
    fn tell(&self, name: PolicyNameIndex, what: impl Into<String>, problems: &mut Problems) {
        let name = self.snapshot.dns.policy_name(name);
        let zone = &self.snapshot.dns.zone(name.zone).origin;
        problems.add(&format!("zone {zone}"), None, &format!("{}.", name.name), what);
    }

    /// Reads the values at every answer of the name's own tree.
    fn read_values(&mut self, name: PolicyNameIndex, problems: &mut Problems) {
        let policy_name = self.snapshot.dns.policy_name(name);
        let origin = key_of_text(&self.snapshot.dns.zone(policy_name.zone).origin).unwrap_or_default();
        let mut open = vec![(policy_name.root, false)];
        while let Some((index, in_multivalue)) = open.pop() {
            match self.snapshot.dns.policy_node(index) {
                PolicyNode::Group(group) => {
                    let in_multivalue = in_multivalue || group.policy == Policy::Multivalue;
                    // Children stand behind their parents, so this comes to an end whatever the snapshot.
                    let children = group.branches.iter().map(|branch| branch.node).filter(|node| *node > index);
                    open.extend(children.map(|node| (node, in_multivalue)));
                }
                PolicyNode::Record(record) => {
                    let ttl_s = super::seconds(record.ttl);
                    let mut sets: Vec<StoredSet> = Vec::new();
                    for values in &record.others {
                        match self.set(values, ttl_s, &origin) {
                            Ok(set) if in_multivalue && set.record_type == RecordType::CNAME => {
                                self.tell(name, "a multivalue answer cannot be a CNAME", problems);
                            }
                            Ok(set) if sets.iter().any(|s| s.record_type == set.record_type) => {
                                self.tell(name, format!("{} is given twice", values.record_type), problems);
                            }
                            Ok(set) => sets.push(set),
                            Err(what) => self.tell(name, format!("{}: {what}", values.record_type), problems),
                        }
                    }
                    if let RecordTarget::Name(target) = &record.target
                        && let Err(what) = self.alias(target)
                    {
                        self.tell(name, format!("alias to {target}: {what}"), problems);
                    }
                    self.policies.sets[index.0] = sets;
                }
            }
        }
    }

    /// `spec/dns.md` section 2.1: the types that a policy may decide. Addresses are not among `values`.
    fn set(&self, values: &RecordValues, ttl_s: u32, origin: &[u8]) -> Result<StoredSet, String> {
        let record_type = rdata::record_type(&values.record_type)?;
        let may_be_routed = matches!(
            record_type,
            RecordType::CAA
                | RecordType::CNAME
                | RecordType::MX
                | RecordType::NAPTR
                | RecordType::PTR
                | RecordType::Unknown(rdata::SPF)
                | RecordType::SRV
                | RecordType::TXT
                | RecordType::TLSA
                | RecordType::SSHFP
                | RecordType::SVCB
                | RecordType::HTTPS
        );
        if !may_be_routed {
            return Err("no policy can decide records of this type here".into());
        }
        let mut data = Vec::with_capacity(values.values.len());
        for text in &values.values {
            let value = master_file::value(record_type, text, origin)?;
            if !data.contains(&value) {
                data.push(value);
            }
        }
        match data.len() {
            0 => Err("there is no value".into()),
            2.. if record_type == RecordType::CNAME => Err("a name has one CNAME".into()),
            _ => Ok(StoredSet { record_type, ttl_s, data }),
        }
    }

    /// The entry that an alias leads to, past CNAMEs.
    fn alias(&self, target: &str) -> Result<&Entry, &'static str> {
        let mut key = key_of_text(target).ok_or("it is no domain name")?;
        for _ in 0..=MAX_LINKS {
            let (index, at) = zone_above(&key, self.by_origin, 0).ok_or("it is in none of the zones")?;
            let zone = self.zones.get(index.0).and_then(Option::as_ref).ok_or("its zone cannot be served")?;
            let entry = match zone.find(&key[..at]) {
                Found::Entry(entry) => entry,
                Found::Absent => return Err("there is no such name"),
                Found::Delegation(..) => return Err("it is delegated to another server"),
                Found::Dname(..) => return Err("it is below a DNAME"),
            };
            match entry.set(RecordType::CNAME).and_then(|set| set.data.first()) {
                Some(RData::CNAME(CNAME(next))) => {
                    let next = LowerName::of(next).ok_or("its CNAME is no domain name")?;
                    key = next.as_wire().to_vec();
                }
                _ if matches!(entry.node, Node::Policy(_) | Node::Latency(_) | Node::Why(_)) => {
                    return Err("it is answered by a policy, and not by a zone file's records");
                }
                _ if entry.node == Node::EmptyNonTerminal => return Err("there are no records"),
                _ => return Ok(entry),
            }
        }
        Err("its CNAMEs go in a circle, or over more than eight links")
    }

    fn collect_types(&self, index: PolicyNodeIndex, depth: usize, types: &mut Vec<RecordType>) {
        if depth > MAX_DEPTH {
            return;
        }
        match self.snapshot.dns.policy_node(index) {
            PolicyNode::Group(group) => {
                for branch in &group.branches {
                    self.collect_types(branch.node, depth + 1, types);
                }
            }
            PolicyNode::Record(record) => {
                types.extend(self.policies.sets[index.0].iter().map(|set| set.record_type));
                self.collect_target_types(record, depth, types);
            }
        }
        types.sort_unstable_by_key(|t| u16::from(*t));
        types.dedup();
    }

    fn collect_target_types(&self, record: &PolicyRecord, depth: usize, types: &mut Vec<RecordType>) {
        match &record.target {
            RecordTarget::Addresses(addresses) => types.extend(addresses.iter().copied().map(type_of)),
            RecordTarget::LoadBalancer(index) => {
                types.extend(resource_types(self.snapshot, Node::LoadBalancer(*index)));
            }
            RecordTarget::Accelerator(index) => types.extend(resource_types(self.snapshot, Node::Accelerator(*index))),
            RecordTarget::PolicyName(index) => match self.policies.types[index.0].as_slice() {
                [] => self.collect_types(self.snapshot.dns.policy_name(*index).root, depth + 1, types),
                known => types.extend(known),
            },
            RecordTarget::Name(target) => {
                if let Ok(entry) = self.alias(target) {
                    types.extend(entry.sets.iter().map(|set| set.record_type).filter(|t| may_be_aliased(*t)));
                    types.extend(resource_types(self.snapshot, entry.node));
                }
            }
        }
    }

    /// Tells of types that the name's policy and its zone file both answer, and of a CNAME beside other types.
    fn check_types(&self, name: PolicyNameIndex, problems: &mut Problems) {
        let types = &self.policies.types[name.0];
        let policy_name = self.snapshot.dns.policy_name(name);
        if types.contains(&RecordType::CNAME) && types.len() > 1 {
            self.tell(name, "some answers are a CNAME and others are not: a CNAME stands alone", problems);
        }
        let zone = self.zones.get(policy_name.zone.0).and_then(Option::as_ref);
        let key = key_of_text(&policy_name.name);
        let entry = zone.zip(key).and_then(|(zone, key)| {
            let at = key.len().checked_sub(zone.key.len())?;
            zone.names.get(&key[..at])
        });
        let Some(entry) = entry.filter(|entry| entry.node == Node::Policy(name)) else { return };
        if types.contains(&RecordType::CNAME) && !entry.sets.is_empty() {
            self.tell(name, "an answer is a CNAME, but the zone file has records of the name", problems);
        }
        for set in entry.sets.iter().filter(|set| types.contains(&set.record_type)) {
            self.tell(
                name,
                format!("{} records are given by the policy and by the zone file", set.record_type),
                problems,
            );
        }
    }
}

/// Whether an alias takes records of this type over: not what belongs to the zone rather than the name (`spec/dns.md`
/// section 2.4).
pub(crate) const fn may_be_aliased(record_type: RecordType) -> bool {
    !matches!(record_type, RecordType::NS | RecordType::SOA | RecordType::DS | RecordType::CNAME | RecordType::DNAME)
}
