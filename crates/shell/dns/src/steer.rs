//! Whose answer it is, and how far it may be cached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use perigee_geo::{Atlas, Origin, embedded_ipv4};

use crate::client_subnet::ClientSubnet;

/// Longest prefix that is looked at unless the atlas tells longer ones apart (`spec/dns.md` §4.3, point 5, and §4.4).
const BOUND_V4: u8 = 24;
const BOUND_V6: u8 = 48;

/// Blocks that say nothing about a place on the public Internet (`spec/dns.md`, E18): RFC 1918, RFC 4193, loopback,
/// documentation (RFC 5737, RFC 3849).
const PRIVATE_V4: [(Ipv4Addr, u8); 7] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
];
const PRIVATE_V6: [(Ipv6Addr, u8); 3] = [
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    (Ipv6Addr::LOCALHOST, 128),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
];

/// Who an answer is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// The address whose place decides.
    pub(crate) address: IpAddr,
    /// Whether it comes from the client subnet; otherwise it is the resolver's.
    pub(crate) from_subnet: bool,
    /// The ECS scope of an answer made for it; 0 without a client subnet.
    pub(crate) scope: u8,
}

impl Client {
    /// The client of a query from `source`.
    ///
    /// The client subnet's network if it has one whose place is known, otherwise the resolver. Only the bits inside
    /// the returned scope (or the bound, if that is longer) are looked at, so every network in the scope is told the
    /// same.
    ///
    /// Source: `spec/dns.md` §2.1 and §2.3 (unknown client: use the resolver), E3, E5, E6, E18.
    pub(crate) fn of(atlas: &Atlas, source: IpAddr, subnet: Option<&ClientSubnet>) -> Self {
        let Some((address, len)) = subnet.and_then(ClientSubnet::network) else {
            return Self { address: source, from_subnet: false, scope: 0 };
        };
        let scope = atlas.scope(address, len);
        let looked_at = scope.max(bound(address));
        let address = IpNet::new(address, looked_at).map_or(address, |net| net.network());
        if atlas.locate(address).origin != Origin::Unknown {
            return Self { address, from_subnet: true, scope };
        }
        let private = private_block(address).filter(|block| {
            let touches = |prefix: IpNet| prefix.contains(block) || block.contains(&prefix);
            !atlas.prefixes().any(|(prefix, _)| touches(prefix))
        });
        let scope = private.map_or(looked_at, |block| block.prefix_len());
        Self { address: source, from_subnet: false, scope }
    }
}

fn bound(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => BOUND_V4,
        IpAddr::V6(v6) => embedded_ipv4(v6).map_or(BOUND_V6, |(_, offset)| offset + BOUND_V4),
    }
}

fn private_block(address: IpAddr) -> Option<IpNet> {
    let v4 = PRIVATE_V4.iter().filter_map(|(a, len)| Ipv4Net::new(*a, *len).ok()).map(IpNet::V4);
    let v6 = PRIVATE_V6.iter().filter_map(|(a, len)| Ipv6Net::new(*a, *len).ok()).map(IpNet::V6);
    v4.chain(v6).find(|block| block.contains(&address))
}
