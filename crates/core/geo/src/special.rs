//! Networks that no client on the Internet has: who claims one says nothing about where it is (`spec/dns.md`, E18).

use std::net::{Ipv4Addr, Ipv6Addr};

/// First address and prefix length: private (RFC 1918), shared (RFC 6598), loopback, link-local and documentation
/// networks (RFC 6890), ascending.
const IPV4: [(Ipv4Addr, u8); 9] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
];

/// Loopback, documentation (RFC 3849), unique local (RFC 4193) and link-local networks, ascending.
const IPV6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::LOCALHOST, 128),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
];

/// First and last address as numbers.
type Block = (u128, u128);

/// The networks, IPv4 and IPv6, ascending.
pub(crate) fn blocks() -> (Vec<Block>, Vec<Block>) {
    let ipv4 = IPV4.iter().map(|(first, len)| {
        let first = first.to_bits();
        (first.into(), (first | (u32::MAX >> len)).into())
    });
    let ipv6 = IPV6.iter().map(|(first, len)| {
        let first = first.to_bits();
        (first, first | u128::MAX.checked_shr((*len).into()).unwrap_or(0))
    });
    (ipv4.collect(), ipv6.collect())
}
