use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use ipnet::Ipv4Net;
use perigee_model::{PortRange, Protocols, RegionCode, SubnetId, TrafficState};

use crate::free_ports::length;
use crate::traffic::Traffic;
use crate::{DestinationPorts, UsableAddresses};

/// Where an endpoint stands in its accelerator, each counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointPosition {
    /// The listener.
    pub listener: usize,
    /// The endpoint group of the listener.
    pub group: usize,
    /// The endpoint of the group.
    pub endpoint: usize,
}

/// Ports of the accelerator that follow each other and lead to destinations that do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The accelerator's ports.
    pub ports: PortRange,
    /// Offset of the destination of the first port.
    pub offset: u32,
}

/// A subnet and the ports of the accelerator that lead into it: one block, unless no run of free ports was long enough.
///
/// Its destinations are numbered address-major, port-minor: the ports of the first usable address, then those of the
/// second (Perigee's choice; the original's order cannot be foretold).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// Whose it is.
    pub at: EndpointPosition,
    /// The subnet's region.
    pub region: RegionCode,
    /// The subnet.
    pub subnet: SubnetId,
    /// Its addresses.
    pub cidr: Ipv4Net,
    pub(crate) addresses: UsableAddresses,
    pub(crate) ports: Arc<DestinationPorts>,
    /// Ascending in ports and in offsets.
    pub(crate) blocks: Box<[Block]>,
    pub(crate) traffic: Traffic,
}

impl Allocation {
    /// How many destinations there are, each with a port of the accelerator.
    pub fn len(&self) -> u32 {
        self.blocks.iter().map(|b| length(b.ports)).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// How many destinations take traffic.
    pub const fn allowed(&self) -> u32 {
        self.traffic.allowed()
    }

    /// The blocks, ascending in ports and in offsets.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The destination at `offset`: where, what it speaks, and whether it takes traffic.
    pub(crate) fn destination(&self, offset: u32) -> Option<(SocketAddrV4, Protocols, TrafficState)> {
        let count = self.ports.len().max(1);
        let address = self.addresses.get(offset / count)?;
        let (port, protocols) = self.ports.get(offset % count)?;
        Some((SocketAddrV4::new(address, port), protocols, self.traffic.state(offset)))
    }

    /// The offsets of an address's destinations.
    pub(crate) fn offsets_of(&self, address: Ipv4Addr) -> std::ops::Range<u32> {
        let start = self.addresses.index_of(address).map(|index| index * self.ports.len());
        start.map_or(0..0, |start| start..start + self.ports.len())
    }

    /// The accelerator's port that leads to the destination at `offset`.
    pub(crate) fn port_of(&self, offset: u32) -> Option<u16> {
        let block = self.blocks[..self.blocks.partition_point(|b| b.offset <= offset)].last()?;
        let further = offset - block.offset;
        // Below the block's length, so within its ports.
        (further < length(block.ports)).then(|| block.ports.from_port + further as u16)
    }
}
