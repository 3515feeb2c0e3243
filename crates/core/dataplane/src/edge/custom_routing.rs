use perigee_custom_routing::{Destination, Mapping, MappingError};
use perigee_model::{CustomRoutingIndex, Snapshot, TrafficState};
use perigee_steering::{Candidate, Flow, Via};

use super::{EdgeView, Refusal};

/// The maps of all custom routing accelerators of a snapshot, in its order.
#[derive(Debug, Default)]
pub(super) struct Mappings(Box<[Mapping]>);

impl Mappings {
    /// The maps of `next`, each going on from the one of the same name in `before`; and what forbids that.
    ///
    /// A reload with a problem is refused before it comes here ([`EdgeView::mapping_problems`]). Where one comes all the
    /// same, the accelerator is mapped anew, or leads nowhere if that is impossible too.
    fn next(&self, before: &Snapshot, next: &Snapshot) -> (Self, Vec<(CustomRoutingIndex, MappingError)>) {
        let mut problems = Vec::new();
        let accelerators = next.custom_routing_accelerators.iter().enumerate();
        let mappings = accelerators.map(|(i, accelerator)| {
            let known =
                before.custom_routing_accelerators.iter().zip(&self.0).find(|(a, _)| a.name == accelerator.name);
            let made = match known {
                Some((_, mapping)) => mapping.next(next, accelerator),
                None => Mapping::new(next, accelerator),
            };
            made.unwrap_or_else(|errors| {
                problems.extend(errors.into_iter().map(|error| (CustomRoutingIndex(i), error)));
                Mapping::new(next, accelerator).unwrap_or_default()
            })
        });
        (Self(mappings.collect()), problems)
    }

    /// Those of a first configuration.
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        Self::default().next(snapshot, snapshot).0
    }

    /// Those of the configuration after `before`'s.
    pub(super) fn after(&self, before: &Snapshot, next: &Snapshot) -> Self {
        self.next(before, next).0
    }
}

impl EdgeView {
    /// Which port of a custom routing accelerator leads where.
    pub fn mapping(&self, accelerator: CustomRoutingIndex) -> &Mapping {
        &self.mappings().0[accelerator.0]
    }

    /// Why `next` must not follow this view's configuration: a custom routing listener would lose ports, or a subnet
    /// that stays would lead from others. Positions are those of `next`. Empty when nothing forbids it.
    pub fn mapping_problems(&self, next: &Snapshot) -> Vec<(CustomRoutingIndex, MappingError)> {
        self.mappings().next(&self.snapshot, next).1
    }

    /// The destination of a flow to a custom routing accelerator, which alone decides: no health, no weight, nothing
    /// else to turn to (`global-accelerator.md` section 11).
    ///
    /// Errors: the accelerator is disabled, no listener has the port, or [`Refusal::Denied`].
    pub fn destination(&self, accelerator: CustomRoutingIndex, flow: &Flow) -> Result<Destination<'_>, Refusal> {
        let configured = self.snapshot.custom_routing_accelerator(accelerator);
        let port = flow.destination.port();
        if !configured.enabled {
            return Err(Refusal::Disabled);
        }
        if !configured.listeners.iter().any(|l| l.listens_on(port)) {
            return Err(Refusal::NoListener);
        }
        let is_open = |d: &Destination<'_>| d.state == TrafficState::Allow && d.protocols.contains(flow.protocol);
        self.mapping(accelerator).destination(port).filter(is_open).ok_or(Refusal::Denied)
    }

    /// The only candidate of a flow to a custom routing accelerator, and the position of its listener. The client's
    /// address is preserved. Errors: those of [`Self::destination`].
    pub(super) fn mapped_candidate(
        &self,
        accelerator: CustomRoutingIndex,
        flow: &Flow,
    ) -> Result<(usize, Candidate), Refusal> {
        let destination = self.destination(accelerator, flow)?;
        let at = destination.allocation.at;
        let listeners = &self.snapshot.custom_routing_accelerator(accelerator).listeners;
        let candidate = Candidate {
            group: at.group,
            endpoint: at.endpoint,
            region: listeners[at.listener].endpoint_groups[at.group].region,
            via: Via::Direct,
            address: destination.address.into(),
            client_ip_preservation: true,
        };
        Ok((at.listener, candidate))
    }
}

#[cfg(test)]
mod tests;
