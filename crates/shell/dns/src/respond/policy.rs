//! Names that routing policies answer: one decision, and everything in the response from it.

use std::net::IpAddr;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::{Name, RData, RecordType};
use perigee_dataplane::EdgeView;
use perigee_model::PolicyNameIndex;
use perigee_model::dns::RecordTarget;
use perigee_steering::{Leaf, PolicyDecision, RecordKind, TreeIndex};

use super::{Walk, address_data, qtype};
use crate::response::{ExtendedError, Response, RrSet};
use crate::steer::client;
use crate::zones::{Found, LowerName, MAX_LINKS, Node, Zone, key_of_text, seconds, with_hints};

/// "Synthesized" (RFC 8914, and its registry).
const SYNTHESIZED: u16 = 29;
/// The one routable type whose mnemonic hickory does not know (RFC 7208 section 3.1).
const SPF: u16 = 99;

/// An alias in a circle, or over more than eight names; configurations with one are refused before.
struct Circle;

/// Records as they are gathered from the leaves of a decision.
#[derive(Default)]
struct Gathered {
    data: Vec<RData>,
    /// The least of the leaves', seconds.
    ttl_s: Option<u32>,
}

impl Gathered {
    fn add(&mut self, ttl: Duration, data: impl IntoIterator<Item = RData>) {
        let before = self.data.len();
        for data in data {
            // Two branches may have the same value, and a set has each once (RFC 2181 section 5).
            if !self.data.contains(&data) {
                self.data.push(data);
            }
        }
        if self.data.len() > before {
            let ttl_s = seconds(ttl);
            self.ttl_s = Some(self.ttl_s.map_or(ttl_s, |least| least.min(ttl_s)));
        }
    }
}

impl Walk<'_> {
    /// Adds what the tree of a policy name answers; the name to go on with, if it is a CNAME.
    pub(super) fn at_policy(&mut self, zone: &Zone, index: PolicyNameIndex, owner: &Name) -> Option<Name> {
        let types = self.zones.policy_types(index);
        let tree = self.view.trees().of_policy_name(index);
        let asked = RecordType::from(self.query.qtype);
        let is_at_cname = !matches!(asked, RecordType::RRSIG | RecordType::NSEC);
        if types.contains(&RecordType::CNAME) && is_at_cname {
            let before = self.response.answers.len();
            self.decide(zone, tree, RecordType::CNAME, owner);
            let cname = self.response.answers.split_off(before).pop()?;
            return self.link(cname);
        }
        if types.contains(&asked) {
            self.decide(zone, tree, asked, owner);
        }
        None
    }

    /// Adds what `tree` answers to a question for `asked`: nothing, if it has no such records for this client.
    pub(super) fn decide(&mut self, zone: &Zone, tree: TreeIndex, asked: RecordType, owner: &Name) {
        let Some(kind) = kind_of(self.view, asked) else { return };
        let client = client(zone, self.query);
        let decision = self.view.decide_name(tree, kind, &client, self.draw);
        let mut gathered = Gathered::default();
        for leaf in decision.leaves.as_slice() {
            let leaf = self.view.trees().leaf(*leaf);
            if self.gather(leaf, &decision, asked, &mut gathered).is_err() {
                self.response = Response { kind: self.response.kind, ..Response::error(ResponseCode::ServFail) };
                return;
            }
            self.response.region = self.response.region.or(leaf.region);
        }
        let Gathered { mut data, ttl_s: Some(ttl_s) } = gathered else { return };
        if let Some(first) = self.draw.checked_rem(data.len() as u64) {
            data.rotate_left(first as usize);
        }
        self.response.answers.push(RrSet { owner: owner.clone(), record_type: asked, ttl_s, data });
        self.response.scope = decision.scope;
        if self.view.snapshot.dns.server.synthesized_error {
            self.response.extended_error = Some(ExtendedError::code(SYNTHESIZED));
        }
    }

    fn gather(
        &self,
        leaf: &Leaf,
        decision: &PolicyDecision,
        asked: RecordType,
        gathered: &mut Gathered,
    ) -> Result<(), Circle> {
        let others = leaf.record.map_or(&[][..], |record| self.zones.other_sets(record));
        if let Some(set) = others.iter().find(|set| set.record_type == asked) {
            let addresses = || addresses_of(self.view, leaf);
            let data = match asked {
                RecordType::HTTPS | RecordType::SVCB => {
                    let addresses = addresses();
                    set.data.iter().map(|data| with_hints(data, &addresses)).collect()
                }
                _ => set.data.clone(),
            };
            gathered.add(decision.ttl, data);
            return Ok(());
        }
        if let RecordTarget::Name(target) = &leaf.target {
            return self.gather_alias(target, decision, asked, gathered);
        }
        let qtype = u16::from(asked);
        gathered.add(decision.ttl, addresses_of(self.view, leaf).into_iter().filter_map(|a| address_data(a, qtype)));
        Ok(())
    }

    /// The records of a zone file's name under the alias's own: no CNAME on the way is seen (`spec/dns.md` section 2.4).
    fn gather_alias(
        &self,
        target: &str,
        decision: &PolicyDecision,
        asked: RecordType,
        gathered: &mut Gathered,
    ) -> Result<(), Circle> {
        let mut key = key_of_text(target).unwrap_or_default();
        key.push(0);
        let mut name = LowerName::of_wire(&key);
        for _ in 0..=MAX_LINKS {
            let Some(current) = name else { return Ok(()) };
            let Some((zone, at)) = self.zones.zone_of(&current) else { return Ok(()) };
            let Found::Entry(entry) = zone.find(&current.as_wire()[..at]) else { return Ok(()) };
            if let Some(RData::CNAME(CNAME(next))) = entry.set(RecordType::CNAME).and_then(|set| set.data.first()) {
                name = LowerName::of(next);
                continue;
            }
            if let Some(set) = entry.set(asked) {
                gathered.add(decision.ttl_of(Duration::from_secs(set.ttl_s.into())), set.data.iter().cloned());
                return Ok(());
            }
            let snapshot = &self.view.snapshot;
            let (addresses, ttl) = match entry.node {
                Node::Accelerator(index) => {
                    (snapshot.accelerator(index).addresses.to_vec(), snapshot.dns.accelerator_ttl)
                }
                Node::LoadBalancer(index) => {
                    (self.view.load_balancer_addresses(index).0, snapshot.dns.load_balancer_ttl)
                }
                _ => return Ok(()),
            };
            let qtype = u16::from(asked);
            gathered.add(decision.ttl_of(ttl), addresses.into_iter().filter_map(|a| address_data(a, qtype)));
            return Ok(());
        }
        Err(Circle)
    }
}

/// The addresses of an answer, of both families; none of an alias, whose records bring their own.
fn addresses_of(view: &EdgeView, leaf: &Leaf) -> Vec<IpAddr> {
    match &leaf.target {
        RecordTarget::Addresses(addresses) => addresses.clone(),
        RecordTarget::LoadBalancer(index) => view.load_balancer_addresses(*index).0,
        RecordTarget::Accelerator(index) => view.snapshot.accelerator(*index).addresses.to_vec(),
        RecordTarget::PolicyName(_) | RecordTarget::Name(_) => Vec::new(),
    }
}

/// The trees' word for a type.
pub(super) fn kind_of(view: &EdgeView, record_type: RecordType) -> Option<RecordKind> {
    match u16::from(record_type) {
        qtype::A => Some(RecordKind::A),
        qtype::AAAA => Some(RecordKind::AAAA),
        SPF => view.trees().kind("SPF"),
        _ => view.trees().kind(record_type.into()),
    }
}

/// The type that an explanation of a name speaks of: addresses if it has any, IPv4 first.
pub(super) fn explained_type(types: &[RecordType]) -> RecordType {
    let preferred = [RecordType::A, RecordType::AAAA].into_iter().find(|t| types.contains(t));
    preferred.or_else(|| types.first().copied()).unwrap_or(RecordType::A)
}
