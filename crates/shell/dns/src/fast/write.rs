use perigee_net::MAX_ANSWER;

use super::HEADER;
use crate::client_subnet::ClientSubnet;
use crate::encode::UDP_PAYLOAD;

/// The codes that plain answers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rcode {
    NoError = 0,
    NxDomain = 3,
}

impl Rcode {
    /// The counters' and the log's word for it.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::NoError => "NOERROR",
            Self::NxDomain => "NXDOMAIN",
        }
    }
}

/// A response that grows: header and question are there, records are added, an OPT record ends it.
pub(super) struct Writer<'a> {
    room: &'a mut [u8; MAX_ANSWER],
    len: usize,
    counts: [u16; 2],
    recursion_desired: u8,
}

/// A pointer to the question's name.
pub(super) const QUESTION: u16 = 0xc000 | HEADER as u16;

impl<'a> Writer<'a> {
    /// The response to `message`, whose question ends at `end`, not beyond 512 octets. The question is copied as it
    /// stands, letter case and all.
    pub(super) fn new(room: &'a mut [u8; MAX_ANSWER], message: &[u8], end: usize) -> Self {
        room[..end].copy_from_slice(&message[..end]);
        Self { room, len: end, counts: [0; 2], recursion_desired: message[2] & 1 }
    }

    /// Adds octets. None: there is no room.
    pub(super) fn put(&mut self, octets: &[u8]) -> Option<()> {
        self.room.get_mut(self.len..self.len + octets.len())?.copy_from_slice(octets);
        self.len += octets.len();
        Some(())
    }

    /// An address record of the question's name.
    pub(super) fn put_address<const N: usize>(&mut self, qtype: u16, ttl_s: u32, address: &[u8; N]) -> Option<()> {
        let record = self.room.get_mut(self.len..self.len + 12 + N)?;
        record[..2].copy_from_slice(&QUESTION.to_be_bytes());
        record[2..4].copy_from_slice(&qtype.to_be_bytes());
        record[4..6].copy_from_slice(&[0, 1]);
        record[6..10].copy_from_slice(&ttl_s.to_be_bytes());
        record[10..12].copy_from_slice(&(N as u16).to_be_bytes());
        record[12..].copy_from_slice(address);
        self.len += 12 + N;
        self.counts[0] += 1;
        Some(())
    }

    /// What was put is a record of the authority section.
    pub(super) fn count_authority(&mut self) {
        self.counts[1] += 1;
    }

    /// The octets written since `from`, to be changed.
    pub(super) fn since(&mut self, from: usize) -> &mut [u8] {
        &mut self.room[from..self.len]
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Ends the response: an OPT record if `dnssec_ok` says what its flag is, with the client subnet in `scope`. Gives
    /// its length.
    pub(super) fn finish(
        mut self,
        rcode: Rcode,
        dnssec_ok: Option<bool>,
        subnet: Option<&ClientSubnet>,
        scope: u8,
    ) -> Option<usize> {
        if let Some(dnssec_ok) = dnssec_ok {
            let [high, low] = UDP_PAYLOAD.to_be_bytes();
            self.put(&[0, 0, 41, high, low, 0, 0, if dnssec_ok { 0x80 } else { 0 }, 0])?;
            match subnet {
                None => self.put(&[0, 0])?,
                Some(subnet) => {
                    let data = subnet.as_octets();
                    let len = data.len() as u8;
                    self.put(&[0, len + 4, 0, 8, 0, len])?;
                    let at = self.len;
                    self.put(data)?;
                    self.room[at + 3] = scope;
                }
            }
        }
        let [answers, authority] = self.counts.map(u16::to_be_bytes);
        // QR and AA; RD as it came, RA, AD and CD never.
        self.room[2] = 0x84 | self.recursion_desired;
        self.room[3] = rcode as u8;
        self.room[4..HEADER].copy_from_slice(&[
            0,
            1,
            answers[0],
            answers[1],
            authority[0],
            authority[1],
            0,
            u8::from(dnssec_ok.is_some()),
        ]);
        Some(self.len)
    }
}
