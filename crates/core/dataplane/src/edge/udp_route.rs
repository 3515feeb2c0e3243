use std::net::IpAddr;

use perigee_geo::PopIndex;
use perigee_model::{AcceleratorIndex, ClientIp};
use perigee_steering::{Candidate, Decision, Flow};

use super::{EdgeView, Refusal};

/// Where a UDP flow goes, for as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpRoute {
    /// The accelerator it came in by.
    pub accelerator: AcceleratorIndex,
    /// The edge's point of presence for this client.
    pub pop: PopIndex,
    /// The law's decision.
    pub decision: Decision,
    /// The endpoint's address.
    pub candidate: Candidate,
    /// The address that the edge sends from: the client's own where the endpoint is to see it and the edge can, and
    /// otherwise none, the edge's own.
    pub source: Option<IpAddr>,
}

/// Whether an edge can make its second leg from the client's own address, instead of saying who the client is in a
/// header: where the operator says so, or on loopback, where every address is this machine's.
pub fn binds_client_address(client_ip: ClientIp, client: IpAddr, endpoint: IpAddr) -> bool {
    let on_loopback = |a: IpAddr| matches!(a, IpAddr::V4(a) if a.is_loopback());
    match client_ip {
        ClientIp::Bind => true,
        ClientIp::ProxyV2 => false,
        ClientIp::Auto => on_loopback(client) && on_loopback(endpoint),
    }
}

impl EdgeView {
    /// Where the first datagram of `flow` goes, and all that follow it: the law of section 9 of
    /// `global-accelerator.md`, so an endpoint known to be dead is not chosen unless everything is dead.
    ///
    /// There are no further candidates: nobody can tell a datagram that was lost from one that has no answer. Errors:
    /// nothing listens there, the accelerator is disabled, or the listener has no endpoint; the datagram is dropped.
    pub fn route_udp(&self, flow: &Flow) -> Result<UdpRoute, Refusal> {
        let at = self.listener(flow)?;
        let pop = self.pop_for(flow.client.ip());
        let router = self.router(at, pop);
        let decision = router.decide(flow, &mut ());
        let candidate = router.candidate(flow, &decision).ok_or(Refusal::NoEndpoint)?;
        let client = flow.client.ip();
        let binds = binds_client_address(self.snapshot.settings.client_ip, client, candidate.address.ip());
        let source = (binds && candidate.client_ip_preservation).then_some(client);
        Ok(UdpRoute { accelerator: at.0, pop, decision, candidate, source })
    }

    /// Whether a flow's listener is still there and its accelerator enabled. A flow for which it is not is forgotten
    /// (`global-accelerator.md` sections 2.3 and 10); nothing else of a configuration ends one.
    pub fn serves(&self, flow: &Flow) -> bool {
        self.listener(flow).is_ok()
    }
}

#[cfg(test)]
mod tests;
