use std::net::IpAddr;
use std::ops::Range;

use super::write::Writer;
use super::{A, AAAA};

/// Addresses of both families, ready to be written.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    v4: Vec<[u8; 4]>,
    v6: Vec<[u8; 16]>,
}

impl Addresses {
    pub(super) const NONE: Self = Self { v4: Vec::new(), v6: Vec::new() };

    pub(super) fn of(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let mut of = Self::default();
        addresses.into_iter().for_each(|address| of.push(address));
        of
    }

    pub(super) fn push(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => self.v4.push(v4.octets()),
            IpAddr::V6(v6) => self.v6.push(v6.octets()),
        }
    }

    /// How many of each family.
    pub(super) fn counts(&self) -> [u32; 2] {
        [self.v4.len() as u32, self.v6.len() as u32]
    }

    /// As [`Self::write`], but only those of the family in `range`.
    pub(super) fn write_range(
        &self,
        writer: &mut Writer<'_>,
        qtype: u16,
        range: Range<usize>,
        ttl_s: u32,
        draw: u64,
    ) -> Option<usize> {
        match qtype {
            A => rotated(self.v4.get(range)?, draw, |address| writer.put_address(qtype, ttl_s, address)),
            AAAA => rotated(self.v6.get(range)?, draw, |address| writer.put_address(qtype, ttl_s, address)),
            _ => Some(0),
        }
    }

    /// Writes those of the type asked for, starting with another one at each draw; the number of them.
    pub(super) fn write(&self, writer: &mut Writer<'_>, qtype: u16, ttl_s: u32, draw: u64) -> Option<usize> {
        match qtype {
            A => rotated(&self.v4, draw, |address| writer.put_address(qtype, ttl_s, address)),
            AAAA => rotated(&self.v6, draw, |address| writer.put_address(qtype, ttl_s, address)),
            _ => Some(0),
        }
    }

    fn octets(&self, qtype: u16) -> impl Iterator<Item = &[u8]> {
        let (v4, v6) = match qtype {
            A => (&self.v4[..], &[][..]),
            AAAA => (&[][..], &self.v6[..]),
            _ => (&[][..], &[][..]),
        };
        v4.iter().map(|octets| &octets[..]).chain(v6.iter().map(|octets| &octets[..]))
    }
}

fn rotated<T>(all: &[T], draw: u64, mut write: impl FnMut(&T) -> Option<()>) -> Option<usize> {
    let Some(first) = draw.checked_rem(all.len() as u64) else { return Some(0) };
    let (last, first) = all.split_at(first as usize);
    first.iter().chain(last).try_for_each(&mut write)?;
    Some(all.len())
}

/// Addresses of several branches put together, each once, on the stack.
pub(super) struct Gathered {
    octets: [[u8; 16]; Self::MAX],
    len: usize,
    width: usize,
}

impl Gathered {
    /// What fits a datagram beside everything else; more is the slow path's.
    const MAX: usize = 64;

    pub(super) fn new(qtype: u16) -> Self {
        Self { octets: [[0; 16]; Self::MAX], len: 0, width: if qtype == A { 4 } else { 16 } }
    }

    /// Adds one address of the type. None: there are too many.
    fn push(&mut self, octets: &[u8]) -> Option<()> {
        let width = self.width;
        if self.octets[..self.len].iter().any(|known| known[..width] == *octets) {
            return Some(());
        }
        self.octets.get_mut(self.len)?[..width].copy_from_slice(octets);
        self.len += 1;
        Some(())
    }

    pub(super) fn add(&mut self, addresses: &Addresses, qtype: u16) -> Option<()> {
        addresses.octets(qtype).try_for_each(|octets| self.push(octets))
    }

    pub(super) fn add_listed(&mut self, addresses: &[IpAddr], qtype: u16) -> Option<()> {
        addresses.iter().try_for_each(|address| match (address, qtype) {
            (IpAddr::V4(v4), A) => self.push(&v4.octets()),
            (IpAddr::V6(v6), AAAA) => self.push(&v6.octets()),
            _ => Some(()),
        })
    }

    /// As [`Addresses::write`].
    pub(super) fn write(&self, writer: &mut Writer<'_>, qtype: u16, ttl_s: u32, draw: u64) -> Option<usize> {
        rotated(&self.octets[..self.len], draw, |octets| match qtype {
            A => writer.put_address(qtype, ttl_s, octets.first_chunk::<4>()?),
            _ => writer.put_address(qtype, ttl_s, octets),
        })
    }
}
