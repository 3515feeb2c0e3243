//! Whose answer it is, and how far it may be cached.

use std::net::IpAddr;

use perigee_geo::Atlas;

use crate::client_subnet::ClientSubnet;

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
    /// The client subnet's network if the regions' order from there is known, otherwise the resolver. The atlas keeps
    /// networks that nobody knows apart from all others, so every network in the returned scope is told the same.
    /// Private networks need no rule of their own: no database places them, and where an overlay does, it is meant.
    ///
    /// Source: `spec/dns.md` §2.1 and §2.3 (unknown client: use the resolver), E3, E5, E6, E18.
    pub(crate) fn of(atlas: &Atlas, source: IpAddr, subnet: Option<&ClientSubnet>) -> Self {
        let Some((address, len)) = subnet.and_then(ClientSubnet::network) else {
            return Self { address: source, from_subnet: false, scope: 0 };
        };
        let scope = atlas.scope(address, len);
        let is_known = atlas.order_of_network(address).first().is_some_and(|leg| leg.rtt_ms.is_finite());
        if is_known {
            return Self { address, from_subnet: true, scope };
        }
        Self { address: source, from_subnet: false, scope }
    }
}
