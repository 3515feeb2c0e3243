use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Octets before the address: family, source and scope prefix length.
const FIXED: usize = 4;

/// The EDNS Client Subnet of a query (RFC 7871), checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientSubnet {
    /// The option as it came, with room for the longest.
    bytes: [u8; FIXED + 16],
    len: usize,
    address: Option<IpAddr>,
}

/// The option is one that must be answered with FORMERR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl ClientSubnet {
    /// Checks an option's data.
    ///
    /// Source: `spec/dns.md` §4.2, E8 to E12 and E14. Family 0 with source 0 is an opt-out, as `dig +subnet=0` sends it.
    pub(crate) fn parse(data: &[u8]) -> Result<Self, Malformed> {
        let [family_high, family_low, source, scope, address @ ..] = data else { return Err(Malformed) };
        let width: u8 = match u16::from_be_bytes([*family_high, *family_low]) {
            0 => 0,
            1 => 32,
            2 => 128,
            _ => return Err(Malformed),
        };
        if *scope != 0 || *source > width || address.len() != usize::from(source.div_ceil(8)) {
            return Err(Malformed);
        }
        let unused_bits = (8 - source % 8) % 8;
        if address.last().is_some_and(|last| last & !(0xff << unused_bits) != 0) {
            return Err(Malformed);
        }
        let mut bytes = [0; FIXED + 16];
        bytes[..data.len()].copy_from_slice(data);
        let mut octets = [0; 16];
        octets[..address.len()].copy_from_slice(address);
        let address = match (*source, width) {
            (0, _) => None,
            (_, 32) => Some(IpAddr::V4(Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]))),
            _ => Some(IpAddr::V6(Ipv6Addr::from(octets))),
        };
        Ok(Self { bytes, len: data.len(), address })
    }

    /// The network's address, padded with zeros, and its length in bits; none if the client opted out (E3).
    pub(crate) fn network(&self) -> Option<(IpAddr, u8)> {
        self.address.map(|address| (address, self.bytes[2]))
    }

    /// The option's data as it came.
    pub(crate) fn as_octets(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The option's data for the response: family, source and address unchanged, `scope` set (E2).
    pub(crate) fn with_scope(&self, scope: u8) -> Vec<u8> {
        let mut data = self.bytes[..self.len].to_vec();
        data[3] = scope;
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_subnets_are_told_apart_from_good_ones() {
        type Network = Option<(&'static str, u8)>;
        let good: [(&[u8], Network); 6] = [
            (&[0, 1, 24, 0, 168, 126, 63], Some(("168.126.63.0", 24))),
            (&[0, 1, 20, 0, 168, 126, 0x30], Some(("168.126.48.0", 20))),
            (&[0, 1, 32, 0, 1, 2, 3, 4], Some(("1.2.3.4", 32))),
            (&[0, 2, 33, 0, 0x24, 0x06, 0xda, 0x18, 0x80], Some(("2406:da18:8000::", 33))),
            (&[0, 1, 0, 0], None),
            (&[0, 0, 0, 0], None),
        ];
        for (data, network) in good {
            let subnet = ClientSubnet::parse(data).unwrap();
            let network = network.map(|(address, len)| (address.parse::<IpAddr>().unwrap(), len));
            assert_eq!(subnet.network(), network, "{data:?}");
        }
        let bad: [(&str, &[u8]); 13] = [
            ("empty (E14)", &[]),
            ("three octets (E14)", &[0, 1, 0]),
            ("scope in a query (E8)", &[0, 1, 24, 24, 1, 2, 3]),
            ("address too short (E9)", &[0, 1, 24, 0, 1, 2]),
            ("address too long (E9)", &[0, 1, 24, 0, 1, 2, 3, 0]),
            ("address without source (E9)", &[0, 1, 0, 0, 1]),
            ("bits beyond the source (E10)", &[0, 1, 20, 0, 168, 126, 0x3f]),
            ("bits beyond the source, IPv6 (E10)", &[0, 2, 33, 0, 0x24, 0x06, 0, 0, 0x40]),
            ("source 33 of IPv4 (E11)", &[0, 1, 33, 0, 1, 2, 3, 4, 0]),
            ("source 129 of IPv6 (E11)", &[0, 2, 129, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            ("family 3 (E12)", &[0, 3, 8, 0, 1]),
            ("family 256 (E12)", &[1, 0, 8, 0, 1]),
            ("family 0 with an address (E12)", &[0, 0, 8, 0, 1]),
        ];
        for (name, data) in bad {
            assert_eq!(ClientSubnet::parse(data), Err(Malformed), "{name}");
        }
    }

    #[test]
    fn the_echo_differs_in_the_scope_alone() {
        let data = [0, 1, 20, 0, 168, 126, 0x30];
        assert_eq!(ClientSubnet::parse(&data).unwrap().with_scope(14), [0, 1, 20, 14, 168, 126, 0x30]);
    }
}
