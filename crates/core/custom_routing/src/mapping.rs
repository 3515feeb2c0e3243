mod make;

use std::net::{Ipv4Addr, SocketAddrV4};

use perigee_model::{PortRange, Protocols, TrafficState};
use thiserror::Error;

use crate::{Allocation, EndpointPosition};

pub use make::ports_needed;

/// Which port of one custom routing accelerator leads to which destination.
///
/// Each subnet holds blocks of ports, found when it was added: first fit by ascending port of its listener, in one block
/// where a run of free ports is long enough, otherwise in pieces (Perigee's choice; the original allocates blocks in an
/// order that cannot be foretold). So the map is a few blocks, not a row for each of up to 65,535 ports; rows are made
/// when asked for. Both directions take a binary search.
///
/// [`Mapping::new`] makes it from a configuration alone, in its order; [`Mapping::next`] goes on from the map in force,
/// of which nothing that stays is changed. Deterministic, draws nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// In the order of listeners, groups and endpoints.
    allocations: Box<[Allocation]>,
    /// Every block's first port, ascending, with the allocation and which block of it.
    by_port: Box<[(u16, u32, u32)]>,
    /// The first address of each allocation's subnet, ascending.
    by_network: Box<[(u32, u32)]>,
    /// The ranges of each listener the map was made for: what must not shrink.
    listeners: Box<[Box<[PortRange]>]>,
}

/// One row of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination<'a> {
    /// The accelerator's port that leads here, on both static addresses.
    pub accelerator_port: u16,
    /// The address and port in the subnet.
    pub address: SocketAddrV4,
    /// What it speaks.
    pub protocols: Protocols,
    /// Whether it takes traffic.
    pub state: TrafficState,
    /// The subnet and whose it is.
    pub allocation: &'a Allocation,
}

/// Why a map cannot be made, or not be changed so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MappingError {
    /// The listener that had these ports has no longer all of them.
    #[error(
        "the port range {}-{} of a custom routing listener may grow but not shrink, move or be shared out",
        range.from_port, range.to_port
    )]
    Shrunk {
        /// The listener of the new configuration that has the rest of them.
        listener: usize,
        /// A range that is no longer whole.
        range: PortRange,
    },
    /// An endpoint that stays would lead from other ports than before.
    #[error(
        "the subnet is mapped from port {first_port} on and its mapping never changes: take it out in one reload, \
         and add it again in another"
    )]
    Remapped {
        /// The endpoint in the new configuration.
        at: EndpointPosition,
        /// The first port it was mapped to.
        first_port: u16,
    },
    /// The listener has too few free ports. The original's name of the error.
    #[error("LimitExceeded: the subnet needs {needed} ports and the listener has {free} left")]
    LimitExceeded {
        /// The endpoint.
        at: EndpointPosition,
        /// Usable addresses times destination ports.
        needed: u64,
        /// Ports of the listener that lead nowhere yet.
        free: u32,
    },
}

impl Mapping {
    /// The subnets with their blocks, in the order of listeners, groups and endpoints.
    pub fn allocations(&self) -> &[Allocation] {
        &self.allocations
    }

    /// Where a port of the accelerator leads; none when it is not mapped.
    pub fn destination(&self, port: u16) -> Option<Destination<'_>> {
        let at = self.by_port.partition_point(|(first, ..)| *first <= port).checked_sub(1)?;
        self.row(at, port)
    }

    /// The rows from accelerator port `first_port` on, ascending; made one by one.
    pub fn rows(&self, first_port: u16) -> impl Iterator<Item = Destination<'_>> {
        let at = self.by_port.partition_point(|(first, ..)| *first <= first_port).saturating_sub(1);
        let ports = move |at: usize| self.block(at).ports.from_port.max(first_port)..=self.block(at).ports.to_port;
        (at..self.by_port.len()).flat_map(move |at| ports(at).filter_map(move |port| self.row(at, port)))
    }

    /// The rows that lead to an address, subnet by subnet in the order of [`Self::allocations`], ascending in its ports.
    /// None for one that is in no subnet, or reserved.
    ///
    /// Subnets do not overlap; the same one may be there several times, behind several listeners.
    pub fn rows_to(&self, address: Ipv4Addr) -> impl Iterator<Item = Destination<'_>> {
        let upto = self.by_network.partition_point(|(network, _)| *network <= u32::from(address));
        let network = upto.checked_sub(1).map(|last| self.by_network[last].0);
        let from = self.by_network.partition_point(|(n, _)| Some(*n) < network);
        let same = &self.by_network[from.min(upto)..upto];
        same.iter().map(|(_, index)| &self.allocations[*index as usize]).flat_map(move |allocation| {
            let row = move |offset| Self::row_at(allocation, offset, allocation.port_of(offset)?);
            allocation.offsets_of(address).filter_map(row)
        })
    }

    /// The accelerator's ports that lead to an address and port: one for each listener that has its subnet.
    pub fn ports_to(&self, destination: SocketAddrV4) -> impl Iterator<Item = u16> {
        self.rows_to(*destination.ip()).filter(move |d| d.address == destination).map(|d| d.accelerator_port)
    }

    /// How many ports lead somewhere.
    pub fn len(&self) -> u32 {
        self.allocations.iter().map(Allocation::len).sum()
    }

    /// Whether none does.
    pub const fn is_empty(&self) -> bool {
        self.allocations.is_empty()
    }

    fn block(&self, at: usize) -> crate::Block {
        let (_, allocation, block) = self.by_port[at];
        self.allocations[allocation as usize].blocks[block as usize]
    }

    fn row(&self, at: usize, port: u16) -> Option<Destination<'_>> {
        let block = self.block(at);
        let allocation = &self.allocations[self.by_port[at].1 as usize];
        if !block.ports.contains(port) {
            return None;
        }
        Self::row_at(allocation, block.offset + u32::from(port - block.ports.from_port), port)
    }

    fn row_at(allocation: &Allocation, offset: u32, accelerator_port: u16) -> Option<Destination<'_>> {
        let (address, protocols, state) = allocation.destination(offset)?;
        Some(Destination { accelerator_port, address, protocols, state, allocation })
    }

    fn assemble(allocations: Vec<Allocation>, listeners: Box<[Box<[PortRange]>]>) -> Self {
        // At most 65,535 blocks, for each holds a port.
        let numbered = || (0_u32..).zip(&allocations);
        let blocks =
            numbered().flat_map(|(i, a)| (0_u32..).zip(&a.blocks).map(move |(b, block)| (block.ports.from_port, i, b)));
        let mut by_port: Vec<(u16, u32, u32)> = blocks.collect();
        by_port.sort_unstable();
        let mut by_network: Vec<(u32, u32)> = numbered().map(|(i, a)| (u32::from(a.cidr.network()), i)).collect();
        by_network.sort_unstable();
        Self { allocations: allocations.into(), by_port: by_port.into(), by_network: by_network.into(), listeners }
    }
}

#[cfg(test)]
#[path = "mapping/tests.rs"]
mod tests;
