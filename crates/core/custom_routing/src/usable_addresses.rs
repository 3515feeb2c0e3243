use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use ipnet::Ipv4Net;

/// Addresses at the start of a subnet that nobody can have: network, router, DNS, one kept for later.
const RESERVED_FIRST: u32 = 4;

/// The address at its end: broadcast.
const RESERVED_LAST: u32 = 1;

/// The addresses of a subnet that destinations can have: all but the first four and the last.
///
/// Source: VPC user guide, "Subnet CIDR blocks"; the guide of custom routing counts 251 in a /24.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsableAddresses {
    first: u32,
    count: u32,
}

impl UsableAddresses {
    /// The prefix lengths that a subnet behind a custom routing accelerator may have.
    pub const PREFIX_LENGTHS: RangeInclusive<u8> = 17..=28;

    /// The usable addresses of `cidr`; none in one of less than six addresses.
    pub fn of(cidr: Ipv4Net) -> Self {
        let size = u64::from(u32::from(cidr.broadcast()) - u32::from(cidr.network())) + 1;
        let count = size.saturating_sub(u64::from(RESERVED_FIRST + RESERVED_LAST));
        // At most 2^32 - 5.
        Self { first: u32::from(cidr.network()).saturating_add(RESERVED_FIRST), count: count as u32 }
    }

    /// How many there are: 11 in a /28, 32,763 in a /17.
    pub const fn len(self) -> u32 {
        self.count
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.count == 0
    }

    /// The address at `index`, ascending from 0.
    pub fn get(self, index: u32) -> Option<Ipv4Addr> {
        (index < self.count).then(|| Ipv4Addr::from(self.first + index))
    }

    /// The index of `address`; none when it is outside the subnet or reserved.
    pub fn index_of(self, address: Ipv4Addr) -> Option<u32> {
        u32::from(address).checked_sub(self.first).filter(|index| *index < self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cidr: &str) -> UsableAddresses {
        UsableAddresses::of(cidr.parse().unwrap())
    }

    #[test]
    fn five_addresses_of_a_subnet_are_reserved() {
        for (cidr, count) in [("10.0.0.0/28", 11), ("10.0.0.0/24", 251), ("10.0.0.0/17", 32_763), ("10.0.0.0/30", 0)] {
            assert_eq!(of(cidr).len(), count, "{cidr}");
        }
        let subnet = of("10.1.2.0/28");
        assert_eq!(subnet.get(0), Some(Ipv4Addr::new(10, 1, 2, 4)));
        assert_eq!(subnet.get(10), Some(Ipv4Addr::new(10, 1, 2, 14)));
        assert_eq!(subnet.get(11), None);
    }

    #[test]
    fn every_usable_address_has_its_own_index_and_no_other_address_has_one() {
        let subnet = of("255.255.255.240/28");
        for last in 0..=255 {
            let address = Ipv4Addr::new(255, 255, 255, last);
            let index = subnet.index_of(address);
            assert_eq!(index.is_some(), (244..=254).contains(&last), "{address}");
            assert_eq!(index.and_then(|i| subnet.get(i)), index.map(|_| address));
        }
        assert_eq!(subnet.index_of(Ipv4Addr::new(1, 2, 3, 4)), None);
    }
}
