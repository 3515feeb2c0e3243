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
const SOA: u16 = 6;
/// The question's type that asks for a zone's changes (RFC 1995).
const IXFR: u16 = 251;

/// Option codes (IANA, "DNS EDNS0 Option Codes").
pub(crate) mod option {
    pub(crate) const NSID: u16 = 3;
    pub(crate) const CLIENT_SUBNET: u16 = 8;
    pub(crate) const COOKIE: u16 = 10;
    pub(crate) const KEEPALIVE: u16 = 11;
    pub(crate) const PADDING: u16 = 12;
    pub(crate) const EXTENDED_ERROR: u16 = 15;
}

/// Flags of the OPT record.
pub(crate) mod flag {
    /// DNSSEC answer OK (RFC 3225).
    pub(crate) const DO: u16 = 0x8000;
    /// Compact answers OK (RFC 9824 section 5.1).
    pub(crate) const CO: u16 = 0x4000;
}

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
    /// Whether all of the message is a well-formed query: one question, no answers, one OPT at most, nothing behind, and
    /// no authority but the SOA record that comes with a question for a zone's changes (RFC 1995 section 3).
    pub(crate) well_formed: bool,
    /// Whether it is a well-formed query without a question, which asks for a cookie alone (RFC 7873 section 5.4).
    pub(crate) cookie_only: bool,
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
    /// CO: the client understands compact denial whose code is NXDOMAIN (RFC 9824 section 5.1).
    pub(crate) compact_ok: bool,
    pub(crate) options: Options<'a>,
}

/// The options that mean something to the server; all others are ignored (`spec/dns.md` §5.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options<'a> {
    /// The client subnet option's data, unchecked.
    pub(crate) subnet: Option<&'a [u8]>,
    /// The first cookie's data, of a length that a cookie may have: 8 or 16 to 40 octets. Later ones do not count (RFC
    /// 7873 section 5.2).
    pub(crate) cookie: Option<&'a [u8]>,
    /// Whether the server's identity is asked for (RFC 5001).
    pub(crate) nsid: bool,
    /// Whether the connection's idle timeout is asked for (RFC 7828).
    pub(crate) keepalive: bool,
    /// Whether the query is padded, so that the answer has to be (RFC 7830 section 4).
    pub(crate) padding: bool,
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
    let counts = [count(4), count(6), count(8), count(10)];
    let is_whole = read_sections(&mut cursor, counts, &mut reading) == Some(true) && cursor.at == message.len();
    reading.well_formed = is_whole && count(4) == 1;
    reading.cookie_only = is_whole && count(4) == 0 && reading.opt.is_some_and(|opt| opt.options.cookie.is_some());
    Ok(reading)
}

impl<'a> Reading<'a> {
    /// The options, if there is an OPT record with a list that could be read.
    pub(crate) fn options(&self) -> Options<'a> {
        self.opt.map(|opt| opt.options).unwrap_or_default()
    }
}

/// Whether the sections hold what a query's may. None: they cannot be read to the end, or the OPT record is damaged.
///
/// What must not be there is read all the same, for the OPT record behind it: the refusal has to carry one
/// (`spec/dns.md` §5.1). The loops are bounded by the message's length, as every question takes at least five octets and
/// every record eleven.
fn read_sections<'a>(cursor: &mut Cursor<'a>, counts: [u16; 4], reading: &mut Reading<'a>) -> Option<bool> {
    let [questions, answers, authorities, additionals] = counts;
    if questions == 1 {
        let name = cursor.plain_name()?;
        reading.question = Some(Question { name, qtype: cursor.u16()?, class: cursor.u16()? });
    } else {
        for _ in 0..questions {
            cursor.skip_name()?;
            cursor.take(4)?;
        }
    }
    for _ in 0..answers {
        cursor.record()?;
    }
    let asks_for_changes = reading.question.is_some_and(|question| question.qtype == IXFR);
    let mut is_expected = questions <= 1 && answers == 0 && authorities <= u16::from(asks_for_changes);
    for _ in 0..authorities {
        is_expected &= cursor.record()?.record_type == SOA;
    }
    for _ in 0..additionals {
        let record = cursor.record()?;
        if record.record_type == OPT {
            read_opt(&record, reading)?;
        }
    }
    Some(is_expected)
}

/// None: a second one, not at the root, or with options that cannot be read.
fn read_opt<'a>(record: &Record<'a>, reading: &mut Reading<'a>) -> Option<()> {
    let is_first = reading.opt.is_none();
    let [_, version] = record.ttl[0].to_be_bytes();
    let opt = reading.opt.insert(Opt {
        payload: record.class,
        version,
        dnssec_ok: record.ttl[1] & flag::DO != 0,
        compact_ok: record.ttl[1] & flag::CO != 0,
        options: Options::default(),
    });
    if !is_first || !record.owner_is_root {
        return None;
    }
    opt.options = read_options(record.data)?;
    Some(())
}

/// The options that are known. None at all: the list does not fill the record, holds two client subnets, or a cookie of
/// a length that none may have. The loop is bounded by the list's length, as every option takes at least four octets.
fn read_options(data: &[u8]) -> Option<Options<'_>> {
    let mut cursor = Cursor { message: data, at: 0 };
    let mut options = Options::default();
    while cursor.at < data.len() {
        let code = cursor.u16()?;
        let len = cursor.u16()?;
        let value = cursor.take(len.into())?;
        match code {
            option::CLIENT_SUBNET if options.subnet.replace(value).is_some() => return None,
            option::COOKIE if options.cookie.is_none() => {
                if !matches!(len, 8 | 16..=40) {
                    return None;
                }
                options.cookie = Some(value);
            }
            option::NSID => options.nsid = true,
            option::KEEPALIVE => options.keepalive = true,
            option::PADDING => options.padding = true,
            _ => {}
        }
    }
    Some(options)
}

/// A resource record, its owner passed over.
struct Record<'a> {
    owner_is_root: bool,
    record_type: u16,
    class: u16,
    /// The upper and the lower half.
    ttl: [u16; 2],
    data: &'a [u8],
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

    fn record(&mut self) -> Option<Record<'a>> {
        let start = self.at;
        self.skip_name()?;
        let owner_is_root = self.at == start + 1;
        let [record_type, class] = [self.u16()?, self.u16()?];
        let ttl = [self.u16()?, self.u16()?];
        let len = self.u16()?;
        Some(Record { owner_is_root, record_type, class, ttl, data: self.take(len.into())? })
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
        assert_eq!(opt.options, Options { subnet: Some(&[0, 1, 0, 0]), ..Options::default() });
    }

    #[test]
    fn all_known_options_are_read_in_one_pass_and_unknown_ones_are_passed_over() {
        let cookie = [0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
        let list = [&[0, 3, 0, 0, 0xfd, 0xe9, 0, 1, 9][..], &cookie, &[0, 11, 0, 0, 0, 12, 0, 2, 0, 0]].concat();
        let bytes = message([1, 0, 0, 1], &[QUESTION, &opt(&list)]);
        let options = read(&bytes).unwrap().options();
        let expected = Options { subnet: None, cookie: Some(&cookie[4..]), nsid: true, keepalive: true, padding: true };
        assert_eq!(options, expected);
    }

    #[test]
    fn the_flags_of_dnssec_and_compact_answers_are_told_apart() {
        for (flags, dnssec_ok, compact_ok) in
            [(0, false, false), (0x80, true, false), (0x40, false, true), (0xc0, true, true), (0x3f, false, false)]
        {
            let mut record = opt(&[]);
            record[7] = flags;
            let bytes = message([1, 0, 0, 1], &[QUESTION, &record]);
            let opt = read(&bytes).unwrap().opt.unwrap();
            assert_eq!((opt.dnssec_ok, opt.compact_ok), (dnssec_ok, compact_ok), "{flags:#x}");
        }
    }

    #[test]
    fn a_cookie_has_8_or_16_to_40_octets_and_only_the_first_counts() {
        for len in 0..=48_u8 {
            let list = [vec![0, 10, 0, len], vec![7; len.into()]].concat();
            let bytes = message([1, 0, 0, 1], &[QUESTION, &opt(&list)]);
            assert_eq!(read(&bytes).unwrap().well_formed, len == 8 || (16..=40).contains(&len), "{len} octets");
        }
        let list = [&[0, 10, 0, 8][..], &[1; 8], &[0, 10, 0, 3, 2, 2, 2]].concat();
        let bytes = message([1, 0, 0, 1], &[QUESTION, &opt(&list)]);
        let reading = read(&bytes).unwrap();
        assert!(reading.well_formed);
        assert_eq!(reading.options().cookie, Some(&[1; 8][..]));
    }

    #[test]
    fn a_message_without_a_question_asks_for_a_cookie_or_for_nothing() {
        let cookie = opt(&[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
        for (what, counts, rest, cookie_only) in [
            ("a cookie", [0, 0, 0, 1], vec![&cookie[..]], true),
            ("no options", [0, 0, 0, 1], vec![&opt(&[])[..]], false),
            ("a byte behind it", [0, 0, 0, 1], vec![&cookie[..], &[0]], false),
            ("a question as well", [1, 0, 0, 1], vec![QUESTION, &cookie], false),
        ] {
            let bytes = message(counts, &rest);
            let reading = read(&bytes).unwrap();
            assert_eq!(reading.cookie_only, cookie_only, "{what}");
            assert_eq!(reading.well_formed, counts[0] == 1, "{what}");
        }
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
    fn a_question_for_changes_may_carry_one_soa_record_as_authority() {
        let ixfr = [&QUESTION[..18], &[0, 251, 0, 1]].concat();
        let record = |kind| [&[0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 0, 0, 22][..], &[0; 22]].concat();
        let (soa, ns, opt) = (record(6), record(2), opt(&[]));
        for (what, question, authority, well_formed) in [
            ("none", &ixfr, vec![], true),
            ("a SOA", &ixfr, vec![&soa[..]], true),
            ("an NS", &ixfr, vec![&ns[..]], false),
            ("two SOAs", &ixfr, vec![&soa[..], &soa], false),
            ("a SOA, for A", &QUESTION.to_vec(), vec![&soa[..]], false),
            ("a SOA that is cut off", &ixfr, vec![&soa[..30]], false),
        ] {
            let mut rest = vec![&question[..]];
            rest.extend(&authority);
            rest.push(&opt);
            let bytes = message([1, 0, authority.len() as u16, 1], &rest);
            let reading = read(&bytes).unwrap();
            assert_eq!(reading.well_formed, well_formed, "{what}");
            assert_eq!(reading.opt.is_some(), !what.contains("cut off"), "{what}");
        }
    }

    #[test]
    fn the_opt_of_a_broken_message_is_remembered_for_the_refusal() {
        let (good, record) = (opt(&[]), [0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
        for (what, bytes) in [
            ("damaged options", message([1, 0, 0, 1], &[QUESTION, &opt(&[0, 8, 0])])),
            ("answers", message([1, 2, 0, 1], &[QUESTION, &record, &record, &good])),
            ("authorities", message([1, 0, 1, 1], &[QUESTION, &record, &good])),
            ("another record behind", message([1, 1, 0, 2], &[QUESTION, &record, &good, &record])),
            ("two questions", message([2, 0, 0, 1], &[QUESTION, b"\xc0\x0c\x00\x01\x00\x01", &good])),
            ("no question", message([0, 0, 0, 1], &[&good])),
            ("a byte behind", message([1, 0, 0, 1], &[QUESTION, &good, &[0]])),
            ("a record that is missing", message([1, 0, 0, 2], &[QUESTION, &good])),
        ] {
            let reading = read(&bytes).unwrap();
            assert!(!reading.well_formed && !reading.cookie_only, "{what}");
            let opt = reading.opt.map(|opt| (opt.dnssec_ok, opt.options));
            assert_eq!(opt, Some((true, Options::default())), "{what}");
        }
    }
}
