//! Which class of clients an address belongs to, and how far around it that holds.

mod networks;
mod table;

use std::net::IpAddr;

use ipnet::IpNet;

use crate::atlas::{uniform_prefix, with_transition};
use crate::embedded_ipv4;
use crate::range_map::RangeMap;
use table::Table;

/// A map of both address spaces to classes, merged to the largest uniform networks: the trie of `spec/dns.md` §4.3.
///
/// What a class means is its maker's affair; equal classes are what makes a network uniform. Made by
/// [`Atlas::partition`](crate::Atlas::partition) from places and by [`Partition::of_networks`] from networks.
/// Immutable. An IPv4 lookup is two or three array reads, an IPv6 lookup a binary search.
#[derive(Debug)]
pub struct Partition {
    ipv4: Table,
    ipv6: RangeMap<u128>,
}

impl Partition {
    /// Classes are below this.
    pub const CLASSES_MAX: u32 = table::CLASSES_MAX;

    /// Both maps whole; `ipv6` with transition addresses marked.
    pub(crate) fn new(ipv4: RangeMap<u32>, ipv6: RangeMap<u128>) -> Self {
        Self { ipv4: Table::new(ipv4), ipv6 }
    }

    /// The partition of networks, each with a class: an address has that of the longest network around it, else
    /// `outside`. Of one network given twice the first counts. Networks within the IPv6 transition blocks are never
    /// asked for: such an address is looked up as the IPv4 address it carries.
    ///
    /// Scopes go as deep as the networks do (`spec/dns.md` §4.3, point 5).
    pub fn of_networks(networks: &[(IpNet, u32)], outside: u32) -> Self {
        let ipv4 = networks::flattened(networks, true, outside, |start| start as u32);
        let ipv6 = networks::flattened(networks, false, outside, |start| start);
        let ipv6 = with_transition(ipv6, &ipv4);
        Self::new(ipv4, ipv6)
    }

    /// The class of an address, and the length of the shortest prefix around it that has no other one: the ECS scope.
    ///
    /// For a transition address the class of the IPv4 address it carries, and the bits before that one are added to
    /// the scope (`spec/dns.md`, E19).
    pub fn get(&self, address: IpAddr) -> (u32, u8) {
        match address {
            IpAddr::V4(v4) => self.ipv4.get(v4.to_bits()),
            IpAddr::V6(v6) => match embedded_ipv4(v6) {
                Some((v4, offset)) if !self.ipv4.is_uniform() => {
                    let (class, scope) = self.ipv4.get(v4.to_bits());
                    (class, offset + scope)
                }
                _ => {
                    let bits = v6.to_bits();
                    let (class, first, next) = self.ipv6.range(bits);
                    (class, uniform_prefix(bits, first, next, 128))
                }
            },
        }
    }

    /// Bytes that the tables take.
    pub fn size(&self) -> usize {
        self.ipv4.size() + self.ipv6.len() * 20
    }
}

#[cfg(test)]
#[path = "partition/tests.rs"]
mod tests;
