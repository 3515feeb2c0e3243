use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::Ipv4Net;
use perigee_model::{
    CustomRoutingAccelerator, DestinationConfiguration, PortRange, RegionCode, Snapshot, SubnetId, TrafficRule,
};

use super::{Mapping, MappingError};
use crate::free_ports::{FreePorts, length};
use crate::traffic::Traffic;
use crate::{Allocation, Block, DestinationPorts, EndpointPosition, UsableAddresses};

/// How many ports of a listener a subnet takes: its usable addresses times the group's destination ports, whatever
/// their protocols (`global-accelerator.md` section 11).
pub fn ports_needed(cidr: Ipv4Net, configurations: &[DestinationConfiguration]) -> u64 {
    u64::from(UsableAddresses::of(cidr).len()) * u64::from(DestinationPorts::of(configurations).len())
}

/// An endpoint of a configuration.
struct Draft<'a> {
    at: EndpointPosition,
    region: &'a RegionCode,
    subnet: &'a SubnetId,
    cidr: Ipv4Net,
    addresses: UsableAddresses,
    ports: Arc<DestinationPorts>,
    traffic: &'a [TrafficRule],
}

impl Mapping {
    /// The map of `accelerator`, an accelerator of `snapshot`, made from its configuration alone: endpoint by endpoint in
    /// the order of the file. Which endpoints fit does not depend on the order, which ports they get does.
    ///
    /// Errors: every endpoint that finds too few ports ([`MappingError::LimitExceeded`]).
    pub fn new(snapshot: &Snapshot, accelerator: &CustomRoutingAccelerator) -> Result<Self, Vec<MappingError>> {
        Self::default().next(snapshot, accelerator)
    }

    /// The map after this one for a new configuration of the same accelerator. Endpoints that stay keep their ports, those
    /// that are gone free them, then the new ones are mapped in the order of the file.
    ///
    /// Errors: all there are. A listener may grow or go, and not lose a single port; a subnet's region, addresses and
    /// destination ports must be the same as long as it stays ([`MappingError`]). What is allowed may change.
    pub fn next(&self, snapshot: &Snapshot, accelerator: &CustomRoutingAccelerator) -> Result<Self, Vec<MappingError>> {
        let listeners: Box<[Box<[PortRange]>]> =
            accelerator.listeners.iter().map(|l| l.port_ranges.clone().into()).collect();
        let whole: Vec<FreePorts> = listeners.iter().map(|ranges| FreePorts::of(ranges)).collect();
        let mut errors = self.shrunk(&whole);
        let drafts = drafts(snapshot, accelerator);
        let kept = self.kept(&drafts, &whole);
        if errors.is_empty() {
            errors = self.remapped(&drafts, &kept);
        }
        if !errors.is_empty() {
            return Err(errors);
        }

        let mut free = whole;
        for (draft, kept) in drafts.iter().zip(&kept) {
            for block in kept.map(|i| &self.allocations[i].blocks).into_iter().flatten() {
                free[draft.at.listener].remove(block.ports);
            }
        }
        let mut allocations = Vec::with_capacity(drafts.len());
        for (draft, kept) in drafts.iter().zip(&kept) {
            let free = &mut free[draft.at.listener];
            match kept {
                Some(i) => allocations.push(draft.allocation(self.allocations[*i].blocks.clone())),
                None => match draft.find(free) {
                    Ok(blocks) => allocations.push(draft.allocation(blocks)),
                    Err(error) => errors.push(error),
                },
            }
        }
        if errors.is_empty() { Ok(Self::assemble(allocations, listeners)) } else { Err(errors) }
    }

    /// The ranges that the new listeners have only in part, or in several pieces.
    fn shrunk(&self, whole: &[FreePorts]) -> Vec<MappingError> {
        let mut errors = Vec::new();
        for ranges in &self.listeners {
            // A listener none of whose ports is left is gone, and its endpoints with it.
            let has_some = |ports: &FreePorts| ranges.iter().any(|range| ports.touches(*range));
            let mut heirs = whole.iter().enumerate().filter(|(_, ports)| has_some(ports));
            let Some((listener, heir)) = heirs.next() else { continue };
            let is_shared_out = heirs.next().is_some();
            let lost = ranges.iter().filter(|range| is_shared_out || !heir.covers(**range));
            errors.extend(lost.map(|range| MappingError::Shrunk { listener, range: *range }));
        }
        errors
    }

    /// For each endpoint of the new configuration the allocation it keeps: of the same subnet and the same destinations,
    /// with ports of its own listener. Each allocation is kept once.
    fn kept<'a>(&'a self, drafts: &[Draft<'a>], whole: &[FreePorts]) -> Vec<Option<usize>> {
        let mut known: BTreeMap<(&RegionCode, &SubnetId), Vec<usize>> = BTreeMap::new();
        for (i, allocation) in self.allocations.iter().enumerate() {
            known.entry((&allocation.region, &allocation.subnet)).or_default().push(i);
        }
        let keep = |draft: &Draft<'a>| {
            let candidates = known.get_mut(&(draft.region, draft.subnet))?;
            let fits = |i: &usize| {
                let allocation = &self.allocations[*i];
                let listener = &whole[draft.at.listener];
                allocation.cidr == draft.cidr
                    && allocation.ports == draft.ports
                    && allocation.blocks.iter().all(|block| listener.covers(block.ports))
            };
            let at = candidates.iter().position(fits)?;
            Some(candidates.remove(at))
        };
        drafts.iter().map(keep).collect()
    }

    /// The endpoints that are there before and after and would not keep their ports.
    fn remapped<'a>(&'a self, drafts: &[Draft<'a>], kept: &[Option<usize>]) -> Vec<MappingError> {
        let mut gone: BTreeMap<(&RegionCode, &SubnetId), Vec<u16>> = BTreeMap::new();
        for (i, allocation) in self.allocations.iter().enumerate() {
            if !kept.contains(&Some(i))
                && let Some(first) = allocation.blocks.first()
            {
                gone.entry((&allocation.region, &allocation.subnet)).or_default().push(first.ports.from_port);
            }
        }
        let new = drafts.iter().zip(kept).filter(|(_, kept)| kept.is_none());
        let moved = new.filter_map(|(draft, _)| {
            let first_port = gone.get_mut(&(draft.region, draft.subnet))?.pop()?;
            Some(MappingError::Remapped { at: draft.at, first_port })
        });
        moved.collect()
    }
}

/// The endpoints of an accelerator in the order of the file.
fn drafts<'a>(snapshot: &'a Snapshot, accelerator: &'a CustomRoutingAccelerator) -> Vec<Draft<'a>> {
    let mut drafts = Vec::new();
    for (listener, of_accelerator) in accelerator.listeners.iter().enumerate() {
        for (group, of_listener) in of_accelerator.endpoint_groups.iter().enumerate() {
            let ports = Arc::new(DestinationPorts::of(&of_listener.destination_configurations));
            for (endpoint, of_group) in of_listener.endpoints.iter().enumerate() {
                let subnet = snapshot.subnet(of_group.subnet);
                drafts.push(Draft {
                    at: EndpointPosition { listener, group, endpoint },
                    region: &snapshot.region(subnet.region).code,
                    subnet: &subnet.id,
                    cidr: subnet.cidr,
                    addresses: UsableAddresses::of(subnet.cidr),
                    ports: ports.clone(),
                    traffic: &of_group.traffic,
                });
            }
        }
    }
    drafts
}

impl Draft<'_> {
    /// Takes ports for a new endpoint. Errors: there are too few.
    fn find(&self, free: &mut FreePorts) -> Result<Box<[Block]>, MappingError> {
        let needed = u64::from(self.addresses.len()) * u64::from(self.ports.len());
        let pieces = u32::try_from(needed).ok().and_then(|count| free.take(count));
        let pieces = pieces.ok_or_else(|| MappingError::LimitExceeded { at: self.at, needed, free: free.count() })?;
        let mut offset = 0;
        let block = |ports: PortRange| {
            let block = Block { ports, offset };
            offset += length(ports);
            block
        };
        Ok(pieces.into_iter().map(block).collect())
    }

    /// The endpoint on its ports.
    fn allocation(&self, blocks: Box<[Block]>) -> Allocation {
        Allocation {
            at: self.at,
            region: self.region.clone(),
            subnet: self.subnet.clone(),
            cidr: self.cidr,
            addresses: self.addresses,
            ports: self.ports.clone(),
            blocks,
            traffic: Traffic::of(self.traffic, self.addresses, &self.ports),
        }
    }
}
