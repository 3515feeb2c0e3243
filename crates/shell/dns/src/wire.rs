//! The structure of a query, read from its bytes before anything is decoded.
//!
//! Hickory's decoder forgives what an authoritative server must refuse (trailing bytes, damaged option lists, stray
//! bits in a client subnet) and refuses what it should forgive (a client subnet of family 0). So the shape is checked
//! here, without allocation, and hickory decodes only the question.

/// Octets of a header (RFC 1035 section 4.1.1).
const HEADER: usize = 12;
/// Octets of a name with its length octets and the root's (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 255;
/// The OPT pseudo-record's type (RFC 6891).
const OPT: u16 = 41;
/// The client subnet's option code (RFC 7871 section 6).
const CLIENT_SUBNET: u16 = 8;

/// Operation codes (IANA, "DNS OpCodes").
pub(crate) mod opcode {
    pub(crate) const QUERY: u8 = 0;
    pub(crate) const NOTIFY: u8 = 4;
    pub(crate) const UPDATE: u8 = 5;
}

/// What a message says, as far as it could be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading<'a> {
    pub(crate) opcode: u8,
    /// The question, if there is exactly one and it is well-formed.
    pub(crate) question: Option<Question<'a>>,
    /// The OPT record, if one was met. Of a damaged one, only what stands before its options.
    pub(crate) opt: Option<Opt<'a>>,
    /// Whether all of the message is a well-formed query: one question, no answers, one OPT at most, nothing behind.
    pub(crate) well_formed: bool,
}

/// The question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question<'a> {
    /// The name in wire form, its root label included; never compressed.
    pub(crate) name: &'a [u8],
    pub(crate) qtype: u16,
    pub(crate) class: u16,
}

/// The OPT pseudo-record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opt<'a> {
    /// The client's UDP payload size, as sent.
    pub(crate) payload: u16,
    pub(crate) version: u8,
    pub(crate) dnssec_ok: bool,
    /// CO: the client understands compact denial (RFC 9824 section 5.1).
    pub(crate) compact_ok: bool,
    /// The client subnet option's data, unchecked.
    pub(crate) subnet: Option<&'a [u8]>,
}

/// Why a message gets no answer at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// Less than a header: there is not even an identifier to answer to.
    Short,
    /// A response: answering it could keep two servers talking to each other for ever.
    Response,
}

/// Reads a message; never fails on what is merely wrong, see [`Reading::well_formed`].
///
/// Source: `spec/dns.md` §5.1 and §5.4; RFC 9619 for the one question.
pub(crate) fn read(message: &[u8]) -> Result<Reading<'_>, Dropped> {
    let Some(header) = message.get(..HEADER) else { return Err(Dropped::Short) };
    if header[2] & 0x80 != 0 {
        return Err(Dropped::Response);
    }
    let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let mut reading = Reading { opcode: (header[2] >> 3) & 0x0f, ..Reading::default() };
    let mut cursor = Cursor { message, at: HEADER };
    reading.well_formed = count(4) == 1
        && read_question(&mut cursor, &mut reading).is_some()
        && count(6) == 0
        && count(8) == 0
        && read_additional(&mut cursor, count(10), &mut reading).is_some()
        && cursor.at == message.len();
    Ok(reading)
}

fn read_question<'a>(cursor: &mut Cursor<'a>, reading: &mut Reading<'a>) -> Option<()> {
    let name = cursor.plain_name()?;
    reading.question = Some(Question { name, qtype: cursor.u16()?, class: cursor.u16()? });
    Some(())
}

/// None: not well-formed. The loop is bounded by the message's length, as every record takes at least eleven octets.
fn read_additional<'a>(cursor: &mut Cursor<'a>, records: u16, reading: &mut Reading<'a>) -> Option<()> {
    for _ in 0..records {
        let owner_at = cursor.at;
        cursor.skip_name()?;
        let owner_is_root = cursor.at == owner_at + 1;
        let record_type = cursor.u16()?;
        let class = cursor.u16()?;
        let ttl = [cursor.u16()?, cursor.u16()?];
        let len = cursor.u16()?;
        let data = cursor.take(len.into())?;
        if record_type != OPT {
            continue;
        }
        let first = reading.opt.is_none();
        let [_, version] = ttl[0].to_be_bytes();
        let (dnssec_ok, compact_ok) = (ttl[1] & 0x8000 != 0, ttl[1] & 0x4000 != 0);
        let opt = reading.opt.insert(Opt { payload: class, version, dnssec_ok, compact_ok, subnet: None });
        if !first || !owner_is_root {
            return None;
        }
        opt.subnet = read_options(data)?;
    }
    Some(())
}

/// The client subnet among the options. None at all: the list does not fill the record, or holds two of them.
fn read_options(data: &[u8]) -> Option<Option<&[u8]>> {
    let mut cursor = Cursor { message: data, at: 0 };
    let mut subnet = None;
    while cursor.at < data.len() {
        let code = cursor.u16()?;
        let len = cursor.u16()?;
        let option = cursor.take(len.into())?;
        if code == CLIENT_SUBNET && subnet.replace(option).is_some() {
            return None;
        }
    }
    Some(subnet)
}

/// A place in a message; every step is bounds-checked.
struct Cursor<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let taken = self.message.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|b| u16::from_be_bytes([b[0], b[1]]))
    }

    /// A name without compression. The question's name has nothing before it that a pointer could mean.
    fn plain_name(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        loop {
            let len = usize::from(self.take(1)?[0]);
            if len > 63 {
                return None;
            }
            self.take(len)?;
            if self.at - start > MAX_NAME {
                return None;
            }
            if len == 0 {
                return Some(&self.message[start..self.at]);
            }
        }
    }

    /// A name that may end in a pointer to something before it.
    fn skip_name(&mut self) -> Option<()> {
        let start = self.at;
        loop {
            let here = self.at;
            let len = usize::from(self.take(1)?[0]);
            match len {
                0 => return Some(()),
                1..=63 => {
                    self.take(len)?;
                }
                0xc0.. => {
                    let low = usize::from(self.take(1)?[0]);
                    let target = (len & 0x3f) << 8 | low;
                    return (HEADER..here).contains(&target).then_some(());
                }
                _ => return None,
            }
            if self.at - start > MAX_NAME {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &[u8] = b"\x03app\x07perigee\x04test\x00\x00\x01\x00\x01";

    fn message(counts: [u16; 4], rest: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34, 0x01, 0x00];
        bytes.extend(counts.iter().flat_map(|c| c.to_be_bytes()));
        bytes.extend(rest.concat());
        bytes
    }

    fn opt(options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 41, 0x04, 0xd0, 0, 0, 0x80, 0];
        bytes.extend((options.len() as u16).to_be_bytes());
        bytes.extend(options);
        bytes
    }

    #[test]
    fn a_plain_query_is_read_whole() {
        let bytes = message([1, 0, 0, 1], &[QUESTION, &opt(&[0, 8, 0, 4, 0, 1, 0, 0])]);
        let reading = read(&bytes).unwrap();
        assert!(reading.well_formed);
        let question = reading.question.unwrap();
        assert_eq!((question.name.len(), question.qtype, question.class), (18, 1, 1));
        let opt = reading.opt.unwrap();
        assert_eq!((opt.payload, opt.version, opt.dnssec_ok), (1232, 0, true));
        assert_eq!(opt.subnet, Some(&[0, 1, 0, 0][..]));
    }

    #[test]
    fn short_messages_and_responses_are_dropped() {
        assert_eq!(read(&[0; 11]), Err(Dropped::Short));
        let mut response = message([1, 0, 0, 0], &[QUESTION]);
        response[2] |= 0x80;
        assert_eq!(read(&response), Err(Dropped::Response));
    }

    #[test]
    fn whatever_a_query_must_not_be_is_not_well_formed() {
        let good = opt(&[]);
        let off_root = [b"\x01a".as_slice(), &good].concat();
        let pointer = b"\xc0\x0c\x00\x01\x00\x01".as_slice();
        let long_name =
            [[b"\x3f".as_slice(), &[b'a'; 63]].concat().repeat(4), b"\x00\x00\x01\x00\x01".to_vec()].concat();
        for (name, bytes) in [
            ("no question", message([0, 0, 0, 0], &[])),
            ("two questions", message([2, 0, 0, 0], &[QUESTION, QUESTION])),
            ("65,535 questions", message([0xffff, 0, 0, 0], &[QUESTION])),
            ("answers", message([1, 1, 0, 0], &[QUESTION])),
            ("authorities", message([1, 0, 1, 0], &[QUESTION])),
            ("missing record", message([1, 0, 0, 1], &[QUESTION])),
            ("trailing byte", message([1, 0, 0, 0], &[QUESTION, &[0]])),
            ("two OPT records", message([1, 0, 0, 2], &[QUESTION, &good, &good])),
            ("OPT not at the root", message([1, 0, 0, 1], &[QUESTION, &off_root])),
            ("option without length", message([1, 0, 0, 1], &[QUESTION, &opt(&[0, 8, 0])])),
            ("option beyond its record", message([1, 0, 0, 1], &[QUESTION, &opt(&[0, 8, 0, 5, 0, 1, 0, 0])])),
            (
                "two subnets",
                message([1, 0, 0, 1], &[QUESTION, &opt(&[0, 8, 0, 4, 0, 1, 0, 0, 0, 8, 0, 4, 0, 1, 0, 0])]),
            ),
            ("pointer in the question", message([1, 0, 0, 0], &[pointer])),
            ("label type 01", message([1, 0, 0, 0], &[b"\x41a\x00\x00\x01\x00\x01"])),
            ("label cut off", message([1, 0, 0, 0], &[b"\x05app"])),
            ("name of 257 octets", message([1, 0, 0, 0], &[&long_name])),
            (
                "pointer forward",
                message([1, 0, 0, 1], &[QUESTION, b"\xc0\xff\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00"]),
            ),
        ] {
            assert!(!read(&bytes).unwrap().well_formed, "{name}");
        }
    }

    #[test]
    fn the_opt_of_a_broken_message_is_remembered_for_the_refusal() {
        let bytes = message([1, 0, 0, 1], &[QUESTION, &opt(&[0, 8, 0])]);
        let reading = read(&bytes).unwrap();
        assert!(!reading.well_formed);
        assert_eq!(reading.opt.map(|o| (o.dnssec_ok, o.subnet)), Some((true, None)));
    }
}
