use std::net::Ipv4Addr;

use super::{Atlas, PlaceIndex};
use crate::database::NO_PLACE;

/// Neighbouring IPv4 addresses of one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressBlock {
    /// The first address.
    pub first: Ipv4Addr,
    /// How many addresses, 1 to 2^32; not always a power of two.
    pub count: u64,
    /// Where they are.
    pub place: PlaceIndex,
}

impl AddressBlock {
    /// The address `offset` behind the first one; offsets beyond the block are its last address.
    pub fn address(&self, offset: u64) -> Ipv4Addr {
        let offset = offset.min(self.count.saturating_sub(1));
        Ipv4Addr::from_bits(self.first.to_bits().saturating_add(u32::try_from(offset).unwrap_or(u32::MAX)))
    }
}

impl Atlas {
    /// The IPv4 addresses of the database's places that have a location, their own or their country's stand-in:
    /// where a simulated client's address can come from. Addresses under a prefix of the overlay are left out, so
    /// [`Atlas::locate`] of every address here is the block's place.
    ///
    /// In ascending order; neighbouring blocks have different places. The call copies the IPv4 table once (a few
    /// megabytes, milliseconds); the steps allocate nothing.
    pub fn address_blocks(&self) -> impl Iterator<Item = AddressBlock> {
        let of_database = self.database.places.len();
        let ranges = self.database.ipv4.overlaid(&self.overlay.ipv4, NO_PLACE).into_ranges();
        ranges.filter_map(move |(first, next, place)| {
            let known = (place as usize) < of_database && self.location_of(PlaceIndex(place)).is_some();
            known.then(|| AddressBlock {
                first: Ipv4Addr::from_bits(first),
                count: next.map_or(1 << 32, u64::from) - u64::from(first),
                place: PlaceIndex(place),
            })
        })
    }
}
