//! Whose answer it is, and how far it may be cached.

use std::net::IpAddr;

use perigee_geo::Atlas;
use perigee_steering::DnsClient;

use crate::client_subnet::ClientSubnet;
use crate::respond::Query;
use crate::zones::Zone;

/// Who asks, as far as the zone wants to know: a zone may leave client subnets aside (E20).
pub(crate) fn client(zone: &Zone, query: &Query<'_>) -> DnsClient {
    let subnet = query.subnet.filter(|_| zone.client_subnet);
    DnsClient { network: subnet.and_then(ClientSubnet::network), resolver: query.source }
}

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
    /// Whose place decides for `client`.
    ///
    /// The client subnet's network if the regions' order from there is known, otherwise the resolver. The atlas keeps
    /// networks that nobody knows apart from all others, so every network in the returned scope is told the same.
    /// Private networks need no rule of their own: no database places them, and where an overlay does, it is meant.
    ///
    /// Source: `spec/dns.md` §2.1 and §2.3 (unknown client: use the resolver), E3, E5, E6, E18.
    pub(crate) fn of(atlas: &Atlas, client: &DnsClient) -> Self {
        let Some((address, len)) = client.network else {
            return Self { address: client.resolver, from_subnet: false, scope: 0 };
        };
        let scope = atlas.scope(address, len);
        let is_known = atlas.order_of_network(address).first().is_some_and(|leg| leg.rtt_ms.is_finite());
        if is_known {
            return Self { address, from_subnet: true, scope };
        }
        Self { address: client.resolver, from_subnet: false, scope }
    }
}
