use std::net::IpAddr;

use crate::database::{Database, NO_PLACE};
use crate::fold::Folder;
use crate::overlay::OverlayMaps;
use crate::range_map::RangeMap;
use crate::{embedded_ipv4, special, transition};

/// Bits below the /24 that IPv4 scopes are bounded at; RFC 7871 section 11.1 advises resolvers to send no more.
const IPV4_BLOCK_BITS: u32 = 8;

/// In the IPv6 table: transition addresses, whose order is that of the IPv4 address they carry. Differs from every
/// sequence, so no scope reaches from outside over them.
const TRANSITION: u32 = u32::MAX - 1;

/// Networks without a place. Differs from every sequence too: who answers for them is decided by the resolver's
/// address (`spec/dns.md` §2.3), so an answer made for a known network must not be cached for them.
pub(super) const UNKNOWN: u32 = u32::MAX - 2;

/// Which sequence of regions holds where, as wide as it goes: the merged trie of `spec/dns.md` §4.3, as ranges.
///
/// Merging equal neighbours in a sorted list gives the same uniform networks as merging siblings in a trie, and the
/// depth of the leaf follows from the two ends of the range. Health does not enter (§4.3, point 4).
#[derive(Debug)]
pub(super) struct Scopes {
    ipv4: RangeMap<u32>,
    ipv6: RangeMap<u128>,
}

impl Scopes {
    /// Makes the tables; `sequence_of` gives the sequence of a place, and for [`NO_PLACE`] [`UNKNOWN`] or, when there
    /// is but one sequence, that one.
    pub(super) fn new(database: &Database, overlay: &OverlayMaps, sequence_of: impl Fn(u32) -> u32) -> Self {
        let (ipv4, ipv6) = ranges(database, overlay, None, sequence_of);
        Self { ipv4, ipv6 }
    }

    /// The sequence at `address` or [`UNKNOWN`], and the length of the shortest prefix around it where no other one is.
    pub(super) fn get(&self, address: IpAddr) -> (u32, u8) {
        match address {
            IpAddr::V4(v4) => self.ipv4_scope(v4.to_bits()),
            IpAddr::V6(v6) => match embedded_ipv4(v6) {
                Some((v4, offset)) if self.ipv4.len() > 1 => {
                    let (sequence, scope) = self.ipv4_scope(v4.to_bits());
                    (sequence, offset + scope)
                }
                _ => {
                    let bits = v6.to_bits();
                    let (sequence, first, next) = self.ipv6.range(bits);
                    (sequence, uniform_prefix(bits, first, next, 128))
                }
            },
        }
    }

    fn ipv4_scope(&self, bits: u32) -> (u32, u8) {
        let (sequence, first, next) = self.ipv4.range(bits);
        (sequence, uniform_prefix(bits.into(), first.into(), next.map(u128::from), 32))
    }
}

/// What holds where, IPv4 and IPv6, merged to the widest ranges: the overlay above the database, which is folded to
/// /24 (it is to /48 already), and below the overlay `private` for networks that are nobody's place on the Internet.
///
/// `value_of` gives the value of a place and of [`NO_PLACE`]; it must not be [`NO_PLACE`] itself or [`TRANSITION`].
/// In IPv6, transition addresses have the value [`TRANSITION`] unless all of IPv4 has one.
pub(super) fn ranges(
    database: &Database,
    overlay: &OverlayMaps,
    private: Option<u32>,
    value_of: impl Fn(u32) -> u32,
) -> (RangeMap<u32>, RangeMap<u128>) {
    let value_or_hole = |place| if place == NO_PLACE { NO_PLACE } else { value_of(place) };
    let mut base = RangeMap::new();
    let mut folder = Folder::new(IPV4_BLOCK_BITS);
    let mut emit = |start: u128, value| base.push(start as u32, value);
    let mut of_database = database.ipv4.iter().peekable();
    while let Some((first, place)) = of_database.next() {
        let last = of_database.peek().map_or(u32::MAX, |(next, _)| next - 1);
        folder.push(first.into(), last.into(), value_of(place), &mut emit);
    }
    let mut ipv6 = mapped(&database.ipv6, |start| u128::from(start) << 64, &value_of);
    if let Some(private) = private {
        let blocks = |blocks: &[(u128, u128)]| blocks.iter().map(|(a, b)| (*a, *b, private)).collect::<Vec<_>>();
        let (of_ipv4, of_ipv6) = special::blocks();
        base = base.overlaid(&marked(&blocks(&of_ipv4), |start| start as u32, u32::MAX.into()), NO_PLACE);
        ipv6 = ipv6.overlaid(&marked(&blocks(&of_ipv6), |start| start, u128::MAX), NO_PLACE);
    }
    let ipv4 = base.overlaid(&mapped(&overlay.ipv4, |s| s, value_or_hole), NO_PLACE);
    let ipv6 = ipv6.overlaid(&mapped(&overlay.ipv6, |s| s, value_or_hole), NO_PLACE);
    let ipv6 = with_transition(ipv6, &ipv4);
    (ipv4, ipv6)
}

/// `ipv6` with the transition addresses marked, whose value is that of the IPv4 address they carry.
pub(crate) fn with_transition(ipv6: RangeMap<u128>, ipv4: &RangeMap<u32>) -> RangeMap<u128> {
    // When all of IPv4 has one value, transition addresses have it too and are no border.
    let value = if ipv4.len() == 1 { ipv4.get(0) } else { TRANSITION };
    let blocks: Vec<_> = transition::blocks().map(|(first, last)| (first, last, value)).collect();
    ipv6.overlaid(&marked(&blocks, |start| start, u128::MAX), NO_PLACE)
}

/// A map with a value from first to last address of every block, both inclusive, and [`NO_PLACE`] between; the blocks
/// ascend and do not touch.
fn marked<K: Copy + Ord>(blocks: &[(u128, u128, u32)], key: impl Fn(u128) -> K, space_last: u128) -> RangeMap<K> {
    let mut map = RangeMap::new();
    map.push(key(0), NO_PLACE);
    for (first, last, value) in blocks {
        map.push(key(*first), *value);
        if *last < space_last {
            map.push(key(last + 1), NO_PLACE);
        }
    }
    map
}

/// Length of the shortest prefix of `address` that stays within the range from `first` to before `next`.
pub(crate) fn uniform_prefix(address: u128, first: u128, next: Option<u128>, width: u32) -> u8 {
    // A prefix leaves a neighbour out exactly when it is longer than what the two addresses have in common.
    let beyond = |other: u128| (address ^ other).leading_zeros() - (128 - width) + 1;
    let below = first.checked_sub(1).map_or(0, beyond);
    let above = next.map_or(0, beyond);
    below.max(above) as u8
}

fn mapped<A: Copy + Ord, B: Copy + Ord>(
    map: &RangeMap<A>,
    key: impl Fn(A) -> B,
    value: impl Fn(u32) -> u32,
) -> RangeMap<B> {
    let mut out = RangeMap::new();
    for (start, v) in map.iter() {
        out.push(key(start), value(v));
    }
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_the_shortest_prefix_inside_the_range() {
        let ip = |s: &str| u128::from(s.parse::<std::net::Ipv4Addr>().unwrap().to_bits());
        let (first, next) = (ip("10.0.0.0"), ip("10.3.0.0"));
        assert_eq!(uniform_prefix(ip("10.1.2.3"), first, Some(next), 32), 15);
        assert_eq!(uniform_prefix(ip("10.2.2.3"), first, Some(next), 32), 16);
        assert_eq!(uniform_prefix(ip("10.2.2.3"), 0, None, 32), 0);
        assert_eq!(uniform_prefix(ip("10.2.2.3"), ip("10.2.2.3"), Some(ip("10.2.2.4")), 32), 32);
        assert_eq!(uniform_prefix(u128::MAX, u128::MAX, None, 128), 128);
    }
}
