//! The zones of one snapshot: what is at which name.

mod build;
mod lexer;
mod master_file;
mod policy;
mod problem;
mod rdata;
mod svcb;
mod wire_name;
mod zone;

use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::rr::RecordType;
use perigee_model::{PolicyNameIndex, PolicyNodeIndex, Snapshot, ZoneIndex};
use tracing::error;

pub(crate) use policy::MAX_LINKS;
pub use problem::ZoneProblem;
pub(crate) use svcb::with_hints;
pub(crate) use wire_name::{LowerName, below, key_of_text, labels, name_of, push_label};
pub(crate) use zone::{Entry, Explained, Found, Node, StoredSet, Zone};

/// The zones of one snapshot, made once for it and never changed.
#[derive(Debug)]
pub(crate) struct Zones {
    /// The snapshot it was made from.
    pub(crate) snapshot: Arc<Snapshot>,
    /// As in the snapshot; none where the origin is no domain name.
    zones: Vec<Option<Zone>>,
    by_origin: zone::Map<ZoneIndex>,
    /// Labels of the longest origin: no longer suffix of a name is worth a look.
    labels_max: usize,
    policies: policy::Policies,
}

/// Everything that keeps the zones of `snapshot` from being served, in order of zones, then lines; empty if nothing.
///
/// Reads the zone files of the snapshot, which takes as long as serving them does: of the order of a second for a
/// million records.
pub fn check_zones(snapshot: &Snapshot) -> Vec<ZoneProblem> {
    build::build(snapshot, &[]).1
}

impl Zones {
    /// The zones of `snapshot`, whose name servers are at `name_server`. What has problems is left out, each told to
    /// the log: configurations are refused for them before they get here ([`check_zones`]).
    pub(crate) fn new(snapshot: Arc<Snapshot>, name_server: &[IpAddr]) -> Self {
        let (parts, problems) = build::build(&snapshot, name_server);
        for problem in problems {
            error!(%problem, "left out of the zone");
        }
        let build::Parts { zones, by_origin, policies } = parts;
        let labels_max = zones.iter().flatten().map(|zone| labels(zone.key()).count()).max().unwrap_or(0);
        Self { snapshot, zones, by_origin, labels_max, policies }
    }

    /// The zone that `name` is in, the longest one, and how many octets of the name stand before its apex.
    pub(crate) fn zone_of(&self, name: &LowerName) -> Option<(&Zone, usize)> {
        self.find(name, 0)
    }

    /// All zones.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Zone> {
        self.zones.iter().flatten()
    }

    /// The zone above the one that begins at `name`: the one with the DS record, if there is one here (RFC 4035
    /// section 3.1.4.1).
    pub(crate) fn parent_zone_of(&self, name: &LowerName) -> Option<(&Zone, usize)> {
        self.find(name, 1)
    }

    fn find(&self, name: &LowerName, skipped: usize) -> Option<(&Zone, usize)> {
        let name = name.as_wire();
        let skipped = skipped.max(labels(name).count().saturating_sub(self.labels_max));
        let suffixes = labels(name).map(|(start, _)| start).chain([name.len()]);
        let (index, at) =
            suffixes.skip(skipped).find_map(|start| Some((self.by_origin.get(&name[start..])?, start)))?;
        self.zones.get(index.0)?.as_ref().map(|zone| (zone, at))
    }

    /// The records of a policy's answer that are no addresses.
    pub(crate) fn other_sets(&self, leaf: PolicyNodeIndex) -> &[StoredSet] {
        self.policies.sets.get(leaf.0).map_or(&[], |sets| &sets[..])
    }

    /// The types that `node` answers itself; of a policy name see [`Self::policy_types`].
    pub(crate) fn resource_types(&self, node: Node) -> Vec<RecordType> {
        policy::resource_types(&self.snapshot, node)
    }

    /// The types that a policy name could have for any client, ascending.
    pub(crate) fn policy_types(&self, name: PolicyNameIndex) -> &[RecordType] {
        self.policies.types.get(name.0).map_or(&[], |types| &types[..])
    }
}

/// A duration as a TTL: whole seconds, at most what RFC 2181 section 8 allows.
pub(crate) fn seconds(duration: std::time::Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX).min(0x7fff_ffff)
}

#[cfg(test)]
mod tests;
