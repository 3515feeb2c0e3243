use std::net::{Ipv4Addr, Ipv6Addr};

/// A block of IPv6 addresses that each carry an IPv4 address.
struct Block {
    first: u128,
    prefix_len: u8,
    /// Bits before the carried address.
    offset: u8,
    /// Teredo carries the client's address inverted.
    inverted: bool,
}

/// IPv4-mapped (RFC 4291 section 2.5.5.2), NAT64's well-known prefix (RFC 6052 section 2.1), Teredo (RFC 4380
/// section 4), 6to4 (RFC 3056 section 2); ascending.
const BLOCKS: [Block; 4] = [
    Block { first: 0xffff << 32, prefix_len: 96, offset: 96, inverted: false },
    Block { first: 0x0064_ff9b << 96, prefix_len: 96, offset: 96, inverted: false },
    Block { first: 0x2001_0000 << 96, prefix_len: 32, offset: 96, inverted: true },
    Block { first: 0x2002 << 112, prefix_len: 16, offset: 16, inverted: false },
];

/// The IPv4 address that an IPv6 transition address stands for, and the number of bits before it.
///
/// None: an ordinary IPv6 address. Source: `spec/dns.md`, E19.
pub fn embedded_ipv4(address: Ipv6Addr) -> Option<(Ipv4Addr, u8)> {
    let bits = address.to_bits();
    let block = BLOCKS.iter().find(|b| bits >> (128 - b.prefix_len) == b.first >> (128 - b.prefix_len))?;
    let carried = (bits >> (96 - block.offset)) as u32;
    Some((Ipv4Addr::from_bits(if block.inverted { !carried } else { carried }), block.offset))
}

/// First and last address of the blocks above, ascending.
pub(crate) fn blocks() -> impl Iterator<Item = (u128, u128)> {
    BLOCKS.iter().map(|b| (b.first, b.first | (u128::MAX >> b.prefix_len)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_transition_address_folds_to_the_address_it_carries() {
        let seoul: Ipv4Addr = "168.126.63.1".parse().unwrap();
        for (v6, offset) in [
            ("::ffff:168.126.63.1", 96),
            ("64:ff9b::168.126.63.1", 96),
            ("2002:a87e:3f01::1", 16),
            ("2001:0:4136:e378:8000:63bf:5781:c0fe", 96),
        ] {
            assert_eq!(embedded_ipv4(v6.parse().unwrap()), Some((seoul, offset)), "{v6}");
        }
        for plain in ["::", "::1", "::1.2.3.4", "64:ff9b:1::1", "2001:1::", "2003::", "2001:200::1"] {
            assert_eq!(embedded_ipv4(plain.parse().unwrap()), None, "{plain}");
        }
    }
}
