//! CNAME and DNAME: names that stand for other names.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::{Name, RData, RecordType};

use super::{Walk, qtype};
use crate::response::RrSet;
use crate::zones::{LowerName, MAX_LINKS, StoredSet, Zone, labels, name_of, push_label};

impl Walk<'_> {
    /// Answers for `name` and for what it leads to, as far as that is ours.
    ///
    /// With a client subnet in the query only the first CNAME is sent, since the option speaks of one owner's network
    /// alone (E16). It ends at eight links or where it was before, with the links so far (`spec/dns.md` section 5.3).
    pub(super) fn follow(&mut self, zone: &Zone, at: usize, name: &LowerName) {
        let mut next = self.step(zone, &name.as_wire()[..at], self.query.name);
        let mut seen: Vec<LowerName> = Vec::new();
        while let Some(target) = next {
            let is_enough = seen.len() + 1 == MAX_LINKS || self.query.subnet.is_some();
            let Some(current) = LowerName::of(&target).filter(|_| !is_enough) else { return };
            if seen.iter().chain([name]).any(|other| other.as_wire() == current.as_wire()) {
                return;
            }
            let Some((zone, at)) = self.zones.zone_of(&current) else { return };
            seen.push(current);
            next = self.step(zone, &current.as_wire()[..at], &target);
        }
    }

    /// Adds a CNAME; the name to go on with, unless the CNAME itself was asked for.
    pub(super) fn link(&mut self, cname: RrSet) -> Option<Name> {
        let target = match cname.data.first() {
            Some(RData::CNAME(CNAME(target))) => Some(target.clone()),
            _ => None,
        };
        self.response.answers.push(cname);
        target.filter(|_| !matches!(self.query.qtype, qtype::CNAME | qtype::ANY))
    }

    /// Adds the DNAME above `key`, whose owner begins at octet `at` of it, and the CNAME that follows from it; YXDOMAIN
    /// if the new name is too long.
    ///
    /// Source: RFC 6672 section 3.1 and 3.2.
    pub(super) fn rename(
        &mut self,
        zone: &Zone,
        dname: &StoredSet,
        key: &[u8],
        at: usize,
        owner: &Name,
    ) -> Option<Name> {
        self.response.answers.push(dname.at(zone.name(&key[at..]), 0));
        let Some(RData::Unknown { rdata, .. }) = dname.data.first() else { return None };
        let (_, suffix) = rdata.anything.split_last()?;
        let mut renamed = Vec::with_capacity(key.len() + suffix.len());
        let kept = owner.iter().take(labels(&key[..at]).count());
        let fits = kept.chain(labels(suffix).filter_map(|(start, len)| suffix.get(start + 1..start + 1 + len)));
        for label in fits {
            if push_label(&mut renamed, label).is_none() {
                self.response.code = ResponseCode::YXDomain;
                return None;
            }
        }
        let target = name_of(&renamed);
        let data = vec![RData::CNAME(CNAME(target))];
        self.link(RrSet { owner: owner.clone(), record_type: RecordType::CNAME, ttl_s: dname.ttl_s, data })
    }
}
