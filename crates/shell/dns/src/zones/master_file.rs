//! Master files (RFC 1035 section 5): from text to record sets below an origin.

use std::collections::BTreeMap;

use hickory_proto::rr::{DNSClass, RData, RecordType};
use perigee_model::dns::ZoneFile;

use super::lexer::{Entry, Lexer};
use super::problem::Problems;
use super::wire_name::{below, key_of_text, text_of};
use super::{StoredSet, rdata};

/// Octets of a file.
const MAX_TEXT: usize = 64 << 20;
/// Records of a file (Perigee's choice: some 300 MB of memory).
const MAX_RECORDS: usize = 1_000_000;
/// Records of one name and type, and octets with a compressed owner each: what is more fits no message.
const MAX_SET: usize = 4_000;
const MAX_SET_OCTETS: usize = 60_000;
/// Octets of a record beside its data, its owner compressed (RFC 1035 section 4.1.3).
const RECORD_OVERHEAD: usize = 12;

/// The sets at each name, by its key relative to the origin.
pub(super) type Sets = BTreeMap<Box<[u8]>, Vec<StoredSet>>;

/// A record as it stands in a file.
struct Line {
    /// Relative to the zone's origin, lower case.
    key: Box<[u8]>,
    record_type: RecordType,
    ttl_s: u32,
    data: RData,
    octets: usize,
}

/// What lines leave to the lines after them.
struct Reader<'a> {
    /// The zone's origin, lower case.
    zone: &'a [u8],
    /// What relative names are completed with; `$ORIGIN` sets it.
    origin: Vec<u8>,
    owner: Option<Vec<u8>>,
    /// `$TTL` (RFC 2308 section 4).
    default_ttl_s: Option<u32>,
    last_ttl_s: Option<u32>,
    /// The SOA's minimum, for files that are older than `$TTL`.
    minimum_s: Option<u32>,
}

/// Reads `file` below `zone`, a key. What is wrong goes to `problems`, everything else is read all the same.
pub(super) fn read(file: &ZoneFile, zone: &[u8], problems: &mut Problems) -> Sets {
    let mut sets = Sets::new();
    if file.text.len() > MAX_TEXT {
        problems.add(&file.name, None, "", format!("the file is above {MAX_TEXT} octets"));
        return sets;
    }
    let origin = zone.to_vec();
    let mut reader = Reader { zone, origin, owner: None, default_ttl_s: None, last_ttl_s: None, minimum_s: None };
    let mut octets: BTreeMap<(Box<[u8]>, RecordType), usize> = BTreeMap::new();
    let mut records = 0;
    for entry in Lexer::new(&file.text) {
        let (at, line) = match entry {
            Ok(entry) => (entry.line, reader.entry(&entry)),
            Err((line, what)) => {
                problems.add(&file.name, Some(line), "", what);
                continue;
            }
        };
        let owner = || reader.owner.as_deref().map(text_of).unwrap_or_default();
        match line {
            Ok(None) => {}
            Ok(Some(_)) if records == MAX_RECORDS => {
                problems.add(&file.name, Some(at), "", format!("the file has more than {MAX_RECORDS} records"));
                return sets;
            }
            Ok(Some(line)) => {
                records += 1;
                let size = line.octets + RECORD_OVERHEAD;
                let existing = sets.get(&line.key).is_some_and(|s| s.iter().any(|s| s.record_type == line.record_type));
                let total = if existing {
                    // Only sets of several records are counted, of which there are few.
                    octets.entry((line.key.clone(), line.record_type)).or_insert(size)
                } else {
                    &mut 0
                };
                *total += size;
                let too_large = *total > MAX_SET_OCTETS || line.octets > MAX_SET_OCTETS;
                let added = if too_large { Err("the set of records fits no message") } else { add(&mut sets, line) };
                if let Err(what) = added {
                    problems.add(&file.name, Some(at), &owner(), what);
                }
            }
            Err(what) => problems.add(&file.name, Some(at), &owner(), what),
        }
    }
    sets
}

/// Adds a record to its set; one that is there already is left out (RFC 2181 section 5).
fn add(sets: &mut Sets, line: Line) -> Result<(), &'static str> {
    let of_name = sets.entry(line.key).or_default();
    let Some(set) = of_name.iter_mut().find(|set| set.record_type == line.record_type) else {
        of_name.push(StoredSet { record_type: line.record_type, ttl_s: line.ttl_s, data: vec![line.data] });
        return Ok(());
    };
    if set.ttl_s != line.ttl_s {
        return Err("its TTL differs from that of the other records of this name and type (RFC 2181 section 5.2)");
    }
    if set.data.len() == MAX_SET {
        return Err("there are more than 4,000 records of this name and type");
    }
    if !set.data.contains(&line.data) {
        set.data.push(line.data);
    }
    Ok(())
}

impl Reader<'_> {
    /// None: a directive.
    fn entry(&mut self, entry: &Entry<'_>) -> Result<Option<Line>, String> {
        let mut words = &entry.words[..];
        if !entry.blank
            && let [first, rest @ ..] = words
        {
            words = rest;
            if first.starts_with('$') {
                self.directive(first, rest)?;
                return Ok(None);
            }
            self.owner = None;
            self.owner = Some(rdata::name(first, &self.origin)?);
        }
        self.record(words).map(Some)
    }

    fn directive(&mut self, directive: &str, words: &[&str]) -> Result<(), String> {
        match (directive.to_ascii_uppercase().as_str(), words) {
            ("$ORIGIN", [name]) => self.origin = rdata::name(name, &self.origin)?,
            ("$TTL", [ttl]) => self.default_ttl_s = Some(rdata::time(ttl)?),
            ("$ORIGIN" | "$TTL", _) => return Err(format!("{directive} takes one word")),
            ("$INCLUDE", _) => return Err("$INCLUDE is refused: a zone is one file".into()),
            _ => return Err(format!("`{directive}` is no directive of a zone file")),
        }
        Ok(())
    }

    fn record(&mut self, mut words: &[&str]) -> Result<Line, String> {
        let owner = self.owner.as_deref().ok_or("the record has no owner")?;
        let mut key = owner.to_vec();
        key.make_ascii_lowercase();
        let key = below(&key, self.zone).ok_or("the name is outside the zone")?.into();
        let mut ttl_s = None;
        let mut class = None;
        let record_type = loop {
            let [word, rest @ ..] = words else { return Err("the record has no type".into()) };
            words = rest;
            if ttl_s.is_none() && word.starts_with(|c: char| c.is_ascii_digit()) {
                ttl_s = Some(rdata::time(word)?);
            } else if class.is_none()
                && let Ok(parsed) = word.to_ascii_uppercase().parse::<DNSClass>()
                && parsed != DNSClass::ANY
            {
                class = Some(parsed);
            } else {
                break rdata::record_type(word)?;
            }
        };
        if class.is_some_and(|class| class != DNSClass::IN) {
            return Err("the class is not IN".into());
        }
        let (data, octets) = rdata::parse(record_type, words, &self.origin)?;
        if let RData::SOA(soa) = &data {
            self.minimum_s = Some(soa.minimum);
        }
        let ttl_s = ttl_s.inspect(|ttl| self.last_ttl_s = Some(*ttl));
        let ttl_s = ttl_s.or(self.default_ttl_s).or(self.last_ttl_s).or(self.minimum_s);
        let ttl_s = ttl_s.ok_or("the record has no TTL, and there is no $TTL")?;
        Ok(Line { key, record_type, ttl_s, data, octets })
    }
}

/// One value in presentation form, as the configuration gives it; relative names are below `zone`, a key.
///
/// Errors: what is wrong with it.
pub(super) fn value(record_type: RecordType, text: &str, zone: &[u8]) -> Result<RData, String> {
    let mut entries = Lexer::new(text);
    match (entries.next(), entries.next()) {
        (Some(Ok(entry)), None) => Ok(rdata::parse(record_type, &entry.words, zone)?.0),
        (Some(Err((_, what))), _) => Err(what.into()),
        (None, _) => Err("the value is empty".into()),
        (Some(Ok(_)), Some(_)) => Err("the value is more than one line".into()),
    }
}

/// The reverse name of an address as a key (RFC 1035 section 3.5, RFC 3596 section 2.5).
pub(super) fn reverse_key(address: std::net::IpAddr) -> Option<Vec<u8>> {
    let labels: Vec<String> = match address {
        std::net::IpAddr::V4(v4) => v4.octets().iter().rev().map(u8::to_string).collect(),
        std::net::IpAddr::V6(v6) => {
            v6.octets().iter().rev().flat_map(|o| [o & 15, o >> 4]).map(|nibble| format!("{nibble:x}")).collect()
        }
    };
    let suffix = if address.is_ipv4() { "in-addr.arpa" } else { "ip6.arpa" };
    key_of_text(&format!("{}.{suffix}", labels.join(".")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> (Sets, Vec<String>) {
        let mut problems = Problems::default();
        let file = ZoneFile { name: "z".into(), text: text.into() };
        let sets = read(&file, &key_of_text("zone.test").unwrap(), &mut problems);
        (sets, problems.into_vec().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn owners_origins_and_ttls_carry_over() {
        let text = "$TTL 1h\n@ SOA ns1 host 1 2 3 4 5\n NS ns1\n$ORIGIN b.zone.test.\na 60 IN A 192.0.2.1\n\
                    \tIN 60 AAAA ::1\n TXT x\n$ORIGIN sub\nc CNAME a\nD.Zone.TEST. A 192.0.2.2\n";
        let (sets, problems) = read_text(text);
        assert_eq!(problems, [""; 0]);
        let found: Vec<(String, RecordType, u32)> =
            sets.iter().flat_map(|(key, sets)| sets.iter().map(|s| (text_of(key), s.record_type, s.ttl_s))).collect();
        assert_eq!(
            found,
            [
                (".".into(), RecordType::SOA, 3600),
                (".".into(), RecordType::NS, 3600),
                ("a.b.".into(), RecordType::A, 60),
                ("a.b.".into(), RecordType::AAAA, 60),
                ("a.b.".into(), RecordType::TXT, 3600),
                ("c.sub.b.".into(), RecordType::CNAME, 3600),
                ("d.".into(), RecordType::A, 3600),
            ]
        );
        assert_eq!(sets[&key_of_text("c.sub.b").unwrap()[..]][0].data[0].to_string(), "a.sub.b.zone.test.");
    }

    #[test]
    fn a_file_without_ttl_directive_uses_the_last_ttl_or_the_soas_minimum() {
        let (sets, problems) = read_text("@ SOA ns1 host 1 2 3 4 77\na A 192.0.2.1\nb 5 A 192.0.2.1\nc A 192.0.2.1");
        assert_eq!(problems, [""; 0]);
        let ttl = |name| sets[&key_of_text(name).unwrap()[..]][0].ttl_s;
        assert_eq!([ttl("a"), ttl("b"), ttl("c")], [77, 5, 5]);
    }

    #[test]
    fn every_problem_is_told_with_its_line_and_owner() {
        let text = "a A 192.0.2.1\n$TTL 60\nb A 192.0.2\n$INCLUDE other\n$GENERATE 1-2 a A 1.2.3.4\nother.test. A 192.0.2.1\n\
                    c 2147483648 A 192.0.2.1\nd CH TXT x\ne NOTHING x\nf 10 A 192.0.2.1\nf 20 A 192.0.2.2\ng\n\
                    h TXT \"x\n$TTL\na..b A 192.0.2.1\n A 192.0.2.1\nok A 192.0.2.3\nok A 192.0.2.3\n";
        let (sets, problems) = read_text(text);
        let expected = [
            "z:1: a.zone.test.: the record has no TTL",
            "z:3: b.zone.test.: `192.0.2` is no IPv4 address",
            "z:4: b.zone.test.: $INCLUDE is refused",
            "z:5: b.zone.test.: `$GENERATE` is no directive",
            "z:6: other.test.: the name is outside the zone",
            "z:7: c.zone.test.: `2147483648` is no time",
            "z:8: d.zone.test.: the class is not IN",
            "z:9: e.zone.test.: `NOTHING` is no record type",
            "z:11: f.zone.test.: its TTL differs",
            "z:12: g.zone.test.: the record has no type",
            "z:13: a quotation is not closed",
            "z:14: g.zone.test.: $TTL takes one word",
            "z:15: `a..b` is no domain name",
            "z:16: the record has no owner",
        ];
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.starts_with(expected), "{problem} is not {expected}");
        }
        assert_eq!(problems.len(), expected.len(), "{problems:#?}");
        assert_eq!(sets[&key_of_text("ok").unwrap()[..]][0].data.len(), 1, "duplicates are one");
    }

    #[test]
    fn a_set_that_fits_no_message_is_refused() {
        let long = "x".repeat(250);
        let many: String = (0..300).map(|i| format!("a 60 TXT {i}{long}\n")).collect();
        let (sets, problems) = read_text(&many);
        assert!(problems.len() > 1 && problems[0].contains("fits no message"), "{problems:?}");
        assert!(sets[&key_of_text("a").unwrap()[..]][0].data.len() < 300);
    }

    #[test]
    fn reverse_names_are_those_of_the_address() {
        let text = |a: &str| text_of(&reverse_key(a.parse().unwrap()).unwrap());
        assert_eq!(text("192.0.2.1"), "1.2.0.192.in-addr.arpa.");
        assert!(
            text("2001:db8::1").starts_with("1.0.0.0.0.0.")
                && text("2001:db8::1").ends_with("8.b.d.0.1.0.0.2.ip6.arpa.")
        );
    }
}
