//! The OPT record of a response.

use std::time::Duration;

use hickory_proto::op::ResponseCode;

use crate::client_subnet::ClientSubnet;
use crate::cookie;
use crate::encode::UDP_PAYLOAD;
use crate::response::ExtendedError;
use crate::wire::{flag, option};

/// Octets of the record before its options: root name, type, class, TTL and length.
pub(crate) const FIXED: usize = 11;
/// Responses over encrypted transports are padded to multiples of this (RFC 8467 section 4.1).
const PADDING_BLOCK: usize = 468;

/// What the OPT record says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OptRecord<'a> {
    pub(crate) code: ResponseCode,
    pub(crate) dnssec_ok: bool,
    /// Whether a compact denial went out with its real response code (RFC 9824 section 5.1).
    pub(crate) compact_ok: bool,
    pub(crate) cookie: Option<[u8; cookie::WHOLE]>,
    pub(crate) nsid: Option<&'a str>,
    /// The client subnet of the query, and the scope of the answer.
    pub(crate) subnet: Option<(&'a ClientSubnet, u8)>,
    pub(crate) extended_error: Option<&'a ExtendedError>,
    /// How long an idle connection stays open.
    pub(crate) keepalive: Option<Duration>,
    /// Whether the message is padded.
    pub(crate) padded: bool,
}

impl OptRecord<'_> {
    /// The record's octets, but for the padding, which depends on all the rest of the message.
    pub(crate) fn octets(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        out.extend([0, 0, 41]);
        out.extend(UDP_PAYLOAD.to_be_bytes());
        out.extend([self.code.high(), 0]);
        let dnssec_ok = if self.dnssec_ok { flag::DO } else { 0 };
        let compact_ok = if self.compact_ok { flag::CO } else { 0 };
        out.extend((dnssec_ok | compact_ok).to_be_bytes());
        out.extend([0, 0]);
        if let Some((subnet, scope)) = self.subnet {
            put(&mut out, option::CLIENT_SUBNET, &subnet.with_scope(scope));
        }
        if let Some(cookie) = &self.cookie {
            put(&mut out, option::COOKIE, cookie);
        }
        if let Some(identity) = self.nsid {
            put(&mut out, option::NSID, identity.as_bytes());
        }
        if let Some(error) = self.extended_error {
            put(&mut out, option::EXTENDED_ERROR, &[&error.code.to_be_bytes(), error.text.as_bytes()].concat());
        }
        if let Some(idle) = self.keepalive {
            // Units of 100 milliseconds (RFC 7828 section 3.1).
            let units = u16::try_from(idle.as_millis() / 100).unwrap_or(u16::MAX);
            put(&mut out, option::KEEPALIVE, &units.to_be_bytes());
        }
        let len = (out.len() - FIXED) as u16;
        out[FIXED - 2..FIXED].copy_from_slice(&len.to_be_bytes());
        out
    }
}

fn put(out: &mut Vec<u8>, code: u16, data: &[u8]) {
    out.extend(code.to_be_bytes());
    // Every option here is far below 65,536 octets: the longest is the identity.
    out.extend((data.len() as u16).to_be_bytes());
    out.extend(data);
}

/// Pads `message`, which ends in an OPT record of `opt_len` octets, to a multiple of 468 octets, at most 65,535.
///
/// Source: RFC 7830, with the policy of RFC 8467 section 4.1 and zeros as its section 3 advises.
pub(crate) fn pad(message: &mut Vec<u8>, opt_len: usize) {
    let Some(opt_at) = message.len().checked_sub(opt_len) else { return };
    let padded = (message.len() + 4).next_multiple_of(PADDING_BLOCK).min(usize::from(u16::MAX));
    let Some(padding) = padded.checked_sub(message.len() + 4) else { return };
    message.extend(option::PADDING.to_be_bytes());
    message.extend((padding as u16).to_be_bytes());
    message.resize(padded, 0);
    let len = (message.len() - opt_at - FIXED) as u16;
    message[opt_at + FIXED - 2..opt_at + FIXED].copy_from_slice(&len.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: OptRecord<'static> = OptRecord {
        code: ResponseCode::NoError,
        dnssec_ok: false,
        compact_ok: false,
        cookie: None,
        nsid: None,
        subnet: None,
        extended_error: None,
        keepalive: None,
        padded: false,
    };

    #[test]
    fn the_record_states_our_size_the_upper_code_and_the_flags() {
        assert_eq!(PLAIN.octets(), [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
        let record = OptRecord { code: ResponseCode::BADCOOKIE, dnssec_ok: true, compact_ok: true, ..PLAIN };
        assert_eq!(record.octets(), [0, 0, 41, 4, 208, 1, 0, 0xc0, 0, 0, 0]);
    }

    #[test]
    fn options_follow_each_other_and_the_length_covers_them() {
        let error = ExtendedError { code: 20, text: "no" };
        let subnet = ClientSubnet::parse(&[0, 1, 8, 0, 10]).unwrap();
        let record = OptRecord {
            cookie: Some([7; 24]),
            nsid: Some("ns-1"),
            subnet: Some((&subnet, 8)),
            extended_error: Some(&error),
            keepalive: Some(Duration::from_secs(10)),
            ..PLAIN
        };
        let octets = record.octets();
        let data = [
            &[0, 8, 0, 5, 0, 1, 8, 8, 10][..],
            &[0, 10, 0, 24],
            &[7; 24],
            b"\x00\x03\x00\x04ns-1",
            b"\x00\x0f\x00\x04\x00\x14no",
            &[0, 11, 0, 2, 0, 100],
        ]
        .concat();
        assert_eq!(&octets[FIXED..], data);
        assert_eq!(octets[9..11], (data.len() as u16).to_be_bytes());
    }

    #[test]
    fn padding_fills_up_to_a_multiple_of_468_and_never_beyond_a_message() {
        for (before, after) in
            [(40, 468), (464, 468), (465, 936), (900, 936), (65_500, 65_520), (65_517, 65_535), (65_531, 65_535)]
        {
            let mut message = vec![1; before - FIXED];
            message.extend(PLAIN.octets());
            pad(&mut message, FIXED);
            assert_eq!(message.len(), after, "from {before}");
            let opt = &message[before - FIXED..];
            assert_eq!(usize::from(u16::from_be_bytes([opt[9], opt[10]])), opt.len() - FIXED);
            assert_eq!(opt[FIXED..FIXED + 2], [0, 12]);
            assert!(opt[FIXED + 4..].iter().all(|octet| *octet == 0));
        }
        let mut full = vec![1; 65_534];
        pad(&mut full, FIXED);
        assert_eq!(full.len(), 65_534, "there is no room for the option itself");
    }
}
