use std::net::IpAddr;

use ipnet::IpNet;

use crate::database::NO_PLACE;
use crate::range_map::RangeMap;
use crate::tables::rows;
use crate::{GeoError, Place, transition};

/// Prefixes that are placed by hand, above the database: simulated clients, private networks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overlay {
    /// In any order; the longest prefix that holds an address decides.
    pub entries: Vec<OverlayEntry>,
}

/// A prefix and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct OverlayEntry {
    /// Without host bits.
    pub prefix: IpNet,
    /// Where its addresses are; none for the operator's own place, which is named when the atlas is built.
    pub place: Option<Place>,
}

impl Overlay {
    /// Prefixes that an overlay may have (Perigee's choice: a lookup stays a binary search, a build stays quick).
    pub const MAX_ENTRIES: usize = 1_024;

    /// Reads an overlay, CSV with the header `prefix,place,country,latitude,longitude`. The place `here` with nothing
    /// behind it is the operator's own.
    ///
    /// Errors: the first wrong line. Whether prefixes clash is said by [`Atlas::build`](crate::Atlas::build).
    pub fn parse(overlay_csv: &[u8]) -> Result<Self, GeoError> {
        let mut entries = Vec::new();
        for row in rows("overlay", overlay_csv, Some(&["prefix", "place", "country", "latitude", "longitude"]))? {
            let prefix = row.text(0)?;
            let prefix: IpNet = prefix.parse().map_err(|_| row.wrong(format!("{prefix:?} is no prefix")))?;
            let city = row.text(1)?;
            let rest_is_empty = (2..5).all(|column| row.raw(column).is_empty());
            let place = if city == "here" && rest_is_empty {
                None
            } else {
                Some(Place { city: city.into(), country: row.country(2)?.into(), location: Some(row.location(3)?) })
            };
            entries.push(OverlayEntry { prefix, place });
        }
        Ok(Self { entries })
    }

    /// Errors on too many prefixes, host bits, one prefix twice, and prefixes of transition addresses, which would
    /// never be asked for.
    pub(crate) fn check(&self) -> Result<(), GeoError> {
        if self.entries.len() > Self::MAX_ENTRIES {
            return Err(GeoError::OverlayTooLong { entries: self.entries.len(), max: Self::MAX_ENTRIES });
        }
        for (i, OverlayEntry { prefix, .. }) in self.entries.iter().enumerate() {
            let wrong = |problem| Err(GeoError::Overlay { prefix: *prefix, problem });
            if *prefix != prefix.trunc() {
                return wrong("bits are set behind the prefix length");
            }
            if self.entries[..i].iter().any(|e| e.prefix == *prefix) {
                return wrong("given twice");
            }
            let IpNet::V6(v6) = prefix else { continue };
            let (first, last) = (v6.network().to_bits(), v6.broadcast().to_bits());
            if transition::blocks().any(|(start, end)| start <= first && last <= end) {
                return wrong("these IPv6 addresses carry IPv4 addresses: give the IPv4 prefix");
            }
        }
        Ok(())
    }
}

/// The overlay as two maps of the address space, [`NO_PLACE`] where it says nothing.
#[derive(Debug)]
pub(crate) struct OverlayMaps {
    pub(crate) ipv4: RangeMap<u32>,
    pub(crate) ipv6: RangeMap<u128>,
}

impl OverlayMaps {
    /// Flattens prefixes with the index of their place.
    pub(crate) fn new(entries: &[(IpNet, u32)]) -> Self {
        let mut maps = Self { ipv4: RangeMap::new(), ipv6: RangeMap::new() };
        let ranges = |wanted_v4: bool| {
            let of_family = entries.iter().filter(move |(prefix, _)| prefix.network().is_ipv4() == wanted_v4);
            of_family.map(|(prefix, place)| {
                let [first, last] = [prefix.network(), prefix.broadcast()].map(bits);
                (first, last, prefix.prefix_len(), *place)
            })
        };
        let ipv4: Vec<_> = ranges(true).collect();
        for (start, place) in flatten(&ipv4, u32::MAX.into()) {
            maps.ipv4.push(start as u32, place);
        }
        let ipv6: Vec<_> = ranges(false).collect();
        for (start, place) in flatten(&ipv6, u128::MAX) {
            maps.ipv6.push(start, place);
        }
        maps
    }

    pub(crate) fn get(&self, address: IpAddr) -> u32 {
        match address {
            IpAddr::V4(v4) => self.ipv4.get(v4.to_bits()),
            IpAddr::V6(v6) => self.ipv6.get(v6.to_bits()),
        }
    }
}

/// The address as a number, IPv4 in the lower 32 bits.
pub(crate) fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Where the longest prefix changes, ascending from 0, with its place from there on.
fn flatten(prefixes: &[(u128, u128, u8, u32)], space_last: u128) -> Vec<(u128, u32)> {
    let behind = prefixes.iter().filter(|(_, last, ..)| *last < space_last).map(|(_, last, ..)| last + 1);
    let mut starts: Vec<u128> = prefixes.iter().map(|(first, ..)| *first).chain(behind).chain([0]).collect();
    starts.sort_unstable();
    starts.dedup();
    let place_at = |at: u128| {
        let holding = prefixes.iter().filter(|(first, last, ..)| (*first..=*last).contains(&at));
        holding.max_by_key(|(_, _, prefix_len, _)| *prefix_len).map_or(NO_PLACE, |(.., place)| *place)
    };
    starts.into_iter().map(|start| (start, place_at(start))).collect()
}
