//! Delegations: who to ask instead.

use hickory_proto::rr::rdata::NS;
use hickory_proto::rr::{RData, RecordType};

use super::Walk;
use crate::response::{Denial, RrSet};
use crate::zones::{Entry, LowerName, Zone, below};

impl Walk<'_> {
    /// Refers to the name servers of the delegation at `key`: NS and DS in authority, their addresses behind. Not
    /// authoritative, and the same for everyone (E15a).
    ///
    /// The addresses of servers below the delegation come first, since without them nobody gets there (RFC 9471).
    pub(super) fn refer(&mut self, zone: &Zone, entry: &Entry, key: &[u8]) {
        let Some(servers) = entry.set(RecordType::NS) else { return };
        let cut = zone.name(key);
        let mut glue: Vec<(bool, RrSet)> = Vec::new();
        for data in &servers.data {
            let RData::NS(NS(server)) = data else { continue };
            let name = LowerName::of(server);
            let Some(server_key) = name.as_ref().and_then(|name| below(name.as_wire(), zone.key())) else { continue };
            let is_outside = below(server_key, key).is_none();
            let addresses = zone.glue(server_key).iter();
            let addresses = addresses.filter(|set| matches!(set.record_type, RecordType::A | RecordType::AAAA));
            glue.extend(addresses.map(|set| (is_outside, set.at(server.clone(), 0))));
        }
        glue.sort_by_key(|(is_outside, _)| *is_outside);
        self.response.authoritative = false;
        self.response.authority = vec![servers.at(cut.clone(), self.draw)];
        match entry.set(RecordType::DS) {
            Some(ds) => self.response.authority.push(ds.at(cut, 0)),
            None => self.response.denial = Some(Denial::NoData { name: cut, types: vec![RecordType::NS] }),
        }
        self.response.additional = glue.into_iter().map(|(_, set)| set).collect();
    }
}
