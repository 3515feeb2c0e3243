use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use nix::libc;

/// Octets of the longer of the two socket addresses, `sockaddr_in6`.
const LEN: usize = 28;
/// Octets of `sockaddr_in`.
const LEN_V4: usize = 16;

/// A peer's address as the kernel writes and reads it, so that an answer goes back without being translated twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub(super) struct Name {
    pub(super) bytes: [u8; LEN],
    pub(super) len: u32,
}

impl Name {
    pub(super) const EMPTY: Self = Self { bytes: [0; LEN], len: LEN as u32 };
    /// Nobody: whom a connected socket is connected to.
    pub(super) const NONE: Self = Self { bytes: [0; LEN], len: 0 };

    /// The address as the kernel has it.
    pub(super) fn of(address: SocketAddr) -> Self {
        let mut name = Self::EMPTY;
        let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        name.bytes[..2].copy_from_slice(&(family as u16).to_ne_bytes());
        name.bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
        match address {
            SocketAddr::V4(v4) => {
                name.bytes[4..8].copy_from_slice(&v4.ip().octets());
                name.len = LEN_V4 as u32;
            }
            SocketAddr::V6(v6) => {
                name.bytes[4..8].copy_from_slice(&v6.flowinfo().to_be_bytes());
                name.bytes[8..24].copy_from_slice(&v6.ip().octets());
                name.bytes[24..].copy_from_slice(&v6.scope_id().to_ne_bytes());
            }
        }
        name
    }

    /// The address; none if the kernel wrote neither of the two families, as it does for a receive that a signal ended.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        let b = &self.bytes;
        let family = i32::from(u16::from_ne_bytes([b[0], b[1]]));
        let port = u16::from_be_bytes([b[2], b[3]]);
        if family == libc::AF_INET && self.len as usize >= LEN_V4 {
            return Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(b[4], b[5], b[6], b[7])), port));
        }
        if family != libc::AF_INET6 || (self.len as usize) < LEN {
            return None;
        }
        let mut ip = [0; 16];
        ip.copy_from_slice(&b[8..24]);
        let word = |at: usize| u32::from_ne_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
        Some(SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(ip), port, u32::from_be(word(4)), word(24))))
    }

    /// Spreads the address over 64 bits, to find others of the same.
    pub(super) fn hash(&self) -> u64 {
        let word = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&self.bytes[at..at + 8]);
            u64::from_ne_bytes(bytes)
        };
        let mixed = if self.len as usize > LEN_V4 { word(0) ^ word(8).rotate_left(17) ^ word(16) } else { word(0) };
        mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// The address of ours that a datagram was sent to, as a control message to put before its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Local {
    /// Not asked for: the socket has but one address.
    #[default]
    Bound,
    V4(Ipv4Addr),
    /// With the interface, which a link-local address needs.
    V6(Ipv6Addr, u32),
}

/// Octets of control messages at a datagram: packet information of IPv6 (40) and the segment size (24).
pub(super) const CONTROL: usize = 64;

/// Control messages of one datagram, laid out as Linux has them: length (a word), level and type (an integer each),
/// data, padded to words.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(super) struct Control {
    pub(super) bytes: [u8; CONTROL],
    pub(super) len: usize,
}

const WORD: usize = size_of::<usize>();
const CONTROL_HEADER: usize = WORD + 8;

impl Control {
    pub(super) const EMPTY: Self = Self { bytes: [0; CONTROL], len: 0 };

    fn put(&mut self, level: i32, kind: i32, data: &[u8]) {
        let len = CONTROL_HEADER + data.len();
        let Some(room) = self.bytes.get_mut(self.len..self.len + len.next_multiple_of(WORD)) else { return };
        room.fill(0);
        room[..WORD].copy_from_slice(&len.to_ne_bytes());
        room[WORD..WORD + 4].copy_from_slice(&level.to_ne_bytes());
        room[WORD + 4..CONTROL_HEADER].copy_from_slice(&kind.to_ne_bytes());
        room[CONTROL_HEADER..len].copy_from_slice(data);
        self.len += len.next_multiple_of(WORD);
    }

    /// Says that the payload is to be cut into datagrams of `size` octets, the last one perhaps shorter.
    pub(super) fn put_segment(&mut self, size: u16) {
        self.put(libc::SOL_UDP, libc::UDP_SEGMENT, &size.to_ne_bytes());
    }

    /// Says which of our addresses the datagram leaves from.
    pub(super) fn put_local(&mut self, local: Local) {
        match local {
            Local::Bound => {}
            Local::V4(address) => {
                // Interface, then the address of ours, then one that has no meaning when sending.
                let mut info = [0; 12];
                info[4..8].copy_from_slice(&address.octets());
                self.put(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            Local::V6(address, interface) => {
                let mut info = [0; 20];
                info[..16].copy_from_slice(&address.octets());
                info[16..].copy_from_slice(&interface.to_ne_bytes());
                self.put(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
        }
    }

    /// The address that a received datagram was sent to, if the kernel said so.
    pub(super) fn local(&self) -> Local {
        let found = self.messages().find_map(|(level, kind, data)| match (level, kind) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) if data.len() >= 12 => {
                Some(Local::V4(Ipv4Addr::new(data[4], data[5], data[6], data[7])))
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if data.len() >= 20 => {
                let mut address = [0; 16];
                address.copy_from_slice(&data[..16]);
                let address = Ipv6Addr::from(address);
                let interface = u32::from_ne_bytes([data[16], data[17], data[18], data[19]]);
                // Elsewhere the routing table knows the interface better than the way that the query came.
                Some(Local::V6(address, if address.is_unicast_link_local() { interface } else { 0 }))
            }
            _ => None,
        });
        found.unwrap_or(Local::Bound)
    }

    /// The length of the datagrams that the kernel gave as one, if it did; the last of them may be shorter.
    pub(super) fn segment(&self) -> Option<u16> {
        let found = self.messages().find(|(level, kind, _)| (*level, *kind) == (libc::SOL_UDP, libc::UDP_GRO));
        let size = found.and_then(|(_, _, data)| data.first_chunk().copied()).map(i32::from_ne_bytes)?;
        u16::try_from(size).ok().filter(|size| *size > 0)
    }

    /// The control messages of a received datagram: level, type, data.
    fn messages(&self) -> impl Iterator<Item = (i32, i32, &[u8])> {
        let mut rest = &self.bytes[..self.len.min(CONTROL)];
        std::iter::from_fn(move || {
            let len = usize::from_ne_bytes(*rest.first_chunk::<WORD>()?);
            let data = rest.get(CONTROL_HEADER..len)?;
            let integer = |at: usize| i32::from_ne_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]]);
            let message = (integer(WORD), integer(WORD + 4), data);
            rest = rest.get(len.next_multiple_of(WORD)..).unwrap_or_default();
            Some(message)
        })
    }
}
