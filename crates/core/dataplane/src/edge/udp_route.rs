use std::net::IpAddr;

use perigee_geo::PopIndex;
use perigee_health::Subject;
use perigee_model::AcceleratorIndex;
use perigee_steering::{Candidate, Decision, Flow, RouteReason};

use super::{EdgeView, Refusal};

/// Where a UDP flow goes, for as long as it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpRoute {
    /// The accelerator it came in by.
    pub accelerator: AcceleratorIndex,
    /// Position of its listener.
    pub listener: usize,
    /// The edge's point of presence for this client.
    pub pop: PopIndex,
    /// The law's decision.
    pub decision: Decision,
    /// The endpoint's address.
    pub candidate: Candidate,
    /// The address that the edge sends from: the client's own where the endpoint is to see it and the edge can, and
    /// otherwise none, the edge's own.
    pub source: Option<IpAddr>,
    /// Whom ICMP from there is evidence about.
    pub subject: Option<Subject>,
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
        let candidate = router.candidate(flow, &decision).ok_or(match decision.reason {
            RouteReason::NoIpv6Endpoint => Refusal::NoIpv6Endpoint,
            _ => Refusal::NoEndpoint,
        })?;
        let source = candidate.approach(flow.client.ip(), self.snapshot.settings.client_ip).source;
        let subject = self.subject(at, &candidate);
        Ok(UdpRoute { accelerator: at.0, listener: at.1, pop, decision, candidate, source, subject })
    }

    /// Whether a flow's listener is still there and its accelerator enabled. A flow for which it is not is forgotten
    /// (`global-accelerator.md` sections 2.3 and 10); nothing else of a configuration ends one.
    pub fn serves(&self, flow: &Flow) -> bool {
        self.listener(flow).is_ok()
    }
}

#[cfg(test)]
mod tests;
