use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use perigee_custom_routing::UsableAddresses;
use perigee_model::{RegionIndex, Subnet, SubnetId, SubnetIndex};

use crate::names::{check_host_address, check_subnet_id};
use crate::reader::{Node, Table};

/// The subnets of all regions, as they are read one region after the other.
#[derive(Default)]
pub(crate) struct Subnets<'a> {
    made: Vec<(Subnet, Node<'a>)>,
    ids: BTreeSet<&'a str>,
    /// By first address: the last one and the position. None overlaps another.
    ranges: BTreeMap<Ipv4Addr, (Ipv4Addr, usize)>,
}

impl<'a> Subnets<'a> {
    /// Reads the subnets of one region, in the order of their identifiers.
    pub(crate) fn read(&mut self, region: &Table<'a>, index: RegionIndex) {
        for (id, node) in region.entries("subnets") {
            if let Err(message) = check_subnet_id(id) {
                node.problem(message);
            } else if !self.ids.insert(id) {
                node.problem("duplicate: another region has a subnet of this identifier");
            }
            let Some(t) = node.table() else { continue };
            let place = t.need("cidr");
            t.unbuilt(&["availability_zone", "tags"]);
            t.finish();
            let Some(place) = place else { continue };
            let Some(cidr) = place.parse(check_cidr) else { continue };
            // Perigee's regions are one network: an address is one host's (the original's VPCs may overlap).
            let before = self.ranges.range(..=cidr.broadcast()).next_back();
            if let Some((_, (last, other))) = before
                && *last >= cidr.network()
            {
                let other = &self.made[*other].0;
                place.problem(format!("clash: {cidr} overlaps {} of {}", other.cidr, other.id));
                continue;
            }
            self.ranges.insert(cidr.network(), (cidr.broadcast(), self.made.len()));
            self.made.push((Subnet { id: SubnetId::new(id), region: index, cidr }, place));
        }
    }

    /// The subnet called `id`; none when there is none, or it is wrong itself.
    pub(crate) fn find(&self, region: RegionIndex, id: &str) -> Option<(SubnetIndex, Ipv4Net)> {
        let position = self.made.iter().position(|(s, _)| s.region == region && s.id.as_str() == id)?;
        Some((SubnetIndex(position), self.made[position].0.cidr))
    }

    /// Refuses subnets that hold an accelerator's own address: its flows could lead to itself.
    pub(crate) fn check(&self, owners: &BTreeMap<IpAddr, String>) {
        for (address, accelerator) in owners {
            let IpAddr::V4(v4) = address else { continue };
            if let Some((_, (last, position))) = self.ranges.range(..=v4).next_back()
                && last >= v4
            {
                let message = format!("clash: {address}, a static address of accelerator {accelerator}, is inside");
                self.made[*position].1.problem(message);
            }
        }
    }

    /// All of them, in the order of the snapshot.
    pub(crate) fn into_list(self) -> Vec<Subnet> {
        self.made.into_iter().map(|(subnet, _)| subnet).collect()
    }
}

/// The addresses of a subnet behind a custom routing accelerator (`spec/global-accelerator.md` section 11).
fn check_cidr(text: &str) -> Result<Ipv4Net, String> {
    let cidr: Ipv4Net = text.parse().map_err(|_| "must be an IPv4 network, such as \"127.82.16.0/24\"".to_owned())?;
    if cidr.trunc() != cidr {
        return Err(format!("{cidr} has bits below its length; did you mean {}?", cidr.trunc()));
    }
    let lengths = UsableAddresses::PREFIX_LENGTHS;
    if !lengths.contains(&cidr.prefix_len()) {
        return Err(format!("{cidr} is out of range, a prefix of /{} to /{}", lengths.start(), lengths.end()));
    }
    let ends = [cidr.network(), cidr.broadcast()];
    if ends.iter().any(|end| check_host_address(&end.to_string()).is_err()) {
        return Err(format!("{cidr} has addresses that no host can have"));
    }
    Ok(cidr)
}
