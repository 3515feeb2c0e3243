//! Which port of a custom routing accelerator leads to which address and port of which subnet, and whether it may.
//!
//! The map is made when a subnet is added and never changes: neither another subnet nor a listener that grows disturbs
//! it. Nothing here knows health, weights, clients or regions' distances, for custom routing has none of them (Global
//! Accelerator developer guide, "How custom routing accelerators work"; `global-accelerator.md` section 11). Start with
//! [`Mapping`], which answers in both directions, and [`Destination`], one row of it.

mod allocation;
mod destination_ports;
mod free_ports;
mod mapping;
mod traffic;
mod usable_addresses;

pub use allocation::{Allocation, Block, EndpointPosition};
pub use destination_ports::DestinationPorts;
pub use mapping::{Destination, Mapping, MappingError, ports_needed};
pub use usable_addresses::UsableAddresses;
