//! What is not there.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RecordType};

use super::Walk;
use crate::response::Denial;
use crate::zones::{Entry, Node, Zone};

impl Walk<'_> {
    /// Nothing is at `owner` or below.
    pub(super) fn deny_name(&mut self, zone: &Zone, owner: &Name) {
        self.response.deny(ResponseCode::NXDomain, zone, Denial::NoName { name: owner.clone() });
    }

    /// Something is at `owner`, but not what was asked for.
    pub(super) fn deny_type(&mut self, zone: &Zone, entry: &Entry, owner: &Name) {
        let types = self.types_at(entry);
        self.response.deny(ResponseCode::NoError, zone, Denial::NoData { name: owner.clone(), types });
    }

    /// The types that the name could have for any client (`spec/dns.md` section 6, "Bitmap must be honest"), ascending.
    fn types_at(&self, entry: &Entry) -> Vec<RecordType> {
        let mut types: Vec<RecordType> = entry.sets.iter().map(|set| set.record_type).collect();
        match entry.node {
            Node::Policy(index) => types.extend(self.zones.policy_types(index)),
            node => types.extend(self.zones.resource_types(node)),
        }
        types.sort_unstable_by_key(|t| u16::from(*t));
        types.dedup();
        types
    }
}
